use perch_core::dead_list::{DeadSummary, DiedWithin, dead_letters};

use super::filter::DeadLetterFilter;
use crate::{
    app::{App, chosen, known_kind, now},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        time::from_now,
    },
    output::Paging,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: DeadLetterFilter,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, Args { filter, paging }: &Args) -> Result<(), CommandError> {
    let (_, queues) = app.queues()?;
    let now = now(queues.redis()).await?;
    let wanted = chosen(&queues, &filter.of.queue)?;
    let page = dead_letters(&wanted, DiedWithin::default(), |letter| filter.wants(letter, now), &paging.or(20)).await?;
    known_kind(&queues, filter.of.kind.as_ref(), page.items.len() as u64)?;
    app.out.page(&page, "there is no such dead letter", |letters| {
        let mut listing = Listing::new([whole("ID"), cut("KIND"), number("TRIES"), whole("DIED"), cut("ERROR")]);
        for DeadSummary { id, kind, attempts, died_at, last_error, .. } in letters {
            listing.row([
                cell(id),
                cell(kind.as_deref().unwrap_or("unreadable")),
                cell(attempts),
                cell(from_now(*died_at, now)),
                cell(last_error).tone(Tone::Bad),
            ]);
        }
        listing
    })
}
