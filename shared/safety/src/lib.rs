//! The guard: checks whether a text may be published or answered. Pure functions from texts to verdicts.
//!
//! A [`Guard`] reads a text as a person would: look-alike letters, digits in place of letters, and stretched, split and starred words
//! are recognized (`fold`, `pattern`), while words that only contain a listed word are not flagged. The caller decides what to do
//! with a flagged text.
//!
//! [`similar`] recognizes posts that repeat earlier ones.

mod fold;
mod hidden;
mod outward;
mod pattern;
mod personal;
mod recited;
pub mod similar;
mod verdict;
mod wallets;
mod words;

use std::{collections::BTreeMap, ops::Range};

use perch_clients::text::{POST_UNITS, weighted_length};

pub use hidden::{unmarked, visible};
pub use pattern::BadPattern;
pub use recited::recites;
pub use verdict::{Code, GuardVerdict, Reason, TextSpan};

use fold::{Folded, turns_around};
use pattern::Pattern;
use words::Words;

/// The rules that an operator adds to the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Words and phrases of banned topics, in the notation of [`Guard::new`].
    pub banned_topics: Vec<String>,
    /// Additional phrases of people in need of help, in the same notation.
    pub crisis: Vec<String>,
    /// Hosts that may be linked to, each with its subdomains. None by default.
    pub allowed_hosts: Vec<String>,
}

/// Checks texts by fixed rules. Meant to be shared, in an [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Guard {
    words: Words,
    topics: Vec<Pattern>,
    hosts: Vec<String>,
}

/// The number of cashtags in a text, such as `$LAL`. X takes one a post.
pub fn cashtags(text: &str) -> usize {
    let mut count = 0;
    outward::cashtags(text, |_| count += 1);
    count
}

impl Guard {
    /// A guard with the built-in lists and these rules.
    ///
    /// A word or phrase matches as a whole: `casino`, `election results`. With `*` at its end or beginning it also matches longer
    /// words; `{a|b}` matches either part.
    pub fn new(rules: &Rules) -> Result<Self, BadPattern> {
        let mut words = Words::built_in()?;
        for phrase in &rules.crisis {
            words.add_crisis(phrase)?;
        }
        let mut topics = Vec::new();
        for phrase in &rules.banned_topics {
            topics.extend(Pattern::parse_all(phrase)?);
        }
        let hosts = rules.allowed_hosts.iter().map(|host| host.trim_start_matches('.').to_lowercase()).collect();
        Ok(Self { words, topics, hosts })
    }

    /// Whether a text that a model wrote may be published. `answered` is the handle of the account that it answers, the only one it
    /// may mention. It may not contain hashtags or cashtags.
    ///
    /// A refused text must not be published, not even with approval; a flagged text may be, after a person has approved it.
    pub fn text(&self, text: &str, answered: Option<&str>) -> GuardVerdict {
        self.long_text(text, answered, POST_UNITS)
    }

    /// The same for a text that may weigh `most` units.
    pub fn long_text(&self, text: &str, answered: Option<&str>, most: usize) -> GuardVerdict {
        let mut found = self.read_own(text, most);
        outward::handles(text, answered, |at| found.add(Code::Mention, at));
        outward::hashtags(text, |at| found.add(Code::Hashtag, at));
        outward::cashtags(text, |at| found.add(Code::Cashtag, at));
        found.verdict(|code| Some(code.in_own_text()))
    }

    /// Whether a text from an operator or another service may be published. Mentions and tags are up to them.
    pub fn post(&self, text: &str) -> GuardVerdict {
        self.long_post(text, POST_UNITS)
    }

    /// The same for a text that may weigh `most` units.
    pub fn long_post(&self, text: &str, most: usize) -> GuardVerdict {
        self.read_own(text, most).verdict(|code| Some(code.in_own_text()))
    }

    fn read_own<'t>(&self, text: &'t str, most: usize) -> Findings<'t> {
        let mut found = Findings::new(text);
        if hidden::is_empty(text) {
            found.add(Code::Empty, 0..0);
        }
        if weighted_length(text) > most {
            found.add(Code::TooLong, 0..text.len());
        }
        hidden::find(text, |at| found.add(Code::Hidden, at));
        let folded = Folded::of(text);
        self.read_words(&folded, &mut found);
        personal::find(&folded, |code, at| found.add(code, at));
        outward::links(&folded, &self.hosts, |at| found.add(Code::Link, at));
        found
    }

    /// Whether a mention may be answered without a person. Swearing and links do not prevent it.
    pub fn mention(&self, text: &str) -> GuardVerdict {
        let mut found = Findings::new(text);
        let folded = Folded::of(text);
        self.read_words(&folded, &mut found);
        personal::find(&folded, |code, at| found.add(code, at));
        found.verdict(Code::in_mention)
    }

    /// Whether one of these texts, other posts of the author of a mention, shows somebody in need of help. Nothing else is checked,
    /// but a text that cannot be read is flagged too. The reasons have no span, because they are about other texts than the one that
    /// is answered.
    pub fn crisis<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> GuardVerdict {
        let mut reasons = Vec::new();
        for text in texts {
            let (mut found, folded) = (Findings::new(text), Folded::of(text));
            self.words.find(&folded, Some(Code::Crisis), |code, at| found.add(code, at));
            if !folded.was_read() {
                found.add(Code::Unreadable, 0..text.len());
            }
            let verdict = found.verdict(Code::in_mention);
            reasons.extend(verdict.reasons().iter().map(|reason| Reason { at: TextSpan::NONE, ..reason.clone() }));
        }
        reasons.truncate(TOLD);
        if reasons.is_empty() { GuardVerdict::Pass } else { GuardVerdict::Review(reasons) }
    }

    /// The text without links to hosts that are not allowed, without handles other than `answered`, without the `#` and `$` of tags, and
    /// without invisible characters.
    pub fn without_ways_out(&self, text: &str, answered: Option<&str>) -> String {
        let text = &visible(text);
        let mut cuts: Vec<Range<usize>> = Vec::new();
        outward::links(&Folded::of(text), &self.hosts, |at| cuts.push(at));
        outward::handles(text, answered, |at| cuts.push(at));
        let sign = |at: Range<usize>| at.start..at.start + text[at].chars().next().map_or(0, char::len_utf8);
        outward::hashtags(text, |at| cuts.push(sign(at)));
        outward::cashtags(text, |at| cuts.push(sign(at)));
        cuts.sort_by_key(|at| at.start);
        let (mut kept, mut from) = (String::with_capacity(text.len()), 0);
        for cut in cuts {
            kept.push_str(text.get(from..cut.start).unwrap_or_default());
            from = from.max(cut.end);
        }
        kept.push_str(text.get(from..).unwrap_or_default());
        let lines = kept.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    fn read_words(&self, folded: &Folded, found: &mut Findings<'_>) {
        self.words.find(folded, None, |code, at| found.add(code, at));
        for topic in &self.topics {
            for at in topic.find_all(folded, &[]) {
                found.add(Code::BannedTopic, at);
            }
        }
        if !folded.was_read() {
            found.add(Code::Unreadable, 0..found.text.len());
        }
        for (at, c) in found.text.char_indices().filter(|(_, c)| turns_around(*c)) {
            found.add(Code::Unreadable, at..at + c.len_utf8());
        }
    }
}

/// The findings in a text. Of overlapping findings of one kind where one contains the other, only the longer is kept.
struct Findings<'t> {
    text: &'t str,
    places: BTreeMap<Code, Vec<Range<usize>>>,
}

/// The most findings of one kind that are reported.
const TOLD: usize = 5;

impl<'t> Findings<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, places: BTreeMap::new() }
    }

    fn add(&mut self, code: Code, at: Range<usize>) {
        let places = self.places.entry(code).or_default();
        if places.iter().any(|known| known.start <= at.start && at.end <= known.end) {
            return;
        }
        places.retain(|known| !(at.start <= known.start && known.end <= at.end));
        places.push(at);
    }

    fn verdict(mut self, judge: impl Fn(Code) -> Option<verdict::Severity>) -> GuardVerdict {
        let mut heaviest = None;
        let mut reasons = Vec::new();
        for (code, places) in &mut self.places {
            let Some(weight) = judge(*code) else { continue };
            heaviest = heaviest.max(Some(weight));
            places.sort_by_key(|at| at.start);
            reasons.extend(places.iter().take(TOLD).map(|at| Reason::new(*code, self.text, at)));
        }
        match heaviest {
            None => GuardVerdict::Pass,
            Some(verdict::Severity::Flag) => GuardVerdict::Review(reasons),
            Some(verdict::Severity::Stop) => GuardVerdict::Refuse(reasons),
        }
    }
}

#[cfg(test)]
mod tests;
