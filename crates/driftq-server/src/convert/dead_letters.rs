//! Dead letters: filters, cursors, redrives and bulk redrives as their users ask for them.

use super::{idempotency, trimmed};
use crate::json;
use crate::problem::Problem;
use driftq_api::{
    DeadLetterQuery, FingerprintQuery, RedriveJobFilter, RedriveJobStatus, RedriveRequest,
    StartRedriveJobRequest,
};
use driftq_core::{
    DeadLetterAt, DeadLetterCursor, DeadLetterFilter, DeadLetterReason, Fingerprint, GroupName, JobNo,
    JobStatus, MessageAt, Offset, PartitionId, RATE_MILLI_MAX, Redrive, RedriveSpec, RunId, SHARE_ONE, Scope,
    State, TenantId, TopicId, TopicName, WallTime,
};

/// The longest reason of an operator's act, bytes.
const REASON_MAX: usize = 1_024;
/// The longest text that can be searched for, bytes.
const SEARCH_MAX: usize = 200;
/// How many a second when no rate is asked for.
const RATE_DEFAULT: f64 = 100.0;
/// The unit of a rate: messages in so many seconds.
const RATE_UNIT: f64 = 1_000.0;

/// A filter whose run is still to be found.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    filter: DeadLetterFilter,
    run_id: Option<RunId>,
}

impl Wanted {
    /// Only what a caller may see.
    pub(crate) fn within(self, scope: Scope) -> Self {
        Self { filter: DeadLetterFilter { scope, ..self.filter }, ..self }
    }

    /// The filter for this state; `None` when there is no such run, and so nothing to be found.
    pub(crate) fn resolve(&self, state: &State) -> Option<DeadLetterFilter> {
        let run = match &self.run_id {
            Some(id) => Some(state.run(id)?.no),
            None => None,
        };
        Some(DeadLetterFilter { run, ..self.filter.clone() })
    }
}

/// The filter's fields, wherever they were given.
struct Fields<'a> {
    topic: Option<&'a str>,
    group: Option<&'a str>,
    run_id: Option<&'a str>,
    reason: Option<&'a str>,
    fingerprint: Option<&'a str>,
    tenant_id: Option<&'a str>,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
}

macro_rules! fields_of {
    ($given:expr) => {
        Fields {
            topic: $given.topic.as_deref(),
            group: $given.group.as_deref(),
            run_id: $given.run_id.as_deref(),
            reason: $given.reason.as_deref(),
            fingerprint: $given.fingerprint.as_deref(),
            tenant_id: $given.tenant_id.as_deref(),
            since_ms: $given.since_ms,
            until_ms: $given.until_ms,
        }
    };
}

pub(crate) fn listed(query: &DeadLetterQuery) -> Result<Wanted, Problem> {
    wanted(&fields_of!(query))
}

pub(crate) fn counted(query: &FingerprintQuery) -> Result<Wanted, Problem> {
    wanted(&fields_of!(query))
}

fn wanted(given: &Fields<'_>) -> Result<Wanted, Problem> {
    if let (Some(since), Some(until)) = (given.since_ms, given.until_ms)
        && since >= until
    {
        return Err(Problem::invalid(format!("since_ms {since} must be before until_ms {until}")));
    }
    Ok(Wanted {
        filter: DeadLetterFilter {
            topic: trimmed(given.topic).map(TopicName::parse).transpose()?,
            group: trimmed(given.group).map(GroupName::parse).transpose()?,
            run: None,
            reason: trimmed(given.reason).map(reason_of).transpose()?,
            fingerprint: trimmed(given.fingerprint).map(fingerprint).transpose()?,
            tenant: trimmed(given.tenant_id).map(TenantId::parse).transpose()?,
            since: given.since_ms.map(WallTime),
            until: given.until_ms.map(WallTime),
            scope: Scope::default(),
        },
        run_id: trimmed(given.run_id).map(RunId::parse).transpose()?,
    })
}

fn reason_of(text: &str) -> Result<DeadLetterReason, Problem> {
    let all =
        [DeadLetterReason::MaxAttempts, DeadLetterReason::DeadlineExceeded, DeadLetterReason::NonRetryable];
    let known = all.into_iter().find(|reason| reason.as_str() == text);
    known.ok_or_else(|| {
        Problem::invalid(format!("reason {text:?} is none of max_attempts, deadline_exceeded, non_retryable"))
    })
}

fn fingerprint(text: &str) -> Result<Fingerprint, Problem> {
    text.parse().map_err(|error| Problem::invalid(format!("fingerprint {text:?}: {error}")))
}

/// The text to search for, in lower case.
pub(crate) fn searched(given: Option<&str>) -> Result<Option<String>, Problem> {
    match given.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) if text.len() > SEARCH_MAX => {
            Err(Problem::invalid(format!("q is longer than {SEARCH_MAX} bytes")))
        }
        Some(text) => Ok(Some(text.to_lowercase())),
    }
}

pub(crate) fn cursor_text(cursor: DeadLetterCursor) -> String {
    match cursor {
        DeadLetterCursor::Place(at) => format!("{}.{}.{}", at.topic, at.partition, at.offset),
        DeadLetterCursor::Time(wall, at) => format!("{wall}.{}.{}.{}", at.topic, at.partition, at.offset),
    }
}

pub(crate) fn cursor(given: Option<&str>) -> Result<Option<DeadLetterCursor>, Problem> {
    let Some(text) = trimmed(given) else { return Ok(None) };
    let bad = || Problem::invalid(format!("cursor {text:?} is not one that this server gave out"));
    let numbers: Result<Vec<u64>, _> = text.split('.').map(str::parse::<u64>).collect();
    let at = |topic: u64, partition: u64, offset: u64| {
        Ok::<_, Problem>(MessageAt {
            topic: TopicId(u32::try_from(topic).map_err(|_| bad())?),
            partition: PartitionId(u32::try_from(partition).map_err(|_| bad())?),
            offset: Offset(offset),
        })
    };
    match numbers.map_err(|_| bad())?.as_slice() {
        [topic, partition, offset] => Ok(Some(DeadLetterCursor::Place(at(*topic, *partition, *offset)?))),
        [wall, topic, partition, offset] => {
            Ok(Some(DeadLetterCursor::Time(WallTime(*wall), at(*topic, *partition, *offset)?)))
        }
        _ => Err(bad()),
    }
}

pub(crate) fn kind_cursor(given: Option<&str>) -> Result<Option<(u64, Fingerprint)>, Problem> {
    let Some(text) = trimmed(given) else { return Ok(None) };
    let parsed =
        text.split_once('.').and_then(|(count, print)| Some((count.parse().ok()?, print.parse().ok()?)));
    let bad = || Problem::invalid(format!("cursor {text:?} is not one that this server gave out"));
    parsed.map(Some).ok_or_else(bad)
}

/// Why somebody acts, as they say it.
pub(crate) fn reason(given: Option<&str>) -> Result<Option<String>, Problem> {
    match trimmed(given) {
        Some(text) if text.len() > REASON_MAX => {
            Err(Problem::invalid(format!("reason is longer than {REASON_MAX} bytes")))
        }
        given => Ok(given.map(str::to_owned)),
    }
}

/// A redrive without the message's own key, which the caller has to look up when it goes to another topic.
pub(crate) fn redrive(
    at: DeadLetterAt,
    key: Option<&str>,
    actor: Option<String>,
    asked: &RedriveRequest,
    bytes_max: usize,
) -> Result<Redrive, Problem> {
    let value = asked.value.as_deref().map(|value| json::minified("value", value)).transpose()?;
    match &value {
        Some(value) if value == b"null" || value == b"\"\"" => {
            return Err(Problem::invalid(
                "value must not be null or an empty string; leave it out to keep the one there is",
            ));
        }
        Some(value) if value.len() > bytes_max => {
            return Err(Problem::too_large(format!("value is larger than {bytes_max} bytes")));
        }
        Some(_) | None => {}
    }
    Ok(Redrive {
        dead_letter: at,
        value,
        target_topic: trimmed(asked.target_topic.as_deref()).map(TopicName::parse).transpose()?,
        key: String::new(),
        all_groups: asked.all_groups.unwrap_or(false),
        idempotency: idempotency(key, None, None)?,
        actor,
        reason: reason(asked.reason.as_deref())?,
    })
}

/// What a job moves, and how; its run is still to be found.
pub(crate) struct JobAsked {
    pub(crate) wanted: Wanted,
    rate_milli: u32,
    canary: Option<u64>,
    stop_share: Option<u32>,
}

impl JobAsked {
    pub(crate) fn spec(&self, filter: DeadLetterFilter) -> RedriveSpec {
        let (rate_milli, canary, stop_share) = (self.rate_milli, self.canary, self.stop_share);
        RedriveSpec { filter, rate_milli, canary, stop_share }
    }
}

pub(crate) fn job(asked: &StartRedriveJobRequest) -> Result<JobAsked, Problem> {
    let Some(filter) = &asked.filter else {
        return Err(Problem::invalid("filter is required; {} stands for every open dead letter"));
    };
    if filter.q.is_some() {
        return Err(Problem::invalid(
            "a job's filter takes no q; list with q first, then filter by what is found, such as its fingerprint",
        ));
    }
    Ok(JobAsked {
        wanted: job_filter(filter)?,
        rate_milli: rate(asked.rate_per_s)?,
        canary: match asked.canary {
            Some(0) => return Err(Problem::invalid("canary must be at least 1; leave it out for none")),
            canary => canary,
        },
        stop_share: asked.stop_at_failure_share.map(share).transpose()?,
    })
}

fn job_filter(filter: &RedriveJobFilter) -> Result<Wanted, Problem> {
    wanted(&fields_of!(filter)).map_err(|problem| problem.within("filter"))
}

fn rate(given: Option<f64>) -> Result<u32, Problem> {
    let rate = given.unwrap_or(RATE_DEFAULT);
    let max = f64::from(RATE_MILLI_MAX) / RATE_UNIT;
    let milli = (rate * RATE_UNIT).round();
    if !(milli >= 1.0 && rate <= max) {
        return Err(Problem::invalid(format!("rate_per_s must be from 0.001 to {max}, not {rate}")));
    }
    Ok(rounded(milli))
}

fn share(given: f64) -> Result<u32, Problem> {
    let parts = (given * f64::from(SHARE_ONE)).round();
    if !(given > 0.0 && given <= 1.0 && parts >= 1.0) {
        return Err(Problem::invalid(format!(
            "stop_at_failure_share must be above 0 and at most 1, not {given}"
        )));
    }
    Ok(rounded(parts))
}

/// A checked number without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "its caller has checked the range"
)]
fn rounded(number: f64) -> u32 {
    number as u32
}

/// A job's number, out of its id.
pub(crate) fn job_no(text: &str) -> Option<JobNo> {
    text.strip_prefix("job_")?.parse().ok().map(JobNo)
}

/// A job's id.
pub(crate) fn job_id(no: JobNo) -> String {
    format!("job_{no}")
}

pub(crate) fn job_status(status: RedriveJobStatus) -> JobStatus {
    match status {
        RedriveJobStatus::Running => JobStatus::Running,
        RedriveJobStatus::Paused => JobStatus::Paused,
        RedriveJobStatus::Stopped => JobStatus::Stopped,
        RedriveJobStatus::Done => JobStatus::Done,
        RedriveJobStatus::Halted => JobStatus::Halted,
    }
}
