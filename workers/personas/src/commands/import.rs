use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use perch_bot::cli::{
    CommandError, Invocation,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        text::count,
    },
};
use perch_core::personas::{FieldProblem, PersonaChange, PersonaLimits, PersonaSpec, PersonaStore as _};
use perch_jobs::{AccountId, PersonaName};
use perch_store::Store;
use serde::Serialize;
use serde_json::Value;

use super::import_template;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// The table of a file that holds the personas.
const PERSONAS: &str = "personas";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --sqlite, FILE has personas by name, TOML or JSON: [personas.NAME] with the fields of a persona. Each is \
                        added, or replaces the one that is there. One that cannot be so is named and left out, and the others are \
                        imported.\n\nWith --sqlite, FILE is the database of the template that many bots start from. Each row of \
                        bot_configs becomes a persona, unless there is one of its name; its unused posts go into the stock, and its used \
                        posts are kept, so that nothing similar is published again. Another import adds what is new alone."
)]
pub struct Args {
    /// The file; with --sqlite and without FILE, the variable `DATABASE_PATH` names it
    #[arg(required_unless_present = "sqlite")]
    pub file: Option<PathBuf>,
    /// The file is a SQLite database of the template
    #[arg(long)]
    pub sqlite: bool,
    /// The name of the persona for a bot of the database; may be repeated
    #[arg(long, value_name = "OLD=NEW", value_parser = renamed, requires = "sqlite")]
    pub name: Vec<(String, PersonaName)>,
    /// The account of the new personas, or with BOT=ACCOUNT of one; may be repeated. Not needed where there is one account alone
    #[arg(long, value_name = "ACCOUNT", value_parser = account, requires = "sqlite")]
    pub account: Vec<(Option<String>, AccountId)>,
    /// Imports nothing if one of the personas cannot be so
    #[arg(long)]
    pub strict: bool,
    /// Shows what the import would do, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A name for a bot. The name of a persona has no `=`, that of a bot may.
fn renamed(text: &str) -> Result<(String, PersonaName), String> {
    let (old, new) = text.rsplit_once('=').ok_or_else(|| format!("{text:?} is not OLD=NEW"))?;
    Ok((old.to_owned(), new.parse().map_err(|error: perch_jobs::InvalidPersonaName| error.to_string())?))
}

fn account(text: &str) -> Result<(Option<String>, AccountId), String> {
    let (bot, account) = text.rsplit_once('=').map_or((None, text), |(bot, account)| (Some(bot.to_owned()), account));
    Ok((bot, account.parse().map_err(|error| format!("{error}"))?))
}

/// What became of one of them.
#[derive(Debug, Serialize)]
struct Imported {
    persona: String,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Added,
    Changed,
    Unchanged,
    Refused,
    /// Another one was refused, and --strict was given.
    LeftOut,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::LeftOut => "left out",
        }
    }
}

/// A persona in a file of its own.
pub(super) fn read_spec(path: &Path) -> Result<PersonaSpec, CommandError> {
    let problems = |problems: Vec<FieldProblem>| {
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CommandError::Usage(format!("{}: the persona cannot be so:\n{}", path.display(), said.join("\n")))
    };
    PersonaSpec::from_json(read(path)?).map_err(problems)
}

/// A file as JSON, whichever of both it is.
fn read(path: &Path) -> Result<Value, CommandError> {
    let refused = |why: String| CommandError::Usage(format!("{}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > LARGEST {
        return Err(refused(format!("has {size} bytes; at most {LARGEST} are read")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_json {
        return serde_json::from_str(&text).map_err(|error| refused(error.to_string()));
    }
    toml::from_str(&text).map_err(|error| refused(error.to_string()))
}

/// Adds or changes each persona in a file. One that cannot be so is refused, and keeps none of the others from being imported.
pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    match &args.file {
        _ if args.sqlite => import_template::run(at, args).await,
        Some(file) => run_file(at, file, args).await,
        None => Err(CommandError::Usage("name a file with personas".into())),
    }
}

async fn run_file(at: &Invocation<'_>, file: &Path, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let read = personas_in(read(file)?, &PersonaLimits::of(settings))
        .map_err(|reason| CommandError::Usage(format!("{}: {reason}", file.display())))?;
    let refused = read.values().filter(|one| one.is_err()).count();
    let is_given_up = args.strict && refused > 0;
    let mut all = Vec::new();
    for (name, one) in read {
        let (outcome, problems) = match one {
            Err(problems) => (Outcome::Refused, problems),
            Ok(_) if is_given_up => (Outcome::LeftOut, Vec::new()),
            Ok((persona, spec)) if args.dry_run => (would_be(store, &persona, &spec).await?, Vec::new()),
            Ok((persona, spec)) => (put(store, &persona, &spec, &at.operator).await?, Vec::new()),
        };
        all.push(Imported { persona: name, outcome, problems });
    }
    if at.out.is_json() {
        at.out.json(&all)?;
    } else {
        at.out.table(&listing(&all))?;
        if args.dry_run {
            at.out.line("nothing was changed")?;
        }
    }
    if refused == 0 {
        return Ok(());
    }
    let (refused, others) = (count(refused, "persona"), if is_given_up { "nothing is" } else { "the others are" });
    Err(CommandError::Refused(format!("{refused} cannot be so; {others} imported")))
}

/// A persona of a file, or what is wrong with it.
type Read = Result<(PersonaName, PersonaSpec), Vec<String>>;

/// The personas of a file by name.
fn personas_in(file: Value, limits: &PersonaLimits) -> Result<BTreeMap<String, Read>, String> {
    let Value::Object(mut tables) = file else { return Err("is no table of personas".to_owned()) };
    let Some(Value::Object(personas)) = tables.remove(PERSONAS) else {
        return Err(format!("has no table {PERSONAS}; each persona stands under [{PERSONAS}.NAME]"));
    };
    let others = tables.into_iter().map(|(name, _)| {
        let problem =
            format!("is beside [{PERSONAS}], where no field stands; each persona stands under [{PERSONAS}.NAME]");
        (name, Err(vec![problem]))
    });
    let personas = personas.into_iter().map(|(name, value)| {
        let one = persona(&name, value, limits);
        (name, one)
    });
    Ok(others.chain(personas).collect())
}

fn persona(name: &str, value: Value, limits: &PersonaLimits) -> Read {
    let said = |problems: Vec<FieldProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let named = name.parse::<PersonaName>().map_err(|error| format!("name: {error}"));
    let spec = PersonaSpec::from_json(value).map_err(said).and_then(|spec| {
        let problems = limits.problems(&spec);
        if problems.is_empty() { Ok(spec) } else { Err(said(problems)) }
    });
    match (named, spec) {
        (Ok(name), Ok(spec)) => Ok((name, spec)),
        (Ok(_), Err(problems)) => Err(problems),
        (Err(problem), spec) => Err([problem].into_iter().chain(spec.err().unwrap_or_default()).collect()),
    }
}

async fn put(store: &Store, name: &PersonaName, spec: &PersonaSpec, by: &str) -> Result<Outcome, CommandError> {
    Ok(match store.personas().put(name, spec, None, by).await? {
        PersonaChange::Added(_) => Outcome::Added,
        PersonaChange::Changed(_) => Outcome::Changed,
        PersonaChange::Unchanged(_) | PersonaChange::Conflict(_) | PersonaChange::Unknown => Outcome::Unchanged,
    })
}

async fn would_be(store: &Store, name: &PersonaName, spec: &PersonaSpec) -> Result<Outcome, CommandError> {
    Ok(match store.personas().get(name).await? {
        None => Outcome::Added,
        Some(persona) if persona.spec == *spec => Outcome::Unchanged,
        Some(_) => Outcome::Changed,
    })
}

fn listing(all: &[Imported]) -> Listing {
    let mut listing = Listing::new([whole("NAME"), whole("OUTCOME"), cut("PROBLEMS")]);
    for Imported { persona, outcome, problems } in all {
        let tone = match outcome {
            Outcome::Refused => Tone::Bad,
            Outcome::LeftOut => Tone::Warn,
            Outcome::Added | Outcome::Changed | Outcome::Unchanged => Tone::Good,
        };
        listing.row([cell(persona), cell(outcome.as_str()).tone(tone), cell(problems.join("; "))]);
    }
    listing
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_in(file: Value) -> BTreeMap<String, Read> {
        let limits = PersonaLimits::default().with_account(AccountId::from_static("main"), 280);
        personas_in(file, &limits).expect("a file of personas")
    }

    #[test]
    fn each_persona_is_read_for_itself_and_a_bad_one_is_named_with_all_its_fields() {
        let good = json!({ "account": "main", "prompt": "You are kind." });
        let bad = json!({ "account": "other", "prompt": "", "mood": "glad" });
        let file = json!({ "personas": { "good": good, "Bad Name": bad, "flat": 7 }, "persona": {} });
        let read = read_in(file);
        assert!(read["good"].is_ok());
        let problems = |name: &str| read[name].as_ref().expect_err("it cannot be so").join("\n");
        let said = problems("Bad Name");
        assert!(said.contains("name: \"Bad Name\"") && said.contains("mood: is no field"), "{said}");
        assert!(problems("flat").contains("no table of fields") && problems("persona").contains("[personas.NAME]"));
    }

    #[test]
    fn a_bot_is_renamed_and_given_an_account_whatever_signs_its_name_has() {
        assert_eq!(renamed("a=b=my-bot"), Ok(("a=b".to_owned(), "my-bot".parse().expect("a name"))));
        assert!(renamed("my-bot").is_err() && renamed("a=My Bot").is_err());
        assert_eq!(account("main"), Ok((None, AccountId::from_static("main"))));
        assert_eq!(account("My Bot=main"), Ok((Some("My Bot".to_owned()), AccountId::from_static("main"))));
    }
}
