//! The one format of a report: a table for people, JSON for machines. A target is text, never a test.

use comfy_table::{Table, presets};
use serde::Serialize;

/// Which way a target looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One number.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub(crate) name: String,
    /// `None`: not measured in this run.
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
    /// Why nothing can be said about the target although there is a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) doubt: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

/// All numbers of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: Option<f64>, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None, met: None, doubt: None, note: String::new() }
    }

    pub(crate) fn at_most(self, bound: f64) -> Self {
        let met = self.value.map(|value| value <= bound);
        Self { target: Some(Target::AtMost(bound)), met, ..self }
    }

    pub(crate) fn at_least(self, bound: f64) -> Self {
        let met = self.value.map(|value| value >= bound);
        Self { target: Some(Target::AtLeast(bound)), met, ..self }
    }

    /// Takes the verdict back, whichever it was, when there is a reason to doubt the value.
    pub(crate) fn unless(self, doubt: Option<String>) -> Self {
        match doubt {
            Some(doubt) if self.value.is_some() => Self { met: None, doubt: Some(doubt), ..self },
            Some(_) | None => self,
        }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn row(&self) -> [String; 5] {
        let value = self.value.map_or_else(|| "not measured".to_owned(), number);
        let target = match self.target {
            Some(Target::AtMost(bound)) => format!("≤ {}", number(bound)),
            Some(Target::AtLeast(bound)) => format!("≥ {}", number(bound)),
            None => String::new(),
        };
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "not met",
            None if self.doubt.is_some() => "no verdict",
            None => "",
        };
        let note = self.doubt.as_ref().unwrap_or(&self.note).clone();
        let value = if self.value.is_some() { format!("{value} {}", self.unit) } else { value };
        [self.name.clone(), value.trim_end().to_owned(), target, verdict.to_owned(), note]
    }
}

impl Report {
    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Takes in the figures of a part.
    pub(crate) fn extend(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.figures.extend(figures);
    }

    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["figure", "value", "target", "", "note"]);
        for figure in &self.figures {
            table.add_row(figure.row());
        }
        table.to_string()
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// A number with as many digits as are worth reading.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_target_is_met_or_that_it_was_not_measured() {
        let rows = [
            Figure::new("a", Some(1.4), "×").at_most(1.5),
            Figure::new("b", Some(0.4), "×").at_least(0.45),
            Figure::new("c", None, "s").at_most(2.0),
            Figure::new("d", Some(0.04), "×").at_most(1.5).unless(Some("unsteady".to_owned())),
        ]
        .map(|figure| figure.row()[1..4].join("|"));
        assert_eq!(
            rows,
            [
                "1.40 ×|≤ 1.50|met",
                "0.40 ×|≥ 0.45|not met",
                "not measured|≤ 2.00|",
                "0.04 ×|≤ 1.50|no verdict"
            ]
        );
    }
}
