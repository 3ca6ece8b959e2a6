use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Actor, SandboxState};

/// The state of every handler.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub state: SandboxState,
    pub actors: Arc<[Arc<dyn Actor>]>,
    pub stopping: CancellationToken,
}
