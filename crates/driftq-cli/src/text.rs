//! Times, durations and somebody's data as text.

use std::time::{Duration, UNIX_EPOCH};

use driftq_client::api::RawValue;

/// The last moment of the year 9999, epoch milliseconds; beyond it there is no RFC 3339.
const TIME_MS_MAX: u64 = 253_402_300_799_999;

/// How much of a value is shown in a line, in characters.
const BRIEF_CHARS_MAX: usize = 160;

/// A moment as RFC 3339, in UTC, to the second.
pub(crate) fn moment(epoch_ms: u64) -> String {
    if epoch_ms > TIME_MS_MAX {
        return epoch_ms.to_string();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(epoch_ms)).to_string()
}

/// The time of day of a moment, in UTC, to the millisecond.
pub(crate) fn time_of_day(epoch_ms: u64) -> String {
    if epoch_ms > TIME_MS_MAX {
        return epoch_ms.to_string();
    }
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(epoch_ms)).to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

/// A duration as people say it.
pub(crate) fn span(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

/// Bytes as people say them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

/// Text that is safe to show on one line: control characters are written out.
pub(crate) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, char| {
        if is_control(char) {
            shown.extend(char.escape_default())
        } else {
            shown.push(char)
        }
        shown
    })
}

/// The same, but lines stay lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// A JSON value on one line: a string without its quotes, and not too much of it.
pub(crate) fn brief(value: &RawValue) -> String {
    let text = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
    shorten(&text)
}

/// The beginning of a text.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(BRIEF_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Also what turns the direction of the text around.
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_utc_and_never_a_panic() {
        assert_eq!(moment(1_764_000_000_123), "2025-11-24T16:00:00Z");
        assert_eq!(time_of_day(1_764_000_000_123), "16:00:00.123");
        assert_eq!(moment(TIME_MS_MAX), "9999-12-31T23:59:59Z");
        assert_eq!((moment(u64::MAX), time_of_day(u64::MAX)), (u64::MAX.to_string(), u64::MAX.to_string()));
    }

    #[test]
    fn data_cannot_speak_to_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{202e}d\u{7}"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{7}");
        assert_eq!(visible_lines("a\tb\nc"), "a\\tb\nc");
        assert_eq!(visible("grün ✓ 日本"), "grün ✓ 日本");
    }

    #[test]
    fn sizes_and_values_are_brief() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
        );
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("it is JSON");
        assert_eq!(brief(&raw(r#""say \"hi\"""#)), "say \"hi\"");
        assert_eq!(brief(&raw(r#"{"a":1.50}"#)), r#"{"a":1.50}"#);
        assert_eq!(shorten(&"é".repeat(200)).chars().count(), 161);
    }
}
