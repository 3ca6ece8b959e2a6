use perch_bot::{
    Platform,
    cli::{
        CommandError, Invocation,
        format::text::{count, one_line},
    },
};
use serde_json::json;

use super::{find, words};
use crate::extraction::{ConfirmError, confirm};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its number, its key, or the beginning of its key
    pub key: String,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let Platform { client, store, .. } = at.platform()?;
    let pick = find(store, &args.key).await?;
    let words = one_line(&words(&pick));
    let confirmed = confirm(client, store, pick, &at.operator).await.map_err(|error| match error {
        ConfirmError::Store(error) => error.into(),
        error => CommandError::Refused(error.to_string()),
    })?;
    at.audit("pick.confirm", &confirmed.key, &json!(confirmed)).await;
    let what = match confirmed.actions.len() {
        0 => "nothing more is done, as the same bet was acted on meanwhile".to_owned(),
        actions => format!("{} under way", count(actions as u64, "action")),
    };
    at.out.answer(&confirmed, format_args!("{} ({words}) is confirmed: {what}", confirmed.number))
}
