//! A ledger of one's own.

use chrono::Utc;
use perch_base::Environment;
use perch_jobs::JobId;
use perch_store::{
    Claim, EffectEvent, EffectEventKind, EffectIntent, EffectState, Evidence, Permit, Resolution, ResolveOutcome,
    Store, Takeover, request_digest,
};
use perch_testkit::TestDatabase;

pub struct World {
    pub database: TestDatabase,
    pub store: Store,
    pub job: JobId,
}

impl World {
    pub async fn start() -> Self {
        let database = TestDatabase::create().await;
        let store = database.store(Environment::Staging);
        Self { database, store, job: JobId::at(Utc::now()) }
    }

    pub fn intent(&self, attempt: u32) -> EffectIntent {
        EffectIntent {
            key: "post:main:1".into(),
            kind: "post".into(),
            account: "main".into(),
            digest: request_digest(&["main", "hello"]),
            job: self.job,
            attempt,
            holder: format!("worker-{attempt}"),
            live: true,
        }
    }

    pub async fn claim(&self, attempt: u32) -> Claim {
        self.store.effects().claim(&self.intent(attempt)).await.unwrap()
    }

    pub async fn state(&self) -> EffectState {
        self.store.effects().get("post:main:1").await.unwrap().unwrap().state
    }

    pub async fn history(&self) -> Vec<EffectEvent> {
        self.store.effects().history("post:main:1", 100).await.unwrap()
    }

    pub async fn resolve(&self, resolution: &Resolution) -> ResolveOutcome {
        self.store.effects().resolve("post:main:1", resolution, "anna", "I looked").await.unwrap()
    }

    pub async fn age(&self, age: std::time::Duration) {
        sqlx::query("update effects set intended_at = now() - $1 * interval '1 second'")
            .bind(age.as_secs_f64())
            .execute(&self.database.raw())
            .await
            .unwrap();
    }
}

pub fn found(id: &str) -> Evidence {
    Evidence::Found { id: id.into(), looked_at: 2, since: Utc::now() }
}

pub fn nothing() -> Evidence {
    Evidence::NotFound { looked_at: 7, since: Utc::now(), complete: true, quiet_ms: 12_000, needed_ms: 10_000 }
}

pub fn events(history: &[EffectEvent]) -> Vec<(EffectEventKind, i64, Option<u32>)> {
    history.iter().map(|event| (event.event, event.fence, event.attempt)).collect()
}

pub fn granted(claim: Claim) -> Permit {
    match claim {
        Claim::Granted(permit) => permit,
        other => panic!("expected a permit, got {other:?}"),
    }
}

pub fn unresolved(claim: Claim) -> Takeover {
    match claim {
        Claim::Unresolved { takeover, .. } => takeover,
        other => panic!("expected to have to ask, got {other:?}"),
    }
}
