//! Decides which bot of the file becomes which persona.

use std::collections::{BTreeMap, BTreeSet};

use perch_core::personas::{Persona, PersonaLimits, PersonaSpec, PersonaStore as _};
use perch_jobs::{AccountId, PersonaName};
use perch_store::Store;

use super::{
    BotImport, ImportError, ImportOptions, ImportOutcome, ImportedPosts,
    config::{Converted, persona},
    sqlite::{ConfigRow, PostRow, StatsRow, TemplateData},
};

/// A bot of the file, with what is to become of it.
#[derive(Debug)]
pub(super) struct PlannedBot {
    pub(super) report: BotImport,
    /// The persona that its posts belong to; none when it is refused.
    pub(super) target: Option<(PersonaName, PersonaSpec)>,
    pub(super) stats: Option<StatsRow>,
}

/// The names of all bots in the file.
fn bots(data: &TemplateData) -> BTreeSet<&str> {
    let configs = data.configs.iter().map(|row| row.bot_id.as_str());
    configs.chain(data.posts.iter().map(|row| row.bot_id.as_str())).collect()
}

/// What is to become of each bot, by its name in the file.
pub(super) async fn plan(
    store: &Store,
    limits: &PersonaLimits,
    data: &TemplateData,
    options: &ImportOptions,
) -> Result<BTreeMap<String, PlannedBot>, ImportError> {
    let bots = bots(data);
    for named in options.names.keys().chain(options.accounts.keys()) {
        if !bots.contains(named.as_str()) {
            let there = bots.iter().map(|bot| format!("{bot:?}")).collect::<Vec<_>>().join(", ");
            let there = if there.is_empty() { "none".to_owned() } else { there };
            return Err(ImportError::UnknownBot { named: named.clone(), there });
        }
    }
    let (mut planned, mut taken) = (BTreeMap::new(), BTreeMap::new());
    for bot_id in bots {
        let mut report = BotImport {
            bot_id: bot_id.to_owned(),
            persona: None,
            outcome: ImportOutcome::Refused,
            problems: Vec::new(),
            notes: Vec::new(),
            posts: ImportedPosts::default(),
        };
        let target = target(store, limits, data, options, &mut report, &mut taken).await?;
        let stats = data.stats.iter().find(|row| row.bot_id == bot_id).cloned();
        report.notes.extend(stats.as_ref().and_then(|stats| other_total(stats, &data.posts)));
        planned.insert(bot_id.to_owned(), PlannedBot { report, target, stats });
    }
    Ok(planned)
}

async fn target(
    store: &Store,
    limits: &PersonaLimits,
    data: &TemplateData,
    options: &ImportOptions,
    report: &mut BotImport,
    taken: &mut BTreeMap<PersonaName, String>,
) -> Result<Option<(PersonaName, PersonaSpec)>, ImportError> {
    let bot_id = report.bot_id.clone();
    let name = match options.names.get(&bot_id).cloned().map_or_else(|| bot_id.parse(), Ok) {
        Ok(name) => name,
        Err(error) => {
            let renamed = format!("{bot_id}={}", slug(&bot_id));
            report.problems.push(format!("bot_id: {error}; give it one with --name {}", shell_words::quote(&renamed)));
            return Ok(None);
        }
    };
    if let Some(other) = taken.insert(name.clone(), bot_id.clone()) {
        let problem = format!("bot_id: {name} is the persona of {other:?} already; give it another name with --name");
        taken.insert(name, other);
        report.problems.push(problem);
        return Ok(None);
    }
    report.persona = Some(name.clone());
    if let Some(Persona { spec, .. }) = store.personas().get(&name).await? {
        report.outcome = ImportOutcome::Kept;
        return Ok(Some((name, spec)));
    }
    let Some(row) = data.configs.iter().find(|row| row.bot_id == bot_id) else {
        report.problems.push(format!(
            "it has no row in bot_configs, and there is no persona {name}; add one with `perch personas add {name}`, or \
             give the posts to another with --name"
        ));
        return Ok(None);
    };
    Ok(added(row, name, limits, options, report))
}

/// The persona of a configuration.
fn added(
    row: &ConfigRow,
    name: PersonaName,
    limits: &PersonaLimits,
    options: &ImportOptions,
    report: &mut BotImport,
) -> Option<(PersonaName, PersonaSpec)> {
    let given = options.accounts.get(&row.bot_id).or(options.account.as_ref());
    let Some(account) = given.or_else(|| only(limits.accounts())) else {
        let all = limits.accounts().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
        report.problems.push(format!("account: the file names none; say which of {all} it is with --account"));
        return None;
    };
    let Converted { spec, problems, notes } = persona(row, account.clone(), limits);
    report.notes.extend(notes);
    if !problems.is_empty() {
        report.problems.extend(problems);
        return None;
    }
    report.outcome = ImportOutcome::Added;
    Some((name, spec))
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    all.next().filter(|_| all.next().is_none())
}

/// A note where the statistics count other posts than the file has.
fn other_total(stats: &StatsRow, posts: &[PostRow]) -> Option<String> {
    let used = posts.iter().filter(|post| post.bot_id == stats.bot_id && post.used).count();
    let total = stats.total_posts.filter(|total| usize::try_from(*total).ok() != Some(used))?;
    Some(format!("bot_stats counts {total} published posts, and the file has {used}"))
}

/// A name that a persona can have, like this one.
fn slug(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let slug: String = parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-").chars().take(40).collect();
    if slug.is_empty() { "new-name".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_no_persona_can_have_has_one_like_it() {
        assert_eq!(
            (slug("My Bot!"), slug("Ünder_Score"), slug("日本")),
            ("my-bot".into(), "nder-score".into(), "new-name".into())
        );
    }

    proptest! {
        #[test]
        fn every_suggested_name_can_be_one(name in "\\PC{0,60}") {
            prop_assert!(slug(&name).parse::<PersonaName>().is_ok(), "{}", slug(&name));
        }
    }
}
