//! The report of an evaluation, as text and as JSON.

use perch_base::settings::TokenPrice;
use perch_bot::cli::{
    CommandError, Invocation,
    format::{
        line::{Line, Tone},
        table::{Listing, cell, compact, number, whole},
        text::{count, one_line, thousands},
    },
};
use perch_clients::models::Usage;
use perch_jobs::ExtractedBets;
use serde::Serialize;
use serde_json::{Value, json};

use super::examples::Example;
use crate::score::{Field, Score};

/// The answer of a reader to a post.
#[derive(Debug)]
pub struct ReaderAnswer {
    /// The answer, or why there is none.
    pub answer: Result<ExtractedBets, String>,
    /// The tokens that it cost.
    pub usage: Usage,
    /// Unusable answers before it.
    pub objections: usize,
}

/// A post that was read wrong.
#[derive(Debug, Serialize)]
struct WrongPost {
    id: String,
    text: String,
    given: Option<ExtractedBets>,
    expected: ExtractedBets,
    /// Why there is no answer.
    error: Option<String>,
}

/// The outcome of an evaluation.
#[derive(Debug)]
pub struct Report {
    provider: String,
    /// The score.
    pub score: Score,
    /// Posts without an answer. They count as wrong.
    pub failed: u64,
    repaired: u64,
    usage: Usage,
    price: TokenPrice,
    wrong: Vec<WrongPost>,
}

impl Report {
    /// An empty report for a provider.
    pub fn new(provider: String, price: TokenPrice) -> Self {
        let (score, usage) = (Score::default(), Usage::default());
        Self { provider, score, failed: 0, repaired: 0, usage, price, wrong: Vec::new() }
    }

    /// The cost of the tokens in US dollars.
    #[expect(clippy::cast_precision_loss, reason = "what is spent stays far below 2^52 millionths of a dollar")]
    fn cost(&self) -> f64 {
        self.price.micros(self.usage.prompt_tokens, self.usage.completion_tokens) as f64 / 1e6
    }

    /// Counts one post.
    pub fn add(&mut self, example: &Example, given: ReaderAnswer) {
        self.usage.prompt_tokens += given.usage.prompt_tokens;
        self.usage.completion_tokens += given.usage.completion_tokens;
        self.repaired += u64::from(given.objections > 0);
        let (answer, error) = match given.answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error)),
        };
        let right = if let Some(answer) = &answer {
            self.score.add(&example.expected, answer)
        } else {
            self.failed += 1;
            self.score.add_failed(&example.expected);
            false
        };
        if !right {
            self.wrong.push(WrongPost {
                id: example.id.clone(),
                text: example.post.text.clone(),
                given: answer,
                expected: example.expected.clone(),
                error,
            });
        }
    }

    /// Prints the report.
    pub fn say(&self, at: &Invocation<'_>, shows_wrong: bool) -> Result<(), CommandError> {
        if at.out.is_json() {
            return at.out.json(&self.as_json(shows_wrong));
        }
        if shows_wrong {
            self.say_wrong(at)?;
        }
        at.out.table(&self.fields())?;
        for line in self.summary() {
            at.out.line(line)?;
        }
        Ok(())
    }

    fn as_json(&self, shows_wrong: bool) -> Value {
        let field = |field: &Field| {
            json!({
                "expected": field.expected, "given": field.given, "right": field.right,
                "precision": field.precision(), "recall": field.recall(),
            })
        };
        let fields: serde_json::Map<String, Value> =
            self.score.fields.iter().map(|(name, counts)| ((*name).to_owned(), field(counts))).collect();
        let mut report = json!({
            "provider": self.provider,
            "posts": self.score.posts,
            "exact": self.score.exact,
            "exact_match": self.score.exact_match(),
            "nulls": self.score.nulls,
            "nulls_right": self.score.nulls_right,
            "null_accuracy": self.score.null_accuracy(),
            "false_picks": self.score.false_picks,
            "missed": self.score.missed,
            "failed": self.failed,
            "repaired": self.repaired,
            "all_fields": field(&self.score.all_fields()),
            "fields": fields,
            "tokens": { "prompt": self.usage.prompt_tokens, "completion": self.usage.completion_tokens },
            "cost_usd": self.cost(),
        });
        if shows_wrong {
            report["wrong"] = json!(self.wrong);
        }
        report
    }

    fn say_wrong(&self, at: &Invocation<'_>) -> Result<(), CommandError> {
        let shown = |answer: &ExtractedBets| serde_json::to_string(answer).unwrap_or_default();
        for wrong in &self.wrong {
            at.out.line(format_args!("{}  {}", wrong.id, one_line(&wrong.text)))?;
            match (&wrong.given, &wrong.error) {
                (Some(given), _) => at.out.line(format_args!("  given     {}", shown(given)))?,
                (None, error) => {
                    let error = one_line(error.as_deref().unwrap_or_default());
                    at.out.styled(&Line::new("  ").toned(Tone::Bad, "no answer").then("  ").then(error))?;
                }
            }
            at.out.line(format_args!("  expected  {}", shown(&wrong.expected)))?;
            at.out.blank()?;
        }
        Ok(())
    }

    fn fields(&self) -> Listing {
        let mut listing = Listing::new([
            whole("FIELD"),
            number("EXPECTED"),
            number("GIVEN"),
            number("RIGHT"),
            number("PRECISION"),
            number("RECALL"),
        ]);
        let all = self.score.all_fields();
        for (name, field) in self.score.fields.iter().map(|(name, field)| (*name, *field)).chain([("all", all)]) {
            listing.row([
                cell(name),
                compact(field.expected),
                compact(field.given),
                compact(field.right),
                cell(percent(field.precision())),
                cell(percent(field.recall())),
            ]);
        }
        listing
    }

    fn summary(&self) -> Vec<String> {
        let score = &self.score;
        let mut lines = vec![
            format!(
                "{} of {} by {} right in every field: {}",
                thousands(score.exact),
                count(score.posts, "post"),
                self.provider,
                percent(score.exact_match())
            ),
            format!(
                "{} of {} without a pick answered with nothing: {}",
                thousands(score.nulls_right),
                count(score.nulls, "post"),
                percent(score.null_accuracy())
            ),
            format!("{}: bets read in posts that recommend none", count(score.false_picks, "false pick")),
        ];
        if self.failed > 0 {
            lines.push(format!("{} without an answer; --wrong says why", count(self.failed, "post")));
        }
        if self.repaired > 0 {
            lines.push(format!("{} took more than one answer", count(self.repaired, "post")));
        }
        if self.usage != Usage::default() {
            lines.push(format!(
                "{} read and {} written, {:.4} USD",
                count(self.usage.prompt_tokens, "token"),
                count(self.usage.completion_tokens, "token"),
                self.cost()
            ));
        }
        lines
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
