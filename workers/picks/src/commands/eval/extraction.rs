//! `perch eval extraction`: measures how well picks are read from labelled posts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use indicatif::ProgressBar;
use perch_base::{Settings, chain, settings::TokenPrice};
use perch_bot::cli::{CommandError, Invocation};
use perch_clients::{LocalLimits, ModelClient, models::Usage};
use perch_jobs::Post;
use perch_queue::Fail;

use super::{
    examples::read,
    report::{ReaderAnswer, Report},
};
use crate::{PicksSettings, extraction::read_with, rules};

/// The name of the rules in `--provider`.
const RULES: &str = "rules";
/// How often a provider is asked when it is down or limited.
const MOST_TRIES: u32 = 4;
/// The longest wait for a provider that says when to ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Labelled posts, one JSON object a line: text and expected
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// A provider of [models.providers], or `rules`; the first of picks.providers when it is left out
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// How many posts to read, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Shows the posts that were read wrong, with the given and the expected answer
    #[arg(long)]
    pub wrong: bool,
    /// How many posts are read at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
}

/// What reads the posts.
enum Reader {
    Rules,
    Model(Box<ModelClient>),
}

impl Reader {
    fn new(settings: &Settings, name: &str) -> Result<Self, CommandError> {
        if name == RULES {
            return Ok(Self::Rules);
        }
        if !settings.models.providers.contains_key(name) {
            let known: Vec<&str> = settings.models.providers.keys().map(String::as_str).collect();
            return Err(CommandError::Refused(format!(
                "there is no provider {name}; configured are {}, and {RULES} needs none",
                known.join(", ")
            )));
        }
        ModelClient::from_settings(settings, name, Arc::new(LocalLimits::default()))
            .map(|model| Self::Model(Box::new(model)))
            .map_err(|error| CommandError::Part { part: "models", reason: chain(&error) })
    }

    /// Reads a post and advances the progress bar.
    async fn read_one(&self, post: &Post, bar: &ProgressBar) -> ReaderAnswer {
        let given = self.read(post).await;
        bar.inc(1);
        given
    }

    async fn read(&self, post: &Post) -> ReaderAnswer {
        let Self::Model(model) = self else {
            return ReaderAnswer { answer: Ok(rules::extract(&post.text)), usage: Usage::default(), objections: 0 };
        };
        // Unusable answers cost tokens too, so they are counted.
        let mut usage = Usage::default();
        let mut tries = 1;
        loop {
            let fail = match read_with(model, post, &mut usage).await {
                Ok(reading) => {
                    return ReaderAnswer { answer: Ok(reading.answer), usage, objections: reading.objections };
                }
                Err(fail) => fail,
            };
            let wait = match &fail {
                Fail::Retry(_) => Duration::from_secs(1 << tries),
                Fail::RetryAfter(after, _) | Fail::Snooze(after, _) => *after,
                Fail::Dead(_) | Fail::Cancelled(_) => LONGEST_WAIT,
            };
            let hopeless = matches!(fail, Fail::Dead(_) | Fail::Cancelled(_));
            if hopeless || tries == MOST_TRIES || wait > LONGEST_WAIT {
                return ReaderAnswer { answer: Err(reason(fail)), usage, objections: 0 };
            }
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

fn reason(fail: Fail) -> String {
    match fail {
        Fail::Retry(reason)
        | Fail::RetryAfter(_, reason)
        | Fail::Snooze(_, reason)
        | Fail::Dead(reason)
        | Fail::Cancelled(reason) => reason,
    }
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let examples = read(&args.data, limit)?;
    let (name, reader, price) = match args.provider.as_deref() {
        // The rules need no configuration.
        Some(RULES) => (RULES.to_owned(), Reader::Rules, TokenPrice::default()),
        named => {
            let settings = at.settings()?;
            let own = settings.sections.get::<PicksSettings>()?;
            let first = own.providers.first().map_or("", String::as_str);
            let name = named.unwrap_or(first).to_owned();
            let reader = Reader::new(&settings, &name)?;
            let price = settings.models.providers.get(&name).map(|provider| provider.price).unwrap_or_default();
            (name, reader, price)
        }
    };
    let bar = at.out.bar(examples.len() as u64, "posts");
    // The readers get only the posts, not the labels.
    let reading: Vec<_> = examples.iter().map(|example| reader.read_one(&example.post, &bar)).collect();
    let given: Vec<ReaderAnswer> = stream::iter(reading).buffered(usize::from(args.concurrency)).collect().await;
    bar.finish_and_clear();
    let mut report = Report::new(name, price);
    for (example, given) in examples.iter().zip(given) {
        report.add(example, given);
    }
    report.say(at, args.wrong)?;
    if report.failed == report.score.posts { Err(CommandError::Reported) } else { Ok(()) }
}
