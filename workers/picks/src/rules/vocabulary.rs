//! The words and phrases beside bets that the rules understand.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use super::{
    names::{NAMES, key, key_of},
    token::Token,
};

/// Where a word or phrase is understood. `understood.txt` describes each section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Section {
    Bet,
    After,
    Books,
    Around,
    Game,
    Before,
    Refusal,
    Answer,
    Never,
}

impl Section {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "bet" => Self::Bet,
            "after" => Self::After,
            "books" => Self::Books,
            "around" => Self::Around,
            "game" => Self::Game,
            "before" => Self::Before,
            "refusal" => Self::Refusal,
            "answer" => Self::Answer,
            "never" => Self::Never,
            _ => return None,
        })
    }
}

/// The length of the longest phrase in tokens.
const LONGEST: usize = 9;

static UNDERSTOOD: LazyLock<HashMap<Section, HashSet<String>>> = LazyLock::new(|| {
    let mut sections: HashMap<Section, HashSet<String>> = HashMap::new();
    let mut section = None;
    let lines = include_str!("../../data/understood.txt").lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = Section::of(name),
            None => section.into_iter().for_each(|section| sections.entry(section).or_default().extend(phrases(line))),
        }
    }
    sections
});

/// The keys of a line: `a, b, with | c, d` means `a`, `b`, `with c` and `with d`.
fn phrases(line: &str) -> Vec<String> {
    let (list, stem, choices) = match line.split_once('|') {
        None => (line, "", ""),
        Some((before, choices)) => {
            let (list, stem) = before.rsplit_once(',').unwrap_or(("", before));
            (list, stem.trim(), choices)
        }
    };
    let items = |list: &str| {
        list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = items(list).into_iter();
    plain.chain(items(choices).iter().map(|choice| format!("{stem} {choice}"))).map(|phrase| key_of(&phrase)).collect()
}

/// The length in tokens of the longest phrase of the sections that begins at `at`.
pub(super) fn phrase_at(tokens: &[Token], at: usize, sections: &[Section]) -> Option<usize> {
    let phrases: Vec<_> = sections.iter().filter_map(|section| UNDERSTOOD.get(section)).collect();
    (1..=LONGEST.min(tokens.len() - at)).rev().find(|len| {
        let key = key(&tokens[at..at + len]);
        phrases.iter().any(|phrases| phrases.contains(&key))
    })
}

/// Whether a word is a usual word beside bets, and therefore not a name.
pub(super) fn is_common(folded: &str) -> bool {
    let listed = |section| UNDERSTOOD.get(&section).is_some_and(|phrases| phrases.contains(folded));
    (listed(Section::Bet) || listed(Section::Around)) && NAMES.find(folded).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::lex::{normalise, tokens};

    #[test]
    fn a_line_is_a_list_of_phrases_and_of_one_stem_with_its_endings() {
        assert_eq!(phrases("lock, best bet, let's | ride, go"), ["lock", "best bet", "let's ride", "let's go"]);
    }

    #[test]
    fn every_phrase_is_short_enough_to_be_found() {
        for (section, phrases) in UNDERSTOOD.iter() {
            for phrase in phrases {
                let tokens = tokens(&normalise(phrase));
                assert_eq!(phrase_at(&tokens, 0, &[*section]), Some(tokens.len()), "{phrase:?} of {section:?}");
            }
        }
    }

    #[test]
    fn no_word_of_the_vocabulary_turns_a_bet_by_itself() {
        let turning = [
            "no",
            "not",
            "never",
            "nobody",
            "none",
            "without",
            "if",
            "unless",
            "until",
            "when",
            "would",
            "could",
            "should",
            "might",
            "was",
            "were",
            "had",
            "off",
            "out",
            "over it",
            "fade",
            "fading",
            "pass",
            "skip",
            "avoid",
            "against",
            "or",
            "but",
            "maybe",
            "too",
            "late too",
            "yesterday",
            "lost",
            "won",
            "said",
            "says",
            "public",
            "trap",
            "hate",
            "wrong",
            "cancel",
            "void",
            "dead",
            "lay",
            "laying",
            "laid",
            "sell",
            "oppose",
            "confident",
        ];
        for word in turning {
            let tokens = tokens(&normalise(word));
            for section in [Section::Bet, Section::After, Section::Books, Section::Around] {
                assert_eq!(
                    phrase_at(&tokens, 0, &[section]).filter(|len| *len == tokens.len()),
                    None,
                    "{word} in {section:?}"
                );
            }
        }
    }
}
