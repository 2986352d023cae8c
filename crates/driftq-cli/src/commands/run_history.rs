//! `driftq run events`, `attempts`, `diff`, `steps` and `token`: what happened in a run.

use driftq_client::api::{AttemptOutcome, EventQuery, RunAttempt, RunAttemptQuery, RunDiffQuery, Step};

use super::{differences, watch::Timeline};
use crate::{
    Context,
    args::{RunDiffArgs, RunEventsArgs, RunTokenArgs},
    error::CliError,
    output::{Tone, Word},
    pages,
    text::{brief, moment, shorten, span},
};

/// More attempts than any run has that somebody looks at.
const ATTEMPTS_MAX: u32 = 100_000;

pub(super) async fn events(args: RunEventsArgs, context: &Context) -> Result<(), CliError> {
    let events = pages::list(args.limit, context, async |limit, cursor| {
        let after = if cursor.is_none() { args.after } else { None };
        let query = EventQuery { after, cursor, limit: Some(limit), ..EventQuery::default() };
        let page = context.client.run_events(&args.run_id, &query).await?;
        Ok((page.events, page.next_cursor))
    })
    .await?;
    let mut timeline = Timeline::default();
    events.iter().try_for_each(|event| timeline.print(event, context))
}

pub(super) async fn attempts(run_id: &str, context: &Context) -> Result<(), CliError> {
    let attempts = pages::list(ATTEMPTS_MAX, context, async |limit, cursor| {
        let query = RunAttemptQuery { cursor, limit: Some(limit) };
        let page = context.client.run_attempts(run_id, &query).await?;
        Ok((page.attempts, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["ATTEMPT", "OUTCOME", "OWNER", "VERSION", "STARTED", "TOOK", "STEPS", "ERROR"],
        attempts.iter().map(|attempt| {
            let error = attempt.error.as_ref().map(|error| {
                let kind = error.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
                shorten(&format!("{kind}{}", error.message))
            });
            [
                Word::from(name(attempt)),
                outcome(attempt.outcome),
                Word::from(&attempt.owner),
                Word::from(attempt.worker_version.as_deref().unwrap_or_default()),
                Word::from(moment(attempt.started_at_ms)),
                Word::from(attempt.duration_ms.map(span).unwrap_or_default()),
                Word::from(attempt.steps.join(", ")),
                Word::from(error.unwrap_or_default()),
            ]
        }),
    )
}

/// An attempt as `run diff` takes it.
fn name(attempt: &RunAttempt) -> String {
    format!("{}.{}", attempt.replay_seq, attempt.attempt)
}

fn outcome(outcome: AttemptOutcome) -> Word {
    let tone = match outcome {
        AttemptOutcome::Succeeded => Tone::Good,
        AttemptOutcome::Failed | AttemptOutcome::LeaseExpired => Tone::Bad,
        AttemptOutcome::Running => Tone::Busy,
        AttemptOutcome::Cancelled => Tone::Quiet,
    };
    Word::new(outcome.as_str(), tone)
}

pub(super) async fn diff(args: RunDiffArgs, context: &Context) -> Result<(), CliError> {
    let query = RunDiffQuery { a: args.a, b: args.b };
    let diff = context.client.run_diff(&args.run_id, &query).await?;
    if context.output.is_json() {
        return context.output.json(&diff);
    }
    let names = [&diff.a, &diff.b].map(|attempt| format!("attempt {}", name(attempt)));
    differences::print(names, &diff.changed, &diff.same, &context.output)
}

pub(super) async fn steps(run_id: &str, context: &Context) -> Result<(), CliError> {
    let page = context.client.run_steps(run_id).await?;
    if context.output.is_json() {
        return page.steps.iter().try_for_each(|step| context.output.json(step));
    }
    print_steps(&page.steps, context)
}

/// Finished steps as a table.
pub(super) fn print_steps(steps: &[Step], context: &Context) -> Result<(), CliError> {
    context.output.table(
        ["STEP", "REPLAY", "ATTEMPT", "COMPLETED", "TOOK", "OUTPUT"],
        steps.iter().map(|step| {
            [
                Word::from(&step.step),
                Word::from(step.replay_seq),
                Word::from(step.attempt),
                Word::from(moment(step.completed_at_ms)),
                Word::from(step.duration_ms.map(span).unwrap_or_default()),
                Word::from(brief(&step.output)),
            ]
        }),
    )
}

pub(super) async fn token(args: RunTokenArgs, context: &Context) -> Result<(), CliError> {
    let token = context.client.run_token(&args.run_id, args.ttl).await?;
    if context.output.is_json() {
        return context.output.json(&token);
    }
    context.output.note(format_args!("reads {} until {}:", token.run_id, moment(token.expires_at_ms)));
    context.output.line([Word::from(token.token)])
}
