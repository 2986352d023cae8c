//! `driftq dlq redrive-all` and `driftq dlq job`: what the server moves by itself.
//!
//! Promise: watching changes nothing; Ctrl-C leaves the job running. With `--json` each change is a
//! line.

use std::time::Duration;

use driftq_client::{
    DeadLetterId, Retry,
    api::{
        RedriveDryRun, RedriveJob, RedriveJobAct, RedriveJobListQuery, RedriveJobPhase, RedriveJobStatus,
        StartRedriveJobRequest,
    },
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Context, Outcome,
    args::{DlqRedriveAllArgs, JobActArgs, JobCommand, JobListArgs},
    confirm::confirm,
    error::CliError,
    output::{Output, Tone, Word},
    pages,
    text::{moment, shorten},
};

/// How often a job is asked for by who started it.
const WATCH: Duration = Duration::from_millis(500);

pub(super) async fn run(command: JobCommand, context: &Context) -> Result<Outcome, CliError> {
    let client = &context.client;
    let act = |args: &JobActArgs| RedriveJobAct { reason: args.reason.clone() };
    let job = match command {
        JobCommand::List(args) => return list(args, context).await,
        JobCommand::Watch { job_id, interval } => return watch(&job_id, interval, context).await,
        JobCommand::Show { job_id } => client.redrive_job(&job_id).await?,
        JobCommand::Pause(args) => client.pause_redrive_job(&args.job_id, &act(&args)).await?,
        JobCommand::Resume(args) => client.resume_redrive_job(&args.job_id, &act(&args)).await?,
        JobCommand::Stop(args) => client.stop_redrive_job(&args.job_id, &act(&args)).await?,
    };
    show(&job, &context.output)?;
    Ok(Outcome::Good)
}

pub(super) async fn start(args: DlqRedriveAllArgs, context: &Context) -> Result<Outcome, CliError> {
    let request = StartRedriveJobRequest {
        filter: Some(args.filter.job()),
        rate_per_s: args.rate,
        canary: args.canary,
        stop_at_failure_share: args.stop_at,
        dry_run: None,
        reason: args.reason,
    };
    if args.dry_run {
        would_move(&context.client.dry_redrive(&request).await?, &context.output)?;
        return Ok(Outcome::Good);
    }
    if args.filter.is_open() && !args.all && !context.yes {
        let matched = context.client.dry_redrive(&request).await?.matched;
        confirm(&format!("redrive all {matched} open dead letters of every topic"), context)?;
    }
    let job = context.client.start_redrive_job(&request).await?;
    if !args.watch {
        show(&job, &context.output)?;
        context.output.note(format_args!("watch it with `driftq dlq job watch {}`", job.job_id));
        return Ok(Outcome::Good);
    }
    context.output.note(format_args!("{} began; Ctrl-C leaves it running", job.job_id));
    watch(&job.job_id, WATCH, context).await
}

fn would_move(dry: &RedriveDryRun, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(dry);
    }
    output.line([Word::new(format!("{} would be moved", dry.matched), Tone::Busy)])?;
    if dry.sample.is_empty() {
        return Ok(());
    }
    output.gap()?;
    output.table(
        ["FOR EXAMPLE", "FAILED IN", "LAST ERROR"],
        dry.sample.iter().map(|letter| {
            [
                Word::from(format_args!("{}/{}/{}", letter.topic, letter.partition, letter.offset)),
                Word::from(&letter.original_topic),
                Word::from(shorten(&letter.last_error)),
            ]
        }),
    )
}

async fn list(args: JobListArgs, context: &Context) -> Result<Outcome, CliError> {
    let status = args.status.map(RedriveJobStatus::from);
    let jobs = pages::list(args.limit, context, async |limit, cursor| {
        let page =
            context.client.redrive_jobs(&RedriveJobListQuery { status, cursor, limit: Some(limit) }).await?;
        Ok((page.jobs, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["JOB", "STATUS", "MATCHED", "MOVED", "SUCCEEDED", "FAILED", "WAITING", "CREATED", "BY"],
        jobs.iter().map(|job: &RedriveJob| {
            [
                Word::from(&job.job_id),
                status_word(job.status),
                Word::from(job.matched),
                Word::from(job.moved),
                Word::from(job.succeeded),
                Word::from(job.failed),
                Word::from(job.waiting),
                Word::from(moment(job.created_at_ms)),
                Word::from(job.actor.as_deref().unwrap_or_default()),
            ]
        }),
    )?;
    Ok(Outcome::Good)
}

/// Prints a job until it has ended; a paused one may go on. A server that restarts is waited for.
async fn watch(job_id: &str, interval: Duration, context: &Context) -> Result<Outcome, CliError> {
    let bar = Bar::new(context);
    let patient = context.client.with_request_retry(Retry::STREAM);
    let (mut told, mut is_paused): (Option<(RedriveJobStatus, String)>, _) = (None, false);
    loop {
        let job = match told {
            None => context.client.redrive_job(job_id).await?,
            Some(_) if is_paused => {
                // The server would answer at once.
                tokio::time::sleep(interval).await;
                patient.redrive_job(job_id).await?
            }
            Some(_) => patient.redrive_job_within(job_id, interval).await?,
        };
        is_paused = job.status == RedriveJobStatus::Paused;
        let line = progress(&job);
        bar.show(&job, &line);
        // What did not change is not said again.
        let now = Some((job.status, line));
        if told != now && !bar.is_shown() {
            if context.output.is_json() {
                context.output.json(&job)?;
            } else {
                context.output.line([status_word(job.status), Word::from(progress(&job))])?;
            }
        }
        told = now;
        if !matches!(job.status, RedriveJobStatus::Running | RedriveJobStatus::Paused) {
            bar.clear();
            return end(&job, &bar, context);
        }
    }
}

/// How a job that has ended is told.
fn end(job: &RedriveJob, bar: &Bar, context: &Context) -> Result<Outcome, CliError> {
    if bar.is_shown() {
        show(job, &context.output)?;
    } else if let Some(why) = &job.stop_reason {
        context.output.note(why);
    }
    Ok(match job.status {
        RedriveJobStatus::Done | RedriveJobStatus::Running | RedriveJobStatus::Paused => Outcome::Good,
        RedriveJobStatus::Stopped | RedriveJobStatus::Halted => Outcome::Bad,
    })
}

/// How far a job is, in a line.
fn progress(job: &RedriveJob) -> String {
    let phase = match job.phase {
        RedriveJobPhase::Canary => "canary, ",
        RedriveJobPhase::Rest => "",
    };
    let skipped = if job.skipped > 0 { format!(", {} passed over", job.skipped) } else { String::new() };
    format!(
        "{phase}{} of {} moved: {} succeeded, {} failed again, {} under way{skipped}",
        job.moved, job.matched, job.succeeded, job.failed, job.waiting
    )
}

fn show(job: &RedriveJob, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(job);
    }
    let filter = serde_json::to_string(&job.filter).unwrap_or_default();
    let facts = [
        ("job", Some(Word::from(&job.job_id))),
        ("status", Some(status_word(job.status))),
        ("progress", Some(Word::from(progress(job)))),
        ("filter", Some(Word::from(filter))),
        ("rate", Some(Word::from(format_args!("{} a second", job.rate_per_s)))),
        ("canary", job.canary.map(Word::from)),
        (
            "halts at",
            job.stop_at_failure_share.map(|share| Word::from(format_args!("{}% failed", share * 100.0))),
        ),
        ("began", Some(Word::from(moment(job.created_at_ms)))),
        ("ended", job.ended_at_ms.map(moment).map(Word::from)),
        ("by", job.actor.as_ref().map(Word::from)),
        ("because", job.reason.as_ref().map(Word::from)),
        ("stopped because", job.stop_reason.as_ref().map(Word::from)),
    ];
    output.facts(facts.into_iter().filter_map(|(name, word)| Some((name, word?))))?;
    if job.problems.is_empty() {
        return Ok(());
    }
    output.gap()?;
    output.table(
        ["PASSED OVER", "WHY"],
        job.problems.iter().map(|problem| {
            let id = DeadLetterId::from(problem.dead_letter.clone());
            [Word::from(id), Word::from(&problem.message)]
        }),
    )
}

fn status_word(status: RedriveJobStatus) -> Word {
    let tone = match status {
        RedriveJobStatus::Done => Tone::Good,
        RedriveJobStatus::Running | RedriveJobStatus::Paused => Tone::Busy,
        RedriveJobStatus::Halted => Tone::Bad,
        RedriveJobStatus::Stopped => Tone::Quiet,
    };
    Word::new(status.as_str(), tone)
}

/// A job's progress on a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(context: &Context) -> Self {
        let is_wanted = context.output.is_terminal() && !context.output.is_json();
        let style = ProgressStyle::with_template("{bar:30} {msg}").expect("the template is this one");
        Self(is_wanted.then(|| ProgressBar::new(0).with_style(style)))
    }

    fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    fn show(&self, job: &RedriveJob, line: &str) {
        if let Some(bar) = &self.0 {
            bar.set_length(job.matched);
            bar.set_position(job.moved + job.skipped);
            bar.set_message(line.to_owned());
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
