use std::path::PathBuf;

use perch_bot::cli::{
    CommandError, Invocation,
    format::{
        table::{Listing, Tone, cell, number, whole},
        text::count,
    },
};
use serde_json::json;

use super::import::Args;
use crate::{ImportError, ImportOptions, ImportOutcome, Personas, TemplateImport, import_template, read_template};

/// The variable that names the file in the template.
const DATABASE_PATH: &str = "DATABASE_PATH";
/// How many odd rows are shown.
const SHOWN: usize = 20;

fn file(args: &Args) -> Result<PathBuf, CommandError> {
    let from_environment = || std::env::var_os(DATABASE_PATH).filter(|path| !path.is_empty()).map(PathBuf::from);
    args.file.clone().or_else(from_environment).ok_or_else(|| {
        CommandError::Usage(format!("name the file: `perch personas import --sqlite FILE`, or set {DATABASE_PATH}"))
    })
}

fn refused(error: ImportError) -> CommandError {
    match error {
        ImportError::Store(error) => error.into(),
        ImportError::File { path, source } => CommandError::File { path, source },
        ImportError::UnknownBot { .. } => CommandError::Usage(error.to_string()),
        error => CommandError::Refused(error.to_string()),
    }
}

/// Takes over a SQLite database of the template.
pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let path = file(args)?;
    let platform = at.platform()?;
    let bot = Personas::new(platform).map_err(|error| CommandError::Refused(error.to_string()))?;
    let waiting = at.out.waiting();
    waiting.set_message(format!("reads {}", path.display()));
    let reading = path.clone();
    let data = tokio::task::spawn_blocking(move || read_template(&reading)).await;
    let data = data.map_err(|error| CommandError::Refused(format!("{} was not read: {error}", path.display())))?;
    let mut options = options(args);
    let import = async |options: &ImportOptions, data| {
        import_template(platform, &bot, data, options, &at.operator).await.map_err(refused)
    };
    let data = data.map_err(refused)?;
    waiting.set_message("compares the posts with those there are");
    if args.strict && !args.dry_run {
        let trial = import(&ImportOptions { dry_run: true, ..options.clone() }, data.clone()).await?;
        options.dry_run = refusals(&trial) > 0;
    }
    let imported = import(&options, data).await?;
    waiting.finish_and_clear();
    if !imported.dry_run {
        let details = json!({ "bots": imported.bots, "odd": imported.odd });
        at.audit("personas.import", &path.display().to_string(), &details).await;
    }
    if at.out.is_json() {
        at.out.json(&imported)?;
    } else {
        text_of(at, &imported)?;
    }
    match refusals(&imported) {
        0 => Ok(()),
        n if args.strict => {
            Err(CommandError::Refused(format!("{} cannot be imported; nothing is imported", count(n, "bot"))))
        }
        n => Err(CommandError::Refused(format!("{} cannot be imported; the others are", count(n, "bot")))),
    }
}

fn options(args: &Args) -> ImportOptions {
    let mut options =
        ImportOptions { names: args.name.iter().cloned().collect(), dry_run: args.dry_run, ..ImportOptions::default() };
    for (bot, account) in &args.account {
        match bot {
            Some(bot) => {
                options.accounts.insert(bot.clone(), account.clone());
            }
            None => options.account = Some(account.clone()),
        }
    }
    options
}

fn refusals(imported: &TemplateImport) -> usize {
    imported.bots.iter().filter(|bot| bot.outcome == ImportOutcome::Refused).count()
}

fn text_of(at: &Invocation<'_>, imported: &TemplateImport) -> Result<(), CommandError> {
    if imported.bots.is_empty() {
        at.out.line("the file has no bot")?;
    } else {
        at.out.table(&listing(imported))?;
    }
    for bot in &imported.bots {
        for said in bot.problems.iter().chain(&bot.notes) {
            at.out.line(format_args!("{}: {said}", bot.bot_id))?;
        }
    }
    for row in imported.odd_rows.iter().take(SHOWN) {
        at.out.line(format_args!("left out: {row}"))?;
    }
    let more = imported.odd.saturating_sub(SHOWN as u64);
    if more > 0 {
        at.out.line(format_args!("{} more left out; --json names the first 1000", count(more, "row")))?;
    }
    if imported.dry_run { at.out.line("nothing was changed") } else { Ok(()) }
}

fn listing(imported: &TemplateImport) -> Listing {
    let mut listing = Listing::new([
        whole("BOT"),
        whole("PERSONA"),
        whole("OUTCOME"),
        number("PUBLISHED"),
        number("READY"),
        number("REVIEW"),
        number("REJECTED"),
        number("SIMILAR"),
        number("KNOWN"),
    ]);
    for bot in &imported.bots {
        let posts = bot.posts;
        let persona = bot.persona.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        listing.row([
            cell(&bot.bot_id),
            cell(persona),
            cell(bot.outcome.as_str()).tone_if(bot.outcome == ImportOutcome::Refused, Tone::Bad),
            cell(posts.published + posts.caught_up),
            cell(posts.ready),
            cell(posts.in_review),
            cell(posts.rejected),
            cell(posts.similar),
            cell(posts.known),
        ]);
    }
    listing
}
