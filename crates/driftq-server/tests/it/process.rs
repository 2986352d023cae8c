//! The program itself: its options, signals, sentences and exit codes.

use driftq_server::healthcheck;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn driftqd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftqd"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTQ_")) {
        command.env_remove(name);
    }
    command
}

/// A running driftqd, killed when the test is over.
pub(crate) struct Process {
    child: Child,
    logs: BufReader<std::process::ChildStderr>,
    pub(crate) addr: String,
}

impl Process {
    /// Starts it on a free port and waits for its start line.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = driftqd();
        let mut child = command
            .args(["-addr", "127.0.0.1:0", "-log-format", "text", "-wal"])
            .arg(folder)
            .spawn()
            .unwrap();
        let mut logs = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("driftqd listens on http://") {
            line.clear();
            assert!(logs.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        }
        assert!(line.contains(folder.to_str().unwrap()) && line.contains("topics="), "{line}");
        let addr = line.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Self { child, logs, addr }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, and what it logged since the start line.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut logs = String::new();
        self.logs.read_to_string(&mut logs).unwrap();
        (code, logs)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn refused(output: Output, code: i32, names: &str) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(names), "{said}");
}

#[test]
fn a_signal_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let process = Process::start(folder.path());
        assert!(healthcheck::run(&process.addr, None).unwrap());
        process.signal(signal);
        let (code, logs) = process.wait();
        assert_eq!(code, Some(0), "{logs}");
        assert!(logs.contains("ended in order"), "{logs}");
    }
}

#[test]
fn it_starts_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    process.signal(Signal::KILL);
    assert_eq!(process.wait().0, None);
    assert!(healthcheck::run(&Process::start(folder.path()).addr, None).unwrap());
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::start(folder.path());
    let second = driftqd().args(["--addr", "127.0.0.1:0", "--wal"]).arg(folder.path()).output().unwrap();
    refused(second, 75, "in use by another process");
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    refused(
        driftqd().args(["--addr", "127.0.0.1:0", "--wal"]).arg(&file).output().unwrap(),
        73,
        "choose a folder",
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_newer_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Process::start(folder.path()));
    let format = folder.path().join("FORMAT");
    let newer = std::fs::read_to_string(&format).unwrap().replace('1', "99");
    std::fs::write(&format, &newer).unwrap();
    refused(
        driftqd().args(["--addr", "127.0.0.1:0", "--wal"]).arg(folder.path()).output().unwrap(),
        78,
        "newer",
    );
    assert_eq!(std::fs::read_to_string(&format).unwrap(), newer);
}

#[test]
fn wrong_options_are_named() {
    refused(driftqd().args(["-colour", "red"]).output().unwrap(), 2, "--colour");
    refused(
        driftqd().args(["-memory", "-addr", "nowhere.invalid:x"]).output().unwrap(),
        69,
        "nowhere.invalid:x",
    );
    refused(driftqd().args(["-memory", "-log-level", "=,=loud"]).output().unwrap(), 2, "loud");
}

#[test]
fn options_are_printed_with_their_source() {
    let printed =
        driftqd().args(["--print-config", "-addr", ":9"]).env("DRIFTQ_MAX_TOPICS", "7").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let line = |flag: &str| {
        printed.lines().find(|line| line.starts_with(flag)).unwrap().split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("--addr "), ["--addr", ":9", "flag"]);
    assert_eq!(line("--max-topics "), ["--max-topics", "7", "environment"]);
    assert_eq!(line("--memory "), ["--memory", "false", "default"]);
}

#[test]
fn a_health_check_says_who_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let check = |addr: &str| driftqd().args(["healthcheck", "-addr", addr]).output().unwrap();
    assert!(check(&process.addr).status.success());
    let addr = process.addr.clone();
    drop(process);
    refused(check(&addr), 1, &addr);
}

#[test]
fn a_wrong_configuration_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("driftq.toml");
    std::fs::write(&file, "addr = \"127.0.0.1:0\"\n\nmax-topic = 3\n").unwrap();
    let output = driftqd().args(["--memory", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("driftq.toml, line 3: unknown key \"max-topic\""), "{said}");
    let output = driftqd().args(["--memory", "--config", "/nowhere/driftq.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let printed = driftqd().args(["--print-config"]).env("DRIFTQ_CONFIG", &file).output().unwrap();
    assert_eq!(printed.status.code(), Some(2), "the environment names it as well");
}
