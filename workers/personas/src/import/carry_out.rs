//! Carries an import out. Posts are written in transactions of a hundred; a dry run is one that is rolled back.

use std::collections::BTreeMap;

use perch_base::clock;
use perch_bot::Platform;
use perch_core::{
    personas::{PersonaLimits, PersonaSpec, PersonaStore as _},
    text_of,
};
use perch_jobs::PersonaName;
use perch_store::{Store, StoreError, Tx};

use super::{
    ImportError, ImportOptions, ImportOutcome, ImportedPosts, TemplateImport,
    plan::{PlannedBot, plan},
    sqlite::{PostRow, TemplateData},
};
use crate::{
    Personas,
    stock::{Standing, as_published, expires_at, standing},
    store::{Admission, HistoryImport, ImportedPost, PostState, StockStore as _},
};

/// How many posts are written in one transaction.
const TOGETHER: usize = 100;
/// How many odd rows a report names.
const NAMED: usize = 1_000;

/// Takes a file over. Rows that are there already stay as they are, so that a second import goes on where one ended, and adds nothing else.
pub async fn import_template(
    platform: &Platform,
    bot: &Personas,
    data: TemplateData,
    options: &ImportOptions,
    by: &str,
) -> Result<TemplateImport, ImportError> {
    let store = &platform.store;
    let mut planned = plan(store, &PersonaLimits::of(&platform.settings), &data, options).await?;
    if !options.dry_run {
        for one in planned.values() {
            add(store, one, by).await?;
        }
    }
    let mut posts = data.posts;
    // What was published first, so that the stock is compared with it; each in the order of its time.
    posts.sort_by_key(|post| (!post.used, published_at(post)));
    write(bot, posts, &mut planned, options.dry_run).await?;
    if !options.dry_run {
        for one in planned.values() {
            note_replenishment(store, one).await?;
        }
    }
    let odd = data.odd.len() as u64;
    let odd_rows = data.odd.into_iter().take(NAMED).collect();
    let bots = planned.into_values().map(|one| one.report).collect();
    Ok(TemplateImport { dry_run: options.dry_run, bots, odd, odd_rows })
}

async fn add(store: &Store, one: &PlannedBot, by: &str) -> Result<(), StoreError> {
    if let (Some((name, spec)), ImportOutcome::Added) = (&one.target, one.report.outcome) {
        // One that somebody has added meanwhile stays as it is.
        store.personas().put(name, spec, Some(0), by).await?;
    }
    Ok(())
}

async fn note_replenishment(store: &Store, one: &PlannedBot) -> Result<(), StoreError> {
    let at = one.stats.as_ref().and_then(|stats| stats.last_replenishment_at);
    let (Some((name, _)), Some(at)) = (&one.target, at) else { return Ok(()) };
    let Some(persona) = store.personas().get(name).await? else { return Ok(()) };
    store.slots().replenished_before(&persona, at).await
}

/// When a used post was published: its last change, as the template notes nothing else.
fn published_at(post: &PostRow) -> Option<chrono::DateTime<chrono::Utc>> {
    post.updated_at.or(post.created_at)
}

async fn write(
    bot: &Personas,
    posts: Vec<PostRow>,
    planned: &mut BTreeMap<String, PlannedBot>,
    dry_run: bool,
) -> Result<(), StoreError> {
    let doing = "import posts";
    let mut tx = bot.store.pool().begin().await.map_err(StoreError::on(doing))?;
    for (nth, row) in posts.into_iter().enumerate() {
        let Some(PlannedBot { report, target, .. }) = planned.get_mut(&row.bot_id) else { continue };
        let Some((name, spec)) = target else {
            report.posts.left_out += 1;
            continue;
        };
        write_one(bot, &mut tx, name, spec, row, &mut report.posts).await?;
        if !dry_run && nth % TOGETHER == TOGETHER - 1 {
            tx.commit().await.map_err(StoreError::on(doing))?;
            tx = bot.store.pool().begin().await.map_err(StoreError::on(doing))?;
        }
    }
    if dry_run { tx.rollback().await } else { tx.commit().await }.map_err(StoreError::on(doing))
}

async fn write_one(
    bot: &Personas,
    tx: &mut Tx,
    name: &PersonaName,
    spec: &PersonaSpec,
    row: PostRow,
    counts: &mut ImportedPosts,
) -> Result<(), StoreError> {
    let stock = bot.store.stock();
    let published_at = published_at(&row);
    let text = if row.used { row.content.clone() } else { as_published(&bot.guard, spec, &text_of(&row.content)) };
    let post = ImportedPost {
        original: row.content,
        text,
        topic: row.category,
        usd: row.generation_cost,
        tokens: row.generation_tokens,
        model: row.generation_model,
        created_at: row.created_at.or(row.updated_at),
    };
    if row.used {
        match stock.import_published(tx, name, &post, published_at.unwrap_or_else(clock::now)).await? {
            HistoryImport::Added => counts.published += 1,
            HistoryImport::CaughtUp => counts.caught_up += 1,
            HistoryImport::Known => counts.known += 1,
        }
        return Ok(());
    }
    let Some(draft) = stock.import_draft(tx, name, &post).await? else {
        counts.known += 1;
        return Ok(());
    };
    match standing(&bot.guard, spec, &draft) {
        Standing::Rejected(verdict, reason) => {
            counts.rejected += 1;
            stock.reject_in(tx, draft.id, verdict.reasons(), &reason).await
        }
        Standing::Fits(state, verdict) => {
            let expires = expires_at(&bot.settings, state);
            match stock.admit_in(tx, &draft, state, verdict.reasons(), expires).await? {
                Admission::Admitted if state == PostState::Ready => counts.ready += 1,
                Admission::Admitted => counts.in_review += 1,
                Admission::Similar { .. } => counts.similar += 1,
                Admission::Decided => {}
            }
            Ok(())
        }
    }
}
