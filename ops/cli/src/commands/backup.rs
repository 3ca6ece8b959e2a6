//! `perch backup`: checks whether a restore would find what it needs.

use crate::{
    app::App,
    commands::doctor::{self, Conclusions},
    error::CommandError,
};

#[derive(Debug, clap::Subcommand)]
pub enum Backup {
    /// Look whether a restore of Postgres or Redis would find what it needs
    Check,
}

pub async fn run(app: &App, command: &Backup) -> Result<(), CommandError> {
    match command {
        Backup::Check => {
            let checks = doctor::looked_at(app, doctor::restore).await;
            doctor::report(
                app,
                &checks,
                &Conclusions {
                    well: "a restore would find what it needs",
                    works: "a restore would find what it needs",
                    fails: "before a restore can be relied on",
                },
            )
        }
    }
}
