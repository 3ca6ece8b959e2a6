//! `perch cron`: lists cron entries, and runs one.

use futures::future::try_join_all;
use perch_base::Settings;
use perch_queue::{Client, CronEntry};
use serde_json::json;

use crate::{
    app::{App, now},
    commands::audit,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        time::from_now_or_dash,
    },
    output::{Page, Paging},
};

#[derive(Debug, clap::Subcommand)]
pub enum Cron {
    /// Every entry, when it last fired and when it will
    List(Paging),
    /// Enqueues the job of an entry now
    Run {
        /// The entry
        entry: String,
    },
}

pub async fn run(app: &App, command: &Cron) -> Result<(), CommandError> {
    let (settings, client) = app.client()?;
    match command {
        Cron::List(paging) => list(app, &settings, &client, paging).await,
        Cron::Run { entry } => fire(app, &settings, &client, entry).await,
    }
}

/// The entries of the configuration, ready to fire.
pub fn entries(settings: &Settings, client: &Client) -> Result<Vec<CronEntry>, CommandError> {
    settings
        .cron
        .iter()
        .map(|(name, entry)| {
            CronEntry::new(name, entry, client)
                .map_err(|error| CommandError::Part { part: "cron", reason: format!("entry {name}: {error}") })
        })
        .collect()
}

async fn list(app: &App, settings: &Settings, client: &Client, paging: &Paging) -> Result<(), CommandError> {
    let entries = entries(settings, client)?;
    let mut views = try_join_all(entries.iter().map(CronEntry::view)).await?;
    views.sort_by(|a, b| a.entry.cmp(&b.entry));
    let page = Page::of_all("cron", views, paging, |view| view.entry.clone())?;
    let now = now(client.queues().redis()).await?;
    app.out.page(&page, "no cron entry is configured", |views| {
        let mut listing =
            Listing::new([whole("ENTRY"), whole("SCHEDULE"), cut("ZONE"), cut("KIND"), whole("LAST"), whole("NEXT")]);
        for view in views {
            let next =
                if view.enabled { cell(from_now_or_dash(view.next, now)) } else { cell("disabled").tone(Tone::Warn) };
            listing.row([
                cell(&view.entry),
                cell(&view.schedule),
                cell(&view.timezone),
                cell(&view.kind),
                cell(view.last.map_or_else(|| "never".to_owned(), |at| from_now_or_dash(Some(at), now))),
                next,
            ]);
        }
        listing
    })
}

async fn fire(app: &App, settings: &Settings, client: &Client, name: &str) -> Result<(), CommandError> {
    let entries = entries(settings, client)?;
    let Some(entry) = entries.iter().find(|entry| entry.name() == name) else {
        let known: Vec<&str> = entries.iter().map(CronEntry::name).collect();
        return Err(CommandError::Refused(format!(
            "there is no cron entry {name:?}; configured are {}",
            known.join(", ")
        )));
    };
    let id = entry.run_now().await?;
    audit::note(app, settings, "cron.run", name, &json!({ "job": id })).await;
    app.out.answer(&json!({ "entry": name, "id": id }), id)
}
