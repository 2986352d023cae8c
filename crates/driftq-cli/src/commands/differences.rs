//! What differs between two attempts, side by side.

use driftq_client::api::{Difference, RawValue};

use crate::{
    error::CliError,
    output::{Output, Tone, Word},
    text::{brief, span},
};

/// Prints one line per difference under the names of both attempts, and what is the same.
pub(super) fn print(
    names: [String; 2],
    changed: &[Difference],
    same: &[String],
    output: &Output,
) -> Result<(), CliError> {
    if changed.is_empty() {
        output.line([Word::new(format!("{} and {} do not differ", names[0], names[1]), Tone::Good)])?;
    } else {
        let rows = changed.iter().map(|difference| {
            let name = match &difference.path {
                Some(path) => format!("{} {path}", difference.field),
                None => difference.field.clone(),
            };
            [
                Word::from(name),
                Word::new(shown(&difference.field, &difference.a), Tone::Bad),
                Word::new(shown(&difference.field, &difference.b), Tone::Good),
            ]
        });
        output.columns(["DIFFERS".to_owned(), names[0].to_uppercase(), names[1].to_uppercase()], rows)?;
    }
    if !same.is_empty() {
        output.gap()?;
        output.line([Word::new(format!("the same: {}", same.join(", ")), Tone::Quiet)])?;
    }
    Ok(())
}

/// A value as people read it: what is not there is said so.
fn shown(field: &str, value: &RawValue) -> String {
    match (field, serde_json::from_str::<u64>(value.get())) {
        (_, _) if value.get() == "null" => "(none)".to_owned(),
        ("duration_ms", Ok(ms)) => span(ms),
        (_, _) => brief(value),
    }
}
