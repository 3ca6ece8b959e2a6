//! OAuth 1.0a signatures with HMAC-SHA1 (RFC 5849, section 3.4).

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, header::InvalidHeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use url::Url;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The credentials to sign with: those of the application and of the account it acts for.
pub(crate) struct Signer<'a> {
    pub(crate) consumer_key: &'a SecretString,
    pub(crate) consumer_secret: &'a SecretString,
    pub(crate) token: &'a SecretString,
    pub(crate) token_secret: &'a SecretString,
}

impl Signer<'_> {
    /// The `Authorization` header of a request to `url`, whose query is part of the signature.
    ///
    /// A JSON body is not: RFC 5849 signs a body only when it is form-encoded (section 3.4.1.3.1).
    pub(crate) fn authorization(
        &self,
        method: &Method,
        url: &Url,
        nonce: &str,
        at: DateTime<Utc>,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        let timestamp = at.timestamp().to_string();
        let oauth = [
            ("oauth_consumer_key", self.consumer_key.expose_secret()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", &timestamp),
            ("oauth_token", self.token.expose_secret()),
            ("oauth_version", "1.0"),
        ];
        let query: Vec<_> = url.query_pairs().collect();
        let all = oauth.into_iter().chain(query.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
        let base = base_string(method.as_str(), url, all);
        let signature = signature(&base, self.consumer_secret.expose_secret(), self.token_secret.expose_secret());

        let mut header = String::from("OAuth ");
        for (name, value) in oauth.into_iter().chain([("oauth_signature", signature.as_str())]) {
            let comma = if header.ends_with(' ') { "" } else { ", " };
            let _ = write!(header, "{comma}{name}=\"{}\"", encoded(value));
        }
        let mut header = HeaderValue::from_str(&header)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// 128 random bits, different in every request.
pub(crate) fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The text that is signed: method, address without its query, and all parameters in order.
pub(crate) fn base_string<'a>(method: &str, url: &Url, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded_pairs: Vec<(String, String)> =
        parameters.map(|(name, value)| (encoded(name).to_string(), encoded(value).to_string())).collect();
    encoded_pairs.sort();
    let joined = encoded_pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let mut address = url.clone();
    address.set_query(None);
    address.set_fragment(None);
    format!("{}&{}&{}", method.to_ascii_uppercase(), encoded(address.as_str()), encoded(&joined))
}

/// HMAC-SHA1 over the base string, in base 64.
pub(crate) fn signature(base_string: &str, consumer_secret: &str, token_secret: &str) -> String {
    let key = format!("{}&{}", encoded(consumer_secret), encoded(token_secret));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(base_string.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        source: String,
        method: String,
        base_url: Url,
        params: BTreeMap<String, String>,
        oauth: BTreeMap<String, String>,
        consumer_secret: String,
        token_secret: String,
        expected_base_string: String,
        expected_signature: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../tests/contracts/oauth1-vectors.json")).expect("the vectors are JSON")
    }

    #[test]
    fn every_published_vector_gives_its_base_string_and_its_signature() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let all = vector.params.iter().chain(&vector.oauth).map(|(k, v)| (k.as_str(), v.as_str()));
            let base = base_string(&vector.method, &vector.base_url, all);
            assert_eq!(base, vector.expected_base_string, "{}", vector.source);
            let signed = signature(&base, &vector.consumer_secret, &vector.token_secret);
            assert_eq!(signed, vector.expected_signature, "{}", vector.source);
        }
    }

    #[test]
    fn the_header_of_a_request_carries_the_signature_of_its_address_and_query() {
        let vector = vectors().swap_remove(0);
        let mut url = vector.base_url.clone();
        url.query_pairs_mut().extend_pairs(&vector.params);
        let secret = |text: &str| SecretString::from(text.to_owned());
        let signer = Signer {
            consumer_key: &secret(&vector.oauth["oauth_consumer_key"]),
            consumer_secret: &secret(&vector.consumer_secret),
            token: &secret(&vector.oauth["oauth_token"]),
            token_secret: &secret(&vector.token_secret),
        };
        let at = DateTime::from_timestamp(1_318_622_958, 0).expect("a time in range");

        let header = signer
            .authorization(&Method::POST, &url, &vector.oauth["oauth_nonce"], at)
            .expect("the vector is plain ASCII");

        let text = header.to_str().expect("ASCII");
        assert!(text.starts_with("OAuth oauth_consumer_key=\"xvz1evFS4wEEPTGEFPHBog\", "), "{text}");
        assert!(text.contains("oauth_signature=\"Ls93hJiZbQ3akF3HF3x1Bz8%2FzU4%3D\""), "{text}");
        assert!(header.is_sensitive());
    }

    #[test]
    fn equal_names_are_ordered_by_value_and_everything_reserved_is_encoded() {
        let url = Url::parse("HTTP://Example.COM:80/a%20b?x=1#f").expect("an address");
        let base = base_string("get", &url, [("b", "ü"), ("a", "z"), ("a", "1 +")].into_iter());
        assert_eq!(base, "GET&http%3A%2F%2Fexample.com%2Fa%2520b&a%3D1%2520%252B%26a%3Dz%26b%3D%25C3%25BC");
    }

    #[test]
    fn no_two_nonces_are_alike() {
        let first = nonce();
        assert_eq!(first.len(), 32);
        assert_ne!(first, nonce());
    }
}
