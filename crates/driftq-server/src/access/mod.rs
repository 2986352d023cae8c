//! Who may do what: tokens, and one check for every route.
//!
//! Promise: once tokens are in force, a request without a good one learns nothing, and none is ever logged or read from
//! a URL. What a token may not see answers like what is absent. A changed file of tokens is taken over whole; a broken
//! one keeps what was in force.

mod caller;
mod rule;
mod run_token;
mod token_file;
mod verb;

pub(crate) use caller::Caller;
pub(crate) use rule::{Reach, Rule, Who, check};
pub(crate) use run_token::Signer;
pub use token_file::TokenFileError;
pub(crate) use verb::{Verb, either};

use crate::problem::Problem;
use caller::Kind;
use constant_time_eq::constant_time_eq_32;
use driftq_api::ErrorCode;
use driftq_core::Scope;
use http::{HeaderMap, Uri, header};
use ring::digest::{SHA256, digest};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often the file of tokens is looked at.
pub(crate) const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// How often the token of an open stream is looked at, besides whenever the tokens change.
const STREAM_CHECK_EVERY: Duration = Duration::from_secs(5);
/// Query parameters in which others carry tokens.
const TOKEN_PARAMETERS: [&str; 2] = ["token", "access_token"];

/// The tokens in force.
pub(crate) struct Access {
    file: Option<PathBuf>,
    book: RwLock<Book>,
    /// Says that the tokens have changed.
    changed: watch::Sender<()>,
    signer: OnceLock<Signer>,
}

/// What was read of the file.
#[derive(Default)]
struct Book {
    /// The text that was looked at last, good or not.
    text: String,
    callers: Arc<[Caller]>,
}

impl Access {
    /// Reads the file of tokens, if there is one.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, TokenFileError> {
        let book = match file {
            Some(path) => {
                let text = token_file::read(path)?;
                let callers = token_file::parse(path, &text)?.into();
                Book { text, callers }
            }
            None => Book::default(),
        };
        let (changed, _) = watch::channel(());
        Ok(Self { file: file.map(Path::to_owned), book: RwLock::new(book), changed, signer: OnceLock::new() })
    }

    /// Whether a token is needed.
    pub(crate) fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// From now on there are run tokens.
    pub(crate) fn sign_with(&self, signer: Signer) {
        // A second call could only come from a second start, which there is not.
        let _signed_before = self.signer.set(signer);
    }

    pub(crate) fn signer(&self) -> Result<&Signer, Problem> {
        self.signer.get().ok_or_else(recovering)
    }

    /// Takes a changed file over; answers how many tokens it has, `None` when nothing has changed.
    pub(crate) fn reload(&self) -> Option<Result<usize, TokenFileError>> {
        let path = self.file.as_deref()?;
        let text = match token_file::read(path) {
            Ok(text) => text,
            // Told once, until it can be read again.
            Err(error) => return self.note(String::new()).then_some(Err(error)),
        };
        if !self.note(text.clone()) {
            return None;
        }
        let callers = match token_file::parse(path, &text) {
            Ok(callers) => callers,
            Err(error) => return Some(Err(error)),
        };
        let count = callers.len();
        self.book.write().unwrap_or_else(PoisonError::into_inner).callers = callers.into();
        self.changed.send_replace(());
        Some(Ok(count))
    }

    /// Notes what was looked at last; answers whether it is something else than before.
    fn note(&self, text: String) -> bool {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = book.text != text;
        book.text = text;
        is_new
    }

    fn callers(&self) -> Arc<[Caller]> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner).callers)
    }

    /// Who asks, by the request's own header.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, now_ms: u64) -> Result<Caller, Problem> {
        let token = bearer(headers)?;
        let caller = match self.named(token) {
            Some(caller) => caller,
            None => self.of_run(token)?,
        };
        if caller.is_over(now_ms) {
            return Err(unauthenticated("this token has expired; ask for a new one"));
        }
        Ok(caller)
    }

    fn named(&self, token: &str) -> Option<Caller> {
        let asked: [u8; 32] = digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()?;
        let is_it = |caller: &&Caller| match &caller.kind {
            Kind::Named { hash, .. } => constant_time_eq_32(hash, &asked),
            Kind::Run => false,
        };
        self.callers().iter().find(is_it).cloned()
    }

    fn of_run(&self, token: &str) -> Result<Caller, Problem> {
        if !token.starts_with(run_token::PREFIX) {
            return Err(unknown());
        }
        let (run, end) = self.signer()?.verify(token).ok_or_else(unknown)?;
        let scope = Arc::new(Scope { run: Some(run), ..Scope::default() });
        Ok(Caller { kind: Kind::Run, scope, expires_at_ms: Some(end) })
    }

    /// Whether a caller that was let in before still would be.
    fn holds(&self, caller: &Caller, now_ms: u64) -> bool {
        let is_known = match caller.kind {
            Kind::Named { .. } => self.callers().contains(caller),
            Kind::Run => true,
        };
        is_known && !caller.is_over(now_ms)
    }
}

/// Resolves when a caller's token is no longer good, so that what it opened ends too.
pub(crate) async fn is_over(app: crate::app::App, caller: Caller) {
    let mut changed = app.access.changed.subscribe();
    while app.access.holds(&caller, app.now_ms()) {
        // Either way it is looked at again; the sender lives as long as the application.
        let _changed = tokio::time::timeout(STREAM_CHECK_EVERY, changed.changed()).await;
    }
}

/// Refuses a token in a URL: URLs end up in logs and histories.
pub(crate) fn refuse_token_in_url(uri: &Uri) -> Result<(), Problem> {
    let query = uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, _)| TOKEN_PARAMETERS.into_iter().find(|parameter| *parameter == name));
    match named {
        None => Ok(()),
        Some(name) => Err(Problem::invalid(format!(
            "a token is never taken from a URL ({name}); send it as a header: Authorization: Bearer"
        ))),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthenticated("a token is needed; send one as Authorization: Bearer"));
    };
    let text = value.to_str().ok().and_then(|text| text.trim().split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(token.trim())
        }
        Some(_) | None => Err(unauthenticated("the Authorization header must read: Bearer and a token")),
    }
}

fn unknown() -> Problem {
    unauthenticated("this token is not known here")
}

fn unauthenticated(message: &str) -> Problem {
    Problem::new(ErrorCode::Unauthenticated, message)
}

fn recovering() -> Problem {
    Problem::unavailable("the broker is reading its log; retry shortly", "recovering")
}
