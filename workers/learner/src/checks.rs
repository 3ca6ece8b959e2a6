//! Lines of `perch doctor`.

use perch_base::clock;
use perch_bot::{Check, Platform};
use perch_core::personas::PersonaStore as _;

use crate::{health::troubles, settings::LearnerSettings, spec::problems, store::LearnerStore as _};

const NAME: &str = "learner";

/// Every learning poster that does not post as it is to; one line where all do.
pub async fn all(platform: &Platform) -> Vec<Check> {
    match findings(platform).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::fail(NAME, error.to_string())],
    }
}

async fn findings(platform: &Platform) -> Result<Vec<Check>, Box<dyn std::error::Error + Send + Sync>> {
    let Platform { settings, store, .. } = platform;
    let own = settings.sections.get::<LearnerSettings>()?;
    let states = store.learner().states(None).await?;
    let mut checks = Vec::new();
    for state in &states {
        let name = &state.bot.bot;
        match store.personas().get(name).await? {
            // Its persona, or the topics of that, may have gone since.
            None => checks.push(
                Check::fail(NAME, format!("{name}: there is no such persona"))
                    .mend(format!("perch learn remove {name}")),
            ),
            Some(persona) => {
                for problem in problems(&state.bot.spec, &persona.spec.topics) {
                    checks
                        .push(Check::fail(NAME, format!("{name}: {problem}")).mend(format!("perch learn edit {name}")));
                }
            }
        }
        for trouble in troubles(state, &own, clock::now()) {
            let found = format!("{name}: {}", trouble.words());
            checks.push(Check::warn(NAME, found).mend(format!("perch learn status {name}")));
        }
    }
    if checks.is_empty() {
        checks.push(match states.len() {
            0 => Check::info(NAME, "nobody learns; `perch learn add` lets a persona learn"),
            n => Check::ok(NAME, format!("{n} post as they are to")),
        });
    }
    Ok(checks)
}
