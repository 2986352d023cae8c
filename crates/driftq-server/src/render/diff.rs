//! What differs between two attempts, field by field, and inside of two documents, place by place.
//!
//! Promise: values are compared as they are written, so no number is rounded; the order of an object's keys means
//! nothing; the list is bounded.

use crate::json;
use driftq_api::{AttemptRecord, Difference, Failure, RawValue, RunAttempt};
use serde::Serialize;
use std::collections::BTreeMap;

/// Differences of one answer.
const DIFFERENCES_MAX: usize = 500;

/// Fields that differ, and the names of those that do not.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) changed: Vec<Difference>,
    pub(crate) same: Vec<String>,
}

impl Compared {
    fn field<T: Serialize>(&mut self, name: &str, a: &T, b: &T) {
        let (a, b) = (json::raw_of(a), json::raw_of(b));
        if a.get() == b.get() {
            self.same.push(name.to_owned());
        } else {
            self.changed.push(Difference { field: name.to_owned(), path: None, a, b });
        }
    }

    fn error(&mut self, a: Option<&Failure>, b: Option<&Failure>) {
        self.field("error.message", &a.map(|error| &error.message), &b.map(|error| &error.message));
        let kind = |error: Option<&Failure>| error.and_then(|error| error.kind.clone());
        self.field("error.type", &kind(a), &kind(b));
    }

    fn input(&mut self, a: &[u8], b: &[u8]) {
        let before = self.changed.len();
        documents(&mut self.changed, String::new(), &json::raw(a), &json::raw(b));
        if self.changed.len() == before {
            self.same.push("input".to_owned());
        }
    }
}

/// Two attempts of a run; inputs are compared when both are known.
pub(crate) fn runs(a: &RunAttempt, b: &RunAttempt, inputs: Option<(&[u8], &[u8])>) -> Compared {
    let mut compared = Compared::default();
    compared.field("owner", &a.owner, &b.owner);
    compared.field("worker_version", &a.worker_version, &b.worker_version);
    compared.field("duration_ms", &a.duration_ms, &b.duration_ms);
    compared.field("outcome", &a.outcome, &b.outcome);
    compared.error(a.error.as_ref(), b.error.as_ref());
    compared.field("steps", &a.steps, &b.steps);
    if let Some((a, b)) = inputs {
        compared.input(a, b);
    }
    compared
}

/// Two attempts of a dead letter; their input is the message itself, and so the same.
pub(crate) fn letters(a: &AttemptRecord, b: &AttemptRecord) -> Compared {
    let mut compared = Compared::default();
    let duration = |attempt: &AttemptRecord| attempt.ended_at_ms.saturating_sub(attempt.started_at_ms);
    compared.field("owner", &a.owner, &b.owner);
    compared.field("worker_version", &a.worker_version, &b.worker_version);
    compared.field("duration_ms", &duration(a), &duration(b));
    compared.field("outcome", &a.reason, &b.reason);
    compared.error(Some(&a.error), Some(&b.error));
    compared.same.push("input".to_owned());
    compared
}

fn documents(changed: &mut Vec<Difference>, path: String, a: &RawValue, b: &RawValue) {
    if changed.len() >= DIFFERENCES_MAX || a.get() == b.get() {
        return;
    }
    type Object = BTreeMap<String, Box<RawValue>>;
    type Array = Vec<Box<RawValue>>;
    let null = json::raw(b"null");
    if let (Ok(a), Ok(b)) = (serde_json::from_str::<Object>(a.get()), serde_json::from_str::<Object>(b.get()))
    {
        for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
            let place = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            documents(changed, place, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
        }
        return;
    }
    if let (Ok(a), Ok(b)) = (serde_json::from_str::<Array>(a.get()), serde_json::from_str::<Array>(b.get())) {
        for index in 0..a.len().max(b.len()) {
            let place = format!("{path}/{index}");
            documents(changed, place, a.get(index).unwrap_or(&null), b.get(index).unwrap_or(&null));
        }
        return;
    }
    changed.push(Difference {
        field: "input".to_owned(),
        path: Some(path),
        a: json::raw(a.get().as_bytes()),
        b: json::raw(b.get().as_bytes()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(a: &str, b: &str) -> Vec<String> {
        let mut changed = Vec::new();
        documents(&mut changed, String::new(), &json::raw(a.as_bytes()), &json::raw(b.as_bytes()));
        let told = |d: Difference| format!("{} {} {}", d.path.unwrap_or_default(), d.a.get(), d.b.get());
        changed.into_iter().map(told).collect()
    }

    #[test]
    fn a_difference_is_named_by_its_place_and_shown_as_it_is_written() {
        assert_eq!(paths(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), Vec::<String>::new());
        assert_eq!(paths(r#"{"a":{"x":1.0}}"#, r#"{"a":{"x":1}}"#), ["/a/x 1.0 1"]);
        assert_eq!(paths(r#"{"a/b":[1,2]}"#, r#"{"a/b":[1,3,4]}"#), ["/a~1b/1 2 3", "/a~1b/2 null 4"]);
        assert_eq!(paths("[]", "{}"), [" [] {}"]);
        assert_eq!(paths("12345678901234567890", "12345678901234567891").len(), 1, "no number is rounded");
    }

    #[test]
    fn a_long_list_of_differences_is_cut() {
        let numbers = |from: usize| (from..from + 2 * DIFFERENCES_MAX).map(|n| n.to_string());
        let array = |from| format!("[{}]", numbers(from).collect::<Vec<_>>().join(","));
        assert_eq!(paths(&array(0), &array(10_000)).len(), DIFFERENCES_MAX);
    }
}
