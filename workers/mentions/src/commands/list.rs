use chrono::Utc;
use clap::ValueEnum;
use perch_bot::cli::{
    CommandError, Invocation,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        text::one_line,
        time::from_now,
    },
};

use super::{OfAccount, one};
use crate::{MentionFilter, MentionRecord, MentionState, MentionStore as _};

/// A state on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Read and not handed on yet
    Seen,
    /// Not answered, by a rule
    LeftOut,
    /// Its job is to decide on a reply
    Queued,
    /// The reply is decided
    Decided,
    /// The reply is to be published
    Sending,
    /// A person decides
    InReview,
    /// The reply is published
    Answered,
    /// Not answered, by the guard or a person
    Rejected,
    /// Nobody decided in time, or the reply could not be published in time
    Expired,
    /// Its job is dead
    Failed,
}

impl From<State> for MentionState {
    fn from(state: State) -> Self {
        match state {
            State::Seen => Self::Seen,
            State::LeftOut => Self::LeftOut,
            State::Queued => Self::Queued,
            State::Decided => Self::Decided,
            State::Sending => Self::Sending,
            State::InReview => Self::InReview,
            State::Answered => Self::Answered,
            State::Rejected => Self::Rejected,
            State::Expired => Self::Expired,
            State::Failed => Self::Failed,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: OfAccount,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only of this author, by handle or id
    #[arg(long)]
    pub author: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = one(settings, args.of.account.as_ref())?;
    let filter = MentionFilter {
        account: Some(account),
        state: args.state.map(Into::into),
        author: args.author.as_deref().map(|author| author.trim_start_matches('@').to_owned()),
        before: None,
        limit: args.limit,
    };
    let mentions = store.mentions().list(&filter).await?;
    if at.out.is_json() {
        return at.out.json(&mentions);
    }
    if mentions.is_empty() {
        return at.out.line("there is no such mention");
    }
    at.out.table(&listing(&mentions))
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
