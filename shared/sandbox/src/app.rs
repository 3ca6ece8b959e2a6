use tokio_util::sync::CancellationToken;

use crate::SandboxState;

/// What every handler holds.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub state: SandboxState,
    pub stopping: CancellationToken,
}
