//! Telling `null` from absent, and a flag from its spellings.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

/// Reads a field that is there as `Some`, also when it is `null`.
///
/// Serde by itself reads `null` as `None`; for the user's own JSON `null` is a value.
pub(crate) fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a field that is there as `Some`, and its `null` as `Some(None)`: in a merge patch both mean something.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads a query flag: `1`, `true` or nothing after the name is yes, `0` or `false` is no.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "1" | "true" | "" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format_args!("`{other}` is neither 1 nor 0"))),
    }
}
