//! The learning poster: a persona that learns which posts, and which times, its readers like.
//!
//! [`learning`], [`policy`] and [`simulate`] are pure: they read no clock, no file and no network.

mod audience;
mod bot;
mod brakes;
mod checks;
mod choosing;
mod commands;
mod evaluating;
mod explaining;
mod health;
mod learner_bot;
pub mod learning;
mod origin;
mod planning;
pub mod policy;
mod reviewing;
mod rewarding;
mod routes;
mod run;
mod settings;
pub mod simulate;
mod spec;
mod store;
mod writing;

perch_store::statements!();

/// The points at which a test lets the process die.
const CRASH_POINTS: &[&str] = &[
    // After a model answered, and after its candidates are kept.
    "candidates.answered",
    "candidates.drafted",
    // After a decision is in the log, after its job is enqueued, and after a reward is frozen.
    "decision.logged",
    "decision.handed_over",
    "reward.frozen",
];

pub use audience::{AudienceRead, read_audience};
pub use bot::{Learner, LearnerError};
pub use choosing::{Scored, score_candidates};
pub use evaluating::{LogLine, evaluate_policy};
pub use health::{LearnerHealth, LearnerTrouble};
pub use learner_bot::LearnerBot;
pub use origin::Decision;
pub use run::{LearnerRun, run_learner};
pub use settings::LearnerSettings;
pub use spec::{ArmSpec, BrakeSpec, Form, HalfThread, Hook, LearnerSpec, Length, ThreadPolicy, problems};
pub use store::{
    ArmStats, BotChange, BotFilter, Candidate, CandidateCounts, CandidateFilter, CandidateState, CurvePoint,
    DaySummary, Decided, DecisionFilter, FollowerDay, LearnerSlot, LearnerStore, LearnerTables, LoggedDecision,
    MetricChange, OutcomeState, OwnAnalytics, PolicyState, Settled, SlotState, Slotted, StoredPolicy,
};
pub use writing::{Wrote, write_candidates};
