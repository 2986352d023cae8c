//! What the wire types promise: exact texts, refused fields, and one table of codes.

mod codes;
mod events;
mod requests;

#[cfg(feature = "openapi")]
mod schemas;
