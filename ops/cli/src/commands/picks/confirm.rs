use perch_bot_picks::extraction::{ConfirmError, confirm};
use serde_json::json;

use super::{find, words};
use crate::{
    app::{App, operator, store},
    commands::audit,
    error::OpsError,
    format::text::{count, one_line},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its number, its key, or how its key begins
    pub key: String,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (settings, client) = app.client()?;
    let store = store(&settings)?;
    let pick = find(&store, &args.key).await?;
    let words = one_line(&words(&pick));
    let confirmed = confirm(&client, &store, pick, &operator()).await.map_err(|error| match error {
        ConfirmError::Store(error) => error.into(),
        error => OpsError::Refused(error.to_string()),
    })?;
    audit::note(app, &settings, "pick.confirm", &confirmed.key, &json!(confirmed)).await;
    let what = match confirmed.actions.len() {
        0 => "nothing more is done, as the same bet was acted on meanwhile".to_owned(),
        actions => format!("{} under way", count(actions as u64, "action")),
    };
    app.out.answer(&confirmed, format_args!("{} ({words}) is confirmed: {what}", confirmed.number))
}
