//! Keeps other web pages from controlling the sandbox: a page that is open in a browser on this machine can send requests to it, and
//! must not inject faults or stage posts.

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;
use url::{Host, Url};

/// Lets only programs and the sandbox's own page use `/sandbox`.
pub(crate) async fn no_foreign_page(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/sandbox") {
        return next.run(request).await;
    }
    match refusal(request.method(), request.headers()) {
        None => next.run(request).await,
        Some((status, detail)) => {
            let title = status.canonical_reason().unwrap_or_default();
            let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
            (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
        }
    }
}

/// Why a request is not from a program or from the sandbox's own page.
fn refusal(method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let host = told("host").unwrap_or_default();
    if !is_of_this_machine(host) {
        // DNS rebinding: a host name of a foreign page that resolves to this machine.
        return Some((
            StatusCode::FORBIDDEN,
            "the sandbox is asked by its address, by localhost, or by a name without dots",
        ));
    }
    let from_elsewhere = told("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || told("origin").is_some_and(|origin| origin != format!("http://{host}"));
    if from_elsewhere {
        return Some((
            StatusCode::FORBIDDEN,
            "only programs and the sandbox's own page may control it, no other web page",
        ));
    }
    let is_json = told("content-type").is_some_and(|media| media.split(';').next().unwrap_or_default().trim() == JSON);
    if matches!(*method, Method::POST | Method::PUT | Method::PATCH) && !is_json {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json"));
    }
    None
}

const JSON: &str = "application/json";

/// Whether a `Host` header is an address, `localhost`, a name under it, or a name without dots, as containers have.
fn is_of_this_machine(host: &str) -> bool {
    match Url::parse(&format!("http://{host}")).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_of_the_internet_that_leads_here_is_not_of_this_machine() {
        for host in
            ["127.0.0.1:8090", "localhost:8090", "[::1]:8090", "sandbox.localhost:8090", "sandbox:8090", "10.0.0.7"]
        {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in ["", "example.com:8090", "localhost.example.com", "127.0.0.1.nip.io:8090", "a b"] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn headers_that_browsers_send_tell_a_foreign_page_from_the_own_one() {
        let of = |method: Method, headers: &[(&'static str, &'static str)]| {
            let usual = [("host", "localhost:8090"), ("content-type", "application/json")];
            let all = headers.iter().chain(&usual);
            let headers =
                all.map(|(name, value)| (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            refusal(&method, &headers.collect()).map(|(status, _)| status.as_u16())
        };
        assert_eq!(of(Method::POST, &[]), None, "a program sends none of them");
        assert_eq!(of(Method::GET, &[("sec-fetch-site", "same-origin")]), None);
        assert_eq!(of(Method::GET, &[("sec-fetch-site", "none")]), None, "typed into the address bar");
        assert_eq!(of(Method::POST, &[("origin", "http://localhost:8090")]), None);
        for site in ["cross-site", "same-site"] {
            assert_eq!(of(Method::GET, &[("sec-fetch-site", site)]), Some(403), "{site}");
        }
        for origin in ["https://example.com", "null", "http://localhost:3000"] {
            assert_eq!(of(Method::DELETE, &[("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(of(Method::PUT, &[("host", "evil.example.com:8090")]), Some(403));
        assert_eq!(of(Method::POST, &[("content-type", "text/plain")]), Some(415), "what a form can send");
    }
}
