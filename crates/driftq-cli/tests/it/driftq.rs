//! Running `driftq`, and looking at what it said.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) data: String,
    pub(crate) talk: String,
}

impl Ran {
    /// The data of a command that went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.data
    }

    /// The same as one JSON value a line.
    pub(crate) fn lines(self) -> Vec<serde_json::Value> {
        self.good().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    /// The same when there is one line.
    pub(crate) fn line(self) -> serde_json::Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.into_iter().next().expect("there is one")
    }
}

/// A command that is not started yet, with nothing of this environment.
pub(crate) fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftq"));
    command.env_clear().env("DRIFTQ_HTTP_URL", url).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn driftq(url: &str, args: &[&str]) -> Ran {
    driftq_with(url, args, "")
}

/// The same with something to read.
pub(crate) fn driftq_with(url: &str, args: &[&str], input: &str) -> Ran {
    let mut child = command(url, args).stdin(Stdio::piped()).spawn().expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read is free to close it.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        data: String::from_utf8(output.stdout).expect("it prints text"),
        talk: String::from_utf8(output.stderr).expect("it prints text"),
    }
}
