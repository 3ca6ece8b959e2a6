//! Lines of `perch doctor`.

use perch_bot::{Check, Platform};
use perch_core::personas::{PersonaLimits, PersonaStore as _};

use crate::{PersonasSettings, health};

const NAME: &str = "personas";

/// Every persona that does not post as it is to; one line where all do.
pub async fn all(platform: &Platform) -> Vec<Check> {
    match findings(platform).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::fail(NAME, error.to_string())],
    }
}

async fn findings(platform: &Platform) -> Result<Vec<Check>, Box<dyn std::error::Error + Send + Sync>> {
    let Platform { settings, store, .. } = platform;
    let own = settings.sections.get::<PersonasSettings>()?;
    let limits = PersonaLimits::of(settings);
    let mut checks = Vec::new();
    for persona in store.personas().enabled().await? {
        // What a persona names may have gone from the configuration since.
        for problem in limits.problems(&persona.spec) {
            let found = format!("{}: {problem}", persona.name);
            checks.push(Check::fail(NAME, found).mend(format!("perch personas edit {}", persona.name)));
        }
    }
    let health = health(store, &own).await?;
    for one in &health {
        for trouble in &one.troubles {
            let found = format!("{}: {}", one.persona, trouble.words());
            checks.push(Check::warn(NAME, found).mend(format!("perch personas show {}", one.persona)));
        }
        if !one.stats.meets_goal {
            let found = format!(
                "{}: {} of its {} slots of 30 days were not filled; the goal is 99 %",
                one.persona,
                one.stats.slots_lost,
                one.stats.slots_lost + one.stats.slots_filled
            );
            checks.push(Check::warn(NAME, found).mend(format!("perch personas slots {}", one.persona)));
        }
    }
    if checks.is_empty() {
        checks.push(match health.len() {
            0 => Check::info(NAME, "none posts; add one with `perch personas add`"),
            n => Check::ok(NAME, format!("{n} post as they are to")),
        });
    }
    Ok(checks)
}
