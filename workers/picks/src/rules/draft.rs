//! A bet before its names are resolved.

use std::ops::Range;

use perch_jobs::{PickKind, Side};

use super::term::Name;

/// A bet as written in its clause, before its names are resolved.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub kind: PickKind,
    /// Who is backed, or the player of a prop.
    pub subject: Option<Name>,
    pub pair: Option<(Name, Name)>,
    pub line: Option<f64>,
    pub side: Option<Side>,
    pub stat: Option<String>,
    pub stat_league: Option<&'static str>,
    pub odds: Option<String>,
    pub units: Option<f64>,
    /// Its words may also be ordinary fan talk, so it needs a price or a stake to count as a bet.
    pub weak: bool,
    /// Its range among the terms of the clause.
    pub at: Range<usize>,
}

impl Draft {
    pub(crate) fn new(kind: PickKind, at: Range<usize>) -> Self {
        Self {
            kind,
            subject: None,
            pair: None,
            line: None,
            side: None,
            stat: None,
            stat_league: None,
            odds: None,
            units: None,
            weak: false,
            at,
        }
    }

    /// Sets the subject.
    pub(super) fn of(self, name: &Name) -> Self {
        Self { subject: Some(name.clone()), ..self }
    }
}
