use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use perch_bot::cli::{
    CommandError, Invocation,
    format::table::{Listing, Tone, cell, cut, whole},
};
use perch_core::personas::{PersonaChange, PersonaLimits, PersonaSpec, PersonaStore as _};
use perch_jobs::PersonaName;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with personas by name, TOML or JSON: `[personas.NAME]` with the fields of a persona
    pub file: PathBuf,
}

/// A file with several personas.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonaFile {
    personas: BTreeMap<PersonaName, PersonaSpec>,
}

/// What became of one of them.
#[derive(Debug, Serialize)]
struct Imported {
    persona: PersonaName,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// A persona in a file of its own.
pub(super) fn read_spec(path: &Path) -> Result<PersonaSpec, CommandError> {
    read(path)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CommandError> {
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
    let (settings, store) = &at.store()?;
    let limits = PersonaLimits::of(settings);
    let mut all = Vec::new();
    for (persona, spec) in read::<PersonaFile>(&args.file)?.personas {
        let problems: Vec<String> = limits.problems(&spec).iter().map(ToString::to_string).collect();
        let outcome = if problems.is_empty() {
            match store.personas().put(&persona, &spec, None, &at.operator).await? {
                PersonaChange::Added(_) => "added",
                PersonaChange::Changed(_) => "changed",
                PersonaChange::Unchanged(_) | PersonaChange::Conflict(_) | PersonaChange::Unknown => "unchanged",
            }
        } else {
            "refused"
        };
        all.push(Imported { persona, outcome, problems });
    }
    let refused = all.iter().filter(|one| one.outcome == "refused").count();
    if at.out.is_json() {
        at.out.json(&all)?;
    } else {
        at.out.table(&listing(&all))?;
    }
    if refused > 0 {
        Err(CommandError::Refused(format!("{refused} personas were refused; the others are imported")))
    } else {
        Ok(())
    }
}

fn listing(all: &[Imported]) -> Listing {
    let mut listing = Listing::new([whole("NAME"), whole("OUTCOME"), cut("PROBLEMS")]);
    for Imported { persona, outcome, problems } in all {
        let tone = if *outcome == "refused" { Tone::Bad } else { Tone::Good };
        listing.row([cell(persona), cell(outcome).tone(tone), cell(problems.join("; "))]);
    }
    listing
}
