//! What became of the day: by the tables, and by what stands at the sandbox.

mod picks;
mod replies;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use perch_play::Expectation;
use perch_sandbox::{Endpoint, MadePost};
use serde_json::Value;
use sqlx::{PgPool, Row as _, postgres::PgRow};

use crate::day::{KILLS, Staged};

/// A pick as the tables have it.
struct PickRow {
    body: Value,
    kind: String,
    line: Option<f64>,
    odds: Option<String>,
    /// The post that had it first, and its author.
    source_post: String,
    author: String,
}

/// A post that named a pick.
struct Sighting {
    pick: String,
    post: String,
    odds: Option<String>,
    units: Option<f64>,
}

/// What was done about a pick.
struct Action {
    pick: Option<String>,
    kind: String,
    state: String,
    text: String,
    source_post: Option<String>,
    external_id: Option<String>,
}

/// What a pick came to for an account that named it.
struct Bet {
    pick: String,
    account: String,
    post: String,
    grade: String,
    stake: f64,
    units: f64,
    is_odds_assumed: bool,
    is_stake_assumed: bool,
}

/// A mention and what became of it.
struct Mention {
    state: String,
    reason: String,
    reply: Option<String>,
    external_id: Option<String>,
}

pub struct Books {
    picks: BTreeMap<String, PickRow>,
    sightings: Vec<Sighting>,
    /// How each pick ended.
    results: BTreeMap<String, String>,
    actions: Vec<Action>,
    bets: Vec<Bet>,
    mentions: BTreeMap<String, Mention>,
    /// What a person is asked about, by mention: the reply that was proposed, and what is said against it.
    reviews: BTreeMap<String, (String, String)>,
    made: Vec<MadePost>,
    /// Calls that X refused: to post, and to repeat a post.
    refused_posts: u64,
    refused_retweets: u64,
    /// Effects that X would not let happen.
    failed: u64,
    /// Effects that nobody knows the end of.
    pub unsettled: i64,
    /// The providers that were paid.
    pub spent_on: BTreeSet<String>,
}

async fn rows(pool: &PgPool, sql: &'static str) -> Vec<PgRow> {
    sqlx::query(sql).fetch_all(pool).await.expect("Postgres answers")
}

async fn pairs(pool: &PgPool, sql: &'static str) -> BTreeMap<String, String> {
    rows(pool, sql).await.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    rows(pool, sql).await[0].get(0)
}

const PICKS: &str = "select pick_key, pick, kind, line, odds, source_post, author from picks.picks";
const SIGHTINGS: &str = "select pick_key, post_id, odds, units from picks.sightings";
const ACTIONS: &str = "select subject, kind, state, text, source_post, external_id from actions";
const BETS: &str =
    "select pick_key, account, post_id, grade, stake, units, odds_assumed, stake_assumed from picks.settled_bets";
const MENTIONS: &str = "select id, state, coalesce(reason, ''), reply, external_id from mentions.mentions";
const REVIEWS: &str = "select mention_id, coalesce(proposed, ''), reasons::text from mentions.reviews";

impl Books {
    pub async fn read(staged: &Staged) -> Self {
        let (pool, x) = (staged.database(), staged.sandbox());
        let refused = |endpoint, statuses: &[&str]| -> u64 {
            statuses.iter().map(|status| x.calls_that_ended(endpoint, status)).sum()
        };
        let refusals = ["400", "401", "403", "404", "429"];
        let failed = count(&pool, "select count(*) from effects where state = 'failed'").await;
        Self {
            picks: rows(&pool, PICKS).await.iter().map(|row| (row.get(0), PickRow::of(row))).collect(),
            sightings: rows(&pool, SIGHTINGS).await.iter().map(Sighting::of).collect(),
            results: pairs(&pool, "select pick_key, state from picks.results where state <> 'open'").await,
            actions: rows(&pool, ACTIONS).await.iter().map(Action::of).collect(),
            bets: rows(&pool, BETS).await.iter().map(Bet::of).collect(),
            mentions: rows(&pool, MENTIONS).await.iter().map(|row| (row.get(0), Mention::of(row))).collect(),
            reviews: rows(&pool, REVIEWS).await.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect(),
            made: x.made(),
            refused_posts: refused(Endpoint::CreatePost, &refusals),
            refused_retweets: refused(Endpoint::Retweet, &refusals),
            failed: u64::try_from(failed).expect("a count"),
            unsettled: count(&pool, "select count(*) from effects where state in ('intended', 'unknown')").await,
            spent_on: pairs(&pool, "select distinct provider, '' from spend").await.into_keys().collect(),
        }
    }

    /// Everything that is not as the day deserves; empty when all is well.
    pub fn wrong(&self, expected: &Expectation) -> Vec<String> {
        let mut wrong = Vec::new();
        self.check_picks(expected, &mut wrong);
        self.check_noise(expected, &mut wrong);
        self.check_actions(&mut wrong);
        self.check_bets(expected, &mut wrong);
        self.check_replies(expected, &mut wrong);
        self.check_counts(&mut wrong);
        wrong
    }

    /// What was done about picks.
    fn of_picks(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().filter(|action| !action.is_to_mention())
    }

    /// Every post at X has its reason, and every refusal of X stands in the ledger.
    ///
    /// X itself takes no second retweet and no equal text, so that nothing is there twice says little: that nobody tried is what
    /// its refusals tell.
    fn check_counts(&self, wrong: &mut Vec<String>) {
        let made = |of: &dyn Fn(&MadePost) -> bool| self.made.iter().filter(|post| of(post)).count();
        let done = |kind: &str| self.of_picks().filter(|action| action.kind == kind).count();
        let answered = self.mentions.values().filter(|mention| mention.state == "answered").count();
        for (what, made, reasons) in [
            ("retweets", made(&|post| post.retweet_of.is_some()), done("retweet")),
            ("replies", made(&|post| post.reply_to.is_some()), done("comment") + answered),
            ("posts", made(&|post| post.retweet_of.is_none() && post.reply_to.is_none()), done("post")),
            ("deleted posts", made(&|post| post.deleted), 0),
        ] {
            if made != reasons {
                wrong.push(format!("{made} {what} were made, and there was reason for {reasons}"));
            }
        }
        let to_mentions =
            self.actions.iter().filter(|action| action.is_to_mention() && action.state == "published").count();
        if to_mentions != answered {
            wrong.push(format!("{to_mentions} actions tell of {answered} answers to mentions"));
        }
        if self.refused_retweets > 0 {
            wrong.push(format!("X refused {} retweets", self.refused_retweets));
        }
        // A worker that dies between the refusal and the ledger leaves it to the next one to ask again.
        let again = self.refused_posts.checked_sub(self.failed);
        if again.is_none_or(|again| again > KILLS.len() as u64) {
            wrong.push(format!("X refused {} posts, and {} effects failed", self.refused_posts, self.failed));
        }
    }
}

impl PickRow {
    fn of(row: &PgRow) -> Self {
        Self {
            body: row.get(1),
            kind: row.get(2),
            line: row.get(3),
            odds: row.get(4),
            source_post: row.get(5),
            author: row.get(6),
        }
    }
}

impl Sighting {
    fn of(row: &PgRow) -> Self {
        Self { pick: row.get(0), post: row.get(1), odds: row.get(2), units: row.get(3) }
    }
}

impl Action {
    fn of(row: &PgRow) -> Self {
        Self {
            pick: row.get(0),
            kind: row.get(1),
            state: row.get(2),
            text: row.get(3),
            source_post: row.get(4),
            external_id: row.get(5),
        }
    }

    /// A reply to a mention is about no pick.
    fn is_to_mention(&self) -> bool {
        self.pick.is_none() && self.kind == "comment"
    }
}

impl Bet {
    fn of(row: &PgRow) -> Self {
        Self {
            pick: row.get(0),
            account: row.get(1),
            post: row.get(2),
            grade: row.get(3),
            stake: row.get(4),
            units: row.get(5),
            is_odds_assumed: row.get(6),
            is_stake_assumed: row.get(7),
        }
    }
}

impl Mention {
    fn of(row: &PgRow) -> Self {
        Self { state: row.get(1), reason: row.get(2), reply: row.get(3), external_id: row.get(4) }
    }
}
