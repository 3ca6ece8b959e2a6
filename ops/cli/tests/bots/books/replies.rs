//! The mentions, and what was answered.

use std::collections::BTreeMap;

use perch_play::{Expectation, ExpectedMention, ExpectedReply};
use perch_sandbox::MadePost;

use super::{Books, Mention};

impl Books {
    pub(super) fn check_replies(&self, expected: &Expectation, wrong: &mut Vec<String>) {
        let mut replies: BTreeMap<&str, Vec<&MadePost>> = BTreeMap::new();
        for post in &self.made {
            if let Some(to) = &post.reply_to {
                replies.entry(to).or_default().push(post);
            }
        }
        for mention in &expected.mentions {
            let replies = replies.get(mention.id.as_str()).map(Vec::as_slice).unwrap_or_default();
            let became = self.mentions.get(&mention.id);
            if !self.is_right(mention, became, replies) {
                let (id, deserves, texts) = (&mention.id, mention.deserves.as_str(), replies.len());
                let became = became.map(|became| (&became.state, &became.reason, &became.reply));
                let asked = self.reviews.get(&mention.id);
                wrong.push(format!("{id} deserves {deserves}, is {became:?}, asked {asked:?}, has {texts} replies"));
            }
        }
    }

    fn is_right(&self, mention: &ExpectedMention, became: Option<&Mention>, replies: &[&MadePost]) -> bool {
        let state = became.map_or("unseen", |became| became.state.as_str());
        match mention.deserves {
            ExpectedReply::Reply => match state {
                "answered" => became.is_some_and(|became| is_answer(became, replies)),
                // X took this very text for another mention, which was written at the same moment.
                "failed" => {
                    let text = became.and_then(|became| became.reply.as_deref()).unwrap_or_default();
                    let is_taken = became.is_some_and(|became| became.reason.contains("posted this text already"));
                    replies.is_empty() && is_taken && self.stands(text)
                }
                // What would only repeat an earlier answer waits for a person, and nothing else does.
                state => state == "in_review" && replies.is_empty() && self.would_repeat(&mention.id),
            },
            ExpectedReply::Person => state == "in_review" && replies.is_empty(),
            ExpectedReply::Either => match state {
                "answered" => became.is_some_and(|became| is_answer(became, replies)),
                state => !["unseen", "seen", "queued", "decided", "sending"].contains(&state) && replies.is_empty(),
            },
            ExpectedReply::Nothing => replies.is_empty(),
        }
    }

    /// Whether a reply that says this stands at X.
    fn stands(&self, text: &str) -> bool {
        let bare = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
        self.made.iter().any(|post| post.reply_to.is_some() && bare(&post.text) == bare(text))
    }

    fn would_repeat(&self, mention: &str) -> bool {
        let Some((proposed, reasons)) = self.reviews.get(mention) else { return false };
        reasons.contains("repeated") && self.stands(proposed)
    }
}

/// One reply, with the words that were decided, under the id that is kept.
fn is_answer(became: &Mention, replies: &[&MadePost]) -> bool {
    let [reply] = replies else { return false };
    became.reply.as_ref() == Some(&reply.text) && became.external_id.as_ref() == Some(&reply.id)
}
