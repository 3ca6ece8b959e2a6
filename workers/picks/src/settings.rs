//! The configuration of the bot: `config/bots/picks.toml`.

use std::time::Duration;

use perch_base::{
    Check, Environment, Section,
    settings::{FileSettings, Providers, SourceUrl, XSettings},
};
use perch_jobs::AccountId;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const KIB: usize = 1024;

/// The most pages of one poll. X shows the latest 3,200 posts of an account: 32 pages of 100, or 64 pages of 50.
const MOST_PAGES: u8 = 64;

/// The picks bot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PicksSettings {
    /// The account that comments.
    pub account: AccountId,
    /// Handles of the watched accounts.
    pub watch: Vec<String>,
    /// Posts read from an account in one poll, 5 to 100 (the range of X's `max_results`).
    pub posts_per_poll: u8,
    /// The most pages of `posts_per_poll` posts that one poll reads from an account.
    #[serde(default = "one_page")]
    pub pages: u8,
    /// Posts older than this are skipped.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How long a post is remembered as processed.
    #[serde(with = "humantime_serde")]
    pub processed_ttl: Duration,
    /// The comment. `{pick}` and `{author}` are filled in.
    pub comment: String,
    /// What is assumed where a post names no odds or no stake.
    #[serde(default)]
    pub tracking: TrackingSettings,
    /// Where results of games are fetched from.
    #[serde(default)]
    pub results: ResultsSettings,
    /// The summary of a day.
    #[serde(default)]
    pub summary: SummarySettings,
    /// The standalone post that replaces a comment where X allows no reply. It takes the same placeholders.
    pub own_post: String,
    /// Whether the post of a new pick is retweeted.
    pub retweet: bool,
    /// Whether picks that only the rules have read are published without confirmation by a person or a model.
    #[serde(default)]
    pub rules_publish: bool,
    /// The providers of models that read posts, in the order in which they are asked.
    pub providers: Providers,
    /// After this many attempts without an answer from any provider, the rules read the post; 0 waits for the providers.
    pub rules_after: u32,
    /// Whether rules decide which posts are worth a model call.
    pub prefilter: bool,
    /// The share of posts not worth a call that are sent to a model anyway, to measure what the rules miss.
    pub prefilter_sample: f64,
    /// The pictures of posts.
    pub pictures: PictureSettings,
}

const fn one_page() -> u8 {
    1
}

/// The pictures of posts that are sent to models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSettings {
    /// Hosts that pictures are read from, over https.
    pub hosts: Vec<String>,
    /// Largest picture in bytes.
    pub max_bytes: usize,
    /// The most pictures of one post.
    pub most: usize,
}

/// What is assumed where a post names no odds or no stake.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackingSettings {
    /// The odds, as people write them.
    pub assumed_odds: String,
    /// The stake in units.
    pub assumed_stake: f64,
    /// How long an open pick waits for a result.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
}

impl Default for TrackingSettings {
    fn default() -> Self {
        Self { assumed_odds: "-110".into(), assumed_stake: 1.0, open_for: Duration::from_secs(30 * 86_400) }
    }
}

/// Where results of games are fetched from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResultsSettings {
    /// The whole URL. If it is empty, no results are fetched.
    pub url: SourceUrl,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for ResultsSettings {
    fn default() -> Self {
        Self { url: SourceUrl::default(), timeout: Duration::from_secs(10) }
    }
}

/// The summary of a day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SummarySettings {
    /// Whether it is posted.
    pub post: bool,
    /// The post. `{date}`, `{picks}`, `{bets}`, `{record}` and `{units}` are filled in.
    pub text: String,
}

impl Default for SummarySettings {
    fn default() -> Self {
        Self { post: false, text: "{date}: {picks} new picks, {bets} settled ({record}), {units} units".into() }
    }
}

impl SummarySettings {
    /// The placeholders that its text may have.
    pub const PLACES: [&'static str; 5] = ["{date}", "{picks}", "{bets}", "{record}", "{units}"];
}

impl Section for PicksSettings {
    const NAME: &'static str = "picks";

    fn check(&self, all: &FileSettings, env: Environment, check: &mut Check) {
        bot(check, self, &all.x);
        check.providers("picks.providers", &self.providers, &all.models);
        check.range("picks.rules_after", self.rules_after, 0..=100);
        assumed(check, &self.tracking);
        results(check, &self.results, env);
        summary(check, &self.summary);
    }
}

fn bot(check: &mut Check, picks: &PicksSettings, x: &XSettings) {
    if !x.accounts.contains_key(&picks.account) {
        let known: Vec<&str> = x.accounts.keys().map(AccountId::as_str).collect();
        check.refuse(
            "picks.account",
            format!("is {:?}, which [x.accounts] does not have", picks.account.as_str()),
            if known.is_empty() { "an account, once there is one".into() } else { known.join(", ") },
        );
    }
    for (at, handle) in picks.watch.iter().enumerate() {
        let key = format!("picks.watch.{at}");
        check.handle(key.as_str(), handle);
        if picks.watch[..at].iter().any(|earlier| earlier.eq_ignore_ascii_case(handle)) {
            check.refuse(key, format!("is {handle:?} a second time"), "each handle once");
        }
    }
    check.range("picks.posts_per_poll", picks.posts_per_poll, 5..=100);
    check.range("picks.pages", picks.pages, 1..=MOST_PAGES);
    check.duration("picks.max_age", picks.max_age, MINUTE..=365 * DAY);
    check.duration("picks.processed_ttl", picks.processed_ttl, MINUTE..=366 * DAY);
    if picks.processed_ttl < picks.max_age {
        check.refuse(
            "picks.processed_ttl",
            "is shorter than picks.max_age, so a post would be read again while it still counts as new",
            format!("{} or more", humantime::format_duration(picks.max_age)),
        );
    }
    for (key, template) in [("picks.comment", &picks.comment), ("picks.own_post", &picks.own_post)] {
        if let Some(wrong) = fault_of_template(template) {
            check.refuse(key, wrong, "text with {pick} in it, and {author} where wanted; no other braces");
        }
    }
    if !picks.own_post.contains("{author}") {
        check.refuse(
            "picks.own_post",
            "does not say {author}",
            "a text that credits the author of the pick, with {author} in it",
        );
    }
    check.range("picks.prefilter_sample", picks.prefilter_sample, 0.0..=1.0);
    check.range("picks.pictures.max_bytes", picks.pictures.max_bytes, KIB..=20 * KIB * KIB);
    check.range("picks.pictures.most", picks.pictures.most, 0..=20);
    for (at, host) in picks.pictures.hosts.iter().enumerate() {
        if Host::parse(host).is_ok_and(|host| matches!(host, Host::Domain(_))) {
            continue;
        }
        check.refuse(
            format!("picks.pictures.hosts.{at}"),
            format!("is {host:?}"),
            "the name of a host, without https://",
        );
    }
}

fn fault_of_template(template: &str) -> Option<String> {
    if !template.contains("{pick}") {
        return Some("does not say {pick}".into());
    }
    let rest = template.replace("{pick}", "").replace("{author}", "");
    let at = rest.find(['{', '}'])?;
    let part: String = rest[at..].chars().take_while(|c| !c.is_whitespace()).take(30).collect();
    Some(format!("has {part:?} in it"))
}

fn assumed(check: &mut Check, tracking: &TrackingSettings) {
    if !are_odds(&tracking.assumed_odds) {
        check.refuse(
            "picks.tracking.assumed_odds",
            format!("is {:?}", tracking.assumed_odds.chars().take(40).collect::<String>()),
            "American odds (-110, +120) or decimal odds (1.91)",
        );
    }
    check.range("picks.tracking.assumed_stake", tracking.assumed_stake, 0.01..=1_000.0);
    check.duration("picks.tracking.open_for", tracking.open_for, DAY..=366 * DAY);
}

/// American odds of 100 or more with their sign, or decimal odds over 1.
fn are_odds(text: &str) -> bool {
    match text.strip_prefix(['+', '-']) {
        Some(american) => american.parse::<u32>().is_ok_and(|n| (100..=1_000_000).contains(&n)),
        None => text.parse::<f64>().is_ok_and(|decimal| decimal > 1.0 && decimal < 10_000.0),
    }
}

fn results(check: &mut Check, results: &ResultsSettings, env: Environment) {
    let key = "picks.results.url";
    if !results.url.is_empty() {
        match Url::parse(results.url.as_str()) {
            Ok(url) => {
                let mut bare = url.clone();
                // The query is not checked: sources often take the sport or the days there.
                bare.set_query(None);
                check.service_url(key, &bare, env);
            }
            Err(_) => check.refuse(key, "is not a URL", "such as https://results.example.com/latest.json, or empty"),
        }
    }
    check.duration("picks.results.timeout", results.timeout, SECOND..=Duration::from_secs(40));
}

fn summary(check: &mut Check, summary: &SummarySettings) {
    let rest = SummarySettings::PLACES.iter().fold(summary.text.clone(), |text, place| text.replace(place, ""));
    if summary.text.trim().is_empty() || rest.contains(['{', '}']) {
        check.refuse(
            "picks.summary.text",
            "is empty or has other braces in it",
            format!("text with any of {}", SummarySettings::PLACES.join(", ")),
        );
    }
}
