//! Clients of the services that Perch talks to: X API v2, the providers of language models, and content sources.
//!
//! Each call is typed, each error says what may be done next ([`perch_base::Classified`]), and an error of a call
//! that changes something says whether it may have happened ([`WriteOutcome`]).

mod effect;
mod guarded_body;
mod headers;
mod http;
mod limits;
mod meter;
pub mod models;
mod oauth1;
pub mod pictures;
mod refusals;
mod results;
pub mod sources;
pub mod text;
pub mod x;

pub use effect::{EffectPermit, WriteOutcome};
pub use limits::{LocalLimits, RateLimits};
pub use meter::{Charge, Meter, OverBudget, Reservation, Spender, Unmetered};
pub use models::{ModelClient, ModelError};
pub use results::{ResultsClient, ResultsError};
pub use sources::{SourceError, Sources};
pub use x::{XClient, XError};
