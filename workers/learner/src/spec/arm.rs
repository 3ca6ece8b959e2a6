use std::fmt;

use perch_core::personas::Topic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LearnerSpec, ThreadPolicy};

/// The most arms of a bot: with more, the posts of an account do not tell them apart.
pub(super) const MOST_ARMS: usize = 6;

/// A kind of post that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// What it is about, as the model is told. Without one, the model chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its form.
    #[serde(default)]
    pub form: Form,
    /// How it begins.
    #[serde(default)]
    pub hook: Hook,
    /// How long it is.
    #[serde(default)]
    pub length: Length,
}

/// The form of a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One post.
    #[default]
    Single,
    /// One post that lists things.
    List,
    /// A chain of posts.
    Thread,
}

/// How a post begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// With what it says.
    #[default]
    Claim,
    /// With a question.
    Question,
    /// With a number.
    Number,
    /// With something that happened.
    Story,
}

/// The length of a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// As it comes.
    #[default]
    Any,
    /// At most about 100 characters.
    Short,
    /// At least about 180 characters.
    Long,
}

impl Form {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::List => "list",
            Self::Thread => "thread",
        }
    }
}

impl Hook {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Question => "question",
            Self::Number => "number",
            Self::Story => "story",
        }
    }
}

impl Length {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Short => "short",
            Self::Long => "long",
        }
    }
}

/// Its name in the log: topic, form, hook and length, for example `rye/single/question/any`.
impl fmt::Display for ArmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.topic.as_deref().unwrap_or("any").trim().replace('/', " ");
        write!(f, "{topic}/{}/{}/{}", self.form.as_str(), self.hook.as_str(), self.length.as_str())
    }
}

impl LearnerSpec {
    /// The arms of the bot: those that it names, or else those that follow from the topics of its persona. Without threads, those that are
    /// none.
    pub fn arms_for(&self, topics: &[Topic]) -> Vec<ArmSpec> {
        let arms = if self.arms.is_empty() { usual(topics) } else { self.arms.clone() };
        arms.into_iter().filter(|arm| self.threads == ThreadPolicy::Chain || arm.form != Form::Thread).collect()
    }
}

/// The arms of a bot that names none: its first topics, each beginning with what it says and with a question.
fn usual(topics: &[Topic]) -> Vec<ArmSpec> {
    let names: Vec<Option<String>> = topics.iter().take(MOST_ARMS / 2).map(|topic| Some(topic.name.clone())).collect();
    let names = if names.is_empty() { vec![None] } else { names };
    let hooks: &[Hook] = if names.len() == 1 {
        &[Hook::Claim, Hook::Question, Hook::Number, Hook::Story]
    } else {
        &[Hook::Claim, Hook::Question]
    };
    let arm = |topic: &Option<String>, hook: Hook| ArmSpec {
        topic: topic.clone(),
        form: Form::default(),
        hook,
        length: Length::default(),
    };
    names.iter().flat_map(|topic| hooks.iter().map(move |hook| arm(topic, *hook))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic { name: (*name).to_owned(), weight: 1.0 }).collect()
    }

    #[test]
    fn a_bot_that_names_no_arms_tries_its_topics_with_two_beginnings_each() {
        let arms = LearnerSpec::default().arms_for(&topics(&["rye", "salt", "ovens", "flour"]));
        assert_eq!(arms.len(), MOST_ARMS);
        assert_eq!(arms[1].to_string(), "rye/single/question/any");
        assert_eq!(LearnerSpec::default().arms_for(&[]).len(), 4);
    }

    #[test]
    fn without_threads_their_arms_are_left_out() {
        let thread = ArmSpec { topic: None, form: Form::Thread, hook: Hook::Story, length: Length::Any };
        let single = ArmSpec { form: Form::Single, ..thread.clone() };
        let spec =
            |threads| LearnerSpec { arms: vec![thread.clone(), single.clone()], threads, ..LearnerSpec::default() };
        assert_eq!(spec(ThreadPolicy::Chain).arms_for(&[]).len(), 2);
        assert_eq!(spec(ThreadPolicy::Off).arms_for(&[]), std::slice::from_ref(&single));
    }
}
