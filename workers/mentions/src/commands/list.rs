use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        text::one_line,
        time::from_now,
    },
};

use super::{OfAccount, one};
use crate::{MentionFilter, MentionRecord, MentionState, MentionStore as _};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: OfAccount,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<MentionState>,
    /// Only of this author, by handle or id
    #[arg(long)]
    pub author: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = one(settings, args.of.account.as_ref())?;
    let filter = MentionFilter {
        account: Some(account),
        state: args.state,
        author: args.author.as_deref().map(|author| author.trim_start_matches('@').to_owned()),
    };
    let page = store.mentions().list(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "there is no such mention", listing)
}

fn tone(state: MentionState) -> Tone {
    match state {
        MentionState::Answered => Tone::Good,
        MentionState::InReview | MentionState::Expired => Tone::Warn,
        MentionState::Failed => Tone::Bad,
        MentionState::LeftOut | MentionState::Rejected => Tone::Faint,
        _ => Tone::Plain,
    }
}

fn listing(mentions: &[MentionRecord]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        whole("MENTION"),
        whole("WHEN"),
        cut("AUTHOR"),
        whole("STATE"),
        cut("TEXT"),
        cut("REPLY OR REASON"),
    ]);
    for record in mentions {
        let author = record.author.as_deref().unwrap_or(&record.mention.author_id);
        let outcome = match record.state {
            MentionState::LeftOut | MentionState::Rejected | MentionState::Failed | MentionState::Expired => {
                &record.reason
            }
            _ => &record.reply,
        };
        listing.row([
            cell(&record.mention.id),
            cell(from_now(record.mention.created_at, now)),
            cell(one_line(author)),
            cell(record.state.as_str()).tone(tone(record.state)),
            cell(one_line(&record.mention.text)),
            cell(one_line(outcome.as_deref().unwrap_or_default())),
        ]);
    }
    listing
}
