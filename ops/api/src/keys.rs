//! API keys: a cache of keys, and the limits of each key on rate and concurrent requests.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use perch_base::settings::HttpSettings;
use perch_store::{ApiKey, KEY_HOLDS, Notification, Store, StoreError};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long a key read from Postgres is cached, unless a notification says that it was revoked.
const FRESH: Duration = KEY_HOLDS;
/// While Postgres is away, a known key goes on working and is looked up again after this time.
const AWAY: Duration = Duration::from_secs(5);
/// How long a look-up may take, including the wait for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// Concurrent look-ups: a flood of unknown keys must not take every connection to Postgres.
const AT_ONCE: usize = 4;
/// Most cached answers. Unknown keys are dropped first.
const MOST: usize = 10_000;
/// The longest token.
const LONGEST: usize = 128;
/// How long one subscription to revoked keys lasts.
const LISTEN: Duration = Duration::from_secs(60);

type Hash = [u8; 32];

#[derive(Debug, Clone)]
struct CachedKey {
    key: Option<Arc<ApiKey>>,
    asked: Instant,
}

#[derive(Debug, Default)]
struct KeyCache {
    known: HashMap<Hash, CachedKey>,
    /// How often cached answers were invalidated.
    doubts: u64,
}

/// The start of a look-up. Its result is not cached when a key was revoked meanwhile, because it may have been read before that.
#[derive(Debug, Clone, Copy)]
struct LookUp {
    asked: Instant,
    doubts: u64,
}

/// A cache of keys by the hash of their token. Tokens are never kept.
#[derive(Debug)]
pub(super) struct KeyRing {
    memory: Mutex<KeyCache>,
    turns: Semaphore,
}

/// Postgres does not answer, and the key is not cached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyLookupUnavailable;

impl KeyRing {
    pub fn new() -> Self {
        Self { memory: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    /// The key with this token, if it is in use.
    pub async fn find(&self, store: &Store, token: &str) -> Result<Option<Arc<ApiKey>>, KeyLookupUnavailable> {
        if token.len() > LONGEST || !token.starts_with("perch_") || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(None);
        }
        let hash: Hash = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.recall(&hash)
            && known.asked.elapsed() < FRESH
        {
            return Ok(known.key);
        }
        let mut began = self.begin();
        let mut asked = tokio::time::timeout(PATIENCE, self.ask(store, token)).await;
        if asked.is_ok() && self.memory().doubts != began.doubts {
            // A key was revoked meanwhile, so what was read may be outdated.
            began = self.begin();
            asked = tokio::time::timeout(PATIENCE, self.ask(store, token)).await;
        }
        match asked {
            Ok(Ok(key)) => {
                let key = key.map(Arc::new);
                self.remember(hash, key.clone(), began);
                Ok(key)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "an API key cannot be looked up");
                self.make_do(&hash)
            }
            Err(_) => {
                tracing::warn!(after = ?PATIENCE, "an API key cannot be looked up: Postgres does not answer");
                self.make_do(&hash)
            }
        }
    }

    async fn ask(&self, store: &Store, token: &str) -> Result<Option<ApiKey>, StoreError> {
        // The semaphore is never closed, and a look-up without a permit would do no harm.
        let _turn = self.turns.acquire().await;
        store.api_keys().verify(&SecretString::from(token)).await
    }

    /// The answer while Postgres is away: a cached key goes on working, unless it was revoked since.
    fn make_do(&self, hash: &Hash) -> Result<Option<Arc<ApiKey>>, KeyLookupUnavailable> {
        let mut memory = self.memory();
        let known = memory.known.get_mut(hash).ok_or(KeyLookupUnavailable)?;
        let key = known.key.clone().ok_or(KeyLookupUnavailable)?;
        known.asked = Instant::now().checked_sub(FRESH.saturating_sub(AWAY)).unwrap_or_else(Instant::now);
        Ok(Some(key))
    }

    /// Listens for revoked keys until `stop`.
    pub async fn follow(&self, store: &Store, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.listen(store) => {}
        }
    }

    async fn listen(&self, store: &Store) {
        let mut listener = store.api_keys().listen().await;
        self.doubt_all();
        loop {
            match listener.next(LISTEN).await {
                Notification::Received(id) => self.forget(&id),
                Notification::Missed => self.doubt_all(),
                Notification::Timeout => {}
            }
        }
    }

    /// Drops a key from the cache: it is looked up again, and does not work while Postgres is away.
    fn forget(&self, id: &str) {
        let mut memory = self.memory();
        memory.doubts += 1;
        memory.known.retain(|_, entry| entry.key.as_ref().is_none_or(|key| key.id != id));
    }

    /// Marks all keys as outdated: each is looked up again, and goes on working while Postgres is away.
    fn doubt_all(&self) {
        let long_ago = Instant::now().checked_sub(FRESH);
        let mut memory = self.memory();
        memory.doubts += 1;
        match long_ago {
            Some(long_ago) => memory.known.values_mut().for_each(|entry| entry.asked = entry.asked.min(long_ago)),
            // The machine has not been up for that long.
            None => memory.known.clear(),
        }
    }

    fn recall(&self, hash: &Hash) -> Option<CachedKey> {
        self.memory().known.get(hash).cloned()
    }

    fn memory(&self) -> MutexGuard<'_, KeyCache> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> LookUp {
        LookUp { asked: Instant::now(), doubts: self.memory().doubts }
    }

    fn remember(&self, hash: Hash, key: Option<Arc<ApiKey>>, began: LookUp) {
        let mut memory = self.memory();
        if memory.doubts != began.doubts {
            return;
        }
        let known = &mut memory.known;
        if known.len() >= MOST {
            known.retain(|_, entry| entry.key.is_some() && entry.asked.elapsed() < FRESH);
        }
        if known.len() < MOST {
            known.insert(hash, CachedKey { key, asked: began.asked });
        }
    }
}

/// Limits the concurrent requests of each key.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    most: usize,
    under_way: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl ConcurrencyLimit {
    pub fn new(settings: &HttpSettings) -> Self {
        Self { most: settings.requests_per_key, under_way: Mutex::default() }
    }

    /// A permit for a request of `key`; none when it has as many running requests as it may.
    pub fn take(&self, key: &str) -> Option<OwnedSemaphorePermit> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = match under_way.get(key) {
            Some(of_key) => of_key.clone(),
            None => under_way.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone(),
        };
        drop(under_way);
        of_key.try_acquire_owned().ok()
    }
}

/// Limits the request rate of each key.
#[derive(Debug)]
pub(super) struct RequestRate(DefaultKeyedRateLimiter<String>);

impl RequestRate {
    pub fn new(settings: &HttpSettings) -> Self {
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(settings.rate_per_second));
        Self(RateLimiter::keyed(quota.allow_burst(at_least_one(settings.rate_burst))))
    }

    /// Counts a request of `key`. The error says how long to wait.
    pub fn take(&self, key: &str) -> Result<(), Duration> {
        self.0.check_key(&key.to_owned()).map_err(|early| early.wait_time_from(self.0.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use chrono::Utc;
    use perch_base::{Environment, settings::PostgresSettings};
    use perch_store::Scope;

    use super::*;

    fn key() -> Arc<ApiKey> {
        Arc::new(ApiKey {
            id: "key_1".into(),
            name: "one".into(),
            scopes: vec![Scope::Read],
            created_at: Utc::now(),
            revoked_at: None,
            last_used: None,
        })
    }

    fn nobody_there() -> Store {
        let short = Duration::from_millis(50);
        let settings = PostgresSettings { max_connections: 1, acquire_timeout: short, statement_timeout: short };
        let url = SecretString::from("postgres://nobody@127.0.0.1:9/none");
        Store::connect_lazy(&url, Environment::Staging, &settings).expect("a Postgres URL")
    }

    fn long_ago() -> Instant {
        Instant::now().checked_sub(FRESH * 2).expect("the machine has been up for a minute")
    }

    #[tokio::test]
    async fn while_postgres_is_away_a_known_key_goes_on_working_and_an_unknown_one_is_not_judged() {
        let (ring, store) = (KeyRing::new(), nobody_there());
        let long_ago = LookUp { asked: long_ago(), ..ring.begin() };
        ring.remember(Sha256::digest(b"perch_stg_known").into(), Some(key()), long_ago);
        let found = ring.find(&store, "perch_stg_known").await.expect("it is remembered");
        assert_eq!(found.expect("it worked before").name, "one");
        assert_eq!(ring.find(&store, "perch_stg_new").await, Err(KeyLookupUnavailable));
    }

    #[tokio::test]
    async fn what_cannot_be_a_token_is_refused_without_asking_postgres() {
        let (ring, store) = (KeyRing::new(), nobody_there());
        let long = format!("perch_{}", "x".repeat(LONGEST));
        for token in ["", "secret", "perch_ä", long.as_str()] {
            assert_eq!(ring.find(&store, token).await, Ok(None), "{token}");
        }
    }

    #[test]
    fn a_flood_of_unknown_keys_does_not_push_out_a_good_one_nor_grow_without_end() {
        let ring = KeyRing::new();
        ring.remember([255; 32], Some(key()), ring.begin());
        for n in 0..u32::try_from(MOST).expect("a small number") + 10 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            ring.remember(hash, None, ring.begin());
        }
        assert!(ring.recall(&[255; 32]).is_some());
        assert!(ring.memory().known.len() <= MOST);
    }

    fn settings() -> HttpSettings {
        let bind: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        HttpSettings {
            bind,
            max_body_bytes: 1,
            max_batch: 1,
            rate_per_second: 1,
            rate_burst: 2,
            requests_per_key: 2,
            bytes_under_way: 1,
            max_connections: 1,
            idle_timeout: Duration::from_secs(1),
            metrics_bind: None,
        }
    }

    #[test]
    fn a_key_has_only_so_many_requests_under_way_and_takes_none_from_another() {
        let at_once = ConcurrencyLimit::new(&settings());
        let first = at_once.take("a").expect("room");
        let second = at_once.take("a").expect("room");
        assert!(at_once.take("a").is_none() && at_once.take("b").is_some());
        drop(first);
        assert!(at_once.take("a").is_some());
        drop(second);
    }

    #[tokio::test]
    async fn a_key_that_was_revoked_opens_nothing_while_postgres_is_away() {
        let (ring, store) = (KeyRing::new(), nobody_there());
        let hash: Hash = Sha256::digest(b"perch_stg_one").into();
        ring.remember(hash, Some(key()), ring.begin());
        ring.forget("key_2");
        ring.doubt_all();
        assert!(ring.find(&store, "perch_stg_one").await.is_ok_and(|key| key.is_some()));
        ring.forget("key_1");
        assert_eq!(ring.find(&store, "perch_stg_one").await, Err(KeyLookupUnavailable));
    }

    #[tokio::test]
    async fn what_was_read_of_a_key_before_it_was_revoked_is_not_remembered() {
        let (ring, store) = (KeyRing::new(), nobody_there());
        let hash: Hash = Sha256::digest(b"perch_stg_one").into();
        for doubt in [|ring: &KeyRing| ring.forget("key_1"), KeyRing::doubt_all] {
            let began = ring.begin();
            doubt(&ring);
            ring.remember(hash, Some(key()), began);
            assert_eq!(ring.find(&store, "perch_stg_one").await, Err(KeyLookupUnavailable));
        }
    }

    #[tokio::test]
    async fn a_key_that_was_revoked_while_postgres_was_asked_in_vain_opens_nothing() {
        let ring = KeyRing::new();
        let hash: Hash = Sha256::digest(b"perch_stg_one").into();
        let long_ago = LookUp { asked: long_ago(), ..ring.begin() };
        ring.remember(hash, Some(key()), long_ago);
        assert!(ring.make_do(&hash).is_ok_and(|key| key.is_some()));
        ring.forget("key_1");
        assert_eq!(ring.make_do(&hash), Err(KeyLookupUnavailable));
    }

    #[test]
    fn a_key_may_burst_and_then_has_to_wait() {
        let pace = RequestRate::new(&settings());
        assert_eq!((pace.take("a"), pace.take("a")), (Ok(()), Ok(())));
        assert!(pace.take("a").expect_err("the burst is spent") <= Duration::from_secs(1));
        assert_eq!(pace.take("b"), Ok(()));
    }
}
