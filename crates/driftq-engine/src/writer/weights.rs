//! What a request and a fact weigh: whether they grow the log, and how much room they may need.
//!
//! Promise: exhaustive, so that a new command says what it is before it can be carried out.

use crate::handle::Request;
use driftq_core::{Command, Record, SeekTo};

/// Bytes a record may take besides the texts of its command.
const RECORD_OVERHEAD: usize = 2_048;
/// Bytes that the fact of a seek may take a partition.
const PLACE_BYTES: usize = 64;

/// Whether a request may change the state.
pub(super) fn changes_state(request: &Request) -> bool {
    match request {
        Request::Look(_) | Request::Follow { .. } | Request::RunEnd { .. } | Request::JobEnd { .. } => false,
        Request::Command { .. }
        | Request::OpenConsumer { .. }
        | Request::Pull { .. }
        | Request::CloseConsumer { .. }
        | Request::Poll { .. }
        | Request::GiveBack { .. }
        | Request::Advance { .. }
        | Request::Drain
        | Request::Stop => true,
    }
}

/// Whether a fact is more than a lease and its echo: what is told must not be forgotten by a power cut.
pub(super) fn is_binding(record: &Record) -> bool {
    match record {
        Record::Delivered(_) | Record::GivenBack(_) | Record::TimeAdvanced(_) => false,
        Record::EventAppended(fact) => !matches!(fact.event, driftq_core::Event::Received { .. }),
        _ => true,
    }
}

/// Whether a command adds work, so that a full disk or a draining broker refuses it.
pub(super) fn grows(command: &Command) -> bool {
    match command {
        Command::CreateTopic(_)
        | Command::Produce(_)
        | Command::OpenGroup(_)
        | Command::CreateRun(_)
        | Command::AppendEvents(_)
        | Command::ReplayRun(_)
        | Command::Redrive(_)
        | Command::StartRedriveJob(_)
        | Command::PatchTopic(_) => true,
        Command::Lease(_)
        | Command::Ack(_)
        | Command::Nack(_)
        | Command::Extend(_)
        | Command::GiveBack(_)
        | Command::StoreStep(_)
        | Command::CancelRun(_)
        | Command::Discard(_)
        | Command::ControlRedriveJob(_)
        | Command::DeleteTopic(_)
        | Command::SeekGroup(_)
        | Command::DeleteGroup(_)
        | Command::RetryNow(_) => false,
        Command::Audited(audited) => audited.act.as_ref().is_some_and(grows),
    }
}

/// Bytes of texts that a command brings.
pub(super) fn command_bytes(command: &Command) -> usize {
    match command {
        Command::Produce(messages) => {
            messages.iter().map(|message| message.content.len() + RECORD_OVERHEAD).sum()
        }
        Command::CreateRun(create) => create.input.len(),
        Command::AppendEvents(append) => {
            append.events.iter().map(|event| event.json.len() + RECORD_OVERHEAD).sum()
        }
        Command::StoreStep(store) => store.output.len(),
        Command::Ack(ack) => ack.result.as_ref().map_or(0, Vec::len),
        Command::Nack(nack) => nack.error.message.len() + nack.error.stack.as_ref().map_or(0, String::len),
        Command::ReplayRun(replay) => match &replay.input {
            driftq_core::NewInput::Same => 0,
            driftq_core::NewInput::Whole(input) | driftq_core::NewInput::Patched { input, .. } => input.len(),
        },
        Command::Redrive(redrive) => redrive.value.as_ref().map_or(0, Vec::len),
        Command::Audited(audited) => audited.entry.len() + audited.act.as_ref().map_or(0, command_bytes),
        Command::CreateTopic(_)
        | Command::OpenGroup(_)
        | Command::Lease(_)
        | Command::Extend(_)
        | Command::GiveBack(_)
        | Command::CancelRun(_)
        | Command::Discard(_)
        | Command::StartRedriveJob(_)
        | Command::ControlRedriveJob(_)
        | Command::PatchTopic(_)
        | Command::DeleteTopic(_)
        | Command::DeleteGroup(_)
        | Command::RetryNow(_) => 0,
        Command::SeekGroup(seek) => match &seek.to {
            SeekTo::Places { places, .. } => places.len() * PLACE_BYTES,
            // Settled stretches are few but for a bounded number, for which a turn's own room is enough.
            SeekTo::Earliest | SeekTo::Latest | SeekTo::Offset { .. } => 0,
        },
    }
}

/// What a request may need of the log, bytes and records.
pub(super) fn size_of(request: &Request) -> (usize, usize) {
    const RECORDS: usize = 8;
    match request {
        Request::Command { command, .. } => {
            let records = match command {
                Command::Produce(messages) => messages.len() * 2,
                Command::AppendEvents(append) => append.events.len(),
                _ => 0,
            };
            (command_bytes(command) + RECORDS * RECORD_OVERHEAD, records + RECORDS)
        }
        Request::OpenConsumer { .. } | Request::Pull { .. } | Request::Poll { .. } => {
            (RECORD_OVERHEAD, RECORDS)
        }
        Request::GiveBack { held } => (held.len() * 64, held.len()),
        Request::CloseConsumer { .. }
        | Request::Look(_)
        | Request::Follow { .. }
        | Request::RunEnd { .. }
        | Request::Advance { .. }
        | Request::JobEnd { .. }
        | Request::Drain
        | Request::Stop => (0, 0),
    }
}
