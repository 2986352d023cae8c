//! What the broker itself wrote to a timeline, with its fields as types.
//!
//! Promise: an event that somebody produced is never taken for the broker's, whatever it calls
//! itself. What a newer server writes is left as it came.

use driftq_api::{BrokerEvent, DeadLetterAddress, Failure, Fields, RawValue, RunEvent};
use serde::Deserialize;

use crate::TimelineItem;

impl TimelineItem {
    /// The event, if the broker wrote it and this client knows it.
    ///
    /// ```no_run
    /// # async fn example(client: driftq_client::Client) -> Result<(), driftq_client::ClientError> {
    /// use driftq_client::api::BrokerEvent;
    /// use futures_util::StreamExt as _;
    ///
    /// let mut events = client.handle("run_1").events();
    /// while let Some(item) = events.next().await {
    ///     match item?.broker_event() {
    ///         Some(BrokerEvent::RunRetryScheduled { delay_ms, next_attempt, .. }) => {
    ///             println!("attempt {next_attempt} in {delay_ms} ms");
    ///         }
    ///         Some(BrokerEvent::RunSucceeded { result }) => println!("{result}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn broker_event(&self) -> Option<BrokerEvent> {
        self.event().and_then(read)
    }
}

fn read(event: &RunEvent) -> Option<BrokerEvent> {
    let fields = &event.fields;
    if fields.json("source").is_some() {
        return None;
    }
    Some(match event.kind.as_str() {
        "run.created" => BrokerEvent::RunCreated { workflow: field(fields, "workflow")? },
        "worker.received" => BrokerEvent::WorkerReceived {
            owner: field(fields, "owner")?,
            lease_until_ms: field(fields, "lease_until_ms")?,
        },
        "run.attempt_failed" => BrokerEvent::RunAttemptFailed {
            reason: field(fields, "reason")?,
            error: field(fields, "error")?,
            max_attempts: field(fields, "max_attempts")?,
        },
        "run.retry_scheduled" => BrokerEvent::RunRetryScheduled {
            at_ms: field(fields, "at_ms")?,
            delay_ms: field(fields, "delay_ms")?,
            next_attempt: field(fields, "next_attempt")?,
            max_attempts: field(fields, "max_attempts")?,
        },
        "run.dlq" => BrokerEvent::RunDlq {
            reason: field(fields, "reason")?,
            error: field::<Failure>(fields, "error")?,
            dlq: field::<DeadLetterAddress>(fields, "dlq")?,
        },
        "run.failed" => BrokerEvent::RunFailed { error: field(fields, "error")? },
        "run.succeeded" => {
            BrokerEvent::RunSucceeded { result: fields.json("result").map(RawValue::to_owned)? }
        }
        "run.cancelled" => BrokerEvent::RunCancelled {},
        "run.replay_requested" => BrokerEvent::RunReplayRequested {
            actor: field(fields, "actor"),
            from_step: field(fields, "from_step"),
            changed: field(fields, "changed").unwrap_or_default(),
        },
        "step.completed" => BrokerEvent::StepCompleted {
            step: field(fields, "step")?,
            duration_ms: field(fields, "duration_ms"),
        },
        _ => return None,
    })
}

fn field<'a, T: Deserialize<'a>>(fields: &'a Fields, name: &str) -> Option<T> {
    fields.read(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, fields: &str) -> TimelineItem {
        let text =
            format!(r#"{{"seq":1,"ts":2,"type":"{kind}","run_id":"r","replay_seq":0,"attempt":1{fields}}}"#);
        TimelineItem::Event(serde_json::from_str(&text).expect("it is an event"))
    }

    /// Every event of the broker, as the server writes it.
    const EVENTS: [(&str, &str); 10] = [
        ("run.created", r#","workflow":"w""#),
        ("worker.received", r#","owner":"o","lease_until_ms":5"#),
        ("run.attempt_failed", r#","reason":"error","error":{"message":"m"},"max_attempts":3"#),
        ("run.retry_scheduled", r#","at_ms":5,"delay_ms":3,"next_attempt":2,"max_attempts":3"#),
        (
            "run.dlq",
            r#","reason":"max_attempts","error":{"message":"m"},"dlq":{"topic":"dlq.t","partition":0,"offset":1}"#,
        ),
        ("run.failed", r#","error":{"message":"m","type":"T"}"#),
        ("run.succeeded", r#","result":1.50"#),
        ("run.cancelled", ""),
        ("run.replay_requested", r#","changed":["input"]"#),
        ("step.completed", r#","step":"fetch""#),
    ];

    #[test]
    fn every_event_of_the_broker_is_read_with_nothing_lost() {
        for (kind, fields) in EVENTS {
            let event = item(kind, fields).broker_event().unwrap_or_else(|| panic!("{kind} is not known"));
            let written = serde_json::to_string(&event).expect("it is JSON");
            assert_eq!(written, format!(r#"{{"type":"{kind}"{fields}}}"#));
        }
    }

    #[test]
    fn what_somebody_produced_is_not_the_brokers() {
        for (kind, fields) in EVENTS {
            assert!(
                item(kind, &format!(r#"{fields},"source":"produce""#)).broker_event().is_none(),
                "{kind}"
            );
        }
        assert!(item("run.log", r#","message":"m""#).broker_event().is_none());
        assert!(item("run.paused", "").broker_event().is_none(), "a newer server's");
    }
}
