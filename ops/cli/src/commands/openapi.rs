//! `perch openapi`: the description of the HTTP API.

use crate::{
    app::App,
    error::{OpsError, chain},
};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(app: &App, _: &Args) -> Result<(), OpsError> {
    let document = serde_json::to_value(perch_api::openapi())
        .map_err(|error| OpsError::Part { part: "openapi", reason: chain(&error) })?;
    app.out.json(&document)
}
