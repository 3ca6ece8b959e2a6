//! Shared parts of the live views of `perch up` and `perch top`.

mod activity;
mod feed;
mod kinds;
mod lines;
mod view;

pub use activity::{Activity, SECONDS};
pub use feed::{Feed, FeedUpdate};
pub use kinds::Kinds;
pub use lines::log_lines;
pub use view::{follow_on_terminal, follow_plainly};
