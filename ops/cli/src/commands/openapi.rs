//! `perch openapi`: prints the OpenAPI document.

use crate::{
    app::{App, bots},
    error::{CommandError, chain},
};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(app: &App, _: &Args) -> Result<(), CommandError> {
    let document = serde_json::to_value(perch_api::openapi(bots()))
        .map_err(|error| CommandError::Part { part: "openapi", reason: chain(&error) })?;
    app.out.json(&document)
}
