//! `driftq run`: start, list, show, replay and stop.

use driftq_client::api::{ReplayRequest, Run, RunListQuery, RunStatus, StartRunRequest};

use crate::{
    Context, Outcome,
    args::{RunCommand, RunListArgs, RunReplayArgs, RunStartArgs, RunWatchArgs},
    commands::{json_option, run_history, watch},
    error::CliError,
    output::{Tone, Word},
    pages,
    text::{brief, moment, shorten},
};

pub(super) async fn run(command: RunCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        RunCommand::Start(args) => start(args, context).await,
        RunCommand::List(args) => list(args, context).await,
        RunCommand::Show { run_id } => show(&context.client.run(&run_id).await?, context),
        RunCommand::Watch(args) => watch::run(args, context).await,
        RunCommand::Events(args) => run_history::events(args, context).await.map(|()| Outcome::Good),
        RunCommand::Attempts { run_id } => {
            run_history::attempts(&run_id, context).await.map(|()| Outcome::Good)
        }
        RunCommand::Diff(args) => run_history::diff(args, context).await.map(|()| Outcome::Good),
        RunCommand::Steps { run_id } => run_history::steps(&run_id, context).await.map(|()| Outcome::Good),
        RunCommand::Token(args) => run_history::token(args, context).await.map(|()| Outcome::Good),
        RunCommand::Replay(args) => replay(args, context).await,
        RunCommand::Cancel { run_id } => {
            let cancelled = context.client.cancel_run(&run_id).await?;
            if context.output.is_json() {
                context.output.json(&cancelled)?;
            } else {
                context.output.line([Word::from(cancelled.run_id), status(cancelled.status)])?;
            }
            Ok(Outcome::Good)
        }
    }
}

/// A run's status with its tone.
pub(super) fn status(status: RunStatus) -> Word {
    let tone = match status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        RunStatus::Running | RunStatus::Retrying => Tone::Busy,
        RunStatus::Queued | RunStatus::Waiting => Tone::Plain,
        RunStatus::Cancelled => Tone::Quiet,
    };
    Word::new(status.as_str(), tone)
}

async fn start(args: RunStartArgs, context: &Context) -> Result<Outcome, CliError> {
    let request = StartRunRequest {
        workflow: Some(args.workflow),
        input: json_option("input", args.input)?,
        run_id: args.run_id,
        idempotency_key: args.idempotency_key,
        tenant_id: args.tenant,
        topic: args.topic,
        group: args.group,
        retry_policy: args.retry.policy(),
        tags: (!args.tags.is_empty()).then_some(args.tags),
        ..StartRunRequest::default()
    };
    let started = context.client.start_run(request).await?;
    if context.output.is_json() {
        context.output.json(&started)?;
    } else {
        context.output.line([Word::from(&started.run_id), status(started.status)])?;
    }
    if !args.watch {
        return Ok(Outcome::Good);
    }
    watch::run(RunWatchArgs { run_id: started.run_id, after: 0, follow: false }, context).await
}

async fn replay(args: RunReplayArgs, context: &Context) -> Result<Outcome, CliError> {
    let request = ReplayRequest {
        input: json_option("input", args.input)?,
        patch: json_option("patch", args.patch)?,
        from_step: args.from_step,
        fresh: args.fresh.then_some(true),
        actor: None,
        reason: args.reason,
    };
    // Where the timeline ends before the replay, so that watching begins with it.
    let after = if args.watch { watch::last_seq(&args.run_id, context).await? } else { 0 };
    let replayed = context.client.replay_run(&args.run_id, &request).await?;
    if context.output.is_json() {
        context.output.json(&replayed)?;
    } else {
        let number = format!("replay {}", replayed.replay_seq);
        context.output.line([Word::from(&replayed.run_id), Word::from(number), status(replayed.status)])?;
    }
    if !args.watch {
        return Ok(Outcome::Good);
    }
    watch::run(RunWatchArgs { run_id: args.run_id, after, follow: false }, context).await
}

async fn list(args: RunListArgs, context: &Context) -> Result<Outcome, CliError> {
    let query = RunListQuery {
        status: args.status.map(RunStatus::from),
        workflow: args.workflow,
        tenant_id: args.tenant,
        tag: args.tag,
        ..RunListQuery::default()
    };
    let runs = pages::list(args.limit, context, async |limit, cursor| {
        let query = RunListQuery { cursor, limit: Some(limit), ..query.clone() };
        let page = context.client.runs(&query).await?;
        Ok((page.runs, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["RUN", "WORKFLOW", "STATUS", "ATTEMPTS", "REPLAY", "CREATED"],
        runs.iter().map(|run| {
            [
                Word::from(&run.run_id),
                Word::from(&run.workflow),
                status(run.status),
                Word::from(run.attempts),
                Word::from(run.replay_seq),
                Word::from(moment(run.created_at_ms)),
            ]
        }),
    )?;
    Ok(Outcome::Good)
}

fn show(run: &Run, context: &Context) -> Result<Outcome, CliError> {
    let output = &context.output;
    if output.is_json() {
        output.json(run)?;
        return Ok(Outcome::Good);
    }
    output.facts(facts(run))?;
    if !run.steps.is_empty() {
        output.gap()?;
        run_history::print_steps(&run.steps, context)?;
    }
    if run.replay_seq > 0 {
        output.gap()?;
        output.table(
            ["REPLAY", "STATUS", "STARTED", "ENDED"],
            run.replays.iter().map(|replay| {
                [
                    Word::from(replay.replay_seq),
                    status(replay.status),
                    Word::from(replay.started_at_ms.map(moment).unwrap_or_default()),
                    Word::from(replay.ended_at_ms.map(moment).unwrap_or_default()),
                ]
            }),
        )?;
    }
    Ok(Outcome::Good)
}

fn facts(run: &Run) -> Vec<(&'static str, Word)> {
    let mut facts = vec![
        ("run", Word::from(&run.run_id)),
        ("workflow", Word::from(&run.workflow)),
        ("status", status(run.status)),
        ("attempts", Word::from(attempts(run))),
        ("created", Word::from(moment(run.created_at_ms))),
    ];
    let optional = [
        ("started", run.started_at_ms.map(moment)),
        ("ended", run.ended_at_ms.map(moment)),
        ("tenant", run.tenant_id.clone()),
        ("tags", (!run.tags.is_empty()).then(|| run.tags.join(", "))),
        ("input", Some(brief(&run.input))),
        ("result", run.result.as_deref().map(brief)),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, text)| Some((name, Word::from(text?)))));
    facts.extend(run.error.as_ref().map(|error| {
        let kind = error.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
        ("error", Word::new(shorten(&format!("{kind}{}", error.message)), Tone::Bad))
    }));
    facts
}

fn attempts(run: &Run) -> String {
    match run.retry_policy.max_attempts {
        Some(max) if max > 0 => format!("{} of {max}", run.attempts),
        _ => run.attempts.to_string(),
    }
}
