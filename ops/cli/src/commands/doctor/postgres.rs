//! Findings about Postgres.

use chrono::Utc;
use perch_base::{Environment, Settings};
use perch_store::{Durability, NotificationRoute, OwnRole, SchemaState, ServerInfo, Store, StoreError, schema_version};

use super::check::{Check, clock};
use crate::{app::store, error::chain};

/// Findings about the Postgres of these settings.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    const REACH: &str = "start Postgres, and see that DATABASE_URL has its address, password and database";
    let store = match store(settings) {
        Ok(store) => store,
        Err(error) => return vec![Check::fail("Postgres", chain(&error)).mend("set DATABASE_URL in the environment")],
    };
    if let Err(error) = store.ping().await {
        return vec![Check::fail("Postgres", chain(&error)).mend(REACH)];
    }
    let mut checks = match server(&store).await {
        Ok((server, ahead_ms)) => vec![
            Check::ok("Postgres", format!("version {} answers", server.version)),
            on_disk(&server.durability),
            clock("clock of Postgres", "Postgres", ahead_ms),
        ],
        Err(error) => vec![Check::fail("Postgres", chain(&error)).mend(REACH)],
    };
    checks.extend(writes(store.try_to_write().await));
    checks.push(schema(&store).await);
    checks.extend(role(&store, settings.env).await);
    checks.extend(pooler(&store).await);
    store.close().await;
    checks
}

/// The facts of the server, and how far its clock is ahead in milliseconds.
async fn server(store: &Store) -> Result<(ServerInfo, i64), StoreError> {
    let before = Utc::now();
    let server = store.server().await?;
    let here = before + (Utc::now() - before) / 2;
    let ahead_ms = (server.clock - here).num_milliseconds();
    Ok((server, ahead_ms))
}

/// Whether it accepts writes. It does not with a full disk, or as a standby.
fn writes(tried: Result<(), StoreError>) -> Option<Check> {
    const NAME: &str = "Postgres writes";
    match tried {
        Ok(()) => Some(Check::ok(NAME, "it takes what is written")),
        // A role without the right to temporary tables can still write.
        Err(StoreError::Forbidden { .. }) => None,
        Err(error) if error.is_disk_full() => Some(Check::fail(NAME, "its disk is full: nothing is written").mend(
            "enlarge the disk, or remove what is not of Postgres: never files of its data folder or of pg_wal. A replication slot \
             that nobody reads (pg_replication_slots) or a failing archive_command keeps WAL. Until then jobs of ledger queues are \
             refused, others run, and what is to be recorded waits in Redis, whose memory grows: see its figure here. Nothing has to \
             be started again",
        )),
        Err(error) => Some(Check::fail(NAME, chain(&error)).mend("see the log of Postgres")),
    }
}

/// What a crash may lose.
fn on_disk(durability: &Durability) -> Check {
    const NAME: &str = "Postgres on disk";
    let settings = [
        (durability.waits_for_disk, "fsync", "a crash of its machine can ruin the whole database"),
        (
            durability.commits_first,
            "synchronous_commit",
            "a crash of Postgres forgets what it answered in the last moments: jobs of ledger queues that were accepted are lost, \
             and what was posted may be posted again",
        ),
        (
            durability.mends_pages,
            "full_page_writes",
            "pages that were half written when its machine crashed stay broken",
        ),
    ];
    let off: Vec<_> = settings.iter().filter(|(is_on, ..)| !is_on).collect();
    if off.is_empty() {
        return Check::ok(NAME, "what it answered is on its disk");
    }
    let found: Vec<String> = off.iter().map(|(_, name, what)| format!("{name} is off: {what}")).collect();
    let names: Vec<&str> = off.iter().map(|(_, name, _)| *name).collect();
    let how = "and reload it; a role or a database may have a setting of its own";
    Check::warn(NAME, found.join("; ")).mend(format!("turn {} on in postgresql.conf {how}", names.join(", ")))
}

/// The role of the connection, and the rights of other roles.
async fn role(store: &Store, env: Environment) -> Vec<Check> {
    let asked = async { Ok::<_, StoreError>((store.roles().own().await?, store.roles().list().await?)) };
    let (own, bound) = match asked.await {
        Ok(known) => known,
        Err(error) => return vec![Check::warn(ROLE, chain(&error)).mend("mend the connection first")],
    };
    let unbound = if bound.is_empty() { Vec::new() } else { store.roles().unbound().await.unwrap_or_default() };
    vec![judge_role(&own, env, &unbound), judge_schema(&own)]
}

const ROLE: &str = "Postgres role";

fn judge_role(own: &OwnRole, env: Environment, unbound: &[String]) -> Check {
    let role = &own.role;
    let bound = own.bound_to.join(", ");
    if !own.bound_to.is_empty() && !own.bound_to.iter().any(|bound| bound == env.as_str()) {
        return Check::fail(ROLE, format!("{role} is bound to {bound}, so it sees nothing of {env}"))
            .mend(format!("use a role of {env} in DATABASE_URL; `perch roles list` shows them"));
    }
    if !own.bound_to.is_empty() {
        return Check::ok(ROLE, format!("{role} sees {bound} and nothing else"));
    }
    let others: Vec<&str> = unbound.iter().filter(|other| **other != own.role).map(String::as_str).collect();
    if others.is_empty() {
        return Check::ok(ROLE, format!("{role}, which is bound to no environment"));
    }
    Check::info(ROLE, format!("bound to no environment, though other roles are: {}", &others.join(", ")))
        .mend("bind those that need one environment alone: `perch roles bind ROLE`")
}

fn judge_schema(own: &OwnRole) -> Check {
    const NAME: &str = "Postgres schema";
    let schema = &own.schema;
    if own.anybody_creates {
        return Check::warn(
            NAME,
            format!(
                "every role may create in {schema}: what it makes there can be taken for a function of Postgres and runs with \
                 Perch's rights"
            ),
        )
        .mend(format!("as its owner: revoke create on schema {schema} from public"));
    }
    Check::ok(NAME, format!("only roles that were let create in {schema}"))
}

/// Whether new jobs are notified through a pooler; `None` without one.
async fn pooler(store: &Store) -> Option<Check> {
    const NAME: &str = "Postgres pooler";
    match store.notification_route() {
        NotificationRoute::Direct => None,
        NotificationRoute::Nowhere => {
            Some(Check::info(NAME, "in transaction mode: what perch_enqueue adds is looked for every 5 seconds").mend(
                "set DATABASE_SESSION_URL, an address of the same database past the pooler, to hear of it at once",
            ))
        }
        NotificationRoute::PastPooler => Some(match store.routes_reach_same_database().await {
            Ok(true) => Check::ok(NAME, "in transaction mode; DATABASE_SESSION_URL leads past it"),
            Ok(false) => Check::fail(NAME, "DATABASE_SESSION_URL leads to another database than DATABASE_URL")
                .mend("let both lead to the same database of the same server"),
            Err(error) => {
                Check::warn(NAME, format!("in transaction mode, and nothing leads past it: {}", chain(&error)))
                    .mend("correct DATABASE_SESSION_URL; until then new jobs are looked for every 5 seconds")
            }
        }),
    }
}

async fn schema(store: &Store) -> Check {
    const NAME: &str = "migrations";
    match store.schema().await {
        Ok(SchemaState::Current { version }) => match store.require_schemas_of_bots().await {
            Ok(()) => Check::ok(NAME, format!("schema {version}, as this release needs it")),
            Err(error) => {
                Check::fail(NAME, chain(&error)).mend("run `perch migrate`, with the program that has the bot")
            }
        },
        Ok(SchemaState::Empty) => {
            Check::fail(NAME, format!("the database is empty; this release needs schema {}", schema_version()))
                .mend("run `perch migrate`")
        }
        Ok(SchemaState::Behind { have, need }) => {
            Check::fail(NAME, format!("the database has schema {have}; this release needs {need}"))
                .mend("run `perch migrate`")
        }
        Ok(SchemaState::Newer { have, know }) => {
            Check::fail(NAME, format!("a newer release migrated the database (schema {have}; this one knows {know})"))
                .mend("deploy that release, or restore the database from before")
        }
        Err(error) => Check::fail(NAME, chain(&error)).mend("mend the connection first"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    #[test]
    fn what_a_crash_would_take_is_named_for_each_setting_that_is_off() {
        let all = Durability { waits_for_disk: true, mends_pages: true, commits_first: true };
        assert_eq!(on_disk(&all).level, Level::Ok);
        let check = on_disk(&Durability { commits_first: false, ..all.clone() });
        assert_eq!(check.level, Level::Warn);
        assert!(check.found.contains("ledger queues") && !check.found.contains("fsync"), "{check:?}");
        let check = on_disk(&Durability { waits_for_disk: false, mends_pages: false, ..all });
        assert!(check.mend.is_some_and(|mend| mend.starts_with("turn fsync, full_page_writes on")));
    }

    #[test]
    fn a_role_of_the_other_environment_is_a_failure_and_roles_of_neither_are_told() {
        let own = |bound_to: &[&str]| OwnRole {
            role: "app".into(),
            bound_to: bound_to.iter().map(|&bound| bound.to_owned()).collect(),
            anybody_creates: true,
            schema: "public".into(),
        };
        let judged = |bound_to: &[&str], unbound: &[String]| judge_role(&own(bound_to), Environment::Staging, unbound);
        assert_eq!(judged(&["production"], &[]).level, Level::Fail);
        assert_eq!(judged(&["staging"], &["other".into()]).level, Level::Ok);
        assert_eq!(judged(&[], &["app".into()]).level, Level::Ok);
        let check = judged(&[], &["app".into(), "billing".into()]);
        assert!(check.level == Level::Info && check.found.contains("billing"), "{check:?}");
        let schema = judge_schema(&own(&[]));
        assert!(schema.level == Level::Warn && schema.mend.is_some_and(|mend| mend.contains("revoke create")));
    }
}
