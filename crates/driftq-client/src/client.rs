//! The client: where the server is, and how one request travels.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use driftq_api::{Health, RawValue, Readiness, Stats, Version};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ClientError,
    retry::{Failures, Retry},
    tls,
};

/// Where a server is looked for when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long an answer may take, beyond what the request itself asks the server to wait.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// However short a lease is, its renewal has so long.
const TWIN_PATIENCE_MIN: Duration = Duration::from_millis(200);

/// A connection pool to one server. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    request_retry: Retry,
    stream_retry: Retry,
    answer_time: Duration,
    /// What it was made of, to make another one with connections of its own.
    recipe: Arc<ClientBuilder>,
}

/// What a [`Client`] is made of.
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder {
    url: Option<String>,
    token: Option<Secret>,
    actor: Option<String>,
    ca_certificate: Option<PathBuf>,
    request_retry: Option<Retry>,
    stream_retry: Option<Retry>,
}

/// A token that no log shows.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// Whether a request may be sent again when nobody knows what became of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is doing it once.
    Harmless,
    /// It would be done twice.
    OnlyIfRefused,
}

impl Client {
    /// A client for `DRIFTQ_HTTP_URL` (or [`DEFAULT_URL`]) with the token in `DRIFTQ_TOKEN`.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub fn from_env() -> Result<Self, ClientError> {
        Self::builder().from_env().build()
    }

    /// A client for a server, with or without `/v1` at the end of its address.
    ///
    /// # Errors
    ///
    /// When `url` is not an address.
    pub fn new(url: impl Into<String>) -> Result<Self, ClientError> {
        Self::builder().url(url).build()
    }

    /// A client with more to say about it.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The server's address, without `/v1`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the server lives: `GET /v1/healthz`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get(&["healthz"], &()).await
    }

    /// Whether requests are welcome, and if not, why: `GET /v1/readyz`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`]; not being ready is an answer, not an error.
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        let url = self.address(&["readyz"])?;
        let answer = self.exchange(self.http.get(url.clone()).timeout(ANSWER_TIME)).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => read(&url, answer).await,
            _ => Err(refused(&url, answer).await),
        }
    }

    /// Which server it is: `GET /v1/version`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get(&["version"], &()).await
    }

    /// Whether an address is on its server.
    pub(crate) fn is_at(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// What it was made of.
    pub(crate) fn recipe(&self) -> &ClientBuilder {
        &self.recipe
    }

    /// Its connections.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The same with connections of its own, for another event loop; a request is sent once, and has
    /// `patience` for its answer.
    pub(crate) fn twin(&self, patience: Duration) -> Result<Self, ClientError> {
        let twin = ClientBuilder::clone(&self.recipe).request_retry(Retry::NEVER).build()?;
        Ok(Self { answer_time: patience.clamp(TWIN_PATIENCE_MIN, ANSWER_TIME), ..twin })
    }

    /// The same, over the same connections, with requests tried again another way.
    #[must_use]
    pub fn with_request_retry(&self, retry: Retry) -> Self {
        Self { request_retry: retry, ..self.clone() }
    }

    /// What the server counts: `GET /v1/stats`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.get(&["stats"], &()).await
    }

    /// How streams are connected again.
    pub(crate) fn stream_retry(&self) -> &Retry {
        &self.stream_retry
    }

    /// How requests, and the first connection of a stream, are tried again.
    pub(crate) fn request_retry(&self) -> &Retry {
        &self.request_retry
    }

    /// Reads something; that is always harmless to repeat.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &(impl Serialize + ?Sized),
    ) -> Result<T, ClientError> {
        self.get_within(path, query, ANSWER_TIME).await
    }

    /// Reads something the server may wait for.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &(impl Serialize + ?Sized),
        time: Duration,
    ) -> Result<T, ClientError> {
        let url = self.address(path)?;
        let request = self.http.get(url.clone()).query(query).timeout(time);
        let answer = self.send(request, &url, Repeat::Harmless).await?;
        read(&url, answer).await
    }

    /// Asks for something with a JSON body and reads the answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let url = self.address(path)?;
        let request = self.http.request(method, url.clone()).json(body).timeout(self.answer_time);
        let answer = self.send(request, &url, repeat).await?;
        read(&url, answer).await
    }

    /// Asks for something that has no answer but its success.
    pub(crate) async fn tell(
        &self,
        path: &[&str],
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<(), ClientError> {
        let url = self.address(path)?;
        let request = self.http.post(url.clone()).json(body).timeout(self.answer_time);
        self.send(request, &url, repeat).await.map(drop)
    }

    /// Removes something; that has no answer but its success.
    pub(crate) async fn remove(&self, path: &[&str], query: &impl Serialize) -> Result<(), ClientError> {
        let url = self.address(path)?;
        let request = self.http.delete(url.clone()).query(query).timeout(self.answer_time);
        self.send(request, &url, Repeat::OnlyIfRefused).await.map(drop)
    }

    /// Asks for something that is done once per `key`.
    pub(crate) async fn call_with_key<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
        key: &str,
    ) -> Result<T, ClientError> {
        let url = self.address(path)?;
        let request =
            self.http.post(url.clone()).header("idempotency-key", key).json(body).timeout(self.answer_time);
        let answer = self.send(request, &url, Repeat::Harmless).await?;
        read(&url, answer).await
    }

    /// Opens an answer that has no end of its own, without a second try.
    pub(crate) async fn open(
        &self,
        url: &Url,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        // The head must come soon, the body may take for ever: no time-out on the request itself.
        let exchange = self.exchange(prepare(self.http.get(url.clone())));
        let answer = match tokio::time::timeout(ANSWER_TIME, exchange).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(ClientError::Broken {
                    url: self.url().to_owned(),
                    cause: "no answer in time".into(),
                });
            }
        };
        if answer.status().is_success() { Ok(answer) } else { Err(refused(url, answer).await) }
    }

    /// The address of a route; every part is escaped.
    pub(crate) fn address(&self, path: &[&str]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        if let Some(bad) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(ClientError::BadName((*bad).to_owned()));
        }
        url.path_segments_mut()
            .expect("the builder took only addresses that have a path")
            .pop_if_empty()
            .push("v1")
            .extend(path);
        Ok(url)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        url: &Url,
        repeat: Repeat,
    ) -> Result<Response, ClientError> {
        let mut failures = Failures::default();
        loop {
            let again = request.try_clone().expect("every body is held in memory");
            let error = match self.exchange(again).await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => refused(url, answer).await,
                Err(error) => error,
            };
            if repeat == Repeat::OnlyIfRefused && !error.changed_nothing() {
                return Err(error);
            }
            failures.pause(&self.request_retry, error).await?;
        }
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| ClientError::from_transport(self.url(), error))
    }
}

impl ClientBuilder {
    /// Takes `DRIFTQ_HTTP_URL`, `DRIFTQ_TOKEN` and `DRIFTQ_CA_CERT` where nothing was said yet.
    #[must_use]
    pub fn from_env(mut self) -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        self.url = self.url.or_else(|| set("DRIFTQ_HTTP_URL"));
        self.token = self.token.or_else(|| set("DRIFTQ_TOKEN").map(Secret));
        self.ca_certificate = self.ca_certificate.or_else(|| set("DRIFTQ_CA_CERT").map(PathBuf::from));
        self
    }

    /// The server's address, with or without `/v1`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The token that is sent with every request.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret(token.into()));
        self
    }

    /// Who does what this client does, for the server's books; a token's own name counts for more.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// The same without a token and a name.
    pub(crate) fn without_identity(self) -> Self {
        Self { token: None, actor: None, ..self }
    }

    /// The certificates, in PEM, that vouch for an `https` server; without them those of the system do.
    #[must_use]
    pub fn ca_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_certificate = Some(file.into());
        self
    }

    /// How single requests are tried again; [`Retry::REQUEST`] if not said.
    #[must_use]
    pub fn request_retry(mut self, retry: Retry) -> Self {
        self.request_retry = Some(retry);
        self
    }

    /// How streams are connected again; [`Retry::STREAM`] if not said.
    #[must_use]
    pub fn stream_retry(mut self, retry: Retry) -> Self {
        self.stream_retry = Some(retry);
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// When the address, the token or the certificates cannot be used.
    pub fn build(self) -> Result<Client, ClientError> {
        let base = parse_base(self.url.as_deref().unwrap_or(DEFAULT_URL))?;
        let mut headers = HeaderMap::new();
        if let Some(Secret(token)) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| ClientError::BadToken)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(actor) = self.actor.as_deref().map(str::trim).filter(|actor| !actor.is_empty()) {
            let value = HeaderValue::from_str(actor)
                .or_else(|_| HeaderValue::from_bytes(actor.as_bytes()))
                .map_err(|_| ClientError::BadActor)?;
            headers.insert("x-driftq-actor", value);
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .default_headers(headers)
            .user_agent(concat!("driftq-client/", env!("CARGO_PKG_VERSION")))
            // A redirect would turn a POST into a GET; a server of ours never sends one.
            .redirect(reqwest::redirect::Policy::none());
        http = tls::prepare(http, &base, self.ca_certificate.as_deref())?;
        if is_loopback(&base) {
            // A proxy's own loopback is another machine's.
            http = http.no_proxy();
        }
        Ok(Client {
            http: http.build().map_err(ClientError::Setup)?,
            base,
            request_retry: self.request_retry.unwrap_or(Retry::REQUEST),
            stream_retry: self.stream_retry.unwrap_or(Retry::STREAM),
            answer_time: ANSWER_TIME,
            recipe: Arc::new(self),
        })
    }
}

/// A value of the caller's as the JSON text that is sent.
///
/// # Errors
///
/// When the value has no JSON form (a map with keys that are not strings, say).
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, ClientError> {
    serde_json::value::to_raw_value(value).map_err(ClientError::BadValue)
}

fn parse_base(text: &str) -> Result<Url, ClientError> {
    let bad = |cause: &str| ClientError::BadUrl { url: text.to_owned(), cause: cause.to_owned() };
    // A host alone, as people type it.
    let full = if text.contains("://") { text.trim().to_owned() } else { format!("http://{}", text.trim()) };
    let mut url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn read<T: DeserializeOwned>(url: &Url, answer: Response) -> Result<T, ClientError> {
    let body = answer.bytes().await.map_err(|error| ClientError::from_transport(url.as_str(), error))?;
    serde_json::from_slice(&body)
        .map_err(|error| ClientError::Unreadable { url: url.to_string(), cause: error.to_string() })
}

async fn refused(url: &Url, answer: Response) -> ClientError {
    let (status, headers) = (answer.status(), answer.headers().clone());
    match answer.bytes().await {
        Ok(body) => ClientError::from_answer(url.as_str(), status, &headers, &body),
        Err(_) => ClientError::from_answer(url.as_str(), status, &headers, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_in_v1_or_a_slash_or_lie_under_a_path() {
        for (given, health) in [
            ("http://h:1", "http://h:1/v1/healthz"),
            ("http://h:1/", "http://h:1/v1/healthz"),
            ("http://h:1/v1", "http://h:1/v1/healthz"),
            (" http://h:1/v1/ ", "http://h:1/v1/healthz"),
            ("http://h:1/driftq/v1", "http://h:1/driftq/v1/healthz"),
            ("http://h:1/driftq", "http://h:1/driftq/v1/healthz"),
            ("localhost:8080", "http://localhost:8080/v1/healthz"),
            ("127.0.0.1", "http://127.0.0.1/v1/healthz"),
            ("[::1]:8080/v1", "http://[::1]:8080/v1/healthz"),
        ] {
            let client = Client::new(given).expect("it is an address");
            assert_eq!(client.address(&["healthz"]).expect("it is a route").as_str(), health, "{given}");
        }
    }

    #[test]
    fn a_name_is_escaped_and_cannot_leave_its_place() {
        let client = Client::new("http://h").expect("it is an address");
        let url = client.address(&["topics", "a b?c#d%/é"]).expect("it is a name");
        assert_eq!(url.as_str(), "http://h/v1/topics/a%20b%3Fc%23d%25%2F%C3%A9");
        for name in ["", ".", ".."] {
            assert!(matches!(client.address(&["topics", name]), Err(ClientError::BadName(_))), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for given in ["", "a b", "ftp://h", "http://"] {
            let error = Client::new(given).expect_err("it is no address");
            assert!(error.to_string().starts_with(&format!("`{given}` is not an address")), "{error}");
        }
    }
}
