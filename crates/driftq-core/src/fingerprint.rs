//! Fingerprints: errors that read alike but for their numbers, ids and quoted parts share one.
//!
//! Promise: a fingerprint is a pure function of an error's type and the first bytes of its message; it is decided once,
//! when a dead letter is made, and stands in the log from then on. It never looks at a stack.

use crate::{DeadLetterReason, ErrorInfo};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// How much of an error's message is looked at, bytes.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// How far apart two quotes of one pair may be, bytes.
const QUOTED_BYTES_MAX: usize = 512;
/// What stands for a word with a number in it.
const NUMBER: char = '#';
/// What stands for a quoted part.
const QUOTED: char = '?';

/// The name of a kind of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

/// The text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 16 hexadecimal digits, as GET /v1/dlq/fingerprints shows it")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// That of an error.
    #[must_use]
    pub fn of_error(error: &ErrorInfo) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"error\0").update(error.kind.as_deref().unwrap_or_default().as_bytes());
        hasher.update(b"\0").update(blanked(&error.message).as_bytes());
        Self::from_hash(&hasher.finalize())
    }

    /// That of a dead letter without an error.
    #[must_use]
    pub fn of_reason(reason: DeadLetterReason) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"reason\0").update(reason.as_str().as_bytes());
        Self::from_hash(&hasher.finalize())
    }

    fn from_hash(hash: &blake3::Hash) -> Self {
        let mut head = [0; 8];
        head.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(head))
    }
}

impl core::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl core::str::FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex {
            return Err(NotAFingerprint);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAFingerprint)
    }
}

/// A message with what differs from case to case taken out.
fn blanked(message: &str) -> String {
    let mut rest = head(message, MESSAGE_BYTES_MAX);
    let mut out = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let is_inside_word = out.chars().next_back().is_some_and(char::is_alphanumeric);
        let taken = if first.is_whitespace() {
            push_once(&mut out, ' ');
            first.len_utf8()
        } else if let Some(len) = quoted(rest, first).filter(|_| !is_inside_word) {
            push_once(&mut out, QUOTED);
            len
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            push_word(&mut out, &rest[..len]);
            len
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    out.truncate(out.trim_end().len());
    out
}

fn head(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Bytes of the quoted part that begins here, its quotes included.
fn quoted(rest: &str, first: char) -> Option<usize> {
    if !matches!(first, '"' | '\'' | '`') {
        return None;
    }
    let inside = &rest.as_bytes()[1..];
    let end = inside.iter().take(QUOTED_BYTES_MAX).position(|byte| char::from(*byte) == first)?;
    Some(end + 2)
}

/// A word, or what stands for it; `10.5` and `10:23:11` are one number each.
fn push_word(out: &mut String, word: &str) {
    if !word.contains(|c: char| c.is_ascii_digit()) {
        out.push_str(word);
        return;
    }
    let mut before = out.chars().rev();
    let is_joined = matches!(before.next(), Some('.' | ':' | ',' | '/')) && before.next() == Some(NUMBER);
    if is_joined {
        out.pop();
    } else {
        push_once(out, NUMBER);
    }
}

fn push_once(out: &mut String, what: char) {
    if !out.ends_with(what) {
        out.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn of(kind: &str, message: &str) -> Fingerprint {
        let kind = (!kind.is_empty()).then(|| kind.to_string());
        Fingerprint::of_error(&ErrorInfo { message: message.to_string(), kind, stack: None })
    }

    #[test]
    fn errors_that_differ_in_numbers_ids_and_quotes_are_alike() {
        for (a, b) in [
            ("timeout after 30 s", "timeout after 5 s"),
            ("timeout after 1.5 s", "timeout after 30 s"),
            ("no user 'ann'", "no user 'bob the builder'"),
            ("no user \"ann\"", "no user \"\""),
            (
                "order 3f2b8c1e-0000-4d1a-9c9e-aaaaaaaaaaa1 is gone",
                "order 550e8400-e29b-41d4-a716-446655440000 is gone",
            ),
            ("at 10:23:11", "at 7:01:59"),
            ("connect 10.0.0.1:5432 refused", "connect 192.168.7.12:80 refused"),
            ("two  spaces", "two spaces"),
        ] {
            assert_eq!(of("E", a), of("E", b), "{} / {}", blanked(a), blanked(b));
        }
    }

    #[test]
    fn errors_that_differ_in_words_or_type_are_not_alike() {
        assert_ne!(of("E", "no user 'ann'"), of("E", "no order 'ann'"));
        assert_ne!(of("E", "timeout"), of("F", "timeout"));
        assert_ne!(of("", "timeout"), of("E", "timeout"));
        assert_ne!(of("E", "can't read it, won't write"), of("E", "can't see it, won't write"));
    }

    #[test]
    fn a_fingerprint_reads_back_from_its_text() {
        for fingerprint in [Fingerprint(0), Fingerprint(u64::MAX), of("E", "x")] {
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }
        for text in ["", "12", "zzzzzzzzzzzzzzzz", "00000000000000000", "+000000000000001"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NotAFingerprint), "{text:?}");
        }
    }

    #[test]
    fn a_huge_message_is_cut_and_never_splits_a_character() {
        let long = "é".repeat(5_000);
        assert_eq!(blanked(&long).len(), MESSAGE_BYTES_MAX);
    }
}
