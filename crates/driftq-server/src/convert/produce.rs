//! Producing: a message as its producer wrote it, or as a query has it.

use super::{idempotency, policy, tenant, topic, trimmed};
use crate::extract::FromQuery;
use crate::json;
use crate::problem::Problem;
use driftq_api::{EnvelopeRequest, ProduceQuery, ProduceRequest, RawValue, RetryPolicyRequest};
use driftq_core::{Content, Due, Envelope, Millis, Produce, TenantId, TopicName, WallTime};

/// A message that is missing what every message has.
const INCOMPLETE: &str = "topic and value are required";

impl FromQuery<ProduceQuery> for ProduceRequest {
    fn from_query(query: ProduceQuery) -> Result<Self, Problem> {
        let value = query.value.as_ref().map(json::raw_of);
        let deadline = query_deadline(&query)?;
        let retry_policy = query_policy(&query)?;
        Ok(Self {
            topic: query.topic,
            key: query.key,
            value,
            envelope: Some(EnvelopeRequest {
                run_id: query.run_id,
                step_id: query.step_id,
                parent_step_id: query.parent_step_id,
                tenant_id: query.tenant_id.or(query.tenant),
                idempotency_key: query.idempotency_key.or(query.idem_key),
                target_topic: query.target_topic,
                deadline,
                retry_policy,
                partition_override: query.partition_override,
                dlq: None,
            }),
            idempotency_fingerprint: query.idempotency_fingerprint,
            delay_ms: query.delay_ms,
            deliver_at_ms: query.deliver_at_ms,
            ..Self::default()
        })
    }
}

fn query_deadline(query: &ProduceQuery) -> Result<Option<String>, Problem> {
    let text = query.deadline_rfc3339.clone().or_else(|| query.deadline.clone());
    if text.is_some() {
        return Ok(text);
    }
    let Some(ms) = query.deadline_ms else { return Ok(None) };
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.ok_or_else(|| Problem::invalid(format!("deadline_ms {ms} is beyond the year 9999")))?;
    Ok(Some(at.to_string()))
}

fn query_policy(query: &ProduceQuery) -> Result<Option<RetryPolicyRequest>, Problem> {
    let asked = RetryPolicyRequest {
        max_attempts: query.retry_max_attempts,
        backoff_ms: query.retry_backoff_ms,
        max_backoff_ms: query.retry_max_backoff_ms,
        jitter_ms: query.retry_jitter_ms,
    };
    let rest = [
        ("retry_backoff_ms", asked.backoff_ms),
        ("retry_max_backoff_ms", asked.max_backoff_ms),
        ("retry_jitter_ms", asked.jitter_ms),
    ];
    if asked.max_attempts.unwrap_or(0) == 0
        && let Some((name, _)) = rest.into_iter().find(|(_, given)| given.is_some())
    {
        return Err(Problem::invalid(format!("{name} needs retry_max_attempts greater than 0")));
    }
    Ok(Some(asked).filter(|asked| *asked != RetryPolicyRequest::default()))
}

/// One message to produce; `header_key` is the request's `Idempotency-Key`, `own_tenant` its token's tenant.
pub(crate) fn message(
    asked: ProduceRequest,
    header_key: Option<&str>,
    bytes_max: usize,
    own_tenant: Option<&TenantId>,
) -> Result<Produce, Problem> {
    let incomplete = || Problem::invalid(INCOMPLETE);
    let asked_topic = trimmed(asked.topic.as_deref()).ok_or_else(incomplete)?;
    let value = value(asked.value.as_deref())?.ok_or_else(incomplete)?;
    let topic = topic(Some(asked_topic))?;
    let wire = asked.envelope.unwrap_or_default();
    let tenant_text = [&wire.tenant_id, &asked.tenant_id, &asked.tenant]
        .into_iter()
        .find_map(|text| trimmed(text.as_deref()));
    let tenant = tenant(tenant_text)?.or(own_tenant.cloned());
    let key_text = [wire.idempotency_key.as_deref(), asked.idempotency_key.as_deref(), header_key];
    let key_text = key_text.into_iter().flatten().find(|key| !key.is_empty());
    let idempotency = idempotency(key_text, asked.idempotency_fingerprint, tenant.as_ref())?;
    let deadline = trimmed(wire.deadline.as_deref()).map(rfc3339).transpose()?;
    let target_topic = trimmed(wire.target_topic.as_deref()).map(TopicName::parse).transpose()?;
    let due = due(asked.delay_ms, asked.deliver_at_ms)?;
    let policy = wire.retry_policy.and_then(policy);
    let key = asked.key.unwrap_or_default();
    let content = Content {
        key: key.clone(),
        value,
        headers: asked.headers.unwrap_or_default().into_iter().collect(),
        envelope: Envelope {
            run_id: wire.run_id,
            step_id: wire.step_id,
            parent_step_id: wire.parent_step_id,
            tenant_id: tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
            idempotency_key: key_text.map(str::to_owned),
            target_topic: wire.target_topic,
            deadline: wire.deadline,
            retry_policy: policy,
            partition_override: wire.partition_override,
        },
    }
    .encode();
    if content.len() > bytes_max {
        return Err(Problem::too_large(format!(
            "the message has {} bytes; at most {bytes_max} are taken",
            content.len()
        )));
    }
    Ok(Produce {
        topic,
        target_topic,
        key,
        partition: wire.partition_override,
        content,
        policy,
        due,
        deadline,
        idempotency,
        tenant,
    })
}

/// The value's stored token; `None` for what counts as no value.
fn value(given: Option<&RawValue>) -> Result<Option<Vec<u8>>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let token = json::minified("value", given)?;
    Ok(Some(token).filter(|token| token != b"null" && token != b"\"\""))
}

fn rfc3339(text: &str) -> Result<WallTime, Problem> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        Problem::invalid(format!("deadline {text:?} is not a time like 2030-01-31T12:00:00Z (RFC 3339)"))
    })?;
    Ok(WallTime(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

/// When a message becomes visible.
pub(crate) fn due(delay_ms: Option<u64>, deliver_at_ms: Option<u64>) -> Result<Due, Problem> {
    match (delay_ms, deliver_at_ms) {
        (Some(_), Some(_)) => {
            Err(Problem::invalid("delay_ms and deliver_at_ms exclude each other; send one of them"))
        }
        (Some(delay), None) => Ok(Due::After(Millis(delay))),
        (None, Some(at)) => Ok(Due::At(WallTime(at))),
        (None, None) => Ok(Due::Now),
    }
}
