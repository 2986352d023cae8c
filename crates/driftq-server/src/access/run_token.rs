//! Tokens that read a single run: signed, not stored.
//!
//! Promise: nobody without the key makes one, and none outlives its time. The key lies beside the data, readable by
//! the server's user alone, so a token survives a restart; without a data folder it is as short-lived as the process.
//! Form: `dqr_`, then base64url of 8 bytes of the run's ordinal, 8 bytes of the end (epoch milliseconds, both
//! big-endian) and 32 bytes HMAC-SHA-256 of these.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use driftq_core::RunNo;
use ring::rand::SecureRandom as _;
use ring::{hmac, rand};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

pub(super) const PREFIX: &str = "dqr_";
const KEY_FILE: &str = "run-token.key";
const KEY_BYTES: usize = 32;
const CLAIM_BYTES: usize = 16;
const TOKEN_BYTES: usize = CLAIM_BYTES + 32;

/// What makes run tokens, and tells true ones.
pub(crate) struct Signer(hmac::Key);

impl Signer {
    /// A signer whose tokens end with the process.
    pub(crate) fn in_memory() -> io::Result<Self> {
        Ok(Self::of(&random()?))
    }

    /// The signer of a data folder; its key is made on first use.
    pub(crate) fn beside(folder: &Path) -> io::Result<Self> {
        let path = folder.join(KEY_FILE);
        match std::fs::read(&path) {
            Ok(key) if key.len() == KEY_BYTES => return Ok(Self::of(&key)),
            Ok(key) => {
                let what = format!(
                    "{} has {} bytes instead of {KEY_BYTES}; remove it to void all run tokens",
                    path.display(),
                    key.len()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key = random()?;
        let unfinished = folder.join("run-token.key.tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&key)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        std::fs::File::open(folder)?.sync_all()?;
        Ok(Self::of(&key))
    }

    fn of(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A token that reads this run until then.
    pub(crate) fn sign(&self, run: RunNo, expires_at_ms: u64) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend_from_slice(&run.0.to_be_bytes());
        token.extend_from_slice(&expires_at_ms.to_be_bytes());
        let mac = hmac::sign(&self.0, &token);
        token.extend_from_slice(mac.as_ref());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(token))
    }

    /// The run that a token reads, and until when; `None` for what this key did not sign.
    pub(crate) fn verify(&self, token: &str) -> Option<(RunNo, u64)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (claim, mac) = bytes.split_at_checked(CLAIM_BYTES)?;
        hmac::verify(&self.0, claim, mac).ok()?;
        let (run, end) = claim.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
        Some((RunNo(number(run)?), number(end)?))
    }
}

fn random() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    let filled = rand::SystemRandom::new().fill(&mut key);
    filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_known_again_after_a_restart_and_by_no_other_key() {
        let folder = tempfile::tempdir().unwrap();
        let token = Signer::beside(folder.path()).unwrap().sign(RunNo(7), 99);
        assert!(token.starts_with("dqr_") && token.len() == 68);
        assert_eq!(Signer::beside(folder.path()).unwrap().verify(&token), Some((RunNo(7), 99)));
        assert_eq!(Signer::in_memory().unwrap().verify(&token), None);
        let mode = std::fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn no_changed_token_is_taken() {
        let signer = Signer::in_memory().unwrap();
        let token = signer.sign(RunNo(7), 99);
        for at in PREFIX.len()..token.len() {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(signer.verify(&changed), None, "{at}");
        }
        for text in ["", "dqr_", "dqr_AAAA", &token[..token.len() - 1], &token["dqr_".len()..]] {
            assert_eq!(signer.verify(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_of_the_wrong_size_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert!(Signer::beside(folder.path()).is_err());
    }
}
