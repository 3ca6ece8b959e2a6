//! `perch keys`: creates, lists and revokes keys of the HTTP API.

use chrono::Utc;
use perch_store::{ApiKey, KEY_HOLDS, Scope};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{
    app::App,
    commands::audit,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        time::{from_now, from_now_or_dash},
    },
    output::Paging,
};

#[derive(Debug, clap::Subcommand)]
pub enum Keys {
    /// Makes a key and prints it, this once
    Create {
        /// What people call it
        name: String,
        /// What it may do: enqueue, read, operate; several with commas between them
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<Scope>,
    },
    /// The keys, without what they are
    List(Paging),
    /// Makes a key useless: the API refuses it from now on, and within 30 seconds where the news of it is lost
    Revoke {
        /// Its id or its name
        key: String,
    },
}

pub async fn run(app: &App, command: &Keys) -> Result<(), CommandError> {
    match command {
        Keys::Create { name, scope } => create(app, name, scope).await,
        Keys::List(paging) => list(app, paging).await,
        Keys::Revoke { key } => revoke(app, key).await,
    }
}

async fn create(app: &App, name: &str, scopes: &[Scope]) -> Result<(), CommandError> {
    let (settings, store) = app.store()?;
    let made = store.api_keys().create(name, scopes).await?;
    let words = words(&made.key.scopes);
    audit::note(app, &settings, "key.create", &made.key.id, &json!({ "name": name, "scopes": made.key.scopes })).await;
    let token = made.token.expose_secret();
    if app.out.is_json() {
        let key = &made.key;
        return app.out.json(&json!({ "id": key.id, "name": key.name, "scopes": key.scopes, "token": token }));
    }
    app.out.line(token)?;
    app.out.note(format_args!("{name} may {words}. It is shown this once; send it as `Authorization: Bearer …`."));
    Ok(())
}

async fn list(app: &App, paging: &Paging) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    let page = store.api_keys().list(&paging.or(20)).await?;
    let none = "there is no key; make one with `perch keys create NAME --scope enqueue,read`";
    let now = Utc::now();
    app.out.page(&page, none, |keys| {
        let mut listing = Listing::new([whole("ID"), cut("NAME"), whole("MAY"), whole("USED"), whole("STATE")]);
        for key in keys {
            let state = match key.revoked_at {
                Some(at) => cell(format_args!("revoked {}", from_now(at, now))).tone(Tone::Faint),
                None => cell("in use").tone(Tone::Good),
            };
            let used = key.last_used.map_or_else(|| "never".to_owned(), |at| from_now_or_dash(Some(at), now));
            listing.row([cell(&key.id), cell(&key.name), cell(words(&key.scopes)), cell(used), state]);
        }
        listing
    })
}

async fn revoke(app: &App, key: &str) -> Result<(), CommandError> {
    let (settings, store) = app.store()?;
    let Some(revoked) = store.api_keys().revoke(key).await? else {
        return Err(CommandError::Refused(format!("no key in use has the id or name {key:?}; see `perch keys list`")));
    };
    audit::note(app, &settings, "key.revoke", &revoked.id, &json!({ "name": revoked.name })).await;
    let holds = KEY_HOLDS.as_secs();
    let mut told = json!(revoked);
    told["refused_everywhere_within_seconds"] = holds.into();
    let ApiKey { name, id, .. } = &revoked;
    app.out.answer(
        &told,
        format_args!(
            "{name} ({id}) is revoked: the API refuses it from now on, and within {holds} s where the news is lost"
        ),
    )
}

fn words(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}
