//! Runs: made, replayed, cancelled, worked on in steps, and read while they happen.

use std::{sync::Arc, time::Duration};

use driftq_client::{
    EventsFrom, TimelineItem,
    api::{
        Fields, NewEvent, PostEventsRequest, ReplayRequest, RetryPolicyRequest, RunContext, StartRunRequest,
        StepRequest,
    },
    json,
};
use fastrand::Rng;
use futures_util::StreamExt as _;
use serde_json::json as object;
use tokio::sync::Semaphore;

use super::{
    ledger::Fact,
    scene::{Mode, Outcome, Scene},
    workers::Work,
};

/// Where runs' commands go.
pub(crate) const COMMANDS: &str = "runs.commands";
/// The group that works on them.
pub(crate) const GROUP: &str = "workers";
const STEPS: [&str; 2] = ["fetch", "shape"];
const STEP_TRIES: u32 = 3;
const READERS_MAX: usize = 8;
/// Runs that may still be replayed or cancelled.
const RECENT_MAX: usize = 32;
/// How long somebody who makes runs rests, at most.
const REST_MS_MAX: u64 = 50;

/// Makes runs until the load ends, replays or cancels some, and has some read live.
pub(crate) async fn make(scene: Arc<Scene>, number: u64) {
    let mut rng = Rng::with_seed(scene.seed ^ (number << 48));
    let readers = Arc::new(Semaphore::new(READERS_MAX));
    let mut recent: Vec<String> = Vec::new();
    for serial in 0_u64.. {
        if scene.mode() != Mode::Load {
            return;
        }
        let run = format!("run_{number}-{serial}");
        if create(&scene, &run).await {
            if let Ok(seat) = Arc::clone(&readers).try_acquire_owned() {
                let (scene, run, leaves) = (Arc::clone(&scene), run.clone(), rng.u8(..8) > 0);
                tokio::spawn(async move {
                    read(&scene, &run, leaves).await;
                    drop(seat);
                });
            }
            recent.push(run);
        }
        if let Some(old) = recent.get(rng.usize(..RECENT_MAX)) {
            match rng.u8(..8) {
                0 => cancel(&scene, old).await,
                1..4 => replay(&scene, old).await,
                _ => {}
            }
        }
        if recent.len() > RECENT_MAX {
            recent.remove(0);
        }
        scene.rest(Duration::from_millis(rng.u64(..=REST_MS_MAX))).await;
    }
}

async fn create(scene: &Scene, run: &str) -> bool {
    let policy = RetryPolicyRequest {
        max_attempts: Some(3),
        backoff_ms: Some(20),
        max_backoff_ms: Some(100),
        jitter_ms: None,
    };
    let request = StartRunRequest {
        workflow: Some("torture".to_owned()),
        input: json(&object!({ "run": run })).ok(),
        run_id: Some(run.to_owned()),
        idempotency_key: Some(run.to_owned()),
        retry_policy: Some(policy),
        ..StartRunRequest::default()
    };
    scene.note(Fact::RunIntent { run: run.to_owned() });
    match scene.ask(u32::MAX, || {}, async |client| client.start_run(request.clone()).await).await {
        Outcome::Answered(_) => scene.note(Fact::RunCreated { run: run.to_owned() }),
        Outcome::Refused(status) => {
            scene.note(Fact::Stuck { what: format!("the run {run} was refused with {status}") });
            return false;
        }
        Outcome::Unknown => return false,
    }
    true
}

async fn replay(scene: &Scene, run: &str) {
    let request = ReplayRequest::default();
    let outcome = scene.ask(1, || {}, async |client| client.replay_run(run, &request).await);
    if let Outcome::Answered(answer) = outcome.await {
        scene.note(Fact::Replayed { run: run.to_owned(), replay: answer.replay_seq });
    }
}

async fn cancel(scene: &Scene, run: &str) {
    let outcome = scene.ask(1, || {}, async |client| client.cancel_run(run).await);
    if let Outcome::Answered(answer) = outcome.await {
        scene.note(Fact::Cancelled { run: run.to_owned(), replay: answer.replay_seq });
    }
}

/// Reads a timeline live, over restarts, resuming after the last event; some leave at the run's end.
async fn read(scene: &Scene, run: &str, leaves_at_end: bool) {
    let reader = scene.number();
    let mut last = 0;
    while let Some(life) = scene.life().await {
        let from = EventsFrom { after: last, until_terminal: leaves_at_end };
        let mut events = life.client.follow_run(run, from);
        loop {
            let item = tokio::select! {
                item = events.next() => item,
                () = scene.ended() => return,
            };
            match item {
                Some(Ok(TimelineItem::Event(event))) => {
                    last = event.seq;
                    scene.note(Fact::EventSeen { run: run.to_owned(), reader, event: (&event).into() });
                }
                Some(Ok(TimelineItem::Reset(reset))) => {
                    let what = format!("a reader of {run} behind event {last} was reset: {:?}", reset.reason);
                    scene.note(Fact::Stuck { what });
                    return;
                }
                Some(Err(_)) => break,
                None => return,
            }
        }
        scene.pause().await;
    }
}

/// Works on a run's command: an event, steps that are not repeated, and an end.
pub(crate) async fn work(work: &Work, context: &RunContext, rng: &mut Rng) {
    let is_loading = work.scene.mode() == Mode::Load;
    if is_loading && rng.u8(..20) == 0 {
        // The worker dies with it.
        return;
    }
    event(work, context).await;
    for name in STEPS {
        if !context.steps.contains_key(name) {
            step(work, context, name).await;
        }
        if is_loading && rng.u8(..6) == 0 {
            work.nack().await;
            return;
        }
    }
    let result = json(&object!({ "done": context.run_id })).ok();
    if work.ack(result).await {
        work.scene.note(Fact::RunAcked {
            run: context.run_id.clone(),
            replay: context.replay_seq,
            attempt: context.attempt,
        });
    }
}

async fn event(work: &Work, context: &RunContext) {
    let mark = format!("mark-{}", work.scene.number());
    let fields = Fields(json(&mark).map(|json| ("mark".to_owned(), json)).into_iter().collect());
    let request = PostEventsRequest {
        events: vec![NewEvent { kind: "run.log".to_owned(), fields }],
        lease_id: Some(work.held.lease.clone()),
    };
    let run = context.run_id.as_str();
    let outcome = work.scene.ask(1, || {}, async |client| client.post_run_events(run, &request).await);
    if let Outcome::Answered(answer) = outcome.await {
        work.scene.note(Fact::EventStored { run: run.to_owned(), mark, seq: answer.first_seq });
    }
}

async fn step(work: &Work, context: &RunContext, name: &str) {
    let Ok(output) = json(&object!({ "by": work.held.lease })) else { return };
    let run = context.run_id.as_str();
    let request =
        StepRequest { lease_id: Some(work.held.lease.clone()), output: Some(output), duration_ms: None };
    let outcome =
        work.scene.ask(STEP_TRIES, || {}, async |client| client.complete_step(run, name, &request).await);
    if let Outcome::Answered(answer) = outcome.await
        && answer.stored
    {
        work.scene.note(Fact::StepStored {
            run: run.to_owned(),
            replay: context.replay_seq,
            attempt: context.attempt,
            step: name.to_owned(),
        });
    }
}
