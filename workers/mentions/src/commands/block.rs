use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, cell, cut, whole},
        text::one_line,
        time::from_now_or_dash,
    },
};
use serde_json::json;

use super::{OfAccount, one, own};
use crate::{BlockedUser, MentionStore as _, blocked};

#[derive(Debug, clap::Args)]
pub struct BlockArgs {
    /// The handle, with or without @, or the id
    #[arg(value_parser = user)]
    pub user: String,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub of: OfAccount,
}

#[derive(Debug, clap::Args)]
pub struct UnblockArgs {
    /// The handle, with or without @, or the id
    #[arg(value_parser = user)]
    pub user: String,
    #[command(flatten)]
    pub of: OfAccount,
}

fn user(text: &str) -> Result<String, String> {
    BlockedUser::name(text)
        .ok_or_else(|| format!("{text:?} is neither a handle (1 to 15 letters, digits and _) nor an id"))
}

pub async fn block(at: &Invocation<'_>, args: &BlockArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = one(settings, args.of.account.as_ref())?;
    let changed = store.mentions().block(&account, &args.user, args.reason.as_deref(), &at.operator).await?;
    let details = json!({ "user": args.user, "reason": args.reason, "changed": changed });
    at.audit("mentions.block", account.as_str(), &details).await;
    let answer = json!({ "account": account, "user": args.user, "blocked": true, "changed": changed });
    let before = if changed { "" } else { ", as before" };
    at.out.answer(&answer, format_args!("{account} does not answer {}{before}", args.user))
}

pub async fn unblock(at: &Invocation<'_>, args: &UnblockArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = one(settings, args.of.account.as_ref())?;
    let changed = store.mentions().unblock(&account, &args.user).await?;
    at.audit("mentions.unblock", account.as_str(), &json!({ "user": args.user, "changed": changed })).await;
    let configured = own(settings)?.blocked_users.iter().any(|user| user.eq_ignore_ascii_case(&args.user));
    if configured {
        at.out.note("warning: mentions.blocked_users of the configuration has this user too");
    }
    let answer = json!({ "account": account, "user": args.user, "blocked": configured, "changed": changed });
    let said = if changed { "may be answered again" } else { "was not blocked" };
    at.out.answer(&answer, format_args!("{account}: {} {said}", args.user))
}

#[derive(Debug, clap::Args)]
pub struct BlockedArgs {
    #[command(flatten)]
    pub of: OfAccount,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &BlockedArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = one(settings, args.of.account.as_ref())?;
    let own = own(settings)?;
    let page = blocked::list(&own, store, &account, &args.paging.or(20)).await?;
    let now = Utc::now();
    at.out.page(&page, "nobody is blocked", |users| {
        let mut listing = Listing::new([whole("USER"), whole("ID"), whole("WHEN"), cut("BY"), cut("REASON")]);
        for user in users {
            listing.row([
                cell(&user.who),
                cell(user.author_id.as_deref().unwrap_or("-")),
                cell(from_now_or_dash(user.blocked_at, now)),
                cell(&user.blocked_by),
                cell(one_line(user.reason.as_deref().unwrap_or_default())),
            ]);
        }
        listing
    })
}
