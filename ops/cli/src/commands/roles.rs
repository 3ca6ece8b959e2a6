//! `perch roles`: binds roles of Postgres to one environment.

use serde::Serialize;
use serde_json::json;

use crate::{
    app::App,
    commands::audit,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, whole},
        text::one_line,
    },
    output::{Page, Paging},
};

#[derive(Debug, clap::Subcommand)]
pub enum Roles {
    /// Binds a role of Postgres to this environment
    ///
    /// It may run Perch there from then on, and neither sees nor writes a row of the other environment, whatever it asks. The role
    /// must be there (`create role perch_staging login password '…'`), and DATABASE_URL must be that of the owner of the tables.
    Bind {
        /// The role
        role: String,
        /// It may call `perch_enqueue` and nothing else
        #[arg(long)]
        enqueue_only: bool,
    },
    /// Takes from a role what it may do with Perch, and what binds it
    Release {
        /// The role
        role: String,
    },
    /// The roles that are bound, and those that reach both environments
    List(Paging),
}

pub async fn run(app: &App, command: &Roles) -> Result<(), CommandError> {
    match command {
        Roles::Bind { role, enqueue_only } => bind(app, role, *enqueue_only).await,
        Roles::Release { role } => release(app, role).await,
        Roles::List(paging) => list(app, paging).await,
    }
}

async fn bind(app: &App, role: &str, enqueue_only: bool) -> Result<(), CommandError> {
    let (settings, store) = app.store()?;
    store.require_schema().await?;
    store.roles().bind(role, enqueue_only).await?;
    audit::note(app, &settings, "role.bind", role, &json!({ "enqueue_only": enqueue_only })).await;
    let unbound = store.roles().unbound().await?;
    let may = if enqueue_only { "may enqueue in" } else { "runs" };
    app.out.answer(
        &json!({ "role": role, "environment": settings.env, "runs": !enqueue_only, "unbound": unbound }),
        format_args!("{} {may} {} and sees nothing of the other environment", one_line(role), settings.env),
    )?;
    if !unbound.is_empty() && !app.out.is_json() {
        app.out.note(format_args!("these reach both environments as before: {}", one_line(&unbound.join(", "))));
    }
    Ok(())
}

async fn release(app: &App, role: &str) -> Result<(), CommandError> {
    let (settings, store) = app.store()?;
    store.require_schema().await?;
    if !store.roles().release(role).await? {
        return Err(CommandError::Refused(format!("{} is bound to nothing; see `perch roles list`", one_line(role))));
    }
    audit::note(app, &settings, "role.release", role, &json!({})).await;
    app.out
        .answer(&json!({ "role": role }), format_args!("{} is released and may do nothing with Perch", one_line(role)))
}

async fn list(app: &App, paging: &Paging) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    let bound = store.roles().list().await?.into_iter();
    let unbound = store.roles().unbound().await?.into_iter();
    let mut all: Vec<Role> = bound
        .map(|role| Role { environment: Some(role.environment.to_string()), runs: Some(role.runs), role: role.role })
        .chain(unbound.map(|role| Role { role, environment: None, runs: None }))
        .collect();
    let place = |role: &Role| (role.role.clone(), role.environment.clone());
    all.sort_by_key(place);
    let page = Page::of_all("roles", all, &paging.or(20), place)?;
    let none = "no role is bound; the owner of the tables alone reaches them, in both environments";
    app.out.page(&page, none, |roles| {
        let mut listing = Listing::new([whole("ROLE"), whole("ENVIRONMENT"), whole("MAY")]);
        for Role { role, environment, runs } in roles {
            let may = match runs {
                Some(true) => "run Perch",
                Some(false) => "enqueue",
                None => "what it was granted",
            };
            let both = cell("both").tone(Tone::Warn);
            listing.row([cell(one_line(role)), environment.as_ref().map_or(both, cell), cell(may)]);
        }
        listing
    })
}

/// A role of Postgres that can access the tables.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
struct Role {
    role: String,
    /// The environment it is bound to; null when it reaches both.
    environment: Option<String>,
    /// Whether it may run Perch, or only enqueue; null when it may do what it was granted.
    runs: Option<bool>,
}
