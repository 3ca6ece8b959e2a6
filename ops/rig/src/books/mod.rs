//! The checks at the end of a run: what was accepted, how it ended, what the outside world saw, and what is left.

mod effects;
mod jobs;
mod leftovers;
mod recovery;

use perch_queue::Queues;
use perch_sandbox::SandboxState;
use sqlx::PgPool;

use crate::{error::RigError, journal::Notes};

pub use effects::Effects;
pub use jobs::JobOutcomes;
pub use recovery::Recovery;

/// A violated promise.
#[derive(Debug, Clone)]
pub struct Breach {
    /// What.
    pub what: &'static str,
    /// Where: job ids, keys or texts.
    pub which: Vec<String>,
}

/// The results of all checks.
#[derive(Debug)]
pub struct Books {
    /// Jobs by how they ended.
    pub ends: JobOutcomes,
    /// Effects.
    pub effects: Effects,
    /// How long jobs waited after they lost their worker.
    pub recovery: Recovery,
    /// The violated promises.
    pub breaches: Vec<Breach>,
}

impl Books {
    /// How many breaches of this kind there are.
    pub fn count(&self, what: &str) -> usize {
        self.breaches.iter().filter(|breach| breach.what == what).map(|breach| breach.which.len()).sum()
    }
}

/// The kinds of breach that have their own line in the report.
pub const LOST: &str = "lost: accepted, and nowhere to be found";
/// As above.
pub const STUCK: &str = "stuck: neither done nor dead";
/// As above.
pub const DOUBLED: &str = "doubled: an effect happened more than once";
/// As above.
pub const MISSING: &str = "missing: the job is done, and its effect never happened";

/// Collects breaches.
#[derive(Debug, Default)]
struct Findings(Vec<Breach>);

impl Findings {
    fn add(&mut self, what: &'static str, which: impl Into<String>) {
        match self.0.iter_mut().find(|breach| breach.what == what) {
            Some(breach) => breach.which.push(which.into()),
            None => self.0.push(Breach { what, which: vec![which.into()] }),
        }
    }
}

/// Checks a run whose queues are empty.
pub async fn read(pool: &PgPool, queues: &Queues, notes: &Notes, sandbox: &SandboxState) -> Result<Books, RigError> {
    let mut findings = Findings::default();
    let rows = jobs::rows(pool).await?;
    let held = leftovers::held(queues).await?;
    let ends = jobs::check(notes, &rows, &held, &effects::happened(sandbox), &mut findings);
    jobs::check_times(pool, notes, &mut findings).await?;
    let effects = effects::check(pool, notes, &rows, sandbox, &mut findings).await?;
    leftovers::check(queues, &held, &mut findings).await?;
    let recovery = recovery::read(pool, notes).await?;
    for trouble in &notes.troubles {
        findings.add("trouble", trouble);
    }
    Ok(Books { ends, effects, recovery, breaches: findings.0 })
}
