//! The built-in lists.

use std::ops::Range;

use crate::{
    Code,
    fold::Folded,
    pattern::{BadPattern, Pattern},
};

const LISTS: &str = include_str!("../data/words.txt");

/// The listed patterns, harmless ones that contain them, and filler words.
#[derive(Debug)]
pub(crate) struct Words {
    listed: Vec<(Code, Pattern)>,
    innocent: Vec<Pattern>,
    fillers: Vec<Pattern>,
}

impl Words {
    pub fn built_in() -> Result<Self, BadPattern> {
        let mut words = Self { listed: Vec::new(), innocent: Vec::new(), fillers: Vec::new() };
        for (section, entry) in entries(LISTS) {
            let patterns = Pattern::parse_all(entry)?;
            match code(section) {
                Some(code) => words.listed.extend(patterns.into_iter().map(|pattern| (code, pattern))),
                None if section == "filler" => words.fillers.extend(patterns),
                None => words.innocent.extend(patterns.into_iter().map(Pattern::exact)),
            }
        }
        Ok(words)
    }

    pub fn add_crisis(&mut self, phrase: &str) -> Result<(), BadPattern> {
        let patterns = Pattern::parse_all(phrase)?;
        self.listed.extend(patterns.into_iter().map(|pattern| (Code::Crisis, pattern)));
        Ok(())
    }

    /// Finds listed patterns, of one code or of all.
    pub fn find(&self, folded: &Folded, only: Option<Code>, mut found: impl FnMut(Code, Range<usize>)) {
        let mut innocent = None;
        for (code, pattern) in self.listed.iter().filter(|(code, _)| only.is_none_or(|only| only == *code)) {
            // Emotional phrases may contain filler words: I want to [just] [fucking] die.
            let fillers = if matches!(code, Code::Crisis | Code::Threat) { self.fillers.as_slice() } else { &[] };
            for at in pattern.find_all(folded, fillers) {
                let harmless = innocent.get_or_insert_with(|| self.harmless(folded));
                if !harmless.iter().any(|known: &Range<usize>| known.start <= at.start && at.end <= known.end) {
                    found(*code, at);
                }
            }
        }
    }

    fn harmless(&self, folded: &Folded) -> Vec<Range<usize>> {
        self.innocent.iter().flat_map(|pattern| pattern.find_all(folded, &[])).collect()
    }
}

/// The entries of a list by their sections.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            return None;
        }
        Some((section, line))
    })
}

/// The code of the entries of a section; `None` for harmless patterns and fillers.
fn code(section: &str) -> Option<Code> {
    match section {
        "slur" => Some(Code::Slur),
        "profanity" => Some(Code::Profanity),
        "coarse" => Some(Code::Coarse),
        "threat" => Some(Code::Threat),
        "crisis" => Some(Code::Crisis),
        "promise" => Some(Code::Promise),
        "link" => Some(Code::Link),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) fn built_in_entries() -> Vec<(Code, &'static str)> {
    entries(LISTS).filter_map(|(section, entry)| Some((code(section)?, entry))).collect()
}
