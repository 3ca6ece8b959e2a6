use std::{sync::Arc, time::Duration};

use futures::future::{join_all, try_join_all};
use perch_base::clock;
use perch_queue::Redis;

use super::{
    Brake, BrakeCheck, BrakeClearance, BrakeLogLine, BrakeScope, BrakeState, CLEAR_FOR, LIFTED, PULLED, TimeLimit,
};
use crate::{Store, StoreError, query_as, query_scalar};

/// Several brakes that are read together, such as all that apply to an act. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Brakes(Arc<[Brake]>);

impl Brakes {
    /// The brake of everything, and those of `scopes`.
    pub fn with(redis: &Redis, store: &Store, scopes: impl IntoIterator<Item = BrakeScope>) -> Self {
        let mut all: Vec<BrakeScope> = std::iter::once(BrakeScope::Everything).chain(scopes).collect();
        all.sort();
        all.dedup();
        let brake = |scope| Brake::of(redis.clone(), store.clone(), scope);
        Self(all.into_iter().map(brake).collect())
    }

    /// The same, and the brakes of scopes that were ever pulled: an account or a bot may be gone from the configuration while its brake
    /// is on. Without Postgres, those of `scopes` only.
    pub async fn with_pulled(redis: &Redis, store: &Store, scopes: impl IntoIterator<Item = BrakeScope>) -> Self {
        let pulled = pulled(store).await.unwrap_or_default();
        Self::with(redis, store, scopes.into_iter().chain(pulled))
    }

    /// What they stop; everything comes first.
    pub fn scopes(&self) -> impl Iterator<Item = &BrakeScope> {
        self.0.iter().map(Brake::scope)
    }

    /// Their states as [`Brake::state`] has them, that of everything first. One statement of Postgres for all.
    pub async fn states(&self) -> Result<Vec<BrakeState>, StoreError> {
        states_of(&self.0).await?.into_iter().collect()
    }

    /// Their states by Redis only, without those that Redis has lost, or that nobody has asked for yet.
    pub async fn glance(&self) -> Result<Vec<BrakeState>, StoreError> {
        Ok(try_join_all(self.0.iter().map(Brake::glance)).await?.into_iter().flatten().collect())
    }

    /// Whether an act to which all of them apply may begin, as [`Brakes::states`]. Of several that are on it names the widest.
    pub async fn look(&self) -> Result<BrakeCheck, StoreError> {
        let asked = BrakeClearance(TimeLimit::starting(CLEAR_FOR));
        let mut unknown = None;
        for state in states_of(&self.0).await? {
            match state {
                Ok(state) if state.on => return Ok(BrakeCheck::Braked(state)),
                Ok(_) => {}
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        unknown.map_or(Ok(BrakeCheck::Clear(asked)), Err)
    }

    /// A check against Redis only, for an act that called [`Brakes::look`] before. `None` when Redis has lost one of them and none is on.
    pub async fn look_again(&self) -> Result<Option<BrakeCheck>, StoreError> {
        let asked = BrakeClearance(TimeLimit::starting(CLEAR_FOR));
        let held = try_join_all(self.0.iter().map(Brake::glance)).await?;
        let all_are_known = held.iter().all(Option::is_some);
        Ok(match held.into_iter().flatten().find(|state| state.on) {
            Some(state) => Some(BrakeCheck::Braked(state)),
            None => all_are_known.then_some(BrakeCheck::Clear(asked)),
        })
    }
}

/// What may be done while Redis is away, and what is made up for once it answers.
impl Brakes {
    /// Whether an act to which all of them apply may begin, by the audit log alone: for an act while Redis is away. A pull that only Redis
    /// has does not count; [`Brakes::write_missing_lines`] keeps that from lasting.
    pub async fn look_at_log(&self) -> Result<BrakeCheck, StoreError> {
        let asked = BrakeClearance(TimeLimit::starting(CLEAR_FOR));
        let Some(first) = self.0.first() else { return Ok(BrakeCheck::Clear(asked)) };
        let objects: Vec<&str> = self.0.iter().map(|brake| brake.object.as_str()).collect();
        let lines = last_lines(&first.store, &objects).await?;
        let state = |brake: &Brake| {
            let line = lines.iter().find(|line| line.object == brake.object)?;
            Some(BrakeState::of(brake.scope.clone(), line)).filter(|state| state.on)
        };
        Ok(self.0.iter().find_map(state).map_or(BrakeCheck::Clear(asked), BrakeCheck::Braked))
    }

    /// Writes the lines of brakes that were pulled while Postgres was away, so that the audit log alone says that they are on. A pull of the
    /// last `under_way` may yet write its own. Answers how many.
    pub async fn write_missing_lines(&self, under_way: Duration) -> Result<u64, StoreError> {
        let Some(first) = self.0.first() else { return Ok(0) };
        let objects: Vec<&str> = self.0.iter().map(|brake| brake.object.as_str()).collect();
        let lines = last_lines(&first.store, &objects).await?;
        let mut written = 0;
        for brake in self.0.iter() {
            let line = lines.iter().find(|line| line.object == brake.object);
            let is_missing = |state: &BrakeState| {
                let is_later = line.is_none_or(|line| line.action != PULLED && state.since > Some(line.at));
                state.on && is_later && state.since.is_none_or(|since| since + under_way <= clock::now())
            };
            let Some(state) = brake.glance().await?.filter(is_missing) else { continue };
            let (by, reason) = (state.by.as_deref().unwrap_or(""), state.reason.as_deref().unwrap_or(""));
            let pulled = brake.pull_once(by, reason, serde_json::json!({ "written_later": true })).await?;
            written += u64::from(pulled.unlogged.is_none());
        }
        Ok(written)
    }
}

/// The state of each brake by Redis and by the audit log.
async fn states_of(brakes: &[Brake]) -> Result<Vec<Result<BrakeState, StoreError>>, StoreError> {
    let Some(first) = brakes.first() else { return Ok(Vec::new()) };
    let objects: Vec<&str> = brakes.iter().map(|brake| brake.object.as_str()).collect();
    match last_lines(&first.store, &objects).await {
        Ok(lines) => {
            let line = |brake: &Brake| lines.iter().find(|line| line.object == brake.object);
            Ok(join_all(brakes.iter().map(|brake| brake.settle(line(brake)))).await)
        }
        Err(error) => {
            let held = try_join_all(brakes.iter().map(Brake::glance)).await?;
            held.into_iter().map(|state| state.map(Ok)).collect::<Option<_>>().ok_or(error)
        }
    }
}

/// The last line of the audit log about each of these brakes that it has one about.
pub(super) async fn last_lines(store: &Store, objects: &[&str]) -> Result<Vec<BrakeLogLine>, StoreError> {
    query_as!(
        "select l.id, l.at, l.actor, l.action, l.object, l.reason
         from unnest($2::text[]) as o (object)
         cross join lateral (select id, at, actor, action, object, details ->> 'reason' as reason
                             from audit_log
                             where environment = $1 and object = o.object and action in ($3, $4)
                             order by id desc limit 1) as l",
        store.env_name(),
        objects,
        PULLED,
        LIFTED
    )
    .fetch_all(&store.pool)
    .await
    .map_err(StoreError::on("read the brake"))
}

/// The scopes whose brakes were ever pulled, by the audit log.
async fn pulled(store: &Store) -> Result<Vec<BrakeScope>, StoreError> {
    let objects: Vec<String> = query_scalar!(
        "select distinct object from audit_log where environment = $1 and action = $2 and object like 'brake:%'",
        store.env_name(),
        PULLED
    )
    .fetch_all(&store.pool)
    .await
    .map_err(StoreError::on("read the brakes"))?;
    Ok(objects.iter().filter_map(|object| BrakeScope::of_brake(object)).collect())
}
