//! Who may talk to a server that has no tokens: the name it is called by, and the page a request comes from.
//!
//! Promise: a browser cannot be made to reach this server under a foreign name, nor from a foreign page, by any method;
//! each refusal names the option that allows it.

use crate::problem::Problem;
use driftq_api::ErrorCode;
use http::{HeaderMap, Uri, header};
use std::net::{IpAddr, Ipv6Addr};

/// Endings of names that public DNS does not give out.
const LOCAL_ENDINGS: [&str; 4] = [".internal", ".local", ".svc", ".svc.cluster.local"];
/// How much of a header is repeated in an answer.
const SHOWN_MAX: usize = 200;

/// Names and origins that the operator listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// Whether the name it is called by matters: a page that fools its browser about names has no token.
    checks_names: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    pub(crate) fn new(hosts: &[String], origins: &[String], has_tokens: bool) -> Self {
        let plain = |text: &String| text.trim().trim_end_matches('/').to_ascii_lowercase();
        let checks_names = !has_tokens;
        Self {
            checks_names,
            hosts: hosts.iter().map(plain).collect(),
            origins: origins.iter().map(plain).collect(),
        }
    }

    /// Lets a request in, or says why not.
    pub(crate) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = text(headers, header::HOST)?;
        let named = uri.authority().map(|authority| authority.as_str()).or(host);
        for name in [host, named].into_iter().flatten().filter(|_| self.checks_names) {
            if !self.is_own_name(name) {
                return Err(denied(format!(
                    "the host {:?} is not allowed; start the server with --allow-host {}",
                    shown(name),
                    shown(without_port(name))
                )));
            }
        }
        match text(headers, header::ORIGIN)? {
            Some(origin) if self.is_allowed(origin, named) => Ok(()),
            Some(origin) => {
                let origin = shown(origin);
                Err(denied(format!(
                    "the origin {origin:?} is not allowed; start the server with --allow-origin {origin}"
                )))
            }
            None => same_site(headers),
        }
    }

    fn is_own_name(&self, authority: &str) -> bool {
        let name = without_port(authority).trim_end_matches('.').to_ascii_lowercase();
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_ip = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<IpAddr>().is_ok(),
        };
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_one_label = !name.is_empty() && name.bytes().all(is_label);
        is_ip
            || is_one_label
            || LOCAL_ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
            || self.hosts.contains(&name)
            || self.hosts.contains(&authority.to_ascii_lowercase())
    }

    fn is_allowed(&self, origin: &str, own: Option<&str>) -> bool {
        let origin = origin.to_ascii_lowercase();
        let is_own = own.is_some_and(|own| {
            let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            rest.is_some_and(|rest| rest == own.to_ascii_lowercase())
        });
        is_own || self.origins.contains(&origin)
    }
}

/// A request without `Origin` may still be a browser's, sent for another site's page.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    match text(headers, header::HeaderName::from_static("sec-fetch-site"))? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(site) => Err(denied(format!(
            "a browser's {} request is not allowed; call from a page of this server, or list the page's origin with --allow-origin",
            shown(site)
        ))),
    }
}

fn denied(message: String) -> Problem {
    Problem::new(ErrorCode::PermissionDenied, message)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(format!("the header {name} is there twice")));
    }
    let Some(value) = first else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| Problem::invalid(format!("the header {name} is not plain ASCII")))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        Some(_) | None => authority,
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn admit(pairs: &[(&'static str, &str)]) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (hosts, origins) = (["driftq.example.com".to_owned()], ["https://app.example.com".to_owned()]);
        let guard = Guard::new(&hosts, &origins, false);
        guard.admit(&Uri::from_static("/v1/topics"), &headers)
    }

    #[test]
    fn local_names_and_addresses_are_its_own() {
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost",
            "localhost:8080",
            "driftq:8080",
            "10.1.2.3",
            "a.internal",
            "box.local:1",
            "driftq.default.svc",
            "driftq.default.svc.cluster.local:80",
            "DRIFTQ.example.com",
            "localhost.",
        ] {
            assert!(admit(&[("host", host)]).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_foreign_name_is_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            ".local",
            "a.svc.evil.com",
            "127.0.0.1.nip.io:8080",
            "[::1",
            "",
        ] {
            assert!(admit(&[("host", host)]).is_err(), "{host}");
        }
    }

    #[test]
    fn only_its_own_pages_and_listed_ones_may_call() {
        let from = |origin| admit(&[("host", "localhost:8080"), ("origin", origin)]).is_ok();
        assert!(from("http://localhost:8080") && from("https://app.example.com"));
        assert!(!from("http://localhost:3000") && !from("null") && !from("https://app.example.com.evil.com"));
        let fetched = |site| admit(&[("host", "localhost"), ("sec-fetch-site", site)]).is_ok();
        assert!(fetched("none") && fetched("same-origin") && !fetched("same-site") && !fetched("cross-site"));
    }
}
