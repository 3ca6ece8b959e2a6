use std::{fs, path::Path, path::PathBuf};

use perch_bot::cli::{CommandError, Invocation};
use perch_core::personas::Topic;
use perch_jobs::PersonaName;

use super::{one, persona, unknown};
use crate::{
    spec::{ArmSpec, Form, HalfThread, Hook, LearnerSpec, Length, ThreadPolicy, problems},
    store::{BotChange, LearnerBot, LearnerStore as _},
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// How a bot learns, as options. Those that are left out keep what is there, or their default.
#[derive(Debug, clap::Args)]
pub struct SpecArgs {
    /// A file with all of it, TOML or JSON; options beside it come on top
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A kind of post, as TOPIC/FORM/HOOK/LENGTH such as rye/thread/question; may be repeated, and replaces all
    #[arg(long, value_name = "ARM", value_parser = arm)]
    pub arm: Vec<ArmSpec>,
    /// Posts of a day
    #[arg(long, value_name = "N")]
    pub posts_per_day: Option<u8>,
    /// The hours at which it may post, such as 8-11,20; in the time zone of the persona
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    pub hours: Option<Hours>,
    /// The least time between two posts
    #[arg(long, value_name = "MINUTES")]
    pub min_gap_minutes: Option<u16>,
    /// Candidates that are written for each post
    #[arg(long, value_name = "N")]
    pub candidates: Option<u8>,
    /// Whether threads are published: chain or off
    #[arg(long, value_enum)]
    pub threads: Option<ThreadPolicy>,
    /// What becomes of a thread of which only a part is out: keep or delete
    #[arg(long, value_enum)]
    pub half_thread: Option<HalfThread>,
}

/// Hours of a day.
#[derive(Debug, Clone)]
pub struct Hours(Vec<u8>);

fn hours(text: &str) -> Result<Hours, String> {
    let wrong = || format!("{text:?} are no hours; write such as 8-11,20");
    let mut all = Vec::new();
    for range in text.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let hour = |text: &str| text.trim().parse::<u8>().ok().filter(|hour| *hour < 24).ok_or_else(wrong);
        let (from, to) = (hour(from)?, hour(to)?);
        if from > to {
            return Err(wrong());
        }
        all.extend(from..=to);
    }
    all.sort_unstable();
    all.dedup();
    Ok(Hours(all))
}

fn arm(text: &str) -> Result<ArmSpec, String> {
    let mut parts = text.split('/').map(str::trim);
    let topic = parts.next().filter(|topic| !topic.is_empty() && *topic != "any").map(str::to_owned);
    let form = word::<Form>("form", parts.next(), "single, list, thread")?;
    let hook = word::<Hook>("hook", parts.next(), "claim, question, number, story")?;
    let length = word::<Length>("length", parts.next(), "any, short, long")?;
    if parts.next().is_some() {
        return Err(format!("{text:?} has more than topic, form, hook and length"));
    }
    Ok(ArmSpec { topic, form, hook, length })
}

fn word<T: serde::de::DeserializeOwned + Default>(what: &str, given: Option<&str>, allowed: &str) -> Result<T, String> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(T::default()) };
    serde_json::from_value(given.into()).map_err(|_| format!("{given:?} is no {what}; there are {allowed}"))
}

impl SpecArgs {
    fn is_empty(&self) -> bool {
        self.file.is_none()
            && self.arm.is_empty()
            && self.posts_per_day.is_none()
            && self.hours.is_none()
            && self.min_gap_minutes.is_none()
            && self.candidates.is_none()
            && self.threads.is_none()
            && self.half_thread.is_none()
    }

    /// What is given put over `base`, or over what the file has.
    fn over(&self, base: LearnerSpec) -> Result<LearnerSpec, CommandError> {
        let mut spec = self.file.as_deref().map_or(Ok(base), read)?;
        if !self.arm.is_empty() {
            spec.arms.clone_from(&self.arm);
        }
        if let Some(Hours(hours)) = &self.hours {
            spec.hours.clone_from(hours);
        }
        spec.posts_per_day = self.posts_per_day.unwrap_or(spec.posts_per_day);
        spec.min_gap_minutes = self.min_gap_minutes.unwrap_or(spec.min_gap_minutes);
        spec.candidates = self.candidates.unwrap_or(spec.candidates);
        spec.threads = self.threads.unwrap_or(spec.threads);
        spec.half_thread = self.half_thread.unwrap_or(spec.half_thread);
        Ok(spec)
    }
}

fn read(path: &Path) -> Result<LearnerSpec, CommandError> {
    let refused = |why: String| CommandError::Usage(format!("{}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > LARGEST {
        return Err(refused(format!("has {size} bytes; at most {LARGEST} are read")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return serde_json::from_str(&text).map_err(|error| refused(error.to_string()));
    }
    toml::from_str(&text).map_err(|error| refused(error.to_string()))
}

fn checked(spec: &LearnerSpec, topics: &[Topic]) -> Result<(), CommandError> {
    let problems: Vec<String> = problems(spec, topics).iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(()) } else { Err(CommandError::Usage(problems.join("\n"))) }
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// The persona
    pub name: PersonaName,
    #[command(flatten)]
    pub spec: SpecArgs,
}

#[derive(Debug, clap::Args)]
pub struct EditArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    #[command(flatten)]
    pub spec: SpecArgs,
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    /// Without asking
    #[arg(long)]
    pub yes: bool,
}

pub async fn add(at: &Invocation<'_>, args: &AddArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let persona = persona(store, &args.name).await?;
    let spec = args.spec.over(LearnerSpec::default())?;
    checked(&spec, &persona.spec.topics)?;
    match store.learner().put_bot(&args.name, &spec, Some(0), &at.operator).await? {
        BotChange::Added(bot) => {
            if !persona.spec.schedule.is_empty() {
                at.out.note(format_args!(
                    "note: {} also posts from its stock, by its schedule; `perch personas edit` can change that",
                    args.name
                ));
            }
            said(at, &bot, "learns now")
        }
        _ => Err(CommandError::Refused(format!("{0} learns already; `perch learn edit {0}` changes how", args.name))),
    }
}

pub async fn edit(at: &Invocation<'_>, args: &EditArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    if args.spec.is_empty() {
        return Err(CommandError::Usage(
            "say what to change, such as --posts-per-day 3; `perch learn edit --help` lists it".into(),
        ));
    }
    let before = one(store, &args.name).await?;
    let topics = persona(store, &args.name).await?.spec.topics;
    let spec = args.spec.over(before.spec)?;
    checked(&spec, &topics)?;
    match store.learner().put_bot(&args.name, &spec, Some(before.version), &at.operator).await? {
        BotChange::Added(bot) | BotChange::Changed(bot) => said(at, &bot, "is changed"),
        BotChange::Unchanged(bot) => said(at, &bot, "is as it was"),
        BotChange::Conflict(_) | BotChange::Unknown => Err(CommandError::Refused(format!(
            "somebody else has changed {} meanwhile; look at it and try again",
            args.name
        ))),
    }
}

pub async fn remove(at: &Invocation<'_>, args: &RemoveArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, &args.name).await?;
    at.out.confirm(&format!("{} ends learning; its log stays", args.name), args.yes)?;
    if !store.learner().remove_bot(&args.name, &at.operator).await? {
        return Err(unknown(&args.name));
    }
    at.out.answer(
        &serde_json::json!({ "bot": args.name, "removed": true }),
        format_args!("{} does not learn any more", args.name),
    )
}

pub async fn switch(at: &Invocation<'_>, name: &PersonaName, enabled: bool) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let words = if enabled { "posts" } else { "is paused" };
    match store.learner().set_enabled(name, enabled, None, &at.operator).await? {
        BotChange::Unknown => Err(unknown(name)),
        BotChange::Added(bot) | BotChange::Changed(bot) | BotChange::Unchanged(bot) | BotChange::Conflict(bot) => {
            said(at, &bot, words)
        }
    }
}

fn said(at: &Invocation<'_>, bot: &LearnerBot, words: &str) -> Result<(), CommandError> {
    at.out.answer(bot, format_args!("{} {words}", bot.bot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_read_as_it_is_shown() {
        let read = arm("rye/thread/question").expect("an arm");
        assert_eq!(read.to_string(), "rye/thread/question/any");
        assert_eq!(arm(&read.to_string()), Ok(read));
        assert_eq!(arm("any").expect("an arm").topic, None);
        assert!(arm("rye/poem").is_err_and(|error| error.contains("single, list, thread")));
        assert!(arm("rye/single/claim/any/more").is_err());
    }

    #[test]
    fn hours_are_read_as_ranges() {
        assert_eq!(hours("8-10,20").expect("hours").0, [8, 9, 10, 20]);
        for wrong in ["", "24", "9-8", "a", "8-"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
