//! The table of personas. Each change and its line in the audit log are written in one transaction.

use perch_base::{Page, Paging};
use perch_jobs::{AccountId, PersonaName};
use perch_store::{
    Store, StoreError, json, query, query_as, query_scalar,
    row::{self, readable_rows},
};
use sqlx::Row as _;

use super::{Persona, PersonaSpec};

/// The personas of an environment.
#[derive(Debug, Clone, Copy)]
pub struct PersonaTable<'a>(pub(super) &'a Store);

/// The table of personas, on the store of the platform.
pub trait PersonaStore {
    /// The personas.
    fn personas(&self) -> PersonaTable<'_>;
}

impl PersonaStore for Store {
    fn personas(&self) -> PersonaTable<'_> {
        PersonaTable(self)
    }
}

/// Which personas. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonaFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Only those that post, or only those that do not.
    pub enabled: Option<bool>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum PersonaChange {
    /// It is there now, and was not before.
    Added(Persona),
    /// It is changed.
    Changed(Persona),
    /// It was so before.
    Unchanged(Persona),
    /// It has another version than the caller has seen; this is how it stands.
    Conflict(Persona),
    /// There is no such persona.
    Unknown,
}

impl PersonaTable<'_> {
    /// One persona.
    pub async fn get(&self, name: &PersonaName) -> Result<Option<Persona>, StoreError> {
        query_as!("select * from personas where environment = $1 and name = $2", self.0.env().as_str(), name.as_str())
            .fetch_optional(self.0.pool())
            .await
            .map_err(StoreError::on("read a persona"))
    }

    /// The persona that an account speaks as: of several the first that was added, one that posts before one that does not.
    pub async fn of_account(&self, account: &AccountId) -> Result<Option<Persona>, StoreError> {
        query_as!(
            "select * from personas where environment = $1 and account = $2 order by enabled desc, created_at, name limit 1",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a persona"))
    }

    /// All personas that post, by name. One that cannot be read is left out, and counted.
    pub async fn enabled(&self) -> Result<Vec<Persona>, StoreError> {
        readable_rows(
            "read the personas",
            query_as!("select * from personas where environment = $1 and enabled order by name", self.0.env().as_str())
                .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Personas by name, page by page.
    pub async fn list(&self, filter: &PersonaFilter, paging: &Paging) -> Result<Page<Persona>, StoreError> {
        const LIST: &str = "personas";
        let doing = "list personas";
        let after: Option<String> = paging.place(LIST)?;
        let rows = query!(
            "select * from personas
             where environment = $1 and ($2::text is null or account = $2) and ($3::boolean is null or enabled = $3)
               and ($4::text is null or name > $4)
             order by name limit $5",
            self.0.env().as_str(),
            filter.account.as_ref().map(AccountId::as_str),
            filter.enabled,
            after,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("name"))
    }

    /// Adds a persona, or replaces what it is. `seen` is the version that the caller has read: with another one nothing is changed, and
    /// with 0 there must be none yet. The caller has checked `spec`.
    pub async fn put(
        &self,
        name: &PersonaName,
        spec: &PersonaSpec,
        seen: Option<u64>,
        by: &str,
    ) -> Result<PersonaChange, StoreError> {
        let doing = "write a persona";
        let text = serde_json::to_string(spec)
            .map_err(|error| StoreError::Invalid { what: "a persona", reason: error.to_string() })?;
        let written: Option<Persona> = query_as!(
            "with before as (select spec from personas where environment = $1 and name = $2),
             written as (
                 insert into personas as p (environment, name, account, spec, updated_by)
                 select $1, $2, $3, $4::jsonb, $5
                 where coalesce($6::bigint, 0) = 0 or exists (select from before)
                 on conflict (environment, name) do update
                 set account = excluded.account, spec = excluded.spec, version = p.version + 1,
                     updated_at = clock_timestamp(), updated_by = excluded.updated_by
                 where ($6::bigint is null or p.version = $6) and p.spec is distinct from excluded.spec
                 returning *
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $5, case when version = 1 then 'personas.add' else 'personas.edit' end, $2,
                        jsonb_build_object('version', version, 'before', (select spec from before), 'after', spec)
                 from written
             )
             select * from written",
            self.0.env().as_str(),
            name.as_str(),
            spec.account.as_str(),
            json::without_nul(&text).as_ref(),
            by,
            seen.map(|version| i64::try_from(version).unwrap_or(i64::MAX))
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        if let Some(persona) = written {
            return Ok(if persona.version == 1 {
                PersonaChange::Added(persona)
            } else {
                PersonaChange::Changed(persona)
            });
        }
        Ok(match self.get(name).await? {
            None => PersonaChange::Unknown,
            Some(persona) if seen.is_some_and(|seen| seen != persona.version) => PersonaChange::Conflict(persona),
            Some(persona) => PersonaChange::Unchanged(persona),
        })
    }

    /// Has a persona post, or not.
    pub async fn set_enabled(&self, name: &PersonaName, enabled: bool, by: &str) -> Result<PersonaChange, StoreError> {
        let changed: Option<Persona> = query_as!(
            "with changed as (
                 update personas
                 set enabled = $3, version = version + 1, updated_at = clock_timestamp(), updated_by = $4
                 where environment = $1 and name = $2 and enabled <> $3
                 returning *
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $4, case when $3 then 'personas.resume' else 'personas.pause' end, $2,
                        jsonb_build_object('version', version)
                 from changed
             )
             select * from changed",
            self.0.env().as_str(),
            name.as_str(),
            enabled,
            by
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("switch a persona"))?;
        Ok(match changed {
            Some(persona) => PersonaChange::Changed(persona),
            None => self.get(name).await?.map_or(PersonaChange::Unknown, PersonaChange::Unchanged),
        })
    }

    /// Removes a persona. False when there was none.
    pub async fn remove(&self, name: &PersonaName, by: &str) -> Result<bool, StoreError> {
        query_scalar!(
            "with gone as (
                 delete from personas where environment = $1 and name = $2 returning spec, version
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $3, 'personas.remove', $2, jsonb_build_object('version', version, 'before', spec) from gone
             )
             select exists (select from gone)",
            self.0.env().as_str(),
            name.as_str(),
            by
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("remove a persona"))
    }
}
