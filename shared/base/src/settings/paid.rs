//! Prices of outside services, and budgets for them.

use serde::{Deserialize, Serialize};

/// The X plan of the application, which determines what it may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XPlan {
    /// Pay per use and every other self-service plan: only posts that name or quote the account may be answered.
    #[default]
    SelfServe,
    /// An enterprise contract: any post may be answered.
    Enterprise,
}

/// What X charges, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct XPrices {
    /// Reading a post.
    pub post_read: f64,
    /// Reading a post that is the account's own or names it.
    pub own_read: f64,
    /// Reading a user.
    pub user_read: f64,
    /// Creating a post.
    pub post: f64,
    /// Creating a post with a link.
    pub post_with_link: f64,
    /// A reply to a post that names or quotes the account.
    pub summoned_reply: f64,
    /// A retweet.
    pub retweet: f64,
}

impl Default for XPrices {
    fn default() -> Self {
        Self {
            post_read: 0.005,
            own_read: 0.001,
            user_read: 0.010,
            post: 0.015,
            post_with_link: 0.200,
            summoned_reply: 0.010,
            retweet: 0.015,
        }
    }
}

/// The most that may be spent, in US dollars; 0 means no limit. Days and months are in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Per day.
    pub daily: f64,
    /// Per month.
    pub monthly: f64,
}

/// The prices of a model, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPrice {
    /// Input tokens.
    pub prompt: f64,
    /// Output tokens.
    pub completion: f64,
}

impl TokenPrice {
    /// The cost of a call, in millionths of a US dollar.
    pub fn micros(self, prompt_tokens: u64, completion_tokens: u64) -> i64 {
        #[expect(clippy::cast_precision_loss, reason = "tokens of one call stay far below 2^52")]
        let cost = self.prompt * prompt_tokens as f64 + self.completion * completion_tokens as f64;
        whole(cost)
    }
}

/// An amount of US dollars in millionths.
pub fn micros(dollars: f64) -> i64 {
    whole(dollars * 1e6)
}

#[expect(clippy::cast_possible_truncation, reason = "what is too large is cut to the largest amount there is")]
fn whole(micros: f64) -> i64 {
    micros.round() as i64
}

/// A name, or several in the order in which they are tried.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_a_model_costs_by_its_tokens() {
        let price = TokenPrice { prompt: 3.0, completion: 15.0 };
        assert_eq!(price.micros(1_000, 200), 6_000);
        assert_eq!(price.micros(0, 0), 0);
        assert_eq!(micros(0.005), 5_000);
    }
}
