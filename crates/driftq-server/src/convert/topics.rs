//! A topic's settings, from the wire and from the configuration.

use crate::problem::Problem;
use driftq_api::{CreateTopicRequest, PatchTopicRequest, RetentionPatch, RetryPolicyPatch, RoutingPatch};
use driftq_core::{Change, Millis, PolicyPatch, SettingsPatch};
use std::collections::BTreeMap;

/// The longest label of a routing mark, bytes.
const LABEL_BYTES_MAX: usize = 200;
/// The most entries of its meta.
const META_ENTRIES_MAX: usize = 64;
/// The most bytes of its meta.
const META_BYTES_MAX: usize = 8 * 1024;

/// What `PATCH /v1/topics/{topic}` changes.
pub(crate) fn patch(asked: PatchTopicRequest) -> Result<SettingsPatch, Problem> {
    Ok(SettingsPatch {
        policy: change(asked.retry_policy, policy),
        key_window: change(asked.idempotency_window_ms, Millis),
        partition_messages_max: change(asked.partition_max_messages, same),
        partition_bytes_max: change(asked.partition_max_bytes, same),
        retention: change(asked.retention, retention),
        routing: match asked.routing {
            None => Change::Keep,
            Some(None) => Change::Reset,
            Some(Some(asked)) => Change::Set(routing(asked)?),
        },
    })
}

/// Which fields a patch gives.
pub(crate) fn given(asked: &PatchTopicRequest) -> [(&'static str, bool); 6] {
    [
        ("retry_policy", asked.retry_policy.is_some()),
        ("idempotency_window_ms", asked.idempotency_window_ms.is_some()),
        ("partition_max_messages", asked.partition_max_messages.is_some()),
        ("partition_max_bytes", asked.partition_max_bytes.is_some()),
        ("retention", asked.retention.is_some()),
        ("routing", asked.routing.is_some()),
    ]
}

/// What a topic is told when it is made; `None` when nothing is said.
pub(crate) fn settings(asked: CreateTopicRequest) -> Result<Option<Box<SettingsPatch>>, Problem> {
    let patch = patch(PatchTopicRequest {
        retry_policy: asked.retry_policy.map(Some),
        idempotency_window_ms: asked.idempotency_window_ms.map(Some),
        partition_max_messages: asked.partition_max_messages.map(Some),
        partition_max_bytes: asked.partition_max_bytes.map(Some),
        retention: asked.retention.map(Some),
        routing: asked.routing.map(Some),
        reason: None,
    })?;
    Ok(Some(patch).filter(|patch| !patch.is_empty()).map(Box::new))
}

fn change<T, U>(asked: Option<Option<T>>, convert: impl FnOnce(T) -> U) -> Change<U> {
    match asked {
        None => Change::Keep,
        Some(None) => Change::Reset,
        Some(Some(value)) => Change::Set(convert(value)),
    }
}

fn same<T>(value: T) -> T {
    value
}

fn policy(asked: RetryPolicyPatch) -> PolicyPatch {
    PolicyPatch {
        max_attempts: change(asked.max_attempts, same),
        backoff: change(asked.backoff_ms, Millis),
        max_backoff: change(asked.max_backoff_ms, Millis),
        jitter: change(asked.jitter_ms, Millis),
    }
}

fn retention(asked: RetentionPatch) -> driftq_core::RetentionPatch {
    driftq_core::RetentionPatch {
        age: change(asked.age_ms, Millis),
        bytes: change(asked.bytes, same),
        dead_letter_age: change(asked.dead_letter_age_ms, Millis),
    }
}

fn routing(asked: RoutingPatch) -> Result<driftq_core::RoutingPatch, Problem> {
    let label = match asked.label.as_deref().map(str::trim) {
        None => None,
        Some("") => return Err(Problem::invalid("routing.label must not be empty")),
        Some(label) if label.len() > LABEL_BYTES_MAX => {
            return Err(Problem::invalid(format!("routing.label is longer than {LABEL_BYTES_MAX} bytes")));
        }
        Some(label) => Some(label.to_owned()),
    };
    if let Some(Some(meta)) = &asked.meta {
        admit_meta(meta)?;
    }
    Ok(driftq_core::RoutingPatch { label, meta: change(asked.meta, same) })
}

fn admit_meta(meta: &BTreeMap<String, Option<String>>) -> Result<(), Problem> {
    if meta.len() > META_ENTRIES_MAX {
        return Err(Problem::invalid(format!("routing.meta has more than {META_ENTRIES_MAX} entries")));
    }
    let bytes =
        |(name, value): (&String, &Option<String>)| name.len() + value.as_ref().map_or(0, String::len);
    if meta.iter().map(bytes).sum::<usize>() > META_BYTES_MAX {
        return Err(Problem::invalid(format!("routing.meta is larger than {META_BYTES_MAX} bytes")));
    }
    Ok(())
}
