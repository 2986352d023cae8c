//! A real server on a port and in a folder of its own, for as long as a test holds it.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tempfile::TempDir;

/// How long a start may take on a busy machine.
const START_TIME: Duration = Duration::from_secs(60);

/// A running server; it is killed with the test.
pub(crate) struct Driftqd {
    pub(crate) url: String,
    child: Child,
    folder: TempDir,
}

impl Driftqd {
    /// Starts one that was built beside this test, or is named in `DRIFTQD_BIN`.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more to say.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        let child = spawn(&folder, "127.0.0.1:0", args);
        // Held from here on, so that it is killed whatever happens.
        let mut server = Self { url: String::new(), child, folder };
        server.url = server.listening();
        server
    }

    /// Kills it as a power cut would, and starts it again where it was.
    #[allow(dead_code, reason = "not every test that has a server restarts it")]
    pub(crate) fn restart(&mut self) {
        self.stop();
        let address = self.url.trim_start_matches("http://").to_owned();
        self.child = spawn(&self.folder, &address, &[]);
        assert_eq!(self.listening(), self.url);
    }

    /// The address in its start line, wherever it says it.
    fn listening(&mut self) -> String {
        let (sender, lines) = mpsc::channel();
        listen(self.child.stdout.take().expect("it is piped"), sender.clone());
        listen(self.child.stderr.take().expect("it is piped"), sender);
        let mut said = String::new();
        loop {
            let line = lines.recv_timeout(START_TIME);
            let line = line.unwrap_or_else(|_| panic!("driftqd did not say where it listens: {said}"));
            if let Some(url) = url_in(&line) {
                return url;
            }
            said = said + &line + "\n";
        }
    }

    fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Driftqd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &TempDir, address: &str, args: &[&str]) -> Child {
    let binary = binary();
    assert!(
        binary.is_file(),
        "there is no `driftqd` at {}: build it with `cargo build -p driftq-server`, or name one in DRIFTQD_BIN",
        binary.display()
    );
    Command::new(&binary)
        .env_clear()
        .args(["-addr", address, "-wal"])
        .arg(folder.path().join("data"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is a program")
}

/// The server named in `DRIFTQD_BIN`, or the one built beside what is tested.
fn binary() -> PathBuf {
    std::env::var_os("DRIFTQD_BIN").map_or_else(|| built().join("driftqd"), PathBuf::from)
}

/// Where the binaries of this build lie: a test's own lies one folder below.
pub(crate) fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    test.ancestors().nth(2).expect("it lies in a folder of the build").to_owned()
}

/// Passes on what a child says, until it says no more.
fn listen(pipe: impl std::io::Read + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Read on after the start, or a full pipe would stop the server.
            drop(sender.send(line));
        }
    });
}

/// The address in a start line.
fn url_in(line: &str) -> Option<String> {
    let (_, after) = line.split_once("127.0.0.1:")?;
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty() && port != "0").then(|| format!("http://127.0.0.1:{port}"))
}
