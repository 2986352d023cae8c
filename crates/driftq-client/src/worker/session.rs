//! One run of a worker: its streams, its running handlers, and their end.

use std::{
    any::Any, collections::BTreeMap, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use driftq_api::{ConsumeItem, ConsumeRequest, RawValue};
use futures_util::{FutureExt as _, StreamExt as _, future::try_join_all};
use serde_json::json as object;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Handler, WorkError, Worker, WorkerError, Workflow, WorkflowRun,
    heart::{Heart, Renewal},
    hold::{AWAY, Hold},
};
use crate::{Client, ClientError, ConsumeStream, retry::Failures};

/// After the drain, how long the server is given to hear about what was cut off.
const FAREWELL: Duration = Duration::from_secs(2);

/// A reconnected stream hands out anew what an earlier one still holds: so many rounds of it may wait.
const BACKLOG_ROUNDS: usize = 2;

/// What all streams of a worker share.
pub(super) struct Session {
    client: Client,
    owner: String,
    lease: Duration,
    concurrency: u32,
    drain: Duration,
    heart: Heart,
    /// Take nothing new.
    stopping: CancellationToken,
    /// Stop what runs.
    hurry: CancellationToken,
    readers: Vec<Reader>,
}

/// One topic, and what is done with its messages.
struct Reader {
    topic: String,
    group: String,
    work: Work,
}

/// What is done with a message.
#[derive(Clone)]
enum Work {
    Workflows(Arc<BTreeMap<String, Workflow>>),
    Handler(Handler),
}

/// A message and all it needs while somebody works on it.
struct Job {
    hold: Arc<Hold>,
    owner: String,
    work: Work,
    seats: Arc<Semaphore>,
    stopping: CancellationToken,
    hurry: CancellationToken,
    /// Renews the lease for as long as the job is there.
    _renewal: Renewal,
}

/// How the work on a message ended.
enum End {
    Done(Option<Box<RawValue>>),
    Failed(WorkError),
    Lost,
    /// The worker stopped first.
    Stopped(&'static str),
}

impl Session {
    /// Starts the heartbeats of a worker that has something to do.
    pub(super) fn start(worker: Worker) -> Result<Self, WorkerError> {
        let heart = Heart::start(&worker.client, worker.lease)?;
        let mut readers: Vec<_> = worker
            .handlers
            .into_iter()
            .map(|there| Reader {
                topic: there.topic,
                group: there.group,
                work: Work::Handler(there.handler),
            })
            .collect();
        if !worker.workflows.is_empty() {
            let work = Work::Workflows(Arc::new(worker.workflows));
            readers.push(Reader { topic: worker.topic, group: worker.group, work });
        }
        Ok(Self {
            client: worker.client,
            owner: worker.owner,
            lease: worker.lease,
            concurrency: worker.concurrency,
            drain: worker.drain,
            heart,
            stopping: CancellationToken::new(),
            hurry: CancellationToken::new(),
            readers,
        })
    }

    /// Reads every topic until asked to stop, then drains.
    pub(super) async fn work(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let reading = try_join_all(self.readers.iter().map(|reader| self.read(reader)));
        let stopping = async {
            stop.await;
            tracing::info!("the worker stops: nothing new is taken");
            self.stopping.cancel();
            tokio::time::sleep(self.drain).await;
            self.hurry.cancel();
            // The readers end by themselves now; this only never ends first.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = reading => ended.map(drop),
            () = stopping => Ok(()),
        }
    }

    /// Keeps a stream open, over the server's restarts, and drains in the end.
    async fn read(&self, reader: &Reader) -> Result<(), WorkerError> {
        let seats = Arc::new(Semaphore::new(self.concurrency as usize));
        let (mut jobs, mut failures, mut worked) = (JoinSet::new(), Failures::default(), false);
        while !self.stopping.is_cancelled() {
            let read = self.read_once(reader, &seats, &mut jobs, &mut worked).await;
            let Err(error) = read else { break };
            // A wrong address or token is said at once; later the same answer comes from some proxy.
            if !worked && !error.retryable() {
                self.finish(jobs).await;
                return Err(error.into());
            }
            tracing::warn!("{}: {error}; trying again until it answers", reader.topic);
            tokio::select! {
                paused = failures.pause(&AWAY, error) => drop(paused),
                () = self.stopping.cancelled() => {}
            }
            if worked {
                failures.forget();
            }
        }
        self.finish(jobs).await;
        Ok(())
    }

    /// Reads one stream until it breaks or the worker stops.
    async fn read_once(
        &self,
        reader: &Reader,
        seats: &Arc<Semaphore>,
        jobs: &mut JoinSet<()>,
        worked: &mut bool,
    ) -> Result<(), ClientError> {
        // A server that lost its data folder must not stop the worker for good.
        self.client.create_topic(&reader.topic, None).await?;
        *worked = true;
        let mut items = self.client.consume(ConsumeRequest {
            topic: Some(reader.topic.clone()),
            group: Some(reader.group.clone()),
            owner: Some(self.owner.clone()),
            lease_ms: Some(u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)),
            max_in_flight: Some(self.concurrency),
            ..ConsumeRequest::default()
        });
        let room = self.concurrency as usize * BACKLOG_ROUNDS;
        loop {
            let item = tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                Some(_) = jobs.join_next() => continue,
                item = items.next(), if jobs.len() < room => item,
            };
            match item {
                Some(item) => self.take(item?, reader, seats, jobs),
                None => return Ok(()),
            }
        }
        self.give_back_unread(&mut items, reader, seats, jobs);
        Ok(())
    }

    /// What was handed out but not looked at: each sees that the worker stops, and is given back.
    fn give_back_unread(
        &self,
        items: &mut ConsumeStream,
        reader: &Reader,
        seats: &Arc<Semaphore>,
        jobs: &mut JoinSet<()>,
    ) {
        seats.close();
        while let Some(Some(Ok(item))) = items.next().now_or_never() {
            self.take(item, reader, seats, jobs);
        }
    }

    /// A message has come. Its lease is kept from here on, also while it waits for its turn.
    fn take(&self, item: ConsumeItem, reader: &Reader, seats: &Arc<Semaphore>, jobs: &mut JoinSet<()>) {
        let hold = Arc::new(Hold::new(item, self.client.clone()));
        let job = Job {
            _renewal: self.heart.watch(Arc::clone(&hold)),
            hold,
            owner: self.owner.clone(),
            work: reader.work.clone(),
            seats: Arc::clone(seats),
            stopping: self.stopping.clone(),
            hurry: self.hurry.clone(),
        };
        jobs.spawn(job.work());
    }

    /// Waits for what runs; what the drain cut off has a little while to tell the server.
    async fn finish(&self, mut jobs: JoinSet<()>) {
        let all = async { while jobs.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = async { self.hurry.cancelled().await; tokio::time::sleep(FAREWELL).await } => {}
        }
    }
}

impl Job {
    /// One message from its seat to its settlement.
    async fn work(self) {
        let end = match self.seat().await {
            Ok(_seat) => self.attempt().await,
            Err(end) => end,
        };
        let (name, hold) = (self.hold.name(), &self.hold);
        let settled = match end {
            End::Lost => {
                if let Some(why) = hold.why_lost() {
                    tracing::warn!("{name} was left: {why}");
                }
                return;
            }
            End::Done(result) => match hold.ack(result.as_deref()).await {
                Err(error) if hold.why_lost().is_none() => {
                    // The work was done, yet it cannot be stored: the same again would end the same.
                    let message = format!("the server refused the result: {error}");
                    hold.nack(&WorkError::new(message).non_retryable()).await
                }
                settled => settled,
            },
            End::Failed(error) => {
                tracing::warn!("{name} failed in attempt {}: {error}", hold.item.attempts);
                hold.nack(&error).await
            }
            End::Stopped(why) => {
                let error = WorkError::new(why).with_kind("WorkerStopped").retry_after(Duration::ZERO);
                match timeout(FAREWELL, hold.nack(&error)).await {
                    Ok(settled) => settled,
                    Err(_) => Err(WorkError::new("the server did not answer in time")),
                }
            }
        };
        if let Err(error) = settled {
            tracing::warn!("{name} could not be settled: {error}");
        }
    }

    async fn seat(&self) -> Result<tokio::sync::SemaphorePermit<'_>, End> {
        let stopped = End::Stopped("the worker stopped before it began");
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(stopped),
            () = self.hold.lost() => Err(End::Lost),
            seat = self.seats.acquire() => seat.map_err(|_| stopped),
        }
    }

    /// Runs the handler until it ends, its lease is lost, or the worker cannot wait any longer.
    async fn attempt(&self) -> End {
        let working = AssertUnwindSafe(self.handle()).catch_unwind();
        tokio::select! {
            biased;
            () = self.hold.lost() => End::Lost,
            () = self.hurry.cancelled() => End::Stopped("the worker stopped before the handler ended"),
            ended = working => match ended {
                // What went wrong inside was that the message is not ours.
                Ok(Err(_)) | Err(_) if self.hold.why_lost().is_some() => End::Lost,
                Ok(Ok(result)) => End::Done(result),
                Ok(Err(error)) => End::Failed(error),
                Err(panic) => End::Failed(panicked(&*panic)),
            },
        }
    }

    async fn handle(&self) -> Result<Option<Box<RawValue>>, WorkError> {
        match &self.work {
            Work::Handler(handler) => handler(Arc::clone(&self.hold)).await.map(|()| None),
            Work::Workflows(workflows) => {
                let attempt = WorkflowRun::of(Arc::clone(&self.hold))?;
                let Some(workflow) = workflows.get(attempt.workflow()) else {
                    // Another worker of the group may know it, so this is an ordinary failure.
                    let known = workflows.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let message =
                        format!("this worker has no workflow `{}`; it has: {known}", attempt.workflow());
                    return Err(WorkError::new(message).with_kind("UnknownWorkflow"));
                };
                let sdk = concat!("driftq-client/", env!("CARGO_PKG_VERSION"));
                let started = object!({ "workflow": attempt.workflow(), "owner": self.owner, "sdk": sdk });
                attempt.emit("run.started", started).await?;
                workflow(attempt).await.map(Some)
            }
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> WorkError {
    let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    WorkError::new(format_args!("the handler panicked: {}", said.unwrap_or("without a word")))
        .with_kind("panic")
}
