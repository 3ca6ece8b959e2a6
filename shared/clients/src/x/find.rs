//! Finding out whether a write of unknown outcome has happened: by searching the recent posts of an account, or reading the post.

use chrono::{DateTime, TimeDelta, Utc};
use perch_jobs::{AccountId, PostId};

use super::{
    Absence, PostsQuery, XClient, XError, XPost,
    call::{Call, Caller},
    convert::same_text,
    lenient::LenientList,
    read::posts_parameters,
};
use crate::Charge;

/// X gives the newest 3,200 posts of an account: 32 pages of 100.
const MOST_PAGES: usize = 32;
/// How far the clocks of X and of this machine may be apart.
const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(2);

/// The result of a search through the recent posts of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The post, if it was found.
    pub found: Option<PostId>,
    /// How many posts were looked at.
    pub looked_at: u32,
    /// The start of the search: two minutes before the requested time, because the clocks of X and of this machine may differ.
    pub since: DateTime<Utc>,
    /// Whether every post from then on was looked at, or until it was found. False if there are more than the 3,200 posts that X shows,
    /// or if one cannot be read, because it may be the one.
    pub complete: bool,
}

impl XClient {
    /// Looks for the post with this text and reply target that `account`, whose user id is `user_id`, has made since `since`.
    ///
    /// A post that was made a moment ago may not be visible yet.
    pub async fn find_recent_post(
        &self,
        account: &AccountId,
        user_id: &str,
        text: &str,
        reply_to: Option<&PostId>,
        since: DateTime<Utc>,
    ) -> Result<Search, XError> {
        self.find_recent(account, user_id, since, |post| {
            !post.is_repost() && post.replied_to() == reply_to && same_text(text, post)
        })
        .await
    }

    /// Looks for a repost of the post `of` that `account`, whose user id is `user_id`, has made since `since`.
    ///
    /// A repost that was made a moment ago may not be visible yet.
    pub async fn find_recent_repost(
        &self,
        account: &AccountId,
        user_id: &str,
        of: &PostId,
        since: DateTime<Utc>,
    ) -> Result<Search, XError> {
        self.find_recent(account, user_id, since, |post| post.repost_of() == Some(of)).await
    }

    /// Looks whether the post `post_id` of `account` is deleted: it is `found` when it is gone.
    ///
    /// A post that was deleted a moment ago may still be shown.
    pub async fn find_deletion(
        &self,
        account: &AccountId,
        post_id: &PostId,
        since: DateTime<Utc>,
    ) -> Result<Search, XError> {
        let mut call = Call::get("posts", &["2", "tweets"], Caller::Account(account));
        call.query = vec![("ids", post_id.to_string())];
        call.charge = Some((Charge::OwnRead, 1));
        let (envelope, _) = self.call::<LenientList<XPost>>(&call).await?;
        let shown = envelope.data.is_some_and(|listed| !listed.items.is_empty() || !listed.odd.is_empty());
        let is_gone = envelope.errors.items.iter().any(|problem| problem.absence() == Absence::Gone);
        let found = (!shown && is_gone).then(|| post_id.clone());
        Ok(Search { looked_at: 1, since, complete: shown || is_gone, found })
    }

    async fn find_recent(
        &self,
        account: &AccountId,
        user_id: &str,
        since: DateTime<Utc>,
        is_it: impl Fn(&XPost) -> bool,
    ) -> Result<Search, XError> {
        let start = since - CLOCK_SLACK;
        let path = ["2", "users", user_id, "tweets"];
        let mut query = PostsQuery { max_results: 100, start_time: Some(start), ..PostsQuery::default() };
        let mut search = Search { found: None, looked_at: 0, since: start, complete: false };
        let mut has_read_all = true;
        for _ in 0..MOST_PAGES {
            let mut call = Call::get("user_posts", &path, Caller::Account(account));
            call.query = posts_parameters(&query);
            call.charge = Some((Charge::OwnRead, u32::from(query.max_results)));
            call.query.extend([
                ("post.fields", "attachments,created_at,entities,note_post".into()),
                ("expansions", "referenced_posts".into()),
            ]);
            let page = self.page(&call, user_id).await?;
            has_read_all &= page.odd.is_empty();
            let recent = |post: &&XPost| post.created_at.is_none_or(|at| at >= start);
            for post in page.data.iter().filter(recent) {
                search.looked_at += 1;
                if is_it(post) {
                    return Ok(Search { found: Some(post.id.clone()), complete: true, ..search });
                }
            }
            let reached_start = page.data.iter().any(|post| post.created_at.is_some_and(|at| at < start));
            match page.next_token {
                Some(token) if !reached_start => query.pagination_token = Some(token),
                _ => return Ok(Search { complete: has_read_all, ..search }),
            }
        }
        Ok(search)
    }
}
