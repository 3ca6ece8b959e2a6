//! OAuth 1.0a: reads the header of a request and checks its HMAC-SHA1 signature (RFC 5849).

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;
use url::form_urlencoded;

/// The secret of every application in the sandbox.
pub const CONSUMER_SECRET: &str = "sandbox-consumer-secret";

/// All characters are encoded except the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How far a client's clock may be off.
const CLOCK_SKEW_SECONDS: i64 = 300;

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The username of an access token.
pub(crate) fn username(token: &str) -> Option<&str> {
    token.strip_prefix("sandbox-")?.strip_suffix("-token").filter(|name| !name.is_empty())
}

/// The signed parts of a request.
pub(crate) struct SignedRequest<'a> {
    pub method: &'a str,
    /// Host and port as the client wrote them.
    pub host: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    /// The `Authorization` header.
    pub header: &'a str,
}

/// The access token of a well-signed request, or what is wrong with the signature.
pub(crate) fn verify(request: &SignedRequest<'_>, now: DateTime<Utc>) -> Result<String, &'static str> {
    let fields = fields(request.header).ok_or("The Authorization header is not OAuth 1.0a.")?;
    let get = |name: &str| fields.get(name).map(String::as_str).filter(|v| !v.is_empty());
    if get("oauth_signature_method") != Some("HMAC-SHA1") {
        return Err("oauth_signature_method must be HMAC-SHA1.");
    }
    for name in ["oauth_consumer_key", "oauth_nonce"] {
        if get(name).is_none() {
            return Err("oauth_consumer_key or oauth_nonce is missing.");
        }
    }
    let time = get("oauth_timestamp").and_then(|t| t.parse::<i64>().ok()).ok_or("oauth_timestamp is missing.")?;
    if (now.timestamp() - time).abs() > CLOCK_SKEW_SECONDS {
        return Err("Timestamp out of bounds.");
    }
    let token = get("oauth_token").ok_or("oauth_token is missing.")?;
    let user = username(token).ok_or("Invalid or expired token.")?;
    let given = get("oauth_signature").ok_or("oauth_signature is missing.")?;
    let mut params: Vec<(String, String)> =
        form_urlencoded::parse(request.query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    params.extend(
        fields.iter().filter(|(k, _)| *k != "oauth_signature" && *k != "realm").map(|(k, v)| (k.clone(), v.clone())),
    );
    let secret = format!("sandbox-{user}-secret");
    // Behind a proxy that ends TLS the client signed https.
    let matches = ["http", "https"].iter().any(|scheme| {
        let url = format!("{scheme}://{}{}", request.host, request.path);
        signature(request.method, &url, &params, CONSUMER_SECRET, &secret) == given
    });
    if matches { Ok(token.to_owned()) } else { Err("Could not authenticate you: the signature does not match.") }
}

fn fields(header: &str) -> Option<HashMap<String, String>> {
    let list = header.strip_prefix("OAuth ")?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    list.split(',')
        .map(|field| {
            let (name, value) = field.trim().split_once('=')?;
            Some((decode(name), decode(value.trim_matches('"'))))
        })
        .collect()
}

/// The signature of a request over its decoded parameters, in Base64 (RFC 5849, 3.4).
fn signature(method: &str, url: &str, params: &[(String, String)], consumer: &str, token: &str) -> String {
    let mut pairs: Vec<(String, String)> = params.iter().map(|(k, v)| (encode(k), encode(v))).collect();
    pairs.sort();
    let joined = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&");
    let base = format!("{}&{}&{}", method.to_uppercase(), encode(url), encode(&joined));
    let key = format!("{}&{}", encode(consumer), encode(token));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_5849_gives_its_signature() {
        let params = [
            ("file", "vacation.jpg"),
            ("size", "original"),
            ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
            ("oauth_token", "nnch734d00sl2jdk"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131202"),
            ("oauth_nonce", "chapoH"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let url = "http://photos.example.net/photos";
        assert_eq!(
            signature("GET", url, &params, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00"),
            "MdpQcU8iPSUjWoN/UDMsK2sui9I="
        );
    }

    #[test]
    fn only_tokens_of_the_sandbox_name_an_account() {
        assert_eq!(username("sandbox-perch_bot-token"), Some("perch_bot"));
        assert_eq!(username("sandbox--token"), None);
        assert_eq!(username("370773112-abc"), None);
    }
}
