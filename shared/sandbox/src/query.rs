//! Query parameters of X's read endpoints, checked as X checks them.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, Uri, header};
use chrono::{DateTime, Utc};
use url::form_urlencoded;

use crate::{
    guard::Caller,
    problem::Problem,
    world::{PagePosition, TimelineQuery},
};

/// Parameters that every read accepts.
const COMMON: [&str; 8] = [
    "tweet.fields",
    "post.fields",
    "user.fields",
    "media.fields",
    "poll.fields",
    "place.fields",
    "expansions",
    "list.fields",
];
/// Parameters of timelines.
pub(crate) const OF_TIMELINES: [&str; 7] =
    ["max_results", "pagination_token", "start_time", "end_time", "since_id", "until_id", "exclude"];

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query {
    values: BTreeMap<String, String>,
    pub post_fields: BTreeSet<String>,
    pub user_fields: BTreeSet<String>,
    pub media_fields: BTreeSet<String>,
    pub expansions: BTreeSet<String>,
    /// The URL by which the caller reaches the sandbox, without a slash at the end.
    pub base_url: String,
    /// The id of the account that asks; none for the application.
    pub reader: Option<u64>,
}

fn listed(value: Option<&String>) -> BTreeSet<String> {
    let value = value.map(String::as_str).unwrap_or_default();
    value.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect()
}

impl Query {
    /// Reads the parameters. An unknown one makes the request invalid.
    pub fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !COMMON.contains(&&*name) && !known.contains(&&*name) {
                return Err(Problem::invalid(
                    &name,
                    &value,
                    format!("The query parameter [{name}] is not one of those allowed."),
                ));
            }
            if value.is_empty() {
                return Err(Problem::invalid(&name, &value, format!("The `{name}` query parameter value is empty.")));
            }
            values.insert(name.into_owned(), value.into_owned());
        }
        let list = |name: &str| listed(values.get(name));
        let mut post_fields = list("tweet.fields");
        post_fields.extend(list("post.fields"));
        let (user_fields, media_fields, expansions) = (list("user.fields"), list("media.fields"), list("expansions"));
        Ok(Self { values, post_fields, user_fields, media_fields, expansions, base_url: String::new(), reader: None })
    }

    /// The same from this caller, who is told more of the own posts.
    pub fn by(self, caller: &Caller) -> Self {
        let reader = match caller {
            Caller::User(account) => Some(account.id),
            Caller::App => None,
        };
        Self { reader, ..self }
    }

    /// The values of a parameter that is a list.
    pub fn list(&self, name: &str) -> BTreeSet<String> {
        listed(self.values.get(name))
    }

    /// The same for a caller who reaches the sandbox under this host name, which the URLs of pictures then have too.
    pub fn under(self, headers: &HeaderMap) -> Self {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        Self { base_url: format!("http://{host}"), ..self }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn id(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.get(name).map(|value| id(name, value)).transpose()
    }

    /// A date and time.
    pub fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        self.get(name)
            .map(|value| {
                let message =
                    format!("The `{name}` query parameter value [{value}] is not a date and time in RFC 3339.");
                let time = DateTime::parse_from_rfc3339(value).map_err(|_| Problem::invalid(name, value, message))?;
                Ok(time.with_timezone(&Utc))
            })
            .transpose()
    }

    /// The part of a timeline that is requested.
    pub fn slice(&self) -> Result<TimelineQuery, Problem> {
        let most = self.get("max_results").unwrap_or("10");
        let in_range = most.parse().ok().filter(|n| (5..=100).contains(n));
        let message = format!("The `max_results` query parameter value [{most}] is not between 5 and 100");
        let most = in_range.ok_or_else(|| Problem::invalid("max_results", most, message))?;
        let exclude: Vec<&str> = self.get("exclude").map(|v| v.split(',').collect()).unwrap_or_default();
        if let Some(other) = exclude.iter().find(|e| !matches!(**e, "replies" | "retweets")) {
            let message = format!("The `exclude` query parameter value [{other}] is not one of [replies,retweets]");
            return Err(Problem::invalid("exclude", other, message));
        }
        let page = self
            .get("pagination_token")
            .map(|token| {
                let message = "The `pagination_token` is not one that this endpoint gave.";
                turn(token).ok_or_else(|| Problem::invalid("pagination_token", token, message))
            })
            .transpose()?;
        let (after_id, before_id) = (self.id("since_id")?, self.id("until_id")?);
        let (from, until) = (self.time("start_time")?, self.time("end_time")?);
        if after_id.zip(before_id).is_some_and(|(after, before)| after >= before) {
            let message = "`since_id` must be less than `until_id`.";
            return Err(Problem::invalid("since_id", self.get("since_id").unwrap_or_default(), message));
        }
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            let message = "`start_time` must be earlier than `end_time`.";
            return Err(Problem::invalid("start_time", self.get("start_time").unwrap_or_default(), message));
        }
        Ok(TimelineQuery {
            most,
            page: page.unwrap_or_default(),
            after_id,
            before_id,
            from,
            until,
            no_replies: exclude.contains(&"replies"),
            no_retweets: exclude.contains(&"retweets"),
        })
    }
}

/// The token of a page. As at X it has only characters of base32hex.
pub(crate) fn page_token(turn: PagePosition) -> Option<String> {
    match turn {
        PagePosition::First => None,
        PagePosition::OlderThan(id) => Some(format!("n{id:x}")),
        PagePosition::NewerThan(id) => Some(format!("p{id:x}")),
    }
}

fn turn(token: &str) -> Option<PagePosition> {
    let id = |digits| u64::from_str_radix(digits, 16).ok();
    match token.split_at_checked(1)? {
        ("n", digits) => id(digits).map(PagePosition::OlderThan),
        ("p", digits) => id(digits).map(PagePosition::NewerThan),
        _ => None,
    }
}

/// An id of X: 1 to 19 digits.
pub(crate) fn id(name: &str, value: &str) -> Result<u64, Problem> {
    let digits = (1..=19).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let message = format!("The `{name}` value [{value}] does not match ^[0-9]{{1,19}}$");
    value.parse().ok().filter(|_| digits).ok_or_else(|| Problem::invalid(name, value, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(query: &str) -> Result<TimelineQuery, Problem> {
        let uri: Uri = format!("/2/users/1/tweets?{query}").parse().expect("a valid path");
        Query::read(&uri, &OF_TIMELINES)?.slice()
    }

    #[test]
    fn values_outside_of_the_contract_are_refused() {
        for wrong in
            ["max_results=4", "max_results=101", "since_id=abc", "start_time=today", "exclude=likes", "limit=5"]
        {
            assert!(slice(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_timeline_without_parameters_has_ten_posts() {
        assert_eq!(slice("").map(|s| s.most), Ok(10));
        assert_eq!(slice("exclude=replies,retweets").map(|s| (s.no_replies, s.no_retweets)), Ok((true, true)));
        assert_eq!(slice("until_id=16").map(|s| (s.before_id, s.page)), Ok((Some(16), PagePosition::First)));
    }

    #[test]
    fn a_token_leads_to_its_page_again() {
        for turn in [PagePosition::OlderThan(0xff), PagePosition::NewerThan(7)] {
            let token = page_token(turn).expect("it has one");
            assert_eq!(slice(&format!("pagination_token={token}")).map(|s| s.page), Ok(turn));
        }
        assert_eq!(page_token(PagePosition::First), None);
        for wrong in ["n", "ff", "p-1", "n%C3%A9"] {
            assert!(slice(&format!("pagination_token={wrong}")).is_err(), "{wrong}");
        }
    }
}
