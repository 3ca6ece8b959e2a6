//! The base of all parts of Perch: configuration, telemetry, time, the environment, and common errors.

mod check;
pub mod clock;
mod config_error;
mod configuration;
pub mod crash;
mod env;
mod error;
mod layers;
mod load;
pub mod page;
mod point_in_time;
mod reading;
pub mod redact;
pub mod schedule;
mod secrets;
mod section;
pub mod settings;
pub mod shortage;
pub mod telemetry;
pub mod tls;
mod validate;
mod variables;

pub use check::Check;
pub use clock::Clock;
pub use config_error::{ConfigError, Origin, Problem};
pub use configuration::Settings;
pub use env::{Environment, UnknownEnvironment};
pub use error::{Classified, Disposition, chain};
pub use load::config_dir;
pub use page::{Cursor, InvalidCursor, Page, Paging};
pub use point_in_time::{InvalidTime, PointInTime};
pub use schedule::{CronSchedule, ScheduleError};
pub use section::{ConfigSchema, Section, Sections};
pub use validate::engine_problems;
