use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::one_line,
        time::{exact, from_now, from_now_or_dash},
    },
};
use perch_core::personas::{Persona, PersonaFilter, PersonaStore as _};
use perch_jobs::{AccountId, PersonaName};
use serde_json::json;

use super::{one, own};
use crate::{
    PersonaStats, SlotState,
    health::{health_of, stats_of},
    store::{Slot, StockStore as _},
};

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only those that post
    #[arg(long, conflicts_with = "paused")]
    pub enabled: bool,
    /// Only those that are paused
    #[arg(long)]
    pub paused: bool,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let enabled = (args.enabled || args.paused).then_some(args.enabled);
    let filter = PersonaFilter { account: args.account.clone(), enabled };
    let page = store.personas().list(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "there is no persona; `perch personas add` adds one", |personas| {
        let mut listing = Listing::new([
            whole("NAME"),
            whole("ACCOUNT"),
            whole("STATE"),
            cut("SCHEDULE"),
            cut("TOPICS"),
            cut("PROMPT"),
        ]);
        for persona in personas {
            let topics: Vec<&str> = persona.spec.topics.iter().map(|topic| &*topic.name).collect();
            listing.row([
                cell(&persona.name),
                cell(&persona.spec.account),
                cell(state(persona)).tone(if persona.enabled { Tone::Good } else { Tone::Warn }),
                cell(schedule(persona)),
                cell(one_line(&topics.join(", "))),
                cell(one_line(&persona.spec.prompt)),
            ]);
        }
        listing
    })
}

fn state(persona: &Persona) -> &'static str {
    if persona.enabled { "posts" } else { "paused" }
}

fn schedule(persona: &Persona) -> String {
    match persona.spec.schedule.as_slice() {
        [] => "none".to_owned(),
        expressions => format!("{} {}", expressions.join("; "), persona.spec.timezone),
    }
}

pub async fn show(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let persona = one(store, name).await?;
    let health = health_of(store, &*own(settings)?, &persona).await?;
    let topics = store.stock().topics(name).await?;
    if at.out.is_json() {
        let by_topic: Vec<_> = topics
            .iter()
            .map(|(topic, published, ready)| json!({ "topic": topic, "published": published, "ready": ready }))
            .collect();
        return at.out.json(&json!({ "persona": persona, "health": health, "topics": by_topic }));
    }
    let (out, now, spec) = (&at.out, Utc::now(), &persona.spec);
    out.line(format_args!("{name}  {} as {}", state(&persona), spec.account))?;
    out.fact("schedule", schedule(&persona))?;
    let next = spec.schedules().ok().into_iter().flatten().filter_map(|schedule| schedule.next_after(now)).min();
    if let Some(next) = next.filter(|_| persona.enabled) {
        out.fact("next", exact(next, now))?;
    }
    out.fact("prompt", spec.prompt.trim())?;
    for (name, value) in [("tone", &spec.tone), ("style", &spec.style)] {
        if !value.is_empty() {
            out.fact(name, value.as_str())?;
        }
    }
    if let Some(language) = &spec.language {
        out.fact("language", language.as_str())?;
    }
    for topic in &spec.topics {
        let counted =
            topics.iter().find(|(name, ..)| *name == topic.name).map_or((0, 0), |(_, done, ready)| (*done, *ready));
        out.fact(
            "topic",
            format!("{}, weight {}: {} published, {} ready", topic.name, topic.weight, counted.0, counted.1),
        )?;
    }
    for source in &spec.sources {
        out.fact("source", source.as_str())?;
    }
    if let Some(evergreen) = spec.evergreen {
        out.fact("evergreen", format!("{evergreen} after a post was published it is said again in other words"))?;
    }
    let review = json!(spec.review);
    out.fact("review", review.as_str().unwrap_or_default())?;
    out.fact(
        "changed",
        format!("{} by {}, version {}", exact(persona.updated_at, now), persona.updated_by, persona.version),
    )?;
    if let Some(health) = health {
        out.fact("stock", stock(&health.stats))?;
        out.fact("slots", slo(&health.stats))?;
        for trouble in &health.troubles {
            out.fact("trouble", trouble.words())?;
        }
    }
    Ok(())
}

fn stock(stats: &PersonaStats) -> String {
    let days = stats.days_left.map_or(String::new(), |days| format!(", enough for {days:.1} days"));
    format!("{} ready, {} in review{days}", stats.remaining, stats.in_review)
}

fn slo(stats: &PersonaStats) -> String {
    match stats.success_ratio {
        None => "none yet".to_owned(),
        Some(ratio) => format!(
            "{} filled, {} lost in 30 days: {:.1} % (goal 99 %)",
            stats.slots_filled,
            stats.slots_lost,
            ratio * 100.0
        ),
    }
}

#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Only this persona
    pub name: Option<PersonaName>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn stats(at: &Invocation<'_>, args: &StatsArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let page = match &args.name {
        Some(name) => perch_base::Page {
            items: vec![store.personas().get(name).await?.ok_or_else(|| super::unknown(name))?],
            next: None,
        },
        None => store.personas().list(&PersonaFilter::default(), &args.paging.or(20)).await?,
    };
    let mut items = Vec::new();
    for persona in &page.items {
        items.extend(stats_of(store, persona).await?);
    }
    let page = perch_base::Page { items, next: page.next };
    at.out.page(&page, "there is no persona; `perch personas add` adds one", stats_listing)
}

fn stats_listing(stats: &[PersonaStats]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        whole("NAME"),
        number("TOTAL"),
        number("READY"),
        number("REVIEW"),
        number("DAYS"),
        number("SUCCESS"),
        number("USD/POST"),
        whole("LAST POST"),
        whole("REPLENISHED"),
    ]);
    for one in stats {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        listing.row([
            cell(&one.persona),
            cell(one.total),
            cell(one.remaining).tone_if(one.remaining == 0, Tone::Bad),
            cell(one.in_review),
            cell(or_dash(one.days_left.map(|days| format!("{days:.1}")))),
            cell(or_dash(one.success_ratio.map(|ratio| format!("{:.1}%", ratio * 100.0))))
                .tone_if(!one.meets_goal, Tone::Bad),
            cell(or_dash(one.usd_per_post.map(|usd| format!("{usd:.4}")))),
            cell(from_now_or_dash(one.last_post_at, now)),
            cell(from_now_or_dash(one.last_replenishment_at, now)),
        ]);
    }
    listing
}

#[derive(Debug, clap::Args)]
pub struct SlotsArgs {
    /// The name of the persona
    pub name: PersonaName,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn slots(at: &Invocation<'_>, args: &SlotsArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let page = store.slots().list(&args.name, &args.paging.or(20)).await?;
    at.out.page(&page, "none of its slots was due yet", |slots: &[Slot]| {
        let now = Utc::now();
        let mut listing = Listing::new([whole("SLOT"), whole("WHEN"), whole("STATE"), number("POST"), cut("REASON")]);
        for slot in slots {
            let tone = match slot.state {
                SlotState::Published => Tone::Good,
                SlotState::Failed | SlotState::Missed => Tone::Bad,
                SlotState::Empty => Tone::Warn,
                SlotState::Reserved => Tone::Plain,
            };
            listing.row([
                cell(slot.slot_at.format("%F %H:%MZ")),
                cell(from_now(slot.slot_at, now)),
                cell(json!(slot.state).as_str().unwrap_or_default()).tone(tone),
                cell(slot.post_id.map_or_else(|| "-".into(), |id| id.to_string())),
                cell(one_line(slot.reason.as_deref().unwrap_or_default())),
            ]);
        }
        listing
    })
}
