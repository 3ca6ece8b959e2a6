use std::time::Duration;

use perch_bot::{
    Platform,
    cli::{CommandError, Invocation, parse::time::duration},
};
use perch_jobs::PollMentions;
use serde_json::json;

use super::{OfAccount, control, one, own};

/// A switch and its new position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Start,
    Stop,
    Resume,
    Pause,
}

pub async fn run(at: &Invocation<'_>, args: &OfAccount, switch: Switch) -> Result<(), CommandError> {
    let settings = &at.platform()?.settings;
    let account = one(settings, args.account.as_ref())?;
    let (control, by) = (control(at.platform()?), at.operator.as_str());
    let (changed, running, action, said) = match switch {
        Switch::Start => (control.set_polling(&account, true, by).await?, true, "mentions.start", "mentions are read"),
        Switch::Stop => {
            (control.set_polling(&account, false, by).await?, false, "mentions.stop", "mentions are not read")
        }
        Switch::Resume => {
            (control.set_replying(&account, true, by).await?, true, "mentions.resume", "mentions are replied to")
        }
        Switch::Pause => (control.set_replying(&account, false, by).await?, false, "mentions.pause", "mentions wait"),
    };
    at.audit(action, account.as_str(), &json!({ "changed": changed })).await;
    let answer = json!({ "account": account, "running": running, "changed": changed });
    at.out.answer(&answer, format_args!("{account}: {said}{}", if changed { "" } else { ", as before" }))
}

pub async fn fetch(at: &Invocation<'_>, args: &OfAccount) -> Result<(), CommandError> {
    let Platform { settings, client, .. } = at.platform()?;
    let account = one(settings, args.account.as_ref())?;
    let job = client.enqueue(&PollMentions { account: Some(account.clone()), now: true }).await?.id;
    at.audit("mentions.fetch", account.as_str(), &json!({ "job": job })).await;
    let answer = json!({ "account": account, "job_id": job });
    at.out.answer(
        &answer,
        format_args!("{account}: job {job} reads its mentions; `perch jobs show {job}` says what came of it"),
    )
}

#[derive(Debug, clap::Args)]
pub struct IntervalArgs {
    /// How often, such as 90s or 5m; 1s to 1d
    #[arg(value_parser = duration, required_unless_present = "reset")]
    pub interval: Option<Duration>,
    /// As often as the configuration says
    #[arg(long, conflicts_with = "interval")]
    pub reset: bool,
    #[command(flatten)]
    pub of: OfAccount,
}

pub async fn interval(at: &Invocation<'_>, args: &IntervalArgs) -> Result<(), CommandError> {
    let settings = &at.platform()?.settings;
    let account = one(settings, args.of.account.as_ref())?;
    let (control, by) = (control(at.platform()?), at.operator.as_str());
    let (interval, until) = if let Some(interval) = args.interval {
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&interval) {
            return Err(CommandError::Usage("the interval must be 1s to 1d".into()));
        }
        control.set_interval(&account, interval, by).await?;
        (interval, "until another interval is set, or --reset")
    } else {
        control.reset_interval(&account, own(settings)?.interval, by).await?;
        (own(settings)?.interval, "as mentions.interval says")
    };
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let details = json!({ "interval_ms": millis, "reset": args.reset });
    at.audit("mentions.interval", account.as_str(), &details).await;
    let answer = json!({ "account": account, "interval_ms": millis, "configured": args.reset });
    let spelled = humantime::format_duration(interval);
    at.out.answer(&answer, format_args!("{account}: mentions are read every {spelled}, {until}"))
}
