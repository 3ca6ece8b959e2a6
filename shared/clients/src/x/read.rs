use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use perch_jobs::{AccountId, PostId};

use super::{
    Page, Partial, PostsQuery, XClient, XError, XPost, XUser,
    call::{Call, Caller},
    lenient::LenientList,
};
use crate::Charge;

/// How many own posts cost as much as one post of others (X's price list of August 2026).
const OWN_FOR_ONE: usize = 5;
/// Most posts that one request by ids may name.
pub(super) const MOST_IDS: usize = 100;
/// All fields of a post that the bots read. X charges per post and per user, not per field.
const POST_FIELDS: &str = "attachments,conversation_id,created_at,entities,note_post,public_metrics";
const MEDIA_FIELDS: &str = "url,preview_image_url,alt_text,type,width,height";
const USER_FIELDS: &str = "public_metrics,username";
/// Public counts, and with them those that X shows to the author alone.
const COUNTS: &str = "created_at,public_metrics";
const PRIVATE_COUNTS: &str = "created_at,non_public_metrics,organic_metrics,public_metrics";
/// X shows counts to the author for 30 days, and refuses them for an older post. An hour less, because the clocks may differ.
const PRIVATE_FOR: TimeDelta = TimeDelta::hours(30 * 24 - 1);
/// The first millisecond of the times in ids of posts. Source: X documentation, X IDs (snowflake).
const IDS_SINCE_MS: i64 = 1_288_834_974_657;

impl XClient {
    /// The user with the handle `username`, with or without `@`, and how many follow it.
    pub async fn user_by_username(&self, username: &str) -> Result<XUser, XError> {
        let username = username.strip_prefix('@').unwrap_or(username);
        let path = ["2", "users", "by", "username", username];
        let mut call = Call::get("user_by_username", &path, Caller::App);
        call.query.push(("user.fields", USER_FIELDS.into()));
        call.charge = Some((Charge::UserRead, 1));
        if !is_username(username) {
            return Err(call.invalid("a handle is 1 to 15 of A-Z, a-z, 0-9 and _"));
        }
        let (envelope, status) = self.call(&call).await?;
        call.single(envelope, status)
    }

    /// The user of `account`, and how many follow it.
    pub async fn me(&self, account: &AccountId) -> Result<XUser, XError> {
        let mut call = Call::get("users_me", &["2", "users", "me"], Caller::Account(account));
        call.query.push(("user.fields", USER_FIELDS.into()));
        call.charge = Some((Charge::UserRead, 1));
        let (envelope, status) = self.call(&call).await?;
        call.single(envelope, status)
    }

    /// One page of the posts of a user, newest first, with authors, media, and the posts that they answer, quote or
    /// repeat.
    pub async fn user_posts(&self, user_id: &str, query: &PostsQuery) -> Result<Page<XPost>, XError> {
        let path = ["2", "users", user_id, "tweets"];
        let mut call = Call::get("user_posts", &path, Caller::App);
        call.query = posts_parameters(query);
        call.charge = Some((Charge::PostRead, u32::from(query.max_results)));
        call.query.extend(in_full("attachments.media_keys,author_id,referenced_posts"));
        self.page(&call, user_id).await
    }

    /// One page of the posts that mention `account`, whose user id is `user_id`, newest first: with authors, media, the accounts
    /// they answer, and the posts that they answer or quote. X shows the newest 800.
    ///
    /// The account reads them itself, for which X charges a fifth of the price for posts of others.
    pub async fn mentions(
        &self,
        account: &AccountId,
        user_id: &str,
        query: &PostsQuery,
    ) -> Result<Page<XPost>, XError> {
        let path = ["2", "users", user_id, "mentions"];
        let mut call = Call::get("mentions", &path, Caller::Account(account));
        call.query = page_parameters(query);
        call.charge = Some((Charge::OwnRead, u32::from(query.max_results)));
        call.query.extend(in_full(CONVERSATION));
        self.page(&call, user_id).await
    }

    /// The metrics of posts of `account`, whose user id is `user_id`, as far as reading its own timeline is cheaper than reading them by
    /// id. For posts under 30 days, those that X shows to the author alone come along, unless X refuses them. X shows the newest 3,200
    /// posts; for a post that is missing here, only [`XClient::posts`] tells whether it is gone.
    pub async fn own_posts(
        &self,
        account: &AccountId,
        user_id: &str,
        ids: &[PostId],
    ) -> Result<Partial<XPost>, XError> {
        let young_since = Utc::now() - PRIVATE_FOR;
        let (young, old): (Vec<PostId>, Vec<PostId>) = ids.iter().cloned().partition(|id| made_at(id) > young_since);
        let mut found = match self.own_between(account, user_id, &young, PRIVATE_COUNTS).await {
            Err(XError::Problem { status: 400 | 403, .. }) => {
                self.own_between(account, user_id, &young, COUNTS).await?
            }
            read => read?,
        };
        let older = self.own_between(account, user_id, &old, COUNTS).await?;
        found.data.extend(older.data);
        found.odd.extend(older.odd);
        Ok(found)
    }

    /// Posts of the own timeline from the oldest of `ids` to the newest.
    async fn own_between(
        &self,
        account: &AccountId,
        user_id: &str,
        ids: &[PostId],
        fields: &str,
    ) -> Result<Partial<XPost>, XError> {
        let mut found = Partial::default();
        let Some((oldest, newest)) = ids.iter().min_by(|a, b| a.by_age(b)).zip(ids.iter().max_by(|a, b| a.by_age(b)))
        else {
            return Ok(found);
        };
        let path = ["2", "users", user_id, "tweets"];
        // Posts of others that it has reposted have no counts of its own.
        let mut query = PostsQuery {
            since_id: oldest.before(),
            until_id: newest.after(),
            exclude_reposts: true,
            ..PostsQuery::default()
        };
        let mut worth = ids.len().saturating_mul(OWN_FOR_ONE);
        while worth > 0 && found.data.len() < ids.len() {
            query.max_results = u8::try_from(worth.clamp(5, 100)).unwrap_or(100);
            let mut call = Call::get("user_posts", &path, Caller::Account(account));
            call.query = posts_parameters(&query);
            call.charge = Some((Charge::OwnRead, u32::from(query.max_results)));
            call.query.push(("post.fields", fields.to_owned()));
            let page = self.page(&call, user_id).await?;
            worth = worth.saturating_sub(page.data.len() + page.odd.len());
            found.data.extend(page.data.into_iter().filter(|post| ids.contains(&post.id)));
            found.odd.extend(page.odd);
            query.pagination_token = page.next_token;
            if query.pagination_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The public metrics of posts. Those that are gone are in [`Partial::errors`].
    ///
    /// A request for every 100 ids; none when `ids` is empty.
    pub async fn posts(&self, ids: &[PostId]) -> Result<Partial<XPost>, XError> {
        self.by_ids(ids, &[("post.fields", COUNTS.into())]).await
    }

    /// Posts with all that a reader needs of them: texts, authors, media, the accounts they answer, and the posts that
    /// they answer or quote, in [`Partial::includes`]. Those that are gone or hidden are in [`Partial::errors`].
    ///
    /// A request for every 100 ids; none when `ids` is empty.
    pub async fn posts_in_full(&self, ids: &[PostId]) -> Result<Partial<XPost>, XError> {
        self.by_ids(ids, &in_full(CONVERSATION)).await
    }

    async fn by_ids(&self, ids: &[PostId], fields: &[(&'static str, String)]) -> Result<Partial<XPost>, XError> {
        let mut found = Partial::default();
        for ids in ids.chunks(MOST_IDS) {
            let mut call = Call::get("posts", &["2", "tweets"], Caller::App);
            call.charge = Some((Charge::PostRead, u32::try_from(ids.len()).unwrap_or(u32::MAX)));
            let ids = ids.iter().map(PostId::as_str).collect::<Vec<_>>().join(",");
            call.query = vec![("ids", ids)];
            call.query.extend_from_slice(fields);
            let (envelope, _) = self.call::<LenientList<XPost>>(&call).await?;
            let listed = envelope.data.unwrap_or_default();
            self.report_unreadable(&call, &listed.odd);
            found.data.extend(listed.items);
            found.odd.extend(listed.odd);
            found.includes.add(envelope.includes);
            found.errors.extend(envelope.errors.items);
        }
        Ok(found)
    }

    pub(super) async fn page(&self, call: &Call<'_>, user_id: &str) -> Result<Page<XPost>, XError> {
        if !is_id(user_id) {
            return Err(call.invalid("the id of a user is 1 to 19 digits"));
        }
        let (envelope, status) = self.call::<LenientList<XPost>>(call).await?;
        let page = Page {
            data: Vec::new(),
            includes: envelope.includes,
            errors: Vec::new(),
            odd: Vec::new(),
            newest_id: envelope.meta.newest_id,
            next_token: envelope.meta.next_token,
        };
        match (envelope.data, envelope.errors.items) {
            (Some(LenientList { items, odd }), errors) => {
                self.report_unreadable(call, &odd);
                Ok(Page { data: items, errors, odd, ..page })
            }
            // An account without posts gives neither data nor errors.
            (None, errors) if errors.is_empty() => Ok(page),
            (None, errors) => Err(call.refused_whole(errors, status)),
        }
    }
}

/// When a post was made, by its id; long ago for a number that is no id of today's.
fn made_at(id: &PostId) -> DateTime<Utc> {
    let millis = id.as_str().parse::<u64>().map_or(0, |id| i64::try_from(id >> 22).unwrap_or_default());
    DateTime::from_timestamp_millis(IDS_SINCE_MS + millis).unwrap_or_default()
}

/// True for the id of a user or post: 1 to 19 digits.
pub(super) fn is_id(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_username(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The expansions needed to follow a conversation.
const CONVERSATION: &str = "attachments.media_keys,author_id,in_reply_to_user_id,referenced_posts";

fn in_full(expansions: &str) -> [(&'static str, String); 4] {
    [
        ("post.fields", POST_FIELDS.into()),
        ("expansions", expansions.into()),
        ("media.fields", MEDIA_FIELDS.into()),
        ("user.fields", "username".into()),
    ]
}

/// The query parameters for a page.
fn page_parameters(query: &PostsQuery) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("max_results", query.max_results.clamp(5, 100).to_string())];
    if let Some(id) = &query.since_id {
        parameters.push(("since_id", id.to_string()));
    }
    if let Some(id) = &query.until_id {
        parameters.push(("until_id", id.to_string()));
    }
    if let Some(start) = query.start_time {
        parameters.push(("start_time", start.to_rfc3339_opts(SecondsFormat::Secs, true)));
    }
    if let Some(token) = &query.pagination_token {
        parameters.push(("pagination_token", token.clone()));
    }
    parameters
}

pub(super) fn posts_parameters(query: &PostsQuery) -> Vec<(&'static str, String)> {
    let mut parameters = page_parameters(query);
    let excluded: Vec<&str> = [(query.exclude_replies, "replies"), (query.exclude_reposts, "retweets")]
        .into_iter()
        .filter_map(|(wanted, name)| wanted.then_some(name))
        .collect();
    if !excluded.is_empty() {
        parameters.push(("exclude", excluded.join(",")));
    }
    parameters
}
