use std::{path::PathBuf, time::Duration};

use chrono_tz::Tz;
use perch_base::Settings;
use perch_bot::cli::{CommandError, Invocation, parse::time::duration};
use perch_core::personas::{
    CatchUpPolicy, Evergreen, Persona, PersonaChange, PersonaLimits, PersonaSpec, PersonaStore as _, ReviewPolicy,
    Topic,
};
use perch_jobs::{AccountId, PersonaName};
use serde_json::json;

use super::{import::read_spec, one, unknown};

/// What a persona is, as options. Those that are left out keep what is there, or their default.
#[derive(Debug, clap::Args)]
pub struct SpecArgs {
    /// A file with the persona, TOML or JSON; options beside it come on top
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The account that it speaks as
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Who it is
    #[arg(long)]
    pub prompt: Option<String>,
    /// A topic with its weight, NAME or NAME=WEIGHT; may be repeated, and replaces all
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = topic)]
    pub topic: Vec<Topic>,
    /// The tone of its posts
    #[arg(long)]
    pub tone: Option<String>,
    /// The style of its posts
    #[arg(long)]
    pub style: Option<String>,
    /// The longest post, by X's weighted count
    #[arg(long, value_name = "UNITS")]
    pub max_length: Option<u16>,
    /// An https address of a feed, page or text file; may be repeated, and replaces all
    #[arg(long, value_name = "URL")]
    pub source: Vec<String>,
    /// The language of its posts, such as en
    #[arg(long)]
    pub language: Option<String>,
    /// When it posts, five cron fields; may be repeated, and replaces all
    #[arg(long, value_name = "CRON")]
    pub schedule: Vec<String>,
    /// The time zone of the schedule, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<Tz>,
    /// What becomes of a missed slot
    #[arg(long, value_enum)]
    pub catch_up: Option<CatchUpPolicy>,
    /// Which posts a person reviews
    #[arg(long, value_enum)]
    pub review: Option<ReviewPolicy>,
    /// A provider of models; may be repeated, in the order in which they are asked, and replaces all
    #[arg(long)]
    pub provider: Vec<String>,
    /// The most that models may cost it in a day, in USD
    #[arg(long, value_name = "USD")]
    pub usd_per_day: Option<f64>,
    /// How long ago a post was published before it may be said again in other words, such as 60d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub evergreen_after: Option<Duration>,
}

fn topic(text: &str) -> Result<Topic, String> {
    let (name, weight) = text.rsplit_once('=').unwrap_or((text, "1"));
    let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight; write NAME or NAME=2.5"))?;
    Ok(Topic { name: name.trim().to_owned(), weight })
}

impl SpecArgs {
    fn is_empty(&self) -> bool {
        let lists = [self.source.is_empty(), self.schedule.is_empty(), self.provider.is_empty(), self.topic.is_empty()];
        let texts = [&self.prompt, &self.tone, &self.style, &self.language];
        lists.into_iter().all(|empty| empty)
            && texts.into_iter().all(Option::is_none)
            && self.file.is_none()
            && self.account.is_none()
            && self.max_length.is_none()
            && self.timezone.is_none()
            && self.catch_up.is_none()
            && self.review.is_none()
            && self.usd_per_day.is_none()
            && self.evergreen_after.is_none()
    }

    /// A persona with what was given put over it.
    fn over(&self, mut spec: PersonaSpec) -> PersonaSpec {
        fn put<T: Clone>(given: Option<&T>, into: &mut T) {
            if let Some(given) = given {
                into.clone_from(given);
            }
        }
        put(self.account.as_ref(), &mut spec.account);
        put(self.prompt.as_ref(), &mut spec.prompt);
        put(self.tone.as_ref(), &mut spec.tone);
        put(self.style.as_ref(), &mut spec.style);
        put(self.max_length.as_ref(), &mut spec.max_length);
        put(self.timezone.as_ref(), &mut spec.timezone);
        put(self.catch_up.as_ref(), &mut spec.catch_up);
        put(self.review.as_ref(), &mut spec.review);
        put(Some(&self.topic).filter(|given| !given.is_empty()), &mut spec.topics);
        put(Some(&self.source).filter(|given| !given.is_empty()), &mut spec.sources);
        put(Some(&self.schedule).filter(|given| !given.is_empty()), &mut spec.schedule);
        if !self.provider.is_empty() {
            spec.providers = self.provider.clone().into();
        }
        spec.language = self.language.clone().or(spec.language);
        spec.usd_per_day = self.usd_per_day.or(spec.usd_per_day);
        spec.evergreen = self.evergreen_after.map(|after| Evergreen { after }).or(spec.evergreen);
        spec
    }
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Its name
    pub name: PersonaName,
    #[command(flatten)]
    pub spec: SpecArgs,
}

#[derive(Debug, clap::Args)]
pub struct EditArgs {
    /// The name of the persona
    pub name: PersonaName,
    #[command(flatten)]
    pub spec: SpecArgs,
    /// What it is to have no longer; may be repeated
    #[arg(long, value_enum, value_name = "FIELD")]
    pub clear: Vec<Clearable>,
}

/// What a persona need not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Clearable {
    /// Its tone.
    Tone,
    /// Its style.
    Style,
    /// Its topics.
    Topics,
    /// Its sources.
    Sources,
    /// Its language.
    Language,
    /// Its schedule: it posts when it is told to.
    Schedule,
    /// Its providers of models: it has those of the settings.
    Providers,
    /// The most that models may cost it in a day.
    UsdPerDay,
    /// Posts that are said again in other words.
    Evergreen,
}

impl Clearable {
    fn clear(self, spec: &mut PersonaSpec) {
        match self {
            Self::Tone => spec.tone.clear(),
            Self::Style => spec.style.clear(),
            Self::Topics => spec.topics.clear(),
            Self::Sources => spec.sources.clear(),
            Self::Language => spec.language = None,
            Self::Schedule => spec.schedule.clear(),
            Self::Providers => spec.providers = Vec::<String>::new().into(),
            Self::UsdPerDay => spec.usd_per_day = None,
            Self::Evergreen => spec.evergreen = None,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// The name of the persona
    pub name: PersonaName,
    /// Without asking
    #[arg(long)]
    pub yes: bool,
}

pub async fn add(at: &Invocation<'_>, args: &AddArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let base = match (&args.spec.file, &args.spec.account, &args.spec.prompt) {
        (Some(file), ..) => read_spec(file)?,
        (None, Some(account), Some(prompt)) => PersonaSpec::new(account.clone(), prompt.clone()),
        _ => return Err(CommandError::Usage("a persona needs --account and --prompt, or --file".into())),
    };
    let spec = args.spec.over(base);
    checked(settings, &spec)?;
    match store.personas().put(&args.name, &spec, Some(0), &at.operator).await? {
        PersonaChange::Added(persona) => said(at, &persona, "is added"),
        _ => Err(CommandError::Refused(format!(
            "there is a persona {0} already; `perch personas edit {0}` changes it",
            args.name
        ))),
    }
}

pub async fn edit(at: &Invocation<'_>, args: &EditArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    if args.spec.is_empty() && args.clear.is_empty() {
        return Err(CommandError::Usage(
            "say what to change, such as --tone dry; `perch personas edit --help` lists it".into(),
        ));
    }
    let before = one(store, &args.name).await?;
    let mut base = args.spec.file.as_ref().map_or(Ok(before.spec), |file| read_spec(file))?;
    args.clear.iter().for_each(|field| field.clear(&mut base));
    let spec = args.spec.over(base);
    checked(settings, &spec)?;
    match store.personas().put(&args.name, &spec, Some(before.version), &at.operator).await? {
        PersonaChange::Added(persona) | PersonaChange::Changed(persona) => said(at, &persona, "is changed"),
        PersonaChange::Unchanged(persona) => said(at, &persona, "is as it was"),
        PersonaChange::Conflict(_) | PersonaChange::Unknown => Err(CommandError::Refused(format!(
            "somebody else has changed {} meanwhile; look at it and try again",
            args.name
        ))),
    }
}

/// Refuses a persona with every problem that it has.
pub(super) fn checked(settings: &Settings, spec: &PersonaSpec) -> Result<(), CommandError> {
    let problems = PersonaLimits::of(settings).problems(spec);
    if problems.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(CommandError::Usage(format!("the persona cannot be so:\n{}", said.join("\n"))))
}

fn said(at: &Invocation<'_>, persona: &Persona, what: &str) -> Result<(), CommandError> {
    at.out.answer(persona, format_args!("{} {what}; it is version {}", persona.name, persona.version))
}

pub async fn remove(at: &Invocation<'_>, args: &RemoveArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    at.out.confirm(
        &format!("the persona {} and its stock of posts end; posts that are in a slot go out", args.name),
        args.yes,
    )?;
    if !store.personas().remove(&args.name, &at.operator).await? {
        return Err(unknown(&args.name));
    }
    at.out.answer(&json!({ "persona": args.name, "removed": true }), format_args!("{} is removed", args.name))
}

pub async fn switch(at: &Invocation<'_>, name: &PersonaName, enabled: bool) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let what = if enabled { "posts" } else { "does not post" };
    match store.personas().set_enabled(name, enabled, &at.operator).await? {
        PersonaChange::Added(persona) | PersonaChange::Changed(persona) => said(at, &persona, what),
        PersonaChange::Unchanged(persona) | PersonaChange::Conflict(persona) => {
            said(at, &persona, &format!("{what}, as before"))
        }
        PersonaChange::Unknown => Err(unknown(name)),
    }
}
