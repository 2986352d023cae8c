//! Operators' acts: which calls are told in the audit log, and in which words.
//!
//! Promise: every such call goes out with an entry of its own, so the oracle can say whose entry a message is.

use driftq_core::{AuditEntry, Command, Content, Record, WallTime};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The entry of a call, without its time; `None` for what is no operator's act.
pub(crate) fn entry_of(command: &Command) -> Option<String> {
    match command {
        Command::CreateTopic(_)
        | Command::Redrive(_)
        | Command::Discard(_)
        | Command::ReplayRun(_)
        | Command::CancelRun(_)
        | Command::StartRedriveJob(_)
        | Command::ControlRedriveJob(_)
        | Command::PatchTopic(_)
        | Command::DeleteTopic(_)
        | Command::SeekGroup(_)
        | Command::DeleteGroup(_)
        | Command::RetryNow(_) => {
            let mut hasher = DefaultHasher::new();
            format!("{command:?}").hash(&mut hasher);
            Some(format!("{{\"act\":\"{:016x}\"}}", hasher.finish()))
        }
        Command::Produce(_)
        | Command::OpenGroup(_)
        | Command::Lease(_)
        | Command::Ack(_)
        | Command::Nack(_)
        | Command::Extend(_)
        | Command::GiveBack(_)
        | Command::CreateRun(_)
        | Command::AppendEvents(_)
        | Command::StoreStep(_)
        | Command::Audited(_) => None,
    }
}

/// The same as the broker takes it.
pub(crate) fn audit_of(command: &Command) -> Option<AuditEntry> {
    entry_of(command).and_then(|entry| AuditEntry::of(entry.into_bytes()))
}

/// An entry as it must stand in the log.
pub(crate) fn told_at(entry: &str, wall: WallTime) -> Vec<u8> {
    format!("{},\"at_ms\":{wall}}}", entry.trim_end_matches('}')).into_bytes()
}

/// Whether a record is an entry of the audit log.
pub(crate) fn is_entry(record: &Record) -> bool {
    value_of(record).is_some_and(|value| value.starts_with(b"{\"act\":"))
}

/// The value of a message that was appended with one.
pub(crate) fn value_of(record: &Record) -> Option<Vec<u8>> {
    let Record::MessageAppended(message) = record else { return None };
    match &message.body {
        driftq_core::Body::Inline(content) => Content::decode(content).ok().map(|content| content.value),
        _ => None,
    }
}
