use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use perch_base::Settings;
use perch_core::dead_causes::kind_of;
use perch_queue::{DeadLetter, Queue, Queues, Replay, ReplayOutcome};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    edit_process::EditProcess,
    editor,
    filter::DeadLetterFilter,
    pages::DeadLetterPages,
    plan::{Change, Rules, from_text, to_text},
};
use crate::{
    app::{App, chosen, known_kind, now, operator},
    commands::audit,
    error::CommandError,
    format::{
        table::{Listing, cell, cut, whole},
        text::count,
        time::from_now,
    },
    parse::{rate::Rate, time::duration},
    process::{Stop, on_signals},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: DeadLetterFilter,
    /// Only show what would be brought back
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask, though no filter is given
    #[arg(long)]
    pub yes: bool,
    /// Change each payload by a filter in the language of jq, such as '.text = "new"'; it sees the payload and nothing else
    #[arg(long, value_name = "FILTER")]
    pub edit: Option<String>,
    /// Change the payloads in the editor that VISUAL or EDITOR names
    #[arg(long, conflicts_with = "edit")]
    pub editor: bool,
    /// Not faster than this, such as 10/s
    #[arg(long)]
    pub rate: Option<Rate>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Start them only after this time, such as 5m
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub delay: Option<Duration>,
}

/// Letters moved in one step.
const STEP: usize = 100;
/// Most letters given to an editor or shown by a dry run.
const AT_HAND: usize = 100;

/// The letters of a replay, as they were when it began.
struct Scope<'a> {
    args: &'a Args,
    queues: Vec<Queue>,
    rules: Rules<'a>,
    began: DateTime<Utc>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let scope = scope(args, &settings, &queues).await?;
    let change = match (&args.edit, args.editor) {
        (Some(code), _) => by_filter(code, settings.engine.max_payload_bytes)?,
        (None, true) => by_hand(&scope).await?,
        (None, false) => Change::None,
    };
    let first_look = look(&scope, &change).await?;
    known_kind(&queues, args.filter.of.kind.as_ref(), first_look.total)?;
    if !first_look.unfit.is_empty() {
        return refuse(app, &first_look);
    }
    if args.dry_run {
        return dry_run(app, &first_look, scope.began);
    }
    // An operator who edited each letter has already chosen them.
    if args.filter.is_empty() && !args.editor && first_look.total > 0 {
        let letters = count(first_look.total, "dead letter");
        app.out.confirm(&format!("This brings back {letters} in {}, whatever they died of", settings.env), args.yes)?;
    }
    let (outcomes, moved) = replay(app, &scope, &change, &settings, first_look.total).await;
    let concluded = conclude(app, first_look.total, &outcomes);
    moved.and(concluded)
}

async fn scope<'a>(args: &'a Args, settings: &Settings, queues: &'a Queues) -> Result<Scope<'a>, CommandError> {
    Ok(Scope {
        args,
        queues: chosen(queues, &args.filter.of.queue)?,
        rules: Rules { types: queues.types(), max_payload_bytes: settings.engine.max_payload_bytes },
        began: now(queues.redis()).await?,
    })
}

/// What a replay would do, computed before anything is moved.
#[derive(Default)]
struct ReplayPreview {
    total: u64,
    /// The first ones, with their new payloads.
    shown: Vec<(Queue, DeadLetter, Option<String>)>,
    /// Letters whose new payload is invalid, and why.
    unfit: Vec<(DeadLetter, String)>,
    unfit_total: u64,
    /// Letters that need a new payload to come back, and get none.
    unrepaired: u64,
}

async fn look(scope: &Scope<'_>, change: &Change) -> Result<ReplayPreview, CommandError> {
    let mut found = ReplayPreview::default();
    let limit = scope.args.limit.unwrap_or(u64::MAX);
    for queue in &scope.queues {
        let mut pages = DeadLetterPages::new(queue, &scope.args.filter, scope.began);
        while let Some(page) = pages.next().await? {
            for letter in page {
                if found.total >= limit {
                    return Ok(found);
                }
                found.total += 1;
                let changed = change.of(&letter, scope.rules);
                found.unrepaired += u64::from(matches!(changed, Ok(None)) && letter.needs_repair());
                match changed {
                    Ok(payload) if found.shown.len() < AT_HAND => {
                        let payload = payload.map(|payload| payload.get().to_owned());
                        found.shown.push((queue.clone(), letter, payload));
                    }
                    Ok(_) => {}
                    Err(reason) => {
                        found.unfit_total += 1;
                        if found.unfit.len() < AT_HAND {
                            found.unfit.push((letter, reason));
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

fn by_filter(code: &str, max_bytes: usize) -> Result<Change, CommandError> {
    let edit = EditProcess::start(code, max_bytes).map_err(CommandError::Refused)?;
    Ok(Change::Filter(Box::new(move |payload| edit.apply(payload))))
}

async fn by_hand(scope: &Scope<'_>) -> Result<Change, CommandError> {
    let letters: Vec<DeadLetter> =
        look(scope, &Change::None).await?.shown.into_iter().map(|(_, letter, _)| letter).collect();
    if letters.is_empty() {
        return Ok(Change::None);
    }
    if letters.len() >= AT_HAND && scope.args.limit.is_none_or(|limit| limit > AT_HAND as u64) {
        return Err(CommandError::Refused(format!(
            "an editor takes up to {} dead letters; choose fewer with --id, --error or --limit, or use --edit",
            AT_HAND - 1
        )));
    }
    let text = editor::edited(&to_text(&letters)).map_err(CommandError::Refused)?;
    from_text(&text, &letters).map(Change::ByHand).map_err(CommandError::Refused)
}

fn refuse(app: &App, found: &ReplayPreview) -> Result<(), CommandError> {
    if app.out.is_json() {
        let unfit: Vec<Value> =
            found.unfit.iter().map(|(letter, reason)| json!({ "id": letter.id, "error": reason })).collect();
        app.out.json(&json!({ "matched": found.total, "outcomes": {}, "refused": unfit }))?;
    }
    for (letter, reason) in found.unfit.iter().take(10) {
        app.out.note(format_args!("{}: {}", letter.id, reason));
    }
    Err(CommandError::Refused(format!(
        "{} of {} would not fit after the edit, so nothing was brought back",
        found.unfit_total,
        count(found.total, "dead letter")
    )))
}

fn dry_run(app: &App, found: &ReplayPreview, now: DateTime<Utc>) -> Result<(), CommandError> {
    if app.out.is_json() {
        let letters: Vec<Value> = found
            .shown
            .iter()
            .map(|(queue, letter, payload)| {
                let payload: Option<Value> = payload.as_ref().and_then(|text| serde_json::from_str(text).ok());
                json!({ "id": letter.id, "queue": queue.name(), "error": letter.last_error(), "new_payload": payload })
            })
            .collect();
        let unrepaired = found.unrepaired;
        return app
            .out
            .json(&json!({ "dry_run": true, "matched": found.total, "unrepaired": unrepaired, "letters": letters }));
    }
    if found.total > 0 {
        let is_edited = found.shown.iter().any(|(_, _, payload)| payload.is_some());
        let last = if is_edited { "NEW PAYLOAD" } else { "ERROR" };
        let mut listing = Listing::new([whole("ID"), cut("KIND"), whole("DIED"), cut(last)]);
        for (_, letter, payload) in &found.shown {
            let last = payload.as_deref().unwrap_or_else(|| letter.last_error());
            listing.row([cell(letter.id), cell(kind_of(letter)), cell(from_now(letter.died_at, now)), cell(last)]);
        }
        app.out.table(&listing)?;
    }
    let back = count(found.total - found.unrepaired, "dead letter");
    let left = match found.unrepaired {
        0 => String::new(),
        n => format!(", {n} would be left: {UNREPAIRED}"),
    };
    app.out.line(format_args!("{back} would be brought back{left}; nothing was changed"))
}

const UNREPAIRED: &str =
    "damaged or refused, repair their payloads with --editor or --edit ('--edit .' takes them as they are)";
const UNREPAIRED_LEFT: &str =
    "left: damaged or refused; repair their payloads with --editor or --edit ('--edit .' takes them as they are)";

type Outcomes = BTreeMap<ReplayOutcome, u64>;

/// Keeps a replay within its rate and its limit.
struct Pace {
    rate: Option<Rate>,
    began: Instant,
    left: u64,
    sent: u64,
    /// A signal ends the replay between two steps, so that the moved letters are counted and logged.
    stop: CancellationToken,
}

impl Pace {
    fn step(&self) -> usize {
        let step = self.rate.map_or(STEP, |rate| rate.step(STEP));
        step.min(usize::try_from(self.left).unwrap_or(usize::MAX))
    }

    async fn wait(&mut self, count: usize) -> Result<(), CommandError> {
        let due = self.rate.map_or(self.began, |rate| self.began + rate.due(self.sent));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(CommandError::Refused("broken off; the rest stays where it is".into())),
            () = sleep_until(due) => {}
        }
        self.sent += count as u64;
        self.left = self.left.saturating_sub(count as u64);
        Ok(())
    }
}

async fn replay(
    app: &App,
    scope: &Scope<'_>,
    change: &Change,
    settings: &Settings,
    total: u64,
) -> (Outcomes, Result<(), CommandError>) {
    let stop = Stop::default();
    if let Err(error) = on_signals(&stop) {
        return (Outcomes::new(), Err(error));
    }
    let bar = app.out.bar(total, "letters");
    let left = scope.args.limit.unwrap_or(u64::MAX);
    let mut pace = Pace { rate: scope.args.rate, began: Instant::now(), left, sent: 0, stop: stop.token() };
    let mut moved = Ok(());
    let mut all = Outcomes::new();
    for queue in &scope.queues {
        let mut of_queue = Outcomes::new();
        moved = replay_queue(queue, scope, change, &mut pace, &bar, &mut of_queue).await;
        if !of_queue.is_empty() {
            let details = json!({
                "filter": scope.args.filter.as_json(),
                "edit": scope.args.edit,
                "by_hand": scope.args.editor,
                "outcomes": named(&of_queue),
            });
            audit::note(app, settings, "dead.replay", queue.name().as_str(), &details).await;
        }
        for (outcome, n) in of_queue {
            *all.entry(outcome).or_default() += n;
        }
        if moved.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    (all, moved)
}

async fn replay_queue(
    queue: &Queue,
    scope: &Scope<'_>,
    change: &Change,
    pace: &mut Pace,
    bar: &ProgressBar,
    outcomes: &mut Outcomes,
) -> Result<(), CommandError> {
    let mut pages = DeadLetterPages::new(queue, &scope.args.filter, scope.began);
    while pace.left > 0 {
        let Some(mut letters) = pages.next().await? else { break };
        while !letters.is_empty() && pace.left > 0 {
            let step: Vec<DeadLetter> = letters.drain(..pace.step().min(letters.len())).collect();
            pace.wait(step.len()).await?;
            for (_, outcome) in move_back(queue, step, scope, change).await? {
                *outcomes.entry(outcome).or_default() += 1;
                bar.inc(1);
            }
        }
    }
    Ok(())
}

async fn move_back(
    queue: &Queue,
    letters: Vec<DeadLetter>,
    scope: &Scope<'_>,
    change: &Change,
) -> Result<Vec<(perch_jobs::JobId, ReplayOutcome)>, CommandError> {
    let mut replays = Vec::with_capacity(letters.len());
    let mut answers = Vec::new();
    for letter in letters {
        match change.of(&letter, scope.rules) {
            Ok(payload) => replays.push(Replay { letter, payload }),
            // It fitted in the preview, so somebody has changed it since.
            Err(_) => answers.push((letter.id, ReplayOutcome::Changed)),
        }
    }
    answers.extend(queue.replay(&replays, scope.args.delay.unwrap_or_default(), &operator()).await?);
    Ok(answers)
}

fn named(outcomes: &Outcomes) -> Value {
    outcomes.iter().map(|(outcome, n)| (word(*outcome).to_owned(), json!(n))).collect::<serde_json::Map<_, _>>().into()
}

fn word(outcome: ReplayOutcome) -> &'static str {
    match outcome {
        ReplayOutcome::Replayed => "replayed",
        ReplayOutcome::Gone => "gone",
        ReplayOutcome::Changed => "changed",
        ReplayOutcome::Conflict => "conflict",
        ReplayOutcome::Unreadable => "unreadable",
    }
}

fn conclude(app: &App, matched: u64, outcomes: &Outcomes) -> Result<(), CommandError> {
    let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    if app.out.is_json() {
        app.out.json(&json!({ "dry_run": false, "matched": matched, "outcomes": named(outcomes) }))?;
    } else {
        app.out.line(format_args!("{} brought back", count(of(ReplayOutcome::Replayed), "dead letter")))?;
        for (outcome, why) in [
            (ReplayOutcome::Gone, "not in the dead letters any more"),
            (ReplayOutcome::Changed, "changed in the meantime; look again"),
            (ReplayOutcome::Conflict, "left: a newer job holds the unique key"),
            (ReplayOutcome::Unreadable, UNREPAIRED_LEFT),
        ] {
            if of(outcome) > 0 {
                app.out.line(format_args!("{} {why}", of(outcome)))?;
            }
        }
    }
    let left = of(ReplayOutcome::Changed) + of(ReplayOutcome::Conflict) + of(ReplayOutcome::Unreadable);
    if left > 0 { Err(CommandError::Reported) } else { Ok(()) }
}
