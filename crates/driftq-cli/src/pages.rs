//! Lists that come page by page.
//!
//! Promise: no more is asked for than is wanted. With `--json` each page is printed before the next
//! is asked for, so a list has no length at which it becomes slow to begin.

use driftq_client::ClientError;
use serde::Serialize;

use crate::{Context, error::CliError};

/// How many items are asked for at once.
const PAGE_MAX: u32 = 200;

/// A page: items, and where the next begins.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// Asks for pages until there are `limit` items. With `--json` they are printed and nothing is given
/// back; else they are given back for a table.
pub(crate) async fn list<T: Serialize>(
    limit: u32,
    context: &Context,
    mut ask: impl AsyncFnMut(u32, Option<String>) -> Result<Page<T>, ClientError>,
) -> Result<Vec<T>, CliError> {
    let (mut left, mut cursor, mut all) = (limit, None, Vec::new());
    while left > 0 {
        let (items, next) = ask(left.min(PAGE_MAX), cursor).await?;
        left = left.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        if context.output.is_json() {
            items.iter().try_for_each(|item| context.output.json(item))?;
        } else {
            all.extend(items);
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
    if cursor.is_some() {
        context.output.note("there are more; ask with a larger --limit");
    }
    Ok(all)
}
