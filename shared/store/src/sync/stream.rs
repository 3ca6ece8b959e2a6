//! Reading a Redis stream from the end of the last batch on.

use std::{sync::LazyLock, time::Duration};

use perch_queue::{EntryId, Redis};
use redis::{FromRedisValue, Script, Value};

use crate::StoreError;

static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/read.lua")));

/// Bytes of one batch, which bounds the memory that a sync needs.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How far a stream has been moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The last entry moved.
    pub id: EntryId,
    /// How many entries had been added to the stream up to that one; -1 when Redis does not say.
    pub ordinal: i64,
    /// The last version assigned: the id of that entry, or the successor of the version before if that is later.
    pub version: EntryId,
}

/// One entry: its fields and values, in order.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: EntryId,
    /// Orders the rows made from it. Versions only grow, whatever clock the ids follow.
    pub version: EntryId,
    pub fields: Vec<(String, String)>,
}

/// What was read of a stream after a position.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamRead {
    now_ms: u64,
    added: i64,
    length: i64,
    /// `None` when the stream does not exist.
    last: Option<EntryId>,
    position_held: bool,
    /// The last entry that Postgres had when the stream was trimmed last.
    synced: Option<EntryId>,
    pub more: bool,
    pub entries: Vec<Entry>,
}

/// Whether the entries that were read follow those that were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    /// They do.
    Unbroken,
    /// At least so many in between are missing; Redis before version 7 does not say how many.
    Gap(u64),
    /// It is another stream: Redis was emptied or replaced.
    Restarted,
}

impl StreamRead {
    /// The age of the oldest entry that was not moved, by the clock of Redis.
    pub fn lag(&self) -> Duration {
        let oldest = self.entries.first().map_or(self.now_ms, |entry| entry.id.ms);
        Duration::from_millis(self.now_ms.saturating_sub(oldest))
    }

    /// Whether Postgres had entries after this position when the stream was last trimmed.
    pub fn is_beyond(&self, from: Position) -> bool {
        self.synced.is_some_and(|had| had > from.id)
    }

    /// How many entries the stream holds, those moved and not yet trimmed included.
    pub fn length(&self) -> u64 {
        crate::row::unsigned(self.length)
    }

    pub fn continuity(&self, from: Position) -> Continuity {
        let Some(last) = self.last else { return Continuity::Unbroken };
        if last < from.id {
            return Continuity::Restarted;
        }
        if self.position_held {
            return Continuity::Unbroken;
        }
        // The entry at the position was trimmed, and with it all before: everything the stream holds comes after it.
        if self.added < 0 || from.ordinal < 0 {
            let nothing_expected = from.id == EntryId::default() || self.entries.is_empty();
            return if nothing_expected { Continuity::Unbroken } else { Continuity::Gap(1) };
        }
        match self.added - self.length - from.ordinal {
            0 => Continuity::Unbroken,
            missing if missing > 0 => Continuity::Gap(crate::row::unsigned(missing)),
            _ => Continuity::Restarted,
        }
    }

    /// The position after the entries that were read.
    pub fn after(&self, from: Position) -> Position {
        let Some(last) = self.entries.last() else { return from };
        let read = i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
        let ordinal = if self.added < 0 {
            -1
        } else if self.position_held && from.ordinal >= 0 {
            from.ordinal + read
        } else if self.position_held {
            -1
        } else {
            self.added - self.length + read
        };
        let version = self.entries.iter().map(|entry| entry.version).max().unwrap_or_default().max(from.version);
        Position { id: last.id, ordinal, version }
    }

    /// The events of entries whose ids are not later than the last version, each with the id of its entry: Redis came back with an older
    /// copy of the stream, or its clock is behind.
    pub fn not_later_than(&self, last: EntryId) -> Vec<(EntryId, &str)> {
        let doubtful = self.entries.iter().filter(|entry| entry.id <= last);
        doubtful.flat_map(|entry| entry.fields.iter().map(|(event, _)| (entry.id, event.as_str()))).collect()
    }

    /// Assigns each entry its version: its id, or the successor of the last version if the id is not later. An entry that was `moved`
    /// before keeps its id as the version.
    pub fn give_versions(&mut self, mut last: EntryId, moved: impl Fn(EntryId) -> bool) {
        for entry in &mut self.entries {
            if entry.id <= last && moved(entry.id) {
                continue;
            }
            last = entry.id.max(EntryId { ms: last.ms, seq: last.seq + 1 });
            entry.version = last;
        }
    }
}

/// Fields that one script call reads, because Redis is blocked meanwhile.
const PAGE: usize = 500;

/// Reads the entries after `after`: at least one if there is one, until `fields` fields or 4 MiB are reached.
pub(super) async fn read(redis: &Redis, key: &str, after: EntryId, fields: usize) -> Result<StreamRead, StoreError> {
    let mut look = page(redis, key, after, fields.min(PAGE), BATCH_BYTES).await?;
    let (mut fields_read, mut bytes_read) = size(&look.entries);
    while look.more && fields_read < fields && bytes_read < BATCH_BYTES {
        let Some(last) = look.entries.last() else { break };
        let following = page(redis, key, last.id, (fields - fields_read).min(PAGE), BATCH_BYTES - bytes_read).await?;
        if !following.position_held {
            // It was trimmed in between; the next batch shows whether something is missing.
            break;
        }
        let (fields, bytes) = size(&following.entries);
        (fields_read, bytes_read) = (fields_read + fields, bytes_read + bytes);
        look.more = following.more;
        look.entries.extend(following.entries);
    }
    Ok(look)
}

/// The number of fields, and the bytes of fields and values.
fn size(entries: &[Entry]) -> (usize, usize) {
    let fields = || entries.iter().flat_map(|entry| &entry.fields);
    (fields().count(), fields().map(|(field, value)| field.len() + value.len()).sum())
}

async fn page(redis: &Redis, key: &str, after: EntryId, fields: usize, bytes: usize) -> Result<StreamRead, StoreError> {
    let mut call = READ.prepare_invoke();
    call.key(key).key(synced_key(key)).arg(after.to_string()).arg(fields).arg(bytes);
    let answer: Vec<Value> =
        redis.call("read a stream", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
    understand(answer)
        .map_err(|error| StoreError::Invalid { what: "the answer of a stream", reason: format!("{key}: {error}") })
}

fn understand(answer: Vec<Value>) -> Result<StreamRead, redis::ParsingError> {
    let mut values = answer.into_iter();
    let mut next = || values.next().unwrap_or(Value::Nil);
    let now_ms = u64::from_redis_value(next())?;
    let added = i64::from_redis_value(next())?;
    let length = i64::from_redis_value(next())?;
    let last = String::from_redis_value(next())?.parse().ok();
    let position_held = bool::from_redis_value(next())?;
    let more = bool::from_redis_value(next())?;
    let synced = Option::<Vec<u8>>::from_redis_value(next())?.and_then(entry);
    let mut entries = Vec::new();
    for value in values {
        let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
        let id = id.parse().map_err(|_| redis::ParsingError::from(format!("entry id {id:?}")))?;
        let mut texts = fields.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut pairs = Vec::new();
        while let (Some(field), Some(value)) = (texts.next(), texts.next()) {
            pairs.push((field, value));
        }
        entries.push(Entry { id, version: id, fields: pairs });
    }
    Ok(StreamRead { now_ms, added, length, last, position_held, synced, more, entries })
}

/// Trims the entries before `from`. The entry itself stays, so that the next read can tell that nothing is missing.
pub(super) async fn trim(redis: &Redis, key: &str, from: EntryId) -> Result<(), StoreError> {
    let mut cmd = redis::cmd("XTRIM");
    cmd.arg(key).arg("MINID").arg(from.to_string());
    redis.cmd::<i64>("trim a stream", &cmd).await?;
    Ok(())
}

/// The last entry that Postgres had when the stream was trimmed last. A Postgres that has less has lost data.
pub(super) async fn synced(redis: &Redis, key: &str) -> Result<Option<EntryId>, StoreError> {
    let mut cmd = redis::cmd("GET");
    cmd.arg(synced_key(key));
    match redis.cmd::<Option<Vec<u8>>>("read what was synced", &cmd).await {
        Ok(text) => Ok(text.and_then(entry)),
        Err(error) if error.is_unavailable() => Err(error.into()),
        // The key holds a value of another type, which is ignored; the next trim overwrites it.
        Err(error) => {
            tracing::warn!(%error, stream = key, "what Postgres had of a stream cannot be read");
            Ok(None)
        }
    }
}

fn entry(text: Vec<u8>) -> Option<EntryId> {
    String::from_utf8(text).ok()?.parse().ok()
}

pub(super) async fn note_synced(redis: &Redis, key: &str, upto: EntryId) -> Result<(), StoreError> {
    let mut cmd = redis::cmd("SET");
    cmd.arg(synced_key(key)).arg(upto.to_string());
    Ok(redis.cmd("note what was synced", &cmd).await?)
}

fn synced_key(key: &str) -> String {
    format!("{key}_synced")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn position(ordinal: i64) -> Position {
        Position { id: id(30), ordinal, version: id(30) }
    }

    #[test]
    fn versions_only_grow_though_the_ids_of_a_stream_that_began_anew_are_lower() {
        let mut look = look(4, &[10, 20, 30, 40], false, &[10, 20, 30, 40]);
        look.give_versions(id(30), |_| false);
        let versions: Vec<EntryId> = look.entries.iter().map(|entry| entry.version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b) && versions[0] > id(30), "{versions:?}");
        assert_eq!(versions[3], id(40), "ids are versions again once they are later");
        assert_eq!(look.after(position(9)).version, id(40));
    }

    #[test]
    fn an_entry_that_was_moved_before_keeps_its_version() {
        let mut look = look(3, &[10, 20, 25], false, &[10, 20, 25]);
        assert_eq!(look.not_later_than(id(22)), [(id(10), "done 10"), (id(20), "done 20")]);
        look.give_versions(id(22), |moved| moved == id(10));
        let versions: Vec<EntryId> = look.entries.iter().map(|entry| entry.version).collect();
        assert_eq!(versions, [id(10), EntryId { ms: 22, seq: 1 }, id(25)]);
    }

    fn look(added: i64, held: &[u64], position_held: bool, unread: &[u64]) -> StreamRead {
        StreamRead {
            now_ms: 1_000,
            added,
            length: i64::try_from(held.len()).expect("few"),
            last: held.last().map(|ms| id(*ms)),
            position_held,
            synced: None,
            more: false,
            entries: unread
                .iter()
                .map(|ms| Entry { id: id(*ms), version: id(*ms), fields: vec![(format!("done {ms}"), String::new())] })
                .collect(),
        }
    }

    #[test]
    fn entries_that_follow_the_last_one_moved_leave_no_gap() {
        let at = position(3);
        let look = look(5, &[30, 40, 50], true, &[40, 50]);
        assert_eq!(look.continuity(at), Continuity::Unbroken);
        assert_eq!(look.after(at), Position { id: id(50), ordinal: 5, version: id(50) });
    }

    #[test]
    fn entries_trimmed_before_they_were_moved_are_counted() {
        let at = position(3);
        let look = look(9, &[80, 90], false, &[80, 90]);
        assert_eq!(look.continuity(at), Continuity::Gap(4));
        assert_eq!(look.after(at).ordinal, 9);
    }

    #[test]
    fn a_first_read_of_a_stream_that_was_trimmed_already_is_a_gap() {
        assert_eq!(look(5, &[40, 50], false, &[40, 50]).continuity(Position::default()), Continuity::Gap(3));
        assert_eq!(look(2, &[40, 50], false, &[40, 50]).continuity(Position::default()), Continuity::Unbroken);
    }

    #[test]
    fn only_the_moved_entry_itself_being_trimmed_is_no_gap() {
        let at = position(3);
        assert_eq!(look(5, &[40, 50], false, &[40, 50]).continuity(at), Continuity::Unbroken);
    }

    #[test]
    fn an_emptied_redis_is_told_from_a_gap() {
        let at = position(300);
        assert_eq!(look(2, &[40, 50], false, &[40, 50]).continuity(at), Continuity::Restarted);
        assert_eq!(look(2, &[10, 20], false, &[]).continuity(at), Continuity::Restarted);
        assert_eq!(StreamRead::default().continuity(at), Continuity::Unbroken);
    }

    #[test]
    fn a_redis_that_does_not_count_its_entries_still_shows_that_some_are_gone() {
        let at = position(-1);
        assert_eq!(look(-1, &[80, 90], false, &[80, 90]).continuity(at), Continuity::Gap(1));
        assert_eq!(look(-1, &[80, 90], false, &[80, 90]).continuity(Position::default()), Continuity::Unbroken);
    }
}
