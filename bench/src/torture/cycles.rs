//! The server's lives: started, killed without warning at any moment, now and then asked to stop, and started again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use driftq_client::{Client, Retry};
use fastrand::Rng;
use tokio::{sync::Mutex, time::Instant};

use super::{
    ledger::Fact,
    producers::TOPICS,
    scene::{Life, Scene},
};
use crate::{BenchError, Binary, Daemon};

/// How long a life under load lasts.
const LIFE_MS: std::ops::RangeInclusive<u64> = 5..=500;
/// How soon after its start a process is killed that should not get far.
const START_MS: std::ops::RangeInclusive<u64> = 0..=40;
/// How soon after a SIGTERM a process is killed that should not get far with stopping.
const STOP_MS: std::ops::RangeInclusive<u64> = 0..=20;
/// Small segments and checkpoints, so that rotations and checkpoints are killed in, too.
const SETTINGS: [(&str, u64); 3] = [
    ("DRIFTQ_SEGMENT_BYTES", 1 << 20),
    ("DRIFTQ_CHECKPOINT_BYTES", 512 << 10),
    // Held back at every start, in segments: less of it is a faster start.
    ("DRIFTQ_DISK_RESERVE_BYTES", 1 << 20),
];

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    KillUnderLoad,
    KillInStart,
    KillInStop,
    Stop,
}

/// The last life, which is not killed.
pub(crate) struct LastLife {
    daemon: Daemon,
    number: u64,
    pub(crate) client: Client,
}

/// Where the server lives.
pub(crate) struct Stage {
    binary: Binary,
    scene: Arc<Scene>,
    data: PathBuf,
    log: PathBuf,
    life: Mutex<u64>,
}

impl Stage {
    pub(crate) fn new(binary: Binary, scene: Arc<Scene>, folder: &Path) -> Self {
        let (data, log) = (folder.join("data"), folder.join("driftqd.log"));
        Self { binary, scene, data, log, life: Mutex::new(0) }
    }

    /// A first life in which the topics are made.
    pub(crate) async fn set_up(&self) -> Result<(), BenchError> {
        let life = self.last_life().await?;
        for (topic, partitions) in TOPICS {
            life.client.create_topic(topic, Some(partitions)).await?;
        }
        self.scene.lives.send_replace(None);
        self.kill(life.daemon, life.number, "set-up").await
    }

    /// Lives and ends, as often as said, or until the time is over.
    pub(crate) async fn cycles(&self, cycles: u64, time: Duration) -> Result<(), BenchError> {
        let began = Instant::now();
        let mut rng = Rng::with_seed(self.scene.seed);
        for _ in 0..cycles {
            if began.elapsed() >= time {
                return Ok(());
            }
            let end = match rng.u8(..20) {
                0 => End::Stop,
                1 => End::KillInStop,
                2..7 => End::KillInStart,
                _ => End::KillUnderLoad,
            };
            self.cycle(end, &mut rng).await?;
        }
        Ok(())
    }

    async fn cycle(&self, end: End, rng: &mut Rng) -> Result<(), BenchError> {
        let before = Files::of(&self.data);
        let (daemon, number) = self.spawn().await?;
        self.live(daemon, number, end, rng).await?;
        self.leave(number, before);
        Ok(())
    }

    async fn live(&self, mut daemon: Daemon, number: u64, end: End, rng: &mut Rng) -> Result<(), BenchError> {
        if end == End::KillInStart {
            tokio::time::sleep(Duration::from_millis(rng.u64(START_MS))).await;
            return self.kill(daemon, number, "start").await;
        }
        self.begin(&mut daemon, number).await?;
        tokio::time::sleep(Duration::from_millis(rng.u64(LIFE_MS))).await;
        if daemon.has_ended()? {
            let what = format!("life {number} ended by itself; see {}", self.log.display());
            self.scene.note(Fact::Stuck { what });
        }
        match end {
            End::Stop => self.stop(daemon, number).await,
            End::KillInStop => {
                daemon.ask_to_stop();
                tokio::time::sleep(Duration::from_millis(rng.u64(STOP_MS))).await;
                self.kill(daemon, number, "stop").await
            }
            End::KillUnderLoad | End::KillInStart => self.kill(daemon, number, "load").await,
        }
    }

    /// A life that lasts.
    pub(crate) async fn last_life(&self) -> Result<LastLife, BenchError> {
        let (mut daemon, number) = self.spawn().await?;
        let address = self.begin(&mut daemon, number).await?;
        Ok(LastLife { daemon, number, client: Client::new(address)? })
    }

    /// Ends the last life in order.
    pub(crate) async fn close(&self, last: LastLife) -> Result<(), BenchError> {
        self.stop(last.daemon, last.number).await
    }

    async fn spawn(&self) -> Result<(Daemon, u64), BenchError> {
        let mut life = self.life.lock().await;
        *life += 1;
        self.scene.note(Fact::Spawned { life: *life });
        let settings = SETTINGS.map(|(name, value)| (name, value.to_string()));
        let daemon = Daemon::spawn(&self.binary, &self.data, &self.log, &settings).await?;
        Ok((daemon, *life))
    }

    /// Waits until the server is ready, and tells everybody.
    async fn begin(&self, daemon: &mut Daemon, number: u64) -> Result<String, BenchError> {
        let (address, _) = daemon.ready().await?;
        let url = format!("http://{address}");
        let builder = Client::builder().url(&url).request_retry(Retry::NEVER).stream_retry(Retry::NEVER);
        self.scene.note(Fact::Ready { life: number });
        self.scene.lives.send_replace(Some(Life { number, client: builder.build()? }));
        Ok(url)
    }

    /// Notes how many files a life began: each start begins one of the log, the others are rotations.
    fn leave(&self, life: u64, before: Files) {
        let after = Files::of(&self.data);
        let rotations = after.segment.saturating_sub(before.segment).saturating_sub(1);
        let checkpoints = after.snapshot.saturating_sub(before.snapshot);
        self.scene.note(Fact::Left { life, rotations, checkpoints });
    }

    async fn kill(&self, daemon: Daemon, number: u64, during: &str) -> Result<(), BenchError> {
        daemon.kill().await?;
        self.scene.lives.send_replace(None);
        self.scene.note(Fact::Killed { life: number, during: during.to_owned() });
        Ok(())
    }

    async fn stop(&self, daemon: Daemon, number: u64) -> Result<(), BenchError> {
        let status = daemon.stop().await?;
        self.scene.lives.send_replace(None);
        self.scene.note(Fact::Stopped { life: number, code: status.and_then(|status| status.code()) });
        Ok(())
    }
}

/// The newest files of a data folder, by number; 0 when there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Files {
    segment: u64,
    snapshot: u64,
}

impl Files {
    fn of(folder: &Path) -> Self {
        let mut files = Self::default();
        // Without a folder there is no file.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let number = |prefix: &str| name.strip_prefix(prefix).and_then(|rest| rest.parse::<u64>().ok());
            files.segment = files.segment.max(number("wal-").unwrap_or_default());
            files.snapshot = files.snapshot.max(number("snapshot-").unwrap_or_default());
        }
        files
    }
}
