//! What a post is, from its text alone.

use crate::shown::{Form, Hook, lower};

/// Words that begin what happened to somebody.
const STORIES: [&str; 16] = [
    "yesterday",
    "once",
    "i",
    "we",
    "my",
    "our",
    "last night",
    "last week",
    "last month",
    "last year",
    "last spring",
    "last summer",
    "last autumn",
    "last winter",
    "this morning",
    "years ago",
];

/// Numbers as words.
const NUMBERS: [&str; 18] = [
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "fifty",
    "hundred", "thousand", "million", "half", "dozen",
];

/// The words at the beginning among which a number counts as the hook.
const FIRST_WORDS: usize = 4;

/// A thread has several parts, and a list at least two lines that begin like items.
pub(crate) fn form(parts: &[&str]) -> Form {
    if parts.len() > 1 {
        return Form::Thread;
    }
    let items = parts.iter().flat_map(|part| part.lines()).filter(|line| item(line).is_some()).count();
    if items >= 2 { Form::List } else { Form::Single }
}

/// The text of an item of a list; nothing if the line is none.
fn item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let bullet = line.strip_prefix(['-', '–', '•', '*', '·', '→']);
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = (digits.len() < line.len()).then(|| digits.strip_prefix(['.', ')'])).flatten();
    bullet.or(number).filter(|rest| rest.starts_with(' ')).map(str::trim_start)
}

/// By the first sentence: a question ends in a question mark, a story begins with when or who, a number is among the first words.
pub(crate) fn hook(text: &str) -> Hook {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let sentence = first_sentence(item(line).unwrap_or(line));
    if sentence.ends_with(['?', '？']) {
        return Hook::Question;
    }
    let words = words(sentence);
    let begins =
        |story: &&str| story.split(' ').enumerate().all(|(at, word)| words.get(at).is_some_and(|is| is == word));
    if STORIES.iter().any(begins) {
        return Hook::Story;
    }
    let is_number = |word: &String| word.chars().any(|c| c.is_ascii_digit()) || NUMBERS.contains(&word.as_str());
    if words.iter().take(FIRST_WORDS).any(is_number) { Hook::Number } else { Hook::Claim }
}

/// Up to the first mark that ends a sentence. A mark within a word, as in 3.5, ends none.
fn first_sentence(line: &str) -> &str {
    let mut marks = line.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '？' | '…'));
    let is_end = |(at, mark): &(usize, char)| !line[at + mark.len_utf8()..].starts_with(|c: char| !c.is_whitespace());
    marks.find(is_end).map_or(line, |(at, mark)| &line[..at + mark.len_utf8()])
}

/// The words of a text in lower case, without the marks around them.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The topic that is named most often, of equals the one that is named first. Its plural counts as well.
pub(crate) fn topic(parts: &[&str], topics: &[impl AsRef<str>]) -> Option<String> {
    let words: Vec<String> = parts.iter().flat_map(|part| words(part)).collect();
    let named = |topic: &str| {
        let name = self::words(topic);
        let is_here =
            |window: &&[String]| !name.is_empty() && window.iter().zip(&name).all(|(word, name)| is_same(word, name));
        let mut places =
            words.windows(name.len().max(1)).enumerate().filter(|(_, window)| is_here(window)).map(|(at, _)| at);
        let first = places.next()?;
        Some((1 + places.count(), std::cmp::Reverse(first)))
    };
    let found = topics.iter().filter_map(|topic| Some((named(topic.as_ref())?, topic.as_ref())));
    found.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, topic)| lower(topic))
}

fn is_same(word: &str, name: &str) -> bool {
    word == name || word.strip_suffix('s') == Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hook_is_recognised_by_the_first_sentence() {
        for (text, should) in [
            ("What would you change? Salt.", Hook::Question),
            ("3.5 kg of flour a week. Too much?", Hook::Number),
            ("Bakers waste three of ten loaves.", Hook::Number),
            ("1. Weigh the salt\n2. Wait", Hook::Claim),
            ("Last week I burnt 12 loaves.", Hook::Story),
            ("I never weigh. Do you?", Hook::Story),
            ("Salt slows the yeast, which is what you want.", Hook::Claim),
            ("Iron pans keep heat for 40 minutes.", Hook::Claim),
            ("", Hook::Claim),
        ] {
            assert_eq!(hook(text), should, "{text}");
        }
    }

    #[test]
    fn a_form_is_recognised_by_parts_and_lines() {
        assert_eq!(form(&["One", "Two"]), Form::Thread);
        for list in ["Three rules:\n- weigh\n- wait", "Rules\n1. weigh\n2) wait", "• weigh\n• wait"] {
            assert_eq!(form(&[list]), Form::List, "{list}");
        }
        for single in ["weigh - then wait", "one line\nanother line", "2.5 kg\n3.5 kg", "- alone"] {
            assert_eq!(form(&[single]), Form::Single, "{single}");
        }
    }

    #[test]
    fn a_topic_is_recognised_by_its_name() {
        let topics = ["Rye", "stone oven", "oven"];
        for (text, should) in [
            ("RYE bread", Some("rye")),
            ("Two stone ovens and rye", Some("stone oven")),
            ("rye, rye and an oven", Some("rye")),
            ("fryer", None),
            ("", None),
        ] {
            assert_eq!(topic(&[text], &topics).as_deref(), should, "{text}");
        }
        assert_eq!(topic(&["oven"], &[] as &[&str]), None);
        assert_eq!(topic(&["oven"], &["", "–"]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_of_some_kind(text in ".{0,200}", topics in prop::collection::vec(".{0,12}", 0..4)) {
            let found = topic(&[&text], &topics);
            prop_assert!(found.is_none_or(|found| topics.iter().any(|topic| lower(topic) == found)));
            let _ = (form(&[&text]), hook(&text));
        }
    }
}
