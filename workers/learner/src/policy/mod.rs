//! The policy of a learning poster: what it knows of its posts, and how it chooses the next one and its time. Pure: values and a seed in, a
//! decision out, which the log keeps whole. The same knowledge, candidates and seed give the same decision.

#![expect(clippy::cast_precision_loss, reason = "counts of posts and candidates stay far below 2^52")]

mod choose;
mod knowledge;
mod schedule;
mod version;

pub use choose::{ArmWeight, CandidateWeight, Decision, Foreseen, Offer, choose, foresee};
pub use knowledge::{Knowledge, Lesson};
pub use schedule::{DayPlan, HourWeight, plan_day};
pub use version::{Policy, PolicyKind};
