//! Roles of Postgres that are bound to one environment: they can neither read nor write rows of the other.
//!
//! They are bound by policies of row-level security, which functions in the migrations create.

use perch_base::Environment;
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    Store, StoreError, query, query_as,
    row::{parsed, readable_rows},
};

/// The roles that are bound to an environment.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a>(pub(crate) &'a Store);

/// A role that is bound to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundRole {
    /// Its name.
    pub role: String,
    /// The environment.
    pub environment: Environment,
    /// Whether it may run Perch; otherwise it may only call `perch_enqueue`.
    pub runs: bool,
}

impl FromRow<'_, PgRow> for BoundRole {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { role: row.try_get("role")?, environment: parsed(row, "environment")?, runs: row.try_get("runs")? })
    }
}

/// The role as which Perch is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRole {
    /// Its name.
    pub role: String,
    /// The environments that it is bound to; empty when it is not bound.
    pub bound_to: Vec<String>,
    /// Whether any role may create objects in the schema of Perch, which could hijack its statements.
    pub anybody_creates: bool,
    /// The schema of Perch.
    pub schema: String,
}

/// Selects the environments that a role is bound to; works with any schema version.
macro_rules! bound {
    ($before:literal, $role:literal, $after:literal) => {
        crate::query_scalar!(
            $before
            "select substr(p.polname, 7)
             from pg_policy p
             join pg_class c on c.oid = p.polrelid
             where p.polrelid = to_regclass('outbox') and p.polname in ('perch_staging', 'perch_production')
               and exists (select from unnest(p.polroles) as r(role) where pg_has_role("
            $role
            ", r.role, 'usage')) and not pg_has_role("
            $role
            ", c.relowner, 'usage')"
            $after
        )
    };
}

impl Store {
    /// The roles that are bound to an environment.
    pub fn roles(&self) -> Roles<'_> {
        Roles(self)
    }
}

impl Roles<'_> {
    /// Binds a role to the environment of the store and lets it run Perch there, or only call `perch_enqueue` with `enqueue_only`.
    /// Only the owner of the tables can do this.
    pub async fn bind(&self, role: &str, enqueue_only: bool) -> Result<(), StoreError> {
        query!("select perch_bind_role($1, $2, $3)", role, self.0.env_name(), enqueue_only)
            .execute(&self.0.pool)
            .await
            .map(|_| ())
            .map_err(refused("bind a role"))
    }

    /// Revokes the rights of a role on Perch and removes its binding. False when it was not bound.
    pub async fn release(&self, role: &str) -> Result<bool, StoreError> {
        let bound = self.list().await?.iter().any(|bound| bound.role == role);
        if bound {
            let released = query!("select perch_release_role($1)", role).execute(&self.0.pool).await;
            released.map_err(refused("release a role"))?;
        }
        Ok(bound)
    }

    /// The roles that are bound, to either environment.
    pub async fn list(&self) -> Result<Vec<BoundRole>, StoreError> {
        readable_rows(
            "list roles",
            query_as!(
                "select r.rolname::text as role, substr(p.polname, 7) as environment,
                    has_table_privilege(r.oid, p.polrelid, 'select') as runs
             from pg_policy p
             join pg_roles r on r.oid = any (p.polroles)
             where p.polrelid = to_regclass('outbox') and p.polname in ('perch_staging', 'perch_production')
             order by 2, 1"
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// Roles, other than the owner of the tables and superusers, that can access rows of both environments or enqueue in both.
    pub async fn unbound(&self) -> Result<Vec<String>, StoreError> {
        bound!(
            "select a.rolname::text
             from pg_roles a, pg_class o
             where o.oid = to_regclass('outbox') and a.rolname !~ '^pg_' and not pg_has_role(a.rolname, o.relowner, 'usage')
               and (has_table_privilege(a.oid, o.oid, 'select, insert, update, delete')
                    or exists (select from pg_proc f
                               where f.pronamespace = o.relnamespace and f.proname = 'perch_enqueue'
                                 and has_function_privilege(a.oid, f.oid, 'execute')))
               and not exists (",
            "a.rolname",
            ") order by 1"
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("list roles"))
    }

    /// The role as which this store is connected.
    pub async fn own(&self) -> Result<OwnRole, StoreError> {
        let (role, schema, anybody_creates) = query_as!(
            "select current_user::text, n.nspname::text, has_schema_privilege('public', n.oid, 'create')
             from pg_namespace n
             where n.oid = coalesce((select relnamespace from pg_class where oid = to_regclass('outbox')),
                                    current_schema()::regnamespace)"
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("ask for the role"))?;
        Ok(OwnRole { role, schema, anybody_creates, bound_to: self.bound_to().await? })
    }

    async fn bound_to(&self) -> Result<Vec<String>, StoreError> {
        bound!("", "current_user", "")
            .fetch_all(&self.0.pool)
            .await
            .map_err(StoreError::on("ask what the role is bound to"))
    }

    /// Refuses a role that is only bound to another environment: it would see no rows, and all its writes would be refused.
    pub(crate) async fn require_own_environment(&self) -> Result<(), StoreError> {
        let bound_to = self.bound_to().await?;
        if bound_to.is_empty() || bound_to.iter().any(|bound| bound == self.0.env_name()) {
            return Ok(());
        }
        Err(StoreError::OtherEnvironment { bound_to: bound_to.join(", "), env: self.0.env })
    }

    /// Applies the policies to tables that a migration added, if any role is bound.
    pub(crate) async fn protect(&self) -> Result<(), StoreError> {
        let doing = "protect the tables";
        let mut tx = self.0.pool.begin_unhurried().await.map_err(StoreError::on(doing))?;
        query!(
            "select perch_protect() where exists (
                 select from pg_class where oid = to_regclass('outbox') and relrowsecurity)"
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))
    }
}

/// Passes on messages of the database functions about a role, which are meant for the user.
fn refused(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(said) if matches!(said.code().as_deref(), Some("22023" | "42704" | "0A000")) => {
            StoreError::Role { reason: said.message().to_owned() }
        }
        _ => StoreError::sql(doing, error),
    }
}
