use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

/// The model providers for a task, by their names in `[models.providers]`, in the order in which they are tried: a list, or
/// comma-separated names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Providers(Vec<String>);

impl Deref for Providers {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Providers {
    fn from(names: [S; N]) -> Self {
        Self(names.map(Into::into).into())
    }
}

impl From<Vec<String>> for Providers {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

impl<'de> Deserialize<'de> for Providers {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Names {
            One(String),
            Several(Vec<String>),
        }
        Ok(Self(match Names::deserialize(d)? {
            Names::One(name) => name.split(',').map(|name| name.trim().to_owned()).collect(),
            Names::Several(names) => names,
        }))
    }
}
