//! A bet on its way.

use std::ops::Range;

use perch_jobs::{PickKind, Side};

use super::term::Name;

/// A bet as the clause says it, before its names are settled.
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
    /// Said the way fans say it too; it needs a price or a stake to count as a bet.
    pub weak: bool,
    /// Where it stands among the terms of its clause.
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

    /// The same of that name.
    pub(super) fn of(self, name: &Name) -> Self {
        Self { subject: Some(name.clone()), ..self }
    }
}
