use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::{Environment, Page, Paging};
use rand::RngExt as _;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, Row as _, postgres::PgRow};
use subtle::ConstantTimeEq;

use crate::{
    Listener, Store, StoreError, query, query_as,
    row::{self, time, time_option, undecodable},
};

/// What a key of the HTTP API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Enqueue and cancel jobs.
    Enqueue,
    /// Look at jobs and queues.
    Read,
    /// Everything else an operator does: pause, replay, discard.
    Operate,
}

/// A text that is not the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope; it must be \"enqueue\", \"read\" or \"operate\"")]
pub struct UnknownScope(pub String);

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Enqueue, Self::Read, Self::Operate];

    /// As it is written on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.chars().take(40).collect()))
    }
}

/// A key as it is stored: without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its id, which logs and the audit log show.
    pub id: String,
    /// Its name, unique among the keys in use.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it is in use and has `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.revoked_at.is_none() && self.scopes.contains(&scope)
    }
}

impl FromRow<'_, PgRow> for ApiKey {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let scopes: Vec<String> = row.try_get("scopes")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            scopes: scopes
                .iter()
                .map(|scope| scope.parse())
                .collect::<Result<_, UnknownScope>>()
                .map_err(|error| undecodable("scopes", error))?,
            created_at: time(row, "created_at")?,
            revoked_at: time_option(row, "revoked_at")?,
            last_used: time_option(row, "last_used")?,
        })
    }
}

/// A key that was just made. The token is shown this once.
#[derive(Debug)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// The bearer token: `perch_<stg|prod>_` and 40 random characters of base 62 (238 bits).
    pub token: SecretString,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARACTERS: usize = 40;

fn new_token(env: Environment) -> SecretString {
    let mut rng = rand::rng();
    let random = (0..RANDOM_CHARACTERS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    SecretString::from(format!("{}{}", token_prefix(env), random.collect::<String>()))
}

fn token_prefix(env: Environment) -> String {
    format!("perch_{}_", env.prefix().trim_end_matches(':'))
}

fn hash(token: &SecretString) -> [u8; 32] {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

/// How long a process may cache a key without asking Postgres. A revoked key is refused after this time even where the notification
/// ([`ApiKeys::listen`]) did not arrive.
pub const KEY_HOLDS: Duration = Duration::from_secs(30);

/// The channel for notifications of revoked keys; the payload is the id of the key.
const REVOKED: &str = "perch_keys";

/// The keys of the HTTP API.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<'a>(pub(crate) &'a Store);

impl Store {
    /// The keys of the HTTP API.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys(self)
    }
}

impl ApiKeys<'_> {
    /// Makes a key. [`StoreError::Invalid`] when the name is empty or in use, or no scope is given.
    pub async fn create(&self, name: &str, scopes: &[Scope]) -> Result<NewApiKey, StoreError> {
        let refuse = |reason: &str| StoreError::Invalid { what: "the API key", reason: reason.to_owned() };
        if !(1..=64).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(refuse("its name must have 1 to 64 bytes and no control characters"));
        }
        if scopes.is_empty() {
            return Err(refuse("it needs a scope: enqueue, read or operate"));
        }
        let mut words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        let token = new_token(self.0.env);
        let key = query_as!(
            "insert into api_keys (environment, id, name, hash, scopes) values ($1, $2, $3, $4, $5)
             on conflict do nothing
             returning id, name, scopes, created_at, revoked_at, last_used",
            self.0.env_name(),
            format!("key_{}", ulid::Ulid::generate()),
            name,
            hash(&token).as_slice(),
            words
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("create an API key"))?
        .ok_or_else(|| refuse(&format!("a key named {name:?} is in use; revoke it first, or choose another name")))?;
        Ok(NewApiKey { key, token })
    }

    /// The keys, revoked ones too, newest first, page by page.
    pub async fn list(&self, paging: &Paging) -> Result<Page<ApiKey>, StoreError> {
        const LIST: &str = "keys";
        let doing = "list API keys";
        let before: Option<String> = paging.place(LIST)?;
        let rows = query!(
            "select id, name, scopes, created_at, revoked_at, last_used
             from api_keys where environment = $1 and ($2::text is null or id < $2) order by id desc limit $3",
            self.0.env_name(),
            before,
            paging.rows()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("id"))
    }

    /// Revokes the key with that id or name and notifies listening processes; the others refuse it within [`KEY_HOLDS`].
    /// Returns `None` when no such key is in use.
    pub async fn revoke(&self, id_or_name: &str) -> Result<Option<ApiKey>, StoreError> {
        query_as!(
            "with revoked as (
                 update api_keys set revoked_at = now()
                 where environment = $1 and (id = $2 or name = $2) and revoked_at is null
                 returning id, name, scopes, created_at, revoked_at, last_used)
             select revoked.*, pg_notify($3, id)::text as told from revoked",
            self.0.env_name(),
            id_or_name,
            REVOKED
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("revoke an API key"))
    }

    /// Listens for the ids of keys that are revoked from now on.
    pub async fn listen(&self) -> Listener {
        Listener::listen(self.0, REVOKED, "listen for revoked keys").await
    }

    /// The key that a token belongs to, if it is in use. Records the time of use, at most once a minute.
    pub async fn verify(&self, token: &SecretString) -> Result<Option<ApiKey>, StoreError> {
        if !token.expose_secret().starts_with(&token_prefix(self.0.env)) {
            return Ok(None);
        }
        let Some((key, idle)) = self.find_by_hash(&hash(token)).await? else { return Ok(None) };
        if idle {
            query!(
                "update api_keys set last_used = now() where environment = $1 and id = $2",
                self.0.env_name(),
                &key.id
            )
            .execute(&self.0.pool)
            .await
            .map_err(StoreError::on("note the use of an API key"))?;
        }
        Ok(Some(key))
    }

    /// The key in use with that SHA-256, and whether its recorded last use is more than a minute old.
    async fn find_by_hash(&self, hash: &[u8; 32]) -> Result<Option<(ApiKey, bool)>, StoreError> {
        let doing = "look up an API key";
        let row = query!(
            "select id, name, scopes, created_at, revoked_at, last_used, hash,
                    coalesce(last_used < now() - interval '1 minute', true) as idle
             from api_keys where environment = $1 and hash = $2 and revoked_at is null",
            self.0.env_name(),
            hash.as_slice()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let Some(row) = row else { return Ok(None) };
        let stored: Vec<u8> = row.try_get("hash").map_err(StoreError::on(doing))?;
        if !bool::from(stored.as_slice().ct_eq(hash)) {
            return Ok(None);
        }
        let key = ApiKey::from_row(&row).map_err(StoreError::on(doing))?;
        let idle = row.try_get("idle").map_err(StoreError::on(doing))?;
        Ok(Some((key, idle)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_environment_and_no_two_are_alike() {
        let (a, b) = (new_token(Environment::Staging), new_token(Environment::Staging));
        let text = a.expose_secret();
        assert!(text.starts_with("perch_stg_") && text.len() == "perch_stg_".len() + 40, "{text}");
        assert!(text["perch_stg_".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        assert_ne!(text, b.expose_secret());
    }
}
