use perch_jobs::JobId;
use serde_json::json;

use super::{filter::DeadLetterFilter, pages::DeadLetterPages};
use crate::{
    app::{App, chosen, known_kind, now, operator},
    commands::audit,
    error::CommandError,
    format::text::count,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: DeadLetterFilter,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, all) = app.queues()?;
    let queues = chosen(&all, &args.filter.of.queue)?;
    let began = now(all.redis()).await?;
    let mut total = 0u64;
    for queue in &queues {
        let mut pages = DeadLetterPages::new(queue, &args.filter, began);
        while let Some(page) = pages.next().await? {
            total += page.len() as u64;
        }
    }
    known_kind(&all, args.filter.of.kind.as_ref(), total)?;
    if args.dry_run || total == 0 {
        return app.out.answer(
            &json!({ "dry_run": args.dry_run, "matched": total, "discarded": 0 }),
            format_args!(
                "{} {}; none was removed",
                count(total, "dead letter"),
                if total == 1 { "fits" } else { "fit" }
            ),
        );
    }
    app.out.confirm(&format!("This removes {} in {} for good", count(total, "dead letter"), settings.env), args.yes)?;
    let by = operator();
    let bar = app.out.bar(total, "letters");
    let mut discarded = 0u64;
    for queue in &queues {
        let mut of_queue = 0;
        let mut pages = DeadLetterPages::new(queue, &args.filter, began);
        while let Some(page) = pages.next().await? {
            let ids: Vec<JobId> = page.iter().map(|letter| letter.id).collect();
            let gone = queue.discard(&ids, &by).await?;
            of_queue += gone as u64;
            bar.inc(gone as u64);
        }
        if of_queue > 0 {
            let details = json!({ "filter": args.filter.as_json(), "letters": of_queue });
            audit::note(app, &settings, "dead.discard", queue.name().as_str(), &details).await;
        }
        discarded += of_queue;
    }
    bar.finish_and_clear();
    app.out.answer(
        &json!({ "dry_run": false, "matched": total, "discarded": discarded }),
        format_args!("{} removed", count(discarded, "dead letter")),
    )
}
