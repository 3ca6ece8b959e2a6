//! Reading a stream of Redis from where the last batch ended.

use std::{sync::LazyLock, time::Duration};

use perch_queue::{EntryId, Redis};
use redis::{FromRedisValue, Script, Value};

use crate::StoreError;

static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/read.lua")));

/// Bytes of one batch: what a process holds in memory while it moves them.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How far a stream has been moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The last entry moved.
    pub id: EntryId,
    /// How many entries the stream had been given up to that one; -1 when Redis does not say.
    pub ordinal: i64,
}

/// One entry: its fields and values, in order.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: EntryId,
    pub fields: Vec<(String, String)>,
}

/// What a stream holds after a position.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    now_ms: u64,
    added: i64,
    length: i64,
    /// `None` when the stream does not exist.
    last: Option<EntryId>,
    position_held: bool,
    pub more: bool,
    pub entries: Vec<Entry>,
}

/// Whether the entries that were read follow those that were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    /// They do.
    Unbroken,
    /// So many in between are gone (at least; Redis before version 7 does not say how many).
    Gap(u64),
    /// The stream is another: Redis was emptied, or replaced.
    Restarted,
}

impl Look {
    /// How old the oldest entry is that was not moved, by the clock of Redis.
    pub fn lag(&self) -> Duration {
        let oldest = self.entries.first().map_or(self.now_ms, |entry| entry.id.ms);
        Duration::from_millis(self.now_ms.saturating_sub(oldest))
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
        // The entry at the position is gone, and with it all before: everything the stream holds comes after it.
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
        Position { id: last.id, ordinal }
    }
}

/// Fields that one script reads: Redis does nothing else meanwhile.
const PAGE: usize = 500;

/// Reads after `after`: at least one entry if there is one, then on until `fields` fields or 4 MiB are reached.
pub(super) async fn read(redis: &Redis, key: &str, after: EntryId, fields: usize) -> Result<Look, StoreError> {
    let mut look = page(redis, key, after, fields.min(PAGE), BATCH_BYTES).await?;
    let (mut fields_read, mut bytes_read) = size(&look.entries);
    while look.more && fields_read < fields && bytes_read < BATCH_BYTES {
        let Some(last) = look.entries.last() else { break };
        let following = page(redis, key, last.id, (fields - fields_read).min(PAGE), BATCH_BYTES - bytes_read).await?;
        if !following.position_held {
            // It was trimmed in between; whether something is missing shows when the next batch is read.
            break;
        }
        let (fields, bytes) = size(&following.entries);
        (fields_read, bytes_read) = (fields_read + fields, bytes_read + bytes);
        look.more = following.more;
        look.entries.extend(following.entries);
    }
    Ok(look)
}

/// Fields, and bytes of them and their values.
fn size(entries: &[Entry]) -> (usize, usize) {
    let fields = || entries.iter().flat_map(|entry| &entry.fields);
    (fields().count(), fields().map(|(field, value)| field.len() + value.len()).sum())
}

async fn page(redis: &Redis, key: &str, after: EntryId, fields: usize, bytes: usize) -> Result<Look, StoreError> {
    let mut call = READ.prepare_invoke();
    call.key(key).arg(after.to_string()).arg(fields).arg(bytes);
    let answer: Vec<Value> =
        redis.call("read a stream", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
    understand(answer)
        .map_err(|error| StoreError::Invalid { what: "the answer of a stream", reason: format!("{key}: {error}") })
}

fn understand(answer: Vec<Value>) -> Result<Look, redis::ParsingError> {
    let mut values = answer.into_iter();
    let mut next = || values.next().unwrap_or(Value::Nil);
    let now_ms = u64::from_redis_value(next())?;
    let added = i64::from_redis_value(next())?;
    let length = i64::from_redis_value(next())?;
    let last = String::from_redis_value(next())?.parse().ok();
    let position_held = bool::from_redis_value(next())?;
    let more = bool::from_redis_value(next())?;
    let mut entries = Vec::new();
    for value in values {
        let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
        let id = id.parse().map_err(|_| redis::ParsingError::from(format!("entry id {id:?}")))?;
        let mut texts = fields.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut pairs = Vec::new();
        while let (Some(field), Some(value)) = (texts.next(), texts.next()) {
            pairs.push((field, value));
        }
        entries.push(Entry { id, fields: pairs });
    }
    Ok(Look { now_ms, added, length, last, position_held, more, entries })
}

/// Lets go of the entries before `upto`. That one stays: the next read knows by it that nothing is missing in between.
pub(super) async fn trim(redis: &Redis, key: &str, upto: EntryId) -> Result<(), StoreError> {
    let mut cmd = redis::cmd("XTRIM");
    cmd.arg(key).arg("MINID").arg(upto.to_string());
    redis.cmd::<i64>("trim a stream", &cmd).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn look(added: i64, held: &[u64], position_held: bool, unread: &[u64]) -> Look {
        Look {
            now_ms: 1_000,
            added,
            length: i64::try_from(held.len()).expect("few"),
            last: held.last().map(|ms| id(*ms)),
            position_held,
            more: false,
            entries: unread.iter().map(|ms| Entry { id: id(*ms), fields: Vec::new() }).collect(),
        }
    }

    #[test]
    fn entries_that_follow_the_last_one_moved_leave_no_gap() {
        let at = Position { id: id(30), ordinal: 3 };
        let look = look(5, &[30, 40, 50], true, &[40, 50]);
        assert_eq!(look.continuity(at), Continuity::Unbroken);
        assert_eq!(look.after(at), Position { id: id(50), ordinal: 5 });
    }

    #[test]
    fn entries_trimmed_before_they_were_moved_are_counted() {
        let at = Position { id: id(30), ordinal: 3 };
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
        let at = Position { id: id(30), ordinal: 3 };
        assert_eq!(look(5, &[40, 50], false, &[40, 50]).continuity(at), Continuity::Unbroken);
    }

    #[test]
    fn an_emptied_redis_is_told_from_a_gap() {
        let at = Position { id: id(30), ordinal: 300 };
        assert_eq!(look(2, &[40, 50], false, &[40, 50]).continuity(at), Continuity::Restarted);
        assert_eq!(look(2, &[10, 20], false, &[]).continuity(at), Continuity::Restarted);
        assert_eq!(Look::default().continuity(at), Continuity::Unbroken);
    }

    #[test]
    fn a_redis_that_does_not_count_its_entries_still_shows_that_some_are_gone() {
        let at = Position { id: id(30), ordinal: -1 };
        assert_eq!(look(-1, &[80, 90], false, &[80, 90]).continuity(at), Continuity::Gap(1));
        assert_eq!(look(-1, &[80, 90], false, &[80, 90]).continuity(Position::default()), Continuity::Unbroken);
    }
}
