//! Walking through the jobs of a queue, state by state, while others come and go.

use std::collections::HashMap;

use perch_job::{JobId, JobState, Priority};
use serde::{Deserialize, Serialize};

use crate::{DeadCursor, JobView, Queue, QueueError, raw_text::RawText, scripts};

/// A place among the jobs of a queue that are in one state. It stays what it is when jobs come and go, its own too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCursor {
    /// Behind this one of the running jobs, which come by id.
    Running(JobId),
    /// Within one of the lists in which jobs wait.
    Waiting {
        /// The list.
        list: WaitingList,
        /// The last job told.
        #[serde(with = "crate::member_text")]
        told: Vec<u8>,
        /// What stood last in the list when that was read.
        #[serde(with = "crate::member_text")]
        last: Vec<u8>,
    },
    /// Among the delayed jobs, which come by when they are due, and then by id.
    Delayed {
        /// When, in milliseconds since 1970.
        due_ms: i64,
        /// The id.
        #[serde(with = "crate::member_text")]
        member: Vec<u8>,
    },
    /// Among the dead letters.
    Dead(DeadCursor),
}

/// One of the lists in which jobs wait, in the order in which they are listed: those that are ready, by priority, then those that are
/// parked, by group and priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WaitingList {
    /// Of the ready jobs of a priority.
    Ready(Priority),
    /// Of the jobs of a group that are parked.
    Parked(String, Priority),
}

impl WaitingList {
    /// As the script takes it.
    fn name(&self) -> String {
        match self {
            Self::Ready(priority) => priority.as_str().to_owned(),
            Self::Parked(group, priority) => format!("{}:{group}", priority.as_str()),
        }
    }
}

/// Jobs that come one after another.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs, each with its place. What stands among them and is none is left out.
    pub jobs: Vec<(JobCursor, JobView)>,
    /// Where the next page begins; none when there were fewer than asked for.
    pub end: Option<JobCursor>,
}

/// Groups whose parked jobs are listed.
const GROUPS: usize = 100_000;
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// What was found, and where that ends if there may be more.
type CursorPage = (Vec<JobCursor>, Option<JobCursor>);

impl Queue {
    /// Jobs in one state after a place, or from the first one on, at most 1,000: those that come next first, and the dead the latest
    /// first. One that stays where it is all the while is in one page of a walk. No page has finished jobs.
    ///
    /// # Errors
    ///
    /// Redis is away, or answers what cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing, so it may be dropped at any time.
    pub async fn job_page(
        &self,
        state: JobState,
        after: Option<&JobCursor>,
        limit: usize,
    ) -> Result<JobPage, QueueError> {
        let limit = limit.clamp(1, 1_000);
        let (found, end) = match state {
            JobState::Running => self.running_page(after, limit).await?,
            JobState::Waiting => self.waiting_page(after, limit).await?,
            JobState::Delayed => self.delayed_page(after, limit).await?,
            JobState::Dead => self.dead_page_cursors(after, limit).await?,
            JobState::Done | JobState::Cancelled | JobState::Discarded | JobState::Unknown => (Vec::new(), None),
        };
        let mut places: HashMap<JobId, JobCursor> =
            found.iter().filter_map(|place| Some((place.id()?, place.clone()))).collect();
        let ids: Vec<JobId> = found.iter().filter_map(JobCursor::id).collect();
        let views = self.views(&ids).await?.into_iter().filter(|view| view.state == state);
        let jobs = views.filter_map(|view| Some((places.remove(&view.id)?, view))).collect();
        Ok(JobPage { jobs, end })
    }

    async fn running_page(&self, after: Option<&JobCursor>, limit: usize) -> Result<CursorPage, QueueError> {
        let mut leases = redis::cmd("ZRANGE");
        leases.arg(self.keys().leases()).arg(0).arg(-1);
        let leases: Vec<RawText> = self.redis().cmd("list jobs", &leases).await?;
        // Leases are renewed all the time, so their order is no order to walk in. There are as many as jobs run.
        let mut ids: Vec<JobId> = leases.iter().filter_map(|lease| lease.0.split('|').next()?.parse().ok()).collect();
        if let Some(JobCursor::Running(after)) = after {
            ids.retain(|id| id > after);
        }
        ids.sort_unstable();
        ids.dedup();
        let is_more = ids.len() > limit;
        ids.truncate(limit);
        let places: Vec<JobCursor> = ids.into_iter().map(JobCursor::Running).collect();
        let end = places.last().filter(|_| is_more).cloned();
        Ok((places, end))
    }

    async fn delayed_page(&self, after: Option<&JobCursor>, limit: usize) -> Result<CursorPage, QueueError> {
        let mut call = self.reading(&scripts::DELAYED_PAGE);
        call.arg(limit);
        if let Some(JobCursor::Delayed { due_ms, member }) = after {
            call.arg(*due_ms).arg(member);
        }
        let found: Vec<(Vec<u8>, f64)> = self.run("list jobs", &call).await?;
        Ok(scored(found, limit, |due_ms, member| JobCursor::Delayed { due_ms, member }))
    }

    async fn dead_page_cursors(&self, after: Option<&JobCursor>, limit: usize) -> Result<CursorPage, QueueError> {
        let mut call = self.reading(&scripts::DEAD_PAGE);
        call.arg(limit);
        if let Some(JobCursor::Dead(DeadCursor { died_ms, member })) = after {
            call.arg(*died_ms).arg(member);
        }
        let found: Vec<(Vec<u8>, f64)> = self.run("list jobs", &call).await?;
        Ok(scored(found, limit, |died_ms, member| JobCursor::Dead(DeadCursor { died_ms, member })))
    }

    async fn waiting_page(&self, after: Option<&JobCursor>, limit: usize) -> Result<CursorPage, QueueError> {
        let mut from = match after {
            Some(JobCursor::Waiting { list, told, last }) => Some((list, told, last)),
            _ => None,
        };
        let mut places = Vec::new();
        for list in self.waiting_lists().await? {
            if from.is_some_and(|(at, ..)| list < *at) {
                continue;
            }
            let mut call = self.reading(&scripts::WAITING_PAGE);
            call.arg(list.name()).arg(limit - places.len());
            if let Some((_, told, last)) = from.take_if(|(at, ..)| list == **at) {
                call.arg(told).arg(last);
            }
            let (found, last): (Vec<Vec<u8>>, Option<Vec<u8>>) = self.run("list jobs", &call).await?;
            let last = last.unwrap_or_default();
            let place = |told| JobCursor::Waiting { list: list.clone(), told, last: last.clone() };
            places.extend(found.into_iter().map(place));
            if places.len() >= limit {
                let end = places.last().cloned();
                return Ok((places, end));
            }
        }
        Ok((places, None))
    }

    /// In the order in which they are listed.
    async fn waiting_lists(&self) -> Result<Vec<WaitingList>, QueueError> {
        let mut groups = redis::cmd("ZRANGE");
        groups.arg(self.keys().parked_groups()).arg(0).arg(GROUPS - 1);
        let groups: Vec<RawText> = self.redis().cmd("list groups", &groups).await?;
        let parked = groups
            .into_iter()
            .flat_map(|RawText(group)| PRIORITIES.map(|priority| WaitingList::Parked(group.clone(), priority)));
        let mut lists: Vec<WaitingList> = PRIORITIES.map(WaitingList::Ready).into_iter().chain(parked).collect();
        lists.sort_unstable();
        Ok(lists)
    }
}

impl JobCursor {
    /// The job that stands there; none where what stands there is no id.
    fn id(&self) -> Option<JobId> {
        match self {
            Self::Running(id) => Some(*id),
            Self::Waiting { told: id, .. }
            | Self::Delayed { member: id, .. }
            | Self::Dead(DeadCursor { member: id, .. }) => std::str::from_utf8(id).ok()?.parse().ok(),
        }
    }
}

/// What was found of a sorted set, and where that ends if there may be more.
fn scored(found: Vec<(Vec<u8>, f64)>, limit: usize, place: impl Fn(i64, Vec<u8>) -> JobCursor) -> CursorPage {
    #[expect(clippy::cast_possible_truncation, reason = "scores are milliseconds since 1970")]
    let places: Vec<JobCursor> = found.into_iter().map(|(member, at)| place(at as i64, member)).collect();
    let end = places.last().filter(|_| places.len() >= limit).cloned();
    (places, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_json_whatever_bytes_are_in_it() {
        let member = |bytes: &[u8]| bytes.to_vec();
        let places = [
            JobCursor::Running(JobId::from_parts(chrono::DateTime::UNIX_EPOCH, 7)),
            JobCursor::Waiting {
                list: WaitingList::Parked("a:b|c".into(), Priority::Low),
                told: member(b"01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"),
                last: member(&[0, 255, 128]),
            },
            JobCursor::Waiting { list: WaitingList::Ready(Priority::High), told: member(b"a"), last: member(b"b") },
            JobCursor::Delayed { due_ms: 5, member: member(b"") },
        ];
        for place in places {
            let json = serde_json::to_string(&place).expect("it is JSON");
            assert!(!json.contains("\\u0000"), "{json}");
            assert_eq!(serde_json::from_str::<JobCursor>(&json).expect("a place"), place);
        }
    }
}
