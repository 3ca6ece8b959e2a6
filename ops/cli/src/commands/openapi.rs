//! `perch openapi`: the description of the HTTP API.

use crate::{
    app::{App, bots},
    error::{OpsError, chain},
};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(app: &App, _: &Args) -> Result<(), OpsError> {
    let document = serde_json::to_value(perch_api::openapi(bots()))
        .map_err(|error| OpsError::Part { part: "openapi", reason: chain(&error) })?;
    app.out.json(&document)
}
