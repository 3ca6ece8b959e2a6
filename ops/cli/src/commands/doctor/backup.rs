//! Checks whether Postgres can be restored, and the ledger queues from it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::{Settings, settings::PostgresBackup};
use perch_jobs::QueueName;
use perch_queue::Envelope;
use perch_store::{BackupFacts, Restorable, Store};

use super::check::Check;
use crate::{
    app::store,
    error::{CommandError, chain},
    format::{text::count, time::from_now},
};

const POSTGRES: &str = "Postgres backups";
const LEDGER: &str = "ledger jobs";
/// Most envelopes that are read for the check: more than a queue usually holds, and few enough to be quick.
const READ: usize = 10_000;
const AT_ONCE: u32 = 500;

/// Whether Postgres is backed up; an error when it does not answer.
pub async fn postgres(settings: &Settings) -> Result<Check, Check> {
    let asked = async { Ok::<_, CommandError>(store(settings)?.recovery().backups().await?) };
    match asked.await {
        Ok(facts) => Ok(judge(&facts, settings.backup.postgres, Utc::now())),
        Err(error) => Err(Check::fail(POSTGRES, chain(&error)).mend("mend the connection first")),
    }
}

/// Whether the jobs of ledger queues can be restored from Postgres.
pub async fn ledger(settings: &Settings) -> Check {
    let queues: Vec<QueueName> =
        settings.queues.iter().filter(|(_, queue)| queue.ledger).map(|(name, _)| name.clone()).collect();
    let retention = settings.queues.values().map(|queue| queue.dead_retention).max().unwrap_or_default();
    let asked = async {
        let store = store(settings)?;
        let counted = store.recovery().restorable(&queues, retention).await?;
        Ok::<_, CommandError>((counted, unreadable(&store, &queues, retention).await?))
    };
    match asked.await {
        Ok((counted, unreadable)) => judge_ledger(&queues, counted, &unreadable),
        Err(error) => Check::fail(LEDGER, chain(&error)).mend("mend the connection first"),
    }
}

/// Jobs among the first [`READ`] unfinished ones that this release cannot read.
#[derive(Debug, Default)]
struct Unreadable {
    /// Jobs with an unreadable envelope.
    envelopes: u64,
    /// Jobs with an unreadable row, and the first of them with its error.
    rows: u64,
    row: Option<String>,
}

async fn unreadable(store: &Store, queues: &[QueueName], retention: Duration) -> Result<Unreadable, CommandError> {
    let (mut read, mut unreadable, mut after) = (0, Unreadable::default(), None);
    while read < READ {
        let some = store.recovery().unfinished(queues, after, AT_ONCE, retention).await?;
        read += some.jobs.len() + some.unreadable.len();
        let is_bad = |envelope: &str| Envelope::decode(envelope.as_bytes()).is_err();
        unreadable.envelopes += some.jobs.iter().filter(|job| is_bad(&job.restore.envelope)).count() as u64;
        unreadable.rows += some.unreadable.len() as u64;
        let first = some.unreadable.first().map(|job| format!("{}: {}", &job.id, &job.reason));
        unreadable.row = unreadable.row.or(first);
        match some.next {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    Ok(unreadable)
}

/// The state of WAL archiving.
enum Archive {
    Works(DateTime<Utc>),
    /// It is switched on without a command or library.
    NoWay,
    Fails {
        since: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    Nothing,
    Off,
    NotShown,
}

fn archive(facts: &BackupFacts) -> Archive {
    match (facts.archives, facts.failed) {
        (Some(false), _) => Archive::Off,
        (None, _) => Archive::NotShown,
        (Some(true), _) if facts.has_archiver == Some(false) => Archive::NoWay,
        (Some(true), Some(failed)) if facts.archived.is_none_or(|archived| archived < failed) => {
            Archive::Fails { since: facts.archived, at: failed }
        }
        (Some(true), _) => facts.archived.map_or(Archive::Nothing, Archive::Works),
    }
}

fn judge(facts: &BackupFacts, by: PostgresBackup, now: DateTime<Utc>) -> Check {
    let broken = |found: String, mend: &str| match by {
        PostgresBackup::Archive => Check::fail(POSTGRES, found).mend(mend),
        PostgresBackup::Dumps | PostgresBackup::Provider => Check::warn(POSTGRES, found).mend(mend),
    };
    match archive(facts) {
        Archive::Works(at) => Check::ok(POSTGRES, format!("WAL is archived, last {}", from_now(at, now))),
        Archive::NoWay => broken(
            "archive_mode is on and neither archive_command nor archive_library says where to: nothing is archived, and \
             pg_wal grows"
                .to_owned(),
            "set archive_command and reload Postgres",
        ),
        Archive::Fails { since, at } => {
            let since =
                since.map_or_else(|| "has never worked".to_owned(), |at| format!("last worked {}", from_now(at, now)));
            broken(
                format!("archiving fails, last {}; it {since}, and a restore loses all after that", from_now(at, now)),
                "its log says why; until it works pg_wal grows",
            )
        }
        Archive::Nothing if by == PostgresBackup::Archive => {
            Check::warn(POSTGRES, "WAL is to be archived, and nothing has been yet")
                .mend("run `select pg_switch_wal()`, look again, and take a base backup")
        }
        Archive::Nothing | Archive::Off | Archive::NotShown => without_archive(facts, by),
    }
}

/// The finding for a server without a WAL archive: what replicas and the `backup.postgres` setting say.
fn without_archive(facts: &BackupFacts, by: PostgresBackup) -> Check {
    match by {
        PostgresBackup::Archive => replicas(facts),
        PostgresBackup::Dumps => {
            Check::info(POSTGRES, "dumps, as backup.postgres says; what came after the last is lost")
                .mend("restore one now and then, to see that it can be")
        }
        PostgresBackup::Provider => Check::ok(POSTGRES, "the provider makes them, as backup.postgres says"),
    }
}

fn replicas(facts: &BackupFacts) -> Check {
    const MEND: &str = "archive WAL (archive_mode, archive_command) beside base backups; or where a provider or dumps of yours \
                        do it, say so: backup.postgres = \"provider\" or \"dumps\"";
    match facts.replicas {
        Some(n @ 1..) => Check::info(
            POSTGRES,
            format!("{} follows: it survives the loss of the server, and repeats what is deleted", count(n, "replica")),
        )
        .mend("keep an archive or dumps too"),
        _ if facts.archives.is_none() => {
            Check::warn(POSTGRES, "Postgres does not show this user whether it archives WAL").mend(MEND)
        }
        _ => {
            let first = if facts.has_full_wal == Some(false) { "set wal_level = replica; then " } else { "" };
            Check::warn(POSTGRES, "Postgres archives no WAL and no replica follows: its loss is the loss of everything")
                .mend(format!("{first}{MEND}"))
        }
    }
}

fn judge_ledger(queues: &[QueueName], counted: Restorable, unreadable: &Unreadable) -> Check {
    if queues.is_empty() {
        return Check::info(LEDGER, "no queue is a ledger queue: with Redis its last second is lost, or more");
    }
    let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
    let names = names.join(", ");
    let unfinished = match counted.unfinished.unsigned_abs() {
        0 => "no unfinished job".to_owned(),
        n => count(n, "unfinished job"),
    };
    let rows = format!("in a row that cannot be read ({})", unreadable.row.as_deref().unwrap_or_default());
    let causes = [
        (counted.without_envelope.unsigned_abs(), "without the envelope: the history was cut off before it arrived"),
        (
            counted.without_history.unsigned_abs(),
            "without a history: it was removed, so nobody knows whether they ended",
        ),
        (unreadable.envelopes, "with an envelope that this release cannot read"),
        (unreadable.rows, rows.as_str()),
    ];
    let causes: Vec<String> = causes.iter().filter(|(n, _)| *n > 0).map(|(n, cause)| format!("{n} {cause}")).collect();
    if causes.is_empty() {
        let each = if counted.unfinished == 0 { "" } else { ", and Postgres has what a restore needs of each" };
        return Check::ok(LEDGER, format!("{names}: {unfinished}{each}"));
    }
    Check::warn(LEDGER, format!("{names}: {unfinished}, of which Postgres could not put back {}", causes.join("; ")))
        .mend("they run as long as Redis has them: let them end, and keep events_kept and the history long enough")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{super::check::Level, *};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
    }

    fn ago(minutes: i64) -> DateTime<Utc> {
        now() - TimeDelta::minutes(minutes)
    }

    fn level(facts: &BackupFacts, by: PostgresBackup) -> Level {
        let check = judge(facts, by, now());
        assert!(check.level == Level::Ok || check.mend.is_some(), "{check:?}");
        check.level
    }

    fn archiving() -> BackupFacts {
        let (archived, failed) = (Some(ago(3)), Some(ago(90)));
        BackupFacts {
            has_full_wal: Some(true),
            archives: Some(true),
            has_archiver: Some(true),
            archived,
            failed,
            replicas: Some(0),
        }
    }

    #[test]
    fn an_archive_that_works_again_is_well_and_one_that_fails_is_a_failure() {
        use PostgresBackup::{Archive, Provider};
        assert_eq!(level(&archiving(), Archive), Level::Ok);
        for failing in [
            BackupFacts { failed: Some(ago(1)), ..archiving() },
            BackupFacts { failed: Some(ago(1)), archived: None, ..archiving() },
            BackupFacts { has_archiver: Some(false), ..archiving() },
        ] {
            assert_eq!(
                (level(&failing, Archive), level(&failing, Provider)),
                (Level::Fail, Level::Warn),
                "{failing:?}"
            );
        }
        let failing = judge(&BackupFacts { failed: Some(ago(1)), ..archiving() }, Archive, now());
        assert!(failing.found.contains("fails, last 1m ago; it last worked 3m ago"), "{failing:?}");
        let new = BackupFacts { archived: None, failed: None, ..archiving() };
        assert_eq!(level(&new, Archive), Level::Warn);
    }

    #[test]
    fn without_an_archive_a_replica_is_noted_nothing_is_a_warning_and_the_operator_can_say_who_does_it() {
        use PostgresBackup::{Archive, Dumps, Provider};
        let off = BackupFacts { archives: Some(false), replicas: Some(0), ..BackupFacts::default() };
        assert_eq!(level(&off, Archive), Level::Warn);
        assert_eq!(level(&BackupFacts { replicas: Some(1), ..off.clone() }, Archive), Level::Info);
        assert_eq!((level(&off, Provider), level(&off, Dumps)), (Level::Ok, Level::Info));
        let minimal = judge(&BackupFacts { has_full_wal: Some(false), ..off }, Archive, now());
        assert!(minimal.mend.is_some_and(|mend| mend.starts_with("set wal_level = replica")));
    }

    #[test]
    fn what_a_user_may_not_see_is_not_taken_for_well() {
        assert_eq!(level(&BackupFacts::default(), PostgresBackup::Archive), Level::Warn);
        assert_eq!(level(&BackupFacts::default(), PostgresBackup::Provider), Level::Ok);
        let partly = BackupFacts { archives: Some(true), archived: Some(ago(2)), ..BackupFacts::default() };
        assert_eq!(level(&partly, PostgresBackup::Archive), Level::Ok);
    }

    #[test]
    fn jobs_that_could_not_be_put_back_are_counted_by_cause() {
        let queues = [QueueName::from_static("pending_posts")];
        let well = Restorable { unfinished: 12, ..Restorable::default() };
        assert_eq!(judge_ledger(&queues, well, &Unreadable::default()).level, Level::Ok);
        let row = Some("01X: run_at is -infinity".to_owned());
        let unreadable = Unreadable { envelopes: 3, rows: 4, row };
        let check = judge_ledger(&queues, Restorable { without_envelope: 2, without_history: 1, ..well }, &unreadable);
        assert_eq!(check.level, Level::Warn);
        for part in [
            "12 unfinished jobs",
            "2 without the envelope",
            "1 without a history",
            "3 with an envelope",
            "4 in a row",
            "01X",
        ] {
            assert!(check.found.contains(part), "{part}: {check:?}");
        }
        assert_eq!(judge_ledger(&[], well, &Unreadable::default()).level, Level::Info);
    }
}
