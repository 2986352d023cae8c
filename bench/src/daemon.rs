//! A `driftqd` process: found, started, asked where it listens, ended by a signal or without warning.
//!
//! Promise: no process outlives its [`Daemon`]; what it said is kept in a log file beside the measurement.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    time::Instant,
};

use crate::{BenchError, wire::Connection};

/// How long a server may take until it says where it listens and is ready.
const READY_TIME: Duration = Duration::from_secs(120);
/// How often readiness is asked.
const READY_STEP: Duration = Duration::from_millis(2);
/// How long a server may take to end after a SIGTERM.
const STOP_TIME: Duration = Duration::from_secs(15);
/// How much of a log is shown.
const LOG_LINES_SHOWN: usize = 20;

/// The server's program.
#[derive(Clone, Debug)]
pub struct Binary(PathBuf);

impl Binary {
    /// `DRIFTQD_BIN`, else `driftqd` beside this program, else what cargo built in this repository.
    ///
    /// # Errors
    ///
    /// [`BenchError::NoDaemon`] with the place that was looked at last.
    pub fn find() -> Result<Self, BenchError> {
        if let Some(said) = std::env::var_os("DRIFTQD_BIN") {
            let said = PathBuf::from(said);
            return if said.is_file() { Ok(Self(said)) } else { Err(BenchError::NoDaemon(said)) };
        }
        let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let places =
            [own.with_file_name("driftqd"), target.join("release/driftqd"), target.join("debug/driftqd")];
        let last = places.last().cloned().unwrap_or_default();
        places.into_iter().find(|place| place.is_file()).map(Self).ok_or(BenchError::NoDaemon(last))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A running process.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    pid: u32,
    said: watch::Receiver<Option<SocketAddr>>,
    log: PathBuf,
    spawned: Instant,
}

impl Daemon {
    /// Starts `driftqd` over `folder` with further settings from `environment`; it may not listen yet.
    ///
    /// # Errors
    ///
    /// [`BenchError::Io`] when it cannot be started.
    pub async fn spawn(
        binary: &Binary,
        folder: &Path,
        log: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self, BenchError> {
        let mut command = Command::new(binary.path());
        command.args(["-addr", "127.0.0.1:0", "-wal"]).arg(folder);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::spawn_command(command, log).await
    }

    /// Starts any program that says its address in its first lines.
    pub(crate) async fn spawn_command(mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let opening = || BenchError::io(format!("opening {}", log.display()));
        let file = OpenOptions::new().create(true).append(true).open(log).await.map_err(opening())?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let spawned = Instant::now();
        let mut child = command.spawn().map_err(BenchError::io(format!("starting {program}")))?;
        let (say, said) = watch::channel(None);
        if let Some(out) = child.stdout.take() {
            let file = file.try_clone().await.map_err(opening())?;
            tokio::spawn(listen(out, file, say.clone()));
        }
        if let Some(out) = child.stderr.take() {
            tokio::spawn(listen(out, file, say));
        }
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, pid, said, log: log.to_owned(), spawned })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it says where it listens.
    ///
    /// # Errors
    ///
    /// [`BenchError::NotReady`] when it ends first.
    pub async fn address(&mut self) -> Result<SocketAddr, BenchError> {
        let mut said = self.said.clone();
        let said = tokio::time::timeout(READY_TIME, said.wait_for(Option::is_some)).await;
        match said.map(|said| said.ok().and_then(|address| *address)) {
            Ok(Some(address)) => Ok(address),
            Ok(None) => Err(self.not_ready("ended before it said where it listens")),
            Err(_) => Err(self.not_ready("did not say where it listens")),
        }
    }

    /// Waits until requests are welcome; answers its address and how long that took since it was started.
    ///
    /// # Errors
    ///
    /// [`BenchError::NotReady`] when it ends first, or takes too long.
    pub async fn ready(&mut self) -> Result<(SocketAddr, Duration), BenchError> {
        let address = self.address().await?;
        while self.spawned.elapsed() < READY_TIME {
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.get("/v1/readyz").await
                && answer.status == 200
            {
                return Ok((address, self.spawned.elapsed()));
            }
            if self.has_ended()? {
                return Err(self.not_ready("ended before it was ready"));
            }
            tokio::time::sleep(READY_STEP).await;
        }
        Err(self.not_ready("was not ready in time"))
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    ///
    /// [`BenchError::Io`] when the system does not say.
    pub fn has_ended(&mut self) -> Result<bool, BenchError> {
        Ok(self.child.try_wait().map_err(BenchError::io("asking for driftqd's end"))?.is_some())
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// [`BenchError::Io`] when it cannot be killed.
    pub async fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(BenchError::io("killing driftqd"))
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself; its exit status tells.
            let _ended = kill_process(pid, Signal::TERM);
        }
    }

    /// SIGTERM, and its exit status; `None` when it had to be killed because it did not end.
    ///
    /// # Errors
    ///
    /// [`BenchError::Io`] when the system does not say.
    pub async fn stop(mut self) -> Result<Option<ExitStatus>, BenchError> {
        self.ask_to_stop();
        match tokio::time::timeout(STOP_TIME, self.child.wait()).await {
            Ok(status) => status.map(Some).map_err(BenchError::io("waiting for driftqd")),
            Err(_) => {
                self.kill().await?;
                Ok(None)
            }
        }
    }

    fn not_ready(&self, what: &str) -> BenchError {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.len().saturating_sub(LOG_LINES_SHOWN);
        BenchError::NotReady { what: what.to_owned(), log: lines.get(shown..).unwrap_or_default().join("\n") }
    }
}

/// Copies what a process says to its log, and picks out the first address.
async fn listen(out: impl AsyncRead + Unpin, mut log: File, say: watch::Sender<Option<SocketAddr>>) {
    let mut lines = BufReader::new(out).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if say.borrow().is_none()
            && let Some(address) = address_in(&line)
        {
            say.send_replace(Some(address));
        }
        // A log that cannot be written is no reason to stop reading: the process would block.
        let _unwritten = log.write_all(format!("{line}\n").as_bytes()).await;
    }
    let _unwritten = log.flush().await;
}

/// The first `127.0.0.1:port` of a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    let at = line.find("127.0.0.1:")?;
    let rest = line.get(at..)?;
    let port_at = "127.0.0.1:".len();
    let digits = rest.get(port_at..)?.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..port_at + digits)?.parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_line_for_people_and_in_a_line_of_json() {
        let wanted = Some(SocketAddr::from(([127, 0, 0, 1], 4711)));
        assert_eq!(address_in("driftqd listens on http://127.0.0.1:4711, data in ./x"), wanted);
        assert_eq!(address_in(r#"{"fields":{"addr":"127.0.0.1:4711"}}"#), wanted);
        assert_eq!(address_in("-addr 127.0.0.1:0"), None);
        assert_eq!(address_in("nothing here"), None);
    }
}
