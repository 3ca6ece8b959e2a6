//! The posts that the sandbox holds before a run begins, for its jobs to reply to, retweet and read.

use perch_sandbox::{NewPost, SandboxState};

use crate::dice::Dice;

/// Posts of the sandbox that jobs refer to.
#[derive(Debug, Clone)]
pub struct Targets {
    /// To reply to, and to read metrics of.
    pub posts: Vec<String>,
    /// To retweet: each once.
    pub retweets: Vec<String>,
    /// To read picks in: id, author, text.
    pub picks: Vec<(String, String, String)>,
}

/// Writes the posts that a run of `jobs` jobs may refer to.
pub fn targets(seed: u64, jobs: usize, sandbox: &SandboxState) -> Targets {
    let author = "line_hunter";
    let mut dice = Dice::new(seed, "targets");
    // A tenth of the jobs are extractions and fewer are retweets; chance may need more.
    let most = jobs / 5 + 20;
    let written = |text: String| sandbox.publish(author, NewPost { text, ..NewPost::default() });
    Targets {
        posts: (0..40).map(|n| written(format!("Thread {n}, game {}", dice.between(1, 99)))).collect(),
        retweets: (0..most / 2).map(|n| written(format!("Worth a look: {n}"))).collect(),
        picks: (0..most).map(|n| (written(bet(n)), author.to_owned(), bet(n))).collect(),
    }
}

const TEAMS: [&str; 20] = [
    "Lakers",
    "Celtics",
    "Knicks",
    "Bulls",
    "Nuggets",
    "Heat",
    "Suns",
    "Bucks",
    "Warriors",
    "Nets",
    "Mavericks",
    "Clippers",
    "Raptors",
    "Sixers",
    "Spurs",
    "Rockets",
    "Pacers",
    "Pistons",
    "Hornets",
    "Wizards",
];
const LINES: usize = 60;

/// A pick. The first 2,400 are different bets, each of which gets one comment.
fn bet(n: usize) -> String {
    let (team, rest) = (TEAMS[n % TEAMS.len()], n / TEAMS.len());
    let sign = if (rest / LINES).is_multiple_of(2) { '-' } else { '+' };
    format!("{team} {sign}{}.5 (-110) 2u", 1 + rest % LINES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_bet_is_read_as_a_pick_and_no_two_of_the_first_are_the_same() {
        let bets: Vec<String> = (0..2 * TEAMS.len() * LINES).map(bet).collect();
        assert_eq!(bets.iter().collect::<BTreeSet<_>>().len(), bets.len());
        for bet in bets {
            let read = serde_json::to_value(perch_bot_picks::rules::extract(&bet)).expect("an answer is JSON");
            assert_eq!(read["type"], "spread", "{bet}: {read}");
        }
    }
}
