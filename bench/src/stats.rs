//! Percentiles of samples, and what `/proc` says of a process.

use std::{fs, time::Duration};

use crate::BenchError;

/// Samples of a duration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The sample that `percent` of all do not exceed, in microseconds; `None` without any.
    pub(crate) fn percentile(&mut self, percent: usize) -> Option<f64> {
        self.0.sort_unstable();
        let at = (self.0.len() * percent / 100).min(self.0.len().checked_sub(1)?);
        self.0.get(at).map(|sample| sample.as_secs_f64() * 1e6)
    }
}

/// The middle one of some values; `None` without any.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How far slices of one measurement may lie apart, the third quarter from the first, to be taken for one thing.
const SPREAD_MAX: f64 = 1.5;

/// Why slices of one measurement are not one thing; `None` when they are.
pub(crate) fn unsteady(name: &str, mut slices: Vec<f64>) -> Option<String> {
    slices.sort_by(f64::total_cmp);
    let (low, high) = (*slices.get(slices.len() / 4)?, *slices.get(slices.len() * 3 / 4)?);
    (high > low * SPREAD_MAX)
        .then(|| format!("{name} was unsteady: a quarter below {low:.0}, a quarter above {high:.0}"))
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, BenchError> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| no_number(&path))
}

/// The CPU time a process has used, user and system, in clock ticks.
pub(crate) fn cpu_ticks(pid: u32) -> Result<u64, BenchError> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))?;
    // The name may hold spaces and brackets; the fields after its last bracket begin with the state (field 3).
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    match (field(14), field(15)) {
        (Some(user), Some(system)) => Ok(user + system),
        _ => Err(no_number(&path)),
    }
}

/// Milliseconds a clock tick lasts on Linux.
pub(crate) const TICK_MS: u64 = 10;

fn no_number(path: &str) -> BenchError {
    BenchError::Unreadable {
        request: path.to_owned(),
        cause: "there is no number where one has to be".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_nothing_has_none() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentile(50), None);
        (1..=100).for_each(|n| samples.add(Duration::from_micros(n)));
        assert_eq!(samples.percentile(50), Some(51.0));
        assert_eq!(samples.percentile(99), Some(100.0));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn slices_that_lie_apart_are_not_one_thing() {
        assert_eq!(unsteady("a sync", vec![76.0, 75.0, 80.0, 90.0]), None);
        assert_eq!(unsteady("a sync", Vec::new()), None);
        let doubt = unsteady("a sync", vec![76.0, 3_999.0, 75.0, 4_001.0]).expect("they lie apart");
        assert_eq!(doubt, "a sync was unsteady: a quarter below 76, a quarter above 4001");
    }

    #[test]
    fn a_living_process_has_memory_and_time() {
        let own = std::process::id();
        assert!(resident_bytes(own).expect("it is there") > 0);
        cpu_ticks(own).expect("it is there");
    }
}
