//! What became of the day: by the tables, and by what stands at the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use perch_sandbox::{
    MadePost,
    play::{Deserves, Expectation, ExpectedPick},
};
use sqlx::{PgPool, Row as _, postgres::PgRow};

use crate::day::Staged;

pub struct Books {
    /// The posts that named each pick.
    sightings: BTreeMap<String, BTreeSet<String>>,
    /// The post that had each pick first.
    first: BTreeMap<String, String>,
    /// How each pick ended.
    results: BTreeMap<String, String>,
    /// What was done about each pick: kind and state.
    actions: BTreeMap<String, Vec<(String, String)>>,
    /// The state of each mention.
    mentions: BTreeMap<String, (String, String)>,
    made: Vec<MadePost>,
    /// Effects that nobody knows the end of.
    pub unsettled: i64,
    /// The providers that were paid.
    pub spent_on: BTreeSet<String>,
}

async fn rows(pool: &PgPool, sql: &'static str) -> Vec<PgRow> {
    sqlx::query(sql).fetch_all(pool).await.expect("Postgres answers")
}

async fn pairs(pool: &PgPool, sql: &'static str) -> Vec<(String, String)> {
    rows(pool, sql).await.iter().map(|row| (row.get(0), row.get(1))).collect()
}

impl Books {
    pub async fn read(staged: &Staged) -> Self {
        let pool = staged.database();
        let mut sightings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (pick, post) in pairs(&pool, "select pick_key, post_id from pick_sightings").await {
            sightings.entry(pick).or_default().insert(post);
        }
        let mut actions: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for row in rows(&pool, "select pick_key, kind, state from actions where pick_key is not null").await {
            actions.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
        }
        let unsettled = "select count(*) from effects where state in ('intended', 'unknown')";
        Self {
            sightings,
            first: pairs(&pool, "select pick_key, source_post from picks").await.into_iter().collect(),
            results: pairs(&pool, "select pick_key, state from pick_results").await.into_iter().collect(),
            actions,
            mentions: rows(&pool, "select id, state, coalesce(reason, '') from mentions")
                .await
                .iter()
                .map(|row| (row.get(0), (row.get(1), row.get(2))))
                .collect(),
            made: staged.sandbox().made(),
            unsettled: rows(&pool, unsettled).await[0].get(0),
            spent_on: pairs(&pool, "select distinct provider, bot from spend")
                .await
                .into_iter()
                .map(|(p, _)| p)
                .collect(),
        }
    }

    /// Everything that is not as the day deserves; empty when all is well.
    pub fn wrong(&self, expected: &Expectation) -> Vec<String> {
        let mut wrong = Vec::new();
        self.check_picks(expected, &mut wrong);
        self.check_noise(expected, &mut wrong);
        self.check_retweets(&mut wrong);
        self.check_replies(expected, &mut wrong);
        wrong
    }

    /// How the picks ended that exactly these posts named, and their keys.
    fn picks_of(&self, posts: &BTreeSet<String>) -> Vec<(Option<&str>, &String)> {
        let keys = self.sightings.iter().filter(|(_, seen)| *seen == posts).map(|(key, _)| key);
        let ended = |key| self.results.get(key).map(String::as_str).filter(|state| *state != "open");
        let mut picks: Vec<_> = keys.map(|key| (ended(key), key)).collect();
        picks.sort_unstable();
        picks
    }

    fn check_picks(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        if self.first.len() != expected.picks.len() {
            wrong.push(format!("{} picks and not {}", self.first.len(), expected.picks.len()));
        }
        // A card names several picks, and others may repeat all of it.
        let mut by_posts: BTreeMap<BTreeSet<String>, Vec<&ExpectedPick>> = BTreeMap::new();
        for pick in &expected.picks {
            by_posts.entry(pick.posts.iter().cloned().collect()).or_default().push(pick);
        }
        for (posts, picks) in &by_posts {
            let found = self.picks_of(posts);
            let mut results: Vec<Option<&str>> = picks.iter().map(|pick| Some(pick.result)).collect();
            results.sort_unstable();
            if found.iter().map(|(result, _)| *result).collect::<Vec<_>>() != results {
                let names: Vec<&str> = picks.iter().map(|pick| pick.name.as_str()).collect();
                wrong.push(format!("{names:?} of {posts:?} are {found:?} and not {results:?}"));
            }
        }
        for key in self.first.keys() {
            let done = self.actions.get(key).map(Vec::as_slice).unwrap_or_default();
            let of = |kinds: &[&str]| done.iter().filter(|(kind, _)| kinds.contains(&kind.as_str())).count();
            let (said, retweeted) = (of(&["comment", "post"]), of(&["retweet"]));
            // Several picks of one post are one retweet, which is recorded for one of them.
            if said != 1 || retweeted > 1 || done.iter().any(|(_, state)| state != "published") {
                wrong.push(format!("{key}: {done:?}"));
            }
        }
    }

    fn check_noise(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let seen: BTreeSet<&String> = self.sightings.values().flatten().collect();
        for post in expected.posts.iter().filter(|post| post.noise.is_some() && seen.contains(&post.id)) {
            wrong.push(format!("a pick was found in {} of {}, which is {:?}", post.id, post.account, post.noise));
        }
    }

    fn check_retweets(&self, wrong: &mut Vec<String>) {
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        for of in self.made.iter().filter_map(|post| post.retweet_of.as_ref()) {
            *times.entry(of).or_default() += 1;
        }
        let sources: BTreeSet<&String> = self.first.values().collect();
        for source in &sources {
            let times = times.get(source).copied().unwrap_or(0);
            if times != 1 {
                wrong.push(format!("post {source} was retweeted {times} times"));
            }
        }
        wrong.extend(times.keys().filter(|of| !sources.contains(*of)).map(|of| format!("post {of} was retweeted")));
        let said = self.made.iter().filter(|post| post.reply_to.is_none() && post.retweet_of.is_none()).count();
        let comments = self.made.iter().filter(|post| post.reply_to.is_some()).count();
        if said + comments > self.first.len() + self.mentions.len() {
            wrong.push(format!("{said} posts of its own and {comments} replies are more than there was reason for"));
        }
    }

    fn check_replies(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        for to in self.made.iter().filter_map(|post| post.reply_to.as_ref()) {
            *times.entry(to).or_default() += 1;
        }
        for mention in &expected.mentions {
            let replies = times.get(&mention.id).copied().unwrap_or(0);
            let (state, reason) = self
                .mentions
                .get(&mention.id)
                .map_or(("unseen", ""), |(state, reason)| (state.as_str(), reason.as_str()));
            let right = match mention.deserves {
                // What would only repeat an earlier answer waits for a person; where both were written at once, X refuses one.
                Deserves::Reply => match state {
                    "answered" => replies == 1,
                    "failed" => replies == 0 && reason.contains("posted this text already"),
                    state => state == "in_review" && replies == 0,
                },
                Deserves::Person => state == "in_review" && replies == 0,
                Deserves::Either => {
                    replies <= 1 && !["unseen", "seen", "queued", "decided", "sending"].contains(&state)
                }
                Deserves::Nothing => replies == 0,
            };
            if !right {
                let deserves = mention.deserves.as_str();
                let id = &mention.id;
                wrong
                    .push(format!("mention {id} deserves {deserves}, is {state} ({reason}) and has {replies} replies"));
            }
        }
        let answered = expected.mentions.iter().filter(|mention| mention.deserves == Deserves::Reply);
        let (all, by_itself) = answered.fold((0, 0), |(all, by_itself), mention| {
            (all + 1, by_itself + usize::from(times.contains_key(&mention.id)))
        });
        if by_itself * 10 < all * 7 {
            wrong.push(format!("of {all} mentions that deserve a reply {by_itself} have one"));
        }
    }
}
