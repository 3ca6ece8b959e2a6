//! The address of Postgres, read from a URL.

use perch_base::redact;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use url::{Host, Url};

use crate::StoreError;

/// The address of Postgres, and whether a pooler in transaction mode is in front of it.
// No `Debug`: the options of the driver show their password.
#[derive(Clone)]
pub(crate) struct Address {
    pub options: PgConnectOptions,
    /// Whether a pooler in transaction mode is in front of the server; `None` if unknown.
    pub by_transaction: Option<bool>,
}

/// The URL parameter that tools in several languages use to announce a pooler in transaction mode.
const POOLER: &str = "pgbouncer";

impl Address {
    /// Reads the URL from `variable`. The error never shows the URL, because it holds a password.
    pub fn parse(url: &SecretString, variable: &'static str) -> Result<Self, StoreError> {
        let wrong = |reason: String| StoreError::Configuration { variable, reason };
        let mut url = Url::parse(url.expose_secret()).map_err(|error| wrong(error.to_string()))?;
        let by_transaction = match pooler_parameter(&url).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(wrong(format!("{POOLER} must be true or false"))),
            None => is_known_pooler(&url).then_some(true),
        };
        remove_pooler_parameter(&mut url);
        host_without_brackets(&mut url);
        let options = PgConnectOptions::from_url(&url).map_err(|error| wrong(reason(&error)))?;
        // PgBouncer refuses parameters that it does not know, and Postgres prints floats in full without `extra_float_digits`.
        let options = options.application_name("perch").extra_float_digits(None);
        Ok(Self { options, by_transaction })
    }
}

fn pooler_parameter(url: &Url) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == POOLER).map(|(_, value)| value.into_owned())
}

fn remove_pooler_parameter(url: &mut Url) {
    if pooler_parameter(url).is_none() {
        return;
    }
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| name != POOLER).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
}

/// Whether the address looks like a pooler in transaction mode: the default ports of `PgBouncer` and Supabase, or a host name of
/// Neon.
fn is_known_pooler(url: &Url) -> bool {
    let first_label = url.host_str().and_then(|host| host.split('.').next()).unwrap_or_default();
    matches!(url.port(), Some(6432 | 6543)) || first_label.ends_with("-pooler")
}

/// Passes an IPv6 host without brackets: the driver would look it up with the brackets that it has in a URL.
fn host_without_brackets(url: &mut Url) {
    let names_another = url.query_pairs().any(|(name, _)| name == "host" || name == "hostaddr");
    if let Some(Host::Ipv6(address)) = url.host()
        && !names_another
    {
        url.query_pairs_mut().append_pair("host", &address.to_string());
    }
}

/// The parser's message names the wrong part, never the whole URL.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(inner) => redact::scrub_url(&inner.to_string()),
        _ => "it is not a URL of Postgres".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(&SecretString::from(url), "DATABASE_URL").unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn an_ipv6_address_is_connected_to_without_its_brackets() {
        for (url, host) in [
            ("postgres://perch@[::1]:5432/db", "::1"),
            ("postgres://perch:p%5B@[2001:db8::2]/db?sslmode=require", "2001:db8::2"),
            ("postgres://perch@[::1]/db?host=db.internal", "db.internal"),
            ("postgres://perch@127.0.0.1/db", "127.0.0.1"),
            ("postgres://perch@localhost/db?host=::1", "::1"),
        ] {
            assert_eq!(parsed(url).options.get_host(), host, "{url}");
        }
    }

    #[test]
    fn a_pooler_in_transaction_mode_is_known_by_its_parameter_its_port_or_its_name() {
        for (url, known) in [
            ("postgres://a@db.example.com/p", None),
            ("postgres://a@db.example.com:5432/p?sslmode=require", None),
            ("postgres://a@aws-0-eu.pooler.supabase.com:6543/postgres", Some(true)),
            ("postgres://a@aws-0-eu.pooler.supabase.com:5432/postgres", None),
            ("postgres://a@db.internal:6432/p", Some(true)),
            ("postgres://a@db.internal:6432/p?pgbouncer=false", Some(false)),
            ("postgres://a@ep-cool-1-pooler.eu-central-1.aws.neon.tech/p", Some(true)),
            ("postgres://a@db.internal/p?pgbouncer=true&sslmode=require", Some(true)),
        ] {
            assert_eq!(parsed(url).by_transaction, known, "{url}");
        }
    }

    #[test]
    fn other_parameters_survive_the_one_about_a_pooler() {
        let address = parsed("postgres://a:b%26c@db/p?pgbouncer=true&application_name=x&dbname=other%20one");
        assert_eq!(address.options.get_database(), Some("other one"));
    }

    #[test]
    fn an_unusable_url_is_refused_without_showing_its_password() {
        for url in [
            "postgres://me:hunter2@host:notaport/db",
            "hunter2",
            "postgres://me:hunter2@h/db?sslmode=hunter2",
            "postgres://me:hunter2@h/db?pgbouncer=hunter2",
        ] {
            let error = Address::parse(&SecretString::from(url), "DATABASE_URL").err().expect("the URL is not usable");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2@") && !text.contains(":hunter2"), "{text}");
            assert!(text.contains("DATABASE_URL"), "{text}");
        }
    }
}
