//! Wire to domain: plain functions that parse, fill defaults, and refuse what is not valid.
//!
//! Promise: nothing here looks at the state, waits or reads a clock. Both sides' types belong to other crates, so these
//! are functions and not conversions by trait.

pub(crate) mod consume;
pub(crate) mod dead_letters;
pub(crate) mod messages;
pub(crate) mod produce;
pub(crate) mod runs;
pub(crate) mod settle;
pub(crate) mod topics;

use crate::problem::Problem;
use driftq_core::{
    GroupName, IdempotencyKey, KEY_BYTES_MAX, Millis, OwnerId, RetryPolicy, TenantId, TopicName,
};

/// The longest name of somebody who asks.
pub(crate) const ACTOR_BYTES_MAX: usize = 200;
/// The longest reason, bytes.
const REASON_BYTES_MAX: usize = 1024;
/// The longest page of a list.
const PAGE_MAX: u32 = 1_000;
/// A page of a list when no limit is asked for.
const PAGE_DEFAULT: u32 = 100;

pub(crate) fn topic(given: Option<&str>) -> Result<TopicName, Problem> {
    Ok(TopicName::parse(required("topic", given)?)?)
}

pub(crate) fn group(given: Option<&str>) -> Result<GroupName, Problem> {
    Ok(GroupName::parse(required("group", given)?)?)
}

pub(crate) fn owner(given: Option<&str>) -> Result<OwnerId, Problem> {
    Ok(OwnerId::parse(required("owner", given)?)?)
}

/// A text that must be there, trimmed.
pub(crate) fn required<'a>(name: &str, given: Option<&'a str>) -> Result<&'a str, Problem> {
    trimmed(given).ok_or_else(|| Problem::invalid(format!("{name} is required")))
}

/// A text without the white space around it; an empty one is absent.
pub(crate) fn trimmed(given: Option<&str>) -> Option<&str> {
    given.map(str::trim).filter(|text| !text.is_empty())
}

pub(crate) fn tenant(given: Option<&str>) -> Result<Option<TenantId>, Problem> {
    Ok(trimmed(given).map(TenantId::parse).transpose()?)
}

/// An idempotency key with its scope's tenant.
pub(crate) fn idempotency(
    key: Option<&str>,
    fingerprint: Option<String>,
    tenant: Option<&TenantId>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    if key.len() > KEY_BYTES_MAX {
        return Err(Problem::invalid(format!("idempotency_key is longer than {KEY_BYTES_MAX} bytes")));
    }
    let tenant = tenant.map_or_else(String::new, |tenant| tenant.as_str().to_owned());
    Ok(Some(IdempotencyKey { tenant, key: key.to_owned(), fingerprint }))
}

/// Who asks, as a body says it; blank is nothing.
pub(crate) fn actor(given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(actor) if actor.len() > ACTOR_BYTES_MAX => {
            Err(Problem::invalid(format!("actor is longer than {ACTOR_BYTES_MAX} bytes")))
        }
        other => Ok(other.map(|actor| actor.trim().to_owned()).filter(|actor| !actor.is_empty())),
    }
}

/// Why somebody asks, in his own words; blank is nothing.
pub(crate) fn reason(given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(reason) if reason.len() > REASON_BYTES_MAX => {
            Err(Problem::invalid(format!("reason is longer than {REASON_BYTES_MAX} bytes")))
        }
        other => Ok(other.filter(|reason| !reason.trim().is_empty())),
    }
}

/// How many items a page has.
pub(crate) fn limit(given: Option<u32>) -> Result<usize, Problem> {
    match given.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(usize::try_from(limit).unwrap_or(1)),
        other => Err(Problem::invalid(format!("limit must be from 1 to {PAGE_MAX}, not {other}"))),
    }
}

/// A cursor that is a number.
pub(crate) fn cursor(given: Option<&str>) -> Result<Option<u64>, Problem> {
    let bad = |text: &str| Problem::invalid(format!("cursor {text:?} is not one that this server gave out"));
    trimmed(given).map(|text| text.parse().map_err(|_| bad(text))).transpose()
}

/// A policy as asked; all zero is none at all.
pub(crate) fn policy(asked: driftq_api::RetryPolicyRequest) -> Option<RetryPolicy> {
    let policy = RetryPolicy {
        max_attempts: asked.max_attempts.unwrap_or(0),
        backoff: Millis(asked.backoff_ms.unwrap_or(0)),
        max_backoff: Millis(asked.max_backoff_ms.unwrap_or(0)),
        jitter: Millis(asked.jitter_ms.unwrap_or(0)),
    };
    Some(policy).filter(|policy| *policy != RetryPolicy::default())
}
