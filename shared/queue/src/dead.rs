//! The dead letters: listing, grouping by cause, replay, discard.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::crash_point;
use perch_job::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{Envelope, EventData, Queue, QueueError, operate::operator, raw_text::RawText, scripts};

/// A job in the dead letters.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// The job.
    pub id: JobId,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// Its envelope as it is stored; `None` when even that is gone.
    pub envelope: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// The last errors, newest first.
    #[serde(serialize_with = "crate::event::with_times")]
    pub errors: Vec<EventData>,
}

impl DeadLetter {
    /// The last error.
    pub fn last_error(&self) -> &str {
        self.errors.first().and_then(|e| e.error.as_deref()).unwrap_or("unknown")
    }

    /// The envelope, if it can be read.
    pub fn decoded(&self) -> Option<Envelope> {
        Envelope::decode(self.envelope.as_deref()?.as_bytes()).ok()
    }

    /// The envelope, even if its checksum shows that it was damaged.
    pub fn salvaged(&self) -> Option<Envelope> {
        Envelope::decode_damaged(self.envelope.as_deref()?.as_bytes()).ok()
    }

    /// Whether a replay needs a new payload, because the envelope was damaged or the request was rejected before it became a job.
    pub fn needs_repair(&self) -> bool {
        self.decoded().is_none_or(|envelope| envelope.refused.is_some())
    }

    /// The cause that dead letters are grouped by: the last error without the numbers, ids and quoted text that differ from job
    /// to job.
    pub fn cause(&self) -> String {
        cause_of(self.last_error())
    }
}

/// An error message without what differs from job to job: digits become `#`, quoted text `"…"`, ids `#`.
pub fn cause_of(error: &str) -> String {
    let mut cause = String::new();
    let mut chars = error.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '"' {
            let quoted: String = chars.by_ref().take_while(|&c| c != '"').collect();
            cause.push_str(if quoted.is_empty() { "\"\"" } else { "\"…\"" });
        } else if c.is_ascii_alphanumeric() {
            let mut word = String::from(c);
            while let Some(next) = chars.next_if(char::is_ascii_alphanumeric) {
                word.push(next);
            }
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            // Status codes (503) and versions (v2) tell causes apart; other numbers and ids do not.
            let telling = digits == 0 || (digits == word.len() && digits == 3) || (digits == 1 && word.len() > 1);
            cause.push_str(if telling { &word } else { "#" });
        } else {
            cause.push(c);
        }
    }
    cause.chars().take(200).collect()
}

/// A job to replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The dead letter as it was read; it is replayed only if it has not changed since.
    pub letter: DeadLetter,
    /// The edited payload, if any.
    pub payload: Option<Box<RawValue>>,
}

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// It is waiting again, with further attempts.
    Replayed,
    /// It is not in the dead letters any more.
    Gone,
    /// It was changed since it was read.
    Changed,
    /// A newer job holds its unique key.
    Conflict,
    /// Its envelope cannot be read or was damaged, or its request was rejected before it became a job: replay it with another
    /// payload, or discard it.
    Unreadable,
}

/// A cursor in the dead letters, which are listed latest first, and by descending id within a millisecond. It stays valid when
/// letters come and go, even its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCursor {
    /// When its letter died, in milliseconds since 1970.
    pub died_ms: i64,
    /// The id of its letter as text, or any other member of the set.
    #[serde(with = "crate::member_text")]
    pub member: Vec<u8>,
}

impl DeadCursor {
    /// The cursor for a page that begins with the latest letter that died before `time`.
    pub fn before(time: DateTime<Utc>) -> Self {
        // Letters have died at whole milliseconds.
        let part = i64::from(!time.timestamp_subsec_nanos().is_multiple_of(1_000_000));
        Self { died_ms: time.timestamp_millis() + part, member: Vec::new() }
    }

    fn of(member: &[u8], score: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "scores are milliseconds since 1970")]
        let died_ms = score as i64;
        Self { died_ms, member: member.to_vec() }
    }
}

impl From<&DeadLetter> for DeadCursor {
    fn from(letter: &DeadLetter) -> Self {
        Self { died_ms: letter.died_at.timestamp_millis(), member: letter.id.to_string().into_bytes() }
    }
}

impl Ord for DeadCursor {
    /// The order in which letters are listed.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.died_ms, &other.member).cmp(&(self.died_ms, &self.member))
    }
}

impl PartialOrd for DeadCursor {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A page of dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadPage {
    /// The letters, without members of the set that are not job ids.
    pub letters: Vec<DeadLetter>,
    /// The cursor for the next page; `None` if there were fewer letters than asked for.
    pub end: Option<DeadCursor>,
}

const AT_ONCE: usize = 100;

impl Queue {
    /// At most 1,000 dead letters after a cursor, or from the first one.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn dead_page(&self, after: Option<&DeadCursor>, limit: usize) -> Result<DeadPage, QueueError> {
        let limit = limit.clamp(1, 1_000);
        let mut call = self.reading(&scripts::DEAD_PAGE);
        call.arg(limit);
        if let Some(DeadCursor { died_ms, member }) = after {
            call.arg(*died_ms).arg(member);
        }
        let found: Vec<(Vec<u8>, f64)> = self.run("list dead letters", &call).await?;
        let end = found.last().filter(|_| found.len() == limit).map(|(member, score)| DeadCursor::of(member, *score));
        let named = |(member, score): (Vec<u8>, f64)| Some((String::from_utf8(member).ok()?, score));
        let letters = self.letters(found.into_iter().filter_map(named).collect()).await?;
        Ok(DeadPage { letters, end })
    }

    /// One dead letter.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn dead_letter(&self, id: JobId) -> Result<Option<DeadLetter>, QueueError> {
        let mut cmd = redis::cmd("ZSCORE");
        cmd.arg(self.keys().dead()).arg(id.to_string());
        let score: Option<f64> = self.redis().cmd("look up a dead letter", &cmd).await?;
        let Some(score) = score else { return Ok(None) };
        Ok(self.letters(vec![(id.to_string(), score)]).await?.pop())
    }

    async fn letters(&self, ids: Vec<(String, f64)>) -> Result<Vec<DeadLetter>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = ids.iter().map(|(id, _)| id.as_str()).collect();
        // Read first, so that the envelope that a replay sends back is not newer than the errors shown with it.
        let envelopes = self.envelopes(&names).await?;
        let mut pipe = redis::pipe();
        let keys = self.keys();
        // Jobs that died under an older version have their attempts in the hash of unfinished jobs.
        for key in [keys.dead_attempts(), keys.attempts(), keys.errors()] {
            pipe.cmd("HMGET").arg(key).arg(&names);
        }
        type Column = Vec<Option<RawText>>;
        let (attempts, older, errors): (Column, Column, Column) =
            self.redis().call("read dead letters", |mut conn| async move { pipe.query_async(&mut conn).await }).await?;
        let attempts = attempts.into_iter().zip(older).map(|(attempts, older)| attempts.or(older));
        let rows = ids.iter().zip(envelopes).zip(attempts).zip(errors);
        Ok(rows
            .filter_map(|((((id, score), envelope), attempts), errors)| {
                #[expect(clippy::cast_possible_truncation, reason = "scores are milliseconds since 1970")]
                let died_at = DateTime::from_timestamp_millis(*score as i64).unwrap_or_default();
                Some(DeadLetter {
                    id: id.parse().ok()?,
                    died_at,
                    envelope: envelope.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                    attempts: attempts.map_or(0, |attempts| attempts.count()),
                    errors: read_errors(&errors.unwrap_or_default().0),
                })
            })
            .collect())
    }

    /// Replays dead letters, each with as many further attempts as it had at first, at most 100 in one script call. `delay`
    /// delays their start, and `by` is the actor in their history.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn replay(
        &self,
        replays: &[Replay],
        delay: Duration,
        by: &str,
    ) -> Result<Vec<(JobId, ReplayOutcome)>, QueueError> {
        let mut results = Vec::with_capacity(replays.len());
        for chunk in replays.chunks(AT_ONCE) {
            let mut call = self.invocation(&scripts::REPLAY);
            call.arg(delay.as_millis().to_string());
            let mut sent = Vec::new();
            for replay in chunk {
                let Some((seen, envelope)) = revived(replay, by) else {
                    results.push((replay.letter.id, ReplayOutcome::Unreadable));
                    continue;
                };
                call.arg(replay.letter.id.to_string()).arg(seen).arg(envelope);
                sent.push(replay.letter.id);
            }
            if sent.is_empty() {
                continue;
            }
            crash_point!("replay.before");
            let answers: Vec<String> = self.run("replay", &call).await?;
            crash_point!("replay.after");
            results.extend(sent.into_iter().zip(answers.iter().map(|answer| match answer.as_str() {
                "replayed" => ReplayOutcome::Replayed,
                "changed" => ReplayOutcome::Changed,
                "conflict" => ReplayOutcome::Conflict,
                _ => ReplayOutcome::Gone,
            })));
        }
        Ok(results)
    }

    /// Removes dead letters for good. Returns how many there were.
    ///
    /// # Errors
    ///
    /// Redis is unavailable; the change may have been made all the same. Calling it again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the change may or may not have been made, as after an error.
    pub async fn discard(&self, ids: &[JobId], by: &str) -> Result<usize, QueueError> {
        let mut gone = 0;
        for chunk in ids.chunks(AT_ONCE) {
            let mut call = self.invocation(&scripts::DISCARD);
            call.arg(operator(by, Some(format!("discarded by {by}"))));
            for id in chunk {
                call.arg(id.to_string());
            }
            crash_point!("discard.before");
            let removed: Vec<u8> = self.run("discard", &call).await?;
            crash_point!("discard.after");
            gone += removed.into_iter().filter(|&r| r == 1).count();
        }
        Ok(gone)
    }
}

/// The envelope as it was, and as the replay stores it: with one more replay and as many further attempts. The attempt count
/// continues, so that every attempt of a job has its own number.
fn revived(replay: &Replay, by: &str) -> Option<(String, String)> {
    let seen = replay.letter.envelope.clone()?;
    if replay.payload.is_none() && replay.letter.needs_repair() {
        return None;
    }
    let envelope = replay.letter.salvaged()?;
    let per_life = envelope.max_per_life.unwrap_or(envelope.max_attempts).max(1);
    let number = |n: u32| RawValue::from_string(n.to_string()).expect("a number is JSON");
    let by = RawValue::from_string(Value::from(by).to_string()).expect("text is JSON");
    let mut changes = vec![
        ("max", number(replay.letter.attempts.saturating_add(per_life))),
        ("max_per_life", number(per_life)),
        ("replays", number(envelope.replays + 1)),
        ("by", by),
    ];
    if let Some(payload) = &replay.payload {
        changes.push(("payload", payload.clone()));
        // The payload was repaired.
        changes.push(("refused", RawValue::NULL.to_owned()));
    }
    let revived = Envelope::amend(&seen, &changes).ok()?;
    Some((seen, revived))
}

/// Parses stored errors: one JSON object a line, newest first. A line that is not JSON is kept as text.
pub(crate) fn read_errors(lines: &str) -> Vec<EventData> {
    lines
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|_| EventData { error: Some(line.to_owned()), ..EventData::default() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_same_cause_fall_into_one_group() {
        let one = "x refused post 1849212345678901234: 503 Service Unavailable";
        let other = "x refused post 1849299999999999999: 503 Service Unavailable";
        assert_eq!(cause_of(one), cause_of(other));
        assert_ne!(cause_of(one), cause_of("x refused post 1849212345678901234: 429 Too Many Requests"));
        assert_eq!(cause_of("user u97 is gone"), cause_of("user u98 is gone"));
        assert_ne!(cause_of("API v1 is gone"), cause_of("API v2 is gone"));
        assert_eq!(cause_of(r#"account "main" is unknown"#), r#"account "…" is unknown"#);
    }

    #[test]
    fn a_replay_grants_as_many_attempts_again_and_keeps_counting() {
        let letter = DeadLetter {
            id: JobId::at(Utc::now()),
            died_at: Utc::now(),
            envelope: Some(r#"{"kind":"publish_post","max":8,"payload":{},"new_field":1}"#.into()),
            attempts: 1,
            errors: Vec::new(),
        };
        let (_, once) = revived(&Replay { letter: letter.clone(), payload: None }, "ann").expect("readable");
        let envelope = Envelope::decode(once.as_bytes()).expect("readable");
        assert_eq!((envelope.max_attempts, envelope.replays), (9, 1));
        assert!(once.contains("new_field"));
        let again = DeadLetter { envelope: Some(once), attempts: 2, ..letter };
        let (_, twice) = revived(&Replay { letter: again, payload: None }, "ann").expect("readable");
        assert_eq!(Envelope::decode(twice.as_bytes()).expect("readable").max_attempts, 10);
    }
}
