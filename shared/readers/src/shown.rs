use serde::{Deserialize, Serialize};

use crate::recognise;

/// How a post is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Single, Self::List, Self::Thread];

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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Claim, Self::Question, Self::Number, Self::Story];

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

/// What readers tell posts apart by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// What it is about, in lower case.
    pub topic: Option<String>,
    /// How it is written.
    pub form: Form,
    /// How it begins.
    pub hook: Hook,
}

impl Kind {
    /// Every form and hook of every topic; of posts without a topic if there is none.
    pub fn all(topics: &[impl AsRef<str>]) -> Vec<Self> {
        let topics: Vec<Option<String>> = if topics.is_empty() {
            vec![None]
        } else {
            topics.iter().map(|topic| Some(lower(topic.as_ref()))).collect()
        };
        let of_topic = |topic: &Option<String>| {
            let topic = topic.clone();
            Form::ALL
                .into_iter()
                .flat_map(move |form| Hook::ALL.map(|hook| Self { topic: topic.clone(), form, hook }))
                .collect::<Vec<_>>()
        };
        topics.iter().flat_map(of_topic).collect()
    }
}

/// A topic as kinds name it.
pub(crate) fn lower(topic: &str) -> String {
    topic.trim().to_lowercase()
}

/// A post as readers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is about, in lower case.
    pub topic: Option<String>,
    /// How it is written.
    pub form: Form,
    /// How it begins.
    pub hook: Hook,
    /// How many posts it has: more than one in a thread.
    pub parts: usize,
    /// The characters of its first part.
    pub length: usize,
}

impl Shown {
    /// Recognises a post by its text alone, one text for each part. `topics` are the topics that readers know, by the names under which they
    /// come in texts; a post about none of them has none.
    pub fn of(parts: &[impl AsRef<str>], topics: &[impl AsRef<str>]) -> Self {
        let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let first = texts.first().copied().unwrap_or_default();
        Self {
            topic: recognise::topic(&texts, topics),
            form: recognise::form(&texts),
            hook: recognise::hook(first),
            parts: texts.len(),
            length: first.chars().count(),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        Kind { topic: self.topic.clone(), form: self.form, hook: self.hook }
    }
}
