//! Timelines, page by page.

use chrono::{DateTime, Utc};

use super::{World, handle, names};
use crate::{
    account::Account,
    post::{Reference, StoredPost},
};

/// The position of a page in a timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum PagePosition {
    /// The page of the newest posts.
    #[default]
    First,
    /// The page of posts older than this one.
    OlderThan(u64),
    /// The page of posts newer than this one.
    NewerThan(u64),
}

/// A page of a timeline, newest first, and whether there are pages before and after it.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub posts: Vec<&'a StoredPost>,
    pub has_older: bool,
    pub has_newer: bool,
}

/// Which posts of a timeline, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimelineQuery {
    pub most: usize,
    pub page: PagePosition,
    pub after_id: Option<u64>,
    pub before_id: Option<u64>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub no_replies: bool,
    pub no_retweets: bool,
}

impl World {
    /// The posts of an account.
    pub fn timeline(&self, author: u64, slice: &TimelineQuery) -> Page<'_> {
        self.page(slice, |post| post.author == author)
    }

    /// The posts of others that name an account or answer one of its posts.
    pub fn mentions(&self, account: &Account, slice: &TimelineQuery) -> Page<'_> {
        let handle = handle(account);
        self.page(slice, |post| {
            let is_quote = matches!(post.reference, Reference::Quote(_));
            let calls = if is_quote { names(&post.text, &handle) } else { self.summons(post, account, &handle) };
            post.author != account.id && calls && self.is_open(post.author)
        })
    }

    fn page(&self, slice: &TimelineQuery, wanted: impl Fn(&StoredPost) -> bool) -> Page<'_> {
        let newer_than = match slice.page {
            PagePosition::NewerThan(id) => Some(id),
            _ => None,
        };
        let older_than = match slice.page {
            PagePosition::OlderThan(id) => Some(id),
            _ => None,
        };
        let first = slice.after_id.max(newer_than).map_or(0, |id| id.saturating_add(1));
        let end = [slice.before_id, older_than].into_iter().flatten().min().unwrap_or(u64::MAX).max(first);
        let fits = |p: &&StoredPost| {
            !p.deleted
                && p.replaced_by.is_none()
                && slice.from.is_none_or(|from| p.created_at >= from)
                && slice.until.is_none_or(|until| p.created_at < until)
                && !(slice.no_replies && matches!(p.reference, Reference::Reply(_)))
                && !(slice.no_retweets && matches!(p.reference, Reference::Retweet(_)))
                && wanted(p)
        };
        let range = self.posts.range(first..end).map(|(_, post)| post).filter(fits);
        let most = slice.most + 1;
        let mut posts: Vec<&StoredPost> =
            if newer_than.is_some() { range.take(most).collect() } else { range.rev().take(most).collect() };
        let more = posts.len() > slice.most;
        posts.truncate(slice.most);
        if newer_than.is_some() {
            posts.reverse();
        }
        // A page reached by a token always has the page that the token came from on its other side.
        match slice.page {
            PagePosition::First => Page { posts, has_older: more, has_newer: false },
            PagePosition::OlderThan(_) => Page { posts, has_older: more, has_newer: true },
            PagePosition::NewerThan(_) => Page { posts, has_older: true, has_newer: more },
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{account::Plan, audience::Audience};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).expect("a valid time")
    }

    fn draft(author: u64, text: &str) -> StoredPost {
        StoredPost::new(author, text, now())
    }

    #[test]
    fn ids_rise_with_time_and_mentions_need_the_whole_handle() {
        let mut world = World::new(now(), Plan::Enterprise, Audience::new(1, Vec::new(), 1.0));
        let (bot, fan) = (world.account("bot"), world.account("fan").id);
        let early = world.store(StoredPost { created_at: now() - TimeDelta::hours(3), ..draft(fan, "hey @botany") });
        let late = world.store(draft(fan, "hey @Bot!"));
        assert!(early < late);
        let found = world.mentions(&bot, &TimelineQuery { most: 5, ..TimelineQuery::default() });
        assert_eq!((found.posts.iter().map(|p| p.id).collect::<Vec<_>>(), found.has_older), (vec![late], false));
    }

    #[test]
    fn pages_are_turned_in_both_directions() {
        let mut world = World::new(now(), Plan::Enterprise, Audience::new(1, Vec::new(), 1.0));
        let fan = world.account("fan").id;
        let mut ids: Vec<u64> = (0..12).map(|n| world.store(draft(fan, &n.to_string()))).collect();
        ids.reverse();
        let read = |page| {
            let page = world.timeline(fan, &TimelineQuery { most: 5, page, ..TimelineQuery::default() });
            (page.posts.iter().map(|p| p.id).collect::<Vec<_>>(), page.has_newer, page.has_older)
        };
        assert_eq!(read(PagePosition::First), (ids[..5].to_vec(), false, true));
        assert_eq!(read(PagePosition::OlderThan(ids[4])), (ids[5..10].to_vec(), true, true));
        assert_eq!(read(PagePosition::OlderThan(ids[9])), (ids[10..].to_vec(), true, false));
        assert_eq!(read(PagePosition::NewerThan(ids[10])), (ids[5..10].to_vec(), true, true));
        assert_eq!(read(PagePosition::NewerThan(ids[5])), (ids[..5].to_vec(), false, true));
    }
}
