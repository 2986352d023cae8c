//! Who sits at this prompt.
//!
//! Promise: the name the environment gives, else the one the system knows this process's user by, else its number.

use std::process::{Command, Stdio};

/// The user's name.
pub(crate) fn name() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set).or_else(known).or_else(number)
}

/// Containers and services have no name in their environment; the system may know one all the same.
fn known() -> Option<String> {
    let asked = Command::new("id").arg("-un").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let name = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
    (asked.status.success() && !name.is_empty()).then_some(name)
}

#[cfg(unix)]
fn number() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    // A process's own folder there is its user's.
    std::fs::metadata("/proc/self").ok().map(|process| format!("uid-{}", process.uid()))
}

#[cfg(not(unix))]
fn number() -> Option<String> {
    None
}
