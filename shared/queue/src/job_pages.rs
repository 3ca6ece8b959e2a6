//! Paging through the jobs of a queue, state by state, while jobs come and go.

use std::collections::HashMap;

use perch_job::{JobId, JobState, Priority};
use serde::{Deserialize, Serialize};

use crate::{DeadCursor, JobView, Queue, QueueError, raw_text::RawText, scripts};

/// A cursor in the jobs of a queue in one state. It stays valid when jobs come and go, even its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCursor {
    /// After this running job; running jobs are in the order of their ids.
    Running(JobId),
    /// In one of the lists of waiting jobs.
    Waiting {
        /// The list.
        list: WaitingList,
        /// The last job of the page.
        #[serde(with = "crate::member_text")]
        told: Vec<u8>,
        /// The last id in the list when the page was read.
        #[serde(with = "crate::member_text")]
        last: Vec<u8>,
    },
    /// In the delayed jobs, which are in the order of their due times, then of their ids.
    Delayed {
        /// The due time, in milliseconds since 1970.
        due_ms: i64,
        /// The id.
        #[serde(with = "crate::member_text")]
        member: Vec<u8>,
    },
    /// In the dead letters.
    Dead(DeadCursor),
}

/// A list of waiting jobs. The order is that of the pages: ready lists by priority, then parked lists by group and priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WaitingList {
    /// The ready jobs of a priority.
    Ready(Priority),
    /// The parked jobs of a group and priority.
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

/// A page of jobs.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs, each with its cursor. Members that are not jobs are left out.
    pub jobs: Vec<(JobCursor, JobView)>,
    /// The cursor for the next page; none if there were fewer jobs than asked for.
    pub end: Option<JobCursor>,
}

/// Most groups whose parked jobs are listed.
const GROUPS: usize = 100_000;
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// The cursors found, and the last of them if there may be more.
type CursorPage = (Vec<JobCursor>, Option<JobCursor>);

impl Queue {
    /// At most 1,000 jobs in one state after a cursor, or from the first one: those that run next first, dead letters latest
    /// first. A job that stays in its place during the whole walk is in exactly one page. Finished jobs are in no page.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
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
        // Renewals change the order of leases, so pages go by id. There are only as many leases as running jobs.
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

    /// The lists, in the order of the pages.
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
    /// The job at the cursor; none if the member is not a job id.
    fn id(&self) -> Option<JobId> {
        match self {
            Self::Running(id) => Some(*id),
            Self::Waiting { told: id, .. }
            | Self::Delayed { member: id, .. }
            | Self::Dead(DeadCursor { member: id, .. }) => std::str::from_utf8(id).ok()?.parse().ok(),
        }
    }
}

/// The cursors for members of a sorted set, and the last of them if there may be more.
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
