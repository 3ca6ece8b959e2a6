//! `perch openapi`: the description of the HTTP API.

use crate::{app::App, error::OpsError};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(app: &App, _: &Args) -> Result<(), OpsError> {
    app.out.json(&perch_workers::api::openapi())
}
