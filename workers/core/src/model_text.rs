//! Extracts the text of a post from a model's answer. Pure functions.
//!
//! The model is asked for one JSON object with the text in a field. Some answer with the text alone, and some put words around it:
//! words that are certainly not part of the text are cut, and where that is uncertain a person decides.

use perch_clients::models::object_with;

/// The text of a post extracted from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelText {
    /// The text, as far as it can be extracted.
    pub text: String,
    /// Whether all of it is certainly the post. If not, a person decides.
    pub is_clear: bool,
}

/// Extracts the text of a post from the value of its field.
pub fn text_of(value: &str) -> ModelText {
    let text = bare(value).to_owned();
    ModelText { is_clear: is_clear(&text), text }
}

/// Extracts the text of a post from an answer, in which it is in this field.
pub fn text_in(answer: &str, field: &str) -> ModelText {
    if let Some(object) = object_with(answer, field) {
        return match object[field].as_str() {
            Some(value) => text_of(value),
            None => ModelText { text: answer.trim().to_owned(), is_clear: false },
        };
    }
    let text = bare(unfenced(answer));
    let text = match text.split_once('\n') {
        Some((first, rest)) if is_interjection(first) && !rest.trim().is_empty() => bare(rest),
        _ => text,
    };
    // The model is not asked for a second line, so it may be a comment on the first.
    ModelText { text: text.to_owned(), is_clear: is_clear(text) && !text.contains('\n') }
}

/// The text without preamble, label and quotation marks around it, in any order, in the field too.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let less = unquoted(unlabelled(without_preamble(text)));
        if less == text {
            return text;
        }
        text = less;
    }
}

/// Whether a text is a reply and nothing else.
fn is_clear(text: &str) -> bool {
    let announces = at_colon(text).is_some_and(|(before, _)| announced(before).is_some());
    !(is_marked(text) || is_about_itself(text) || announces)
}

/// Whether a text speaks to the one who asked for the reply, not to its reader.
const ABOUT_ITSELF: [&str; 14] = [
    "let me know if you want it",
    "let me know if you want me to",
    "let me know if you'd like",
    "let me know if you would like",
    "want it shorter",
    "make it shorter",
    "want me to rephrase",
    "would you like me to",
    "want another version",
    "characters)",
    "chars)",
    "here is the reply",
    "here's the reply",
    "here’s the reply",
];

fn is_about_itself(text: &str) -> bool {
    let text = text.to_lowercase();
    ABOUT_ITSELF.iter().any(|words| text.contains(words))
}

/// Whether a text has markup that no reply has: code, tags, Markdown, or a chat template.
fn is_marked(text: &str) -> bool {
    let has_tag = text
        .match_indices('<')
        .any(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_alphabetic() || "/|!?".contains(c)));
    has_tag
        || text.starts_with(['{', '['])
        || ["```", "**", "[/", "|>", "◁", "__"].iter().any(|mark| text.contains(mark))
}

/// The content of a text that is one code fence, without the name of its language.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else {
        return text.trim_matches('`').trim();
    };
    match inside.split_once('\n') {
        Some((language, rest)) if language.trim().chars().all(char::is_alphanumeric) => rest.trim(),
        _ => inside.trim(),
    }
}

/// Words that stand alone before a reply.
const INTERJECTIONS: [&str; 10] =
    ["sure", "certainly", "ok", "okay", "absolutely", "alright", "great", "of course", "sure thing", "no problem"];
/// Beginnings of a line that announces a reply.
const ANNOUNCEMENTS: [&str; 6] = ["here is", "here's", "here’s", "here are", "here it is", "heres"];
/// The longest announcement, in bytes.
const LONGEST_ANNOUNCEMENT: usize = 120;

/// The text without a first line, or a beginning up to a colon, that only announces it.
fn without_preamble(text: &str) -> &str {
    let (first, rest) = text.split_once('\n').unwrap_or(("", text));
    if !rest.trim().is_empty() && announced(first).is_some_and(|what| names_a_reply(&what)) {
        return rest.trim();
    }
    match at_colon(text) {
        Some((before, after))
            if announced(before).is_some_and(|what| names_a_reply(&what)) && !after.trim().is_empty() =>
        {
            after.trim()
        }
        _ => text,
    }
}

/// The text before and after a colon that ends a phrase: not that of a time, nor that of a link.
fn at_colon(text: &str) -> Option<(&str, &str)> {
    let ends = |after: &str| after.chars().next().is_none_or(|c| c.is_whitespace() || QUOTES.contains(c));
    text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..])).find(|(_, after)| ends(after))
}

const QUOTES: &str = "\"“'‘«„*";

/// What a phrase announces, if it announces something.
fn announced(phrase: &str) -> Option<String> {
    let phrase = phrase.trim().trim_end_matches([':', '!', '.', ',']).trim().to_lowercase();
    if phrase.len() > LONGEST_ANNOUNCEMENT {
        return None;
    }
    // Some begin like one another: "sure thing" is not "sure".
    let after = INTERJECTIONS.iter().filter_map(|word| phrase.strip_prefix(word)).chain([phrase.as_str()]);
    let mut after = after.map(|after| after.trim_start_matches([',', '!', '.', ' ', '\n']));
    after.find_map(|after| {
        let what = ANNOUNCEMENTS.iter().find_map(|begin| after.strip_prefix(begin))?;
        Some(what.trim().to_owned())
    })
}

/// Whether the reply is what is announced: "here's the thing" begins a sentence of the reply itself.
fn names_a_reply(what: &str) -> bool {
    let words = || what.split(|c: char| !c.is_alphanumeric());
    let says = ["what i would", "what i'd", "what i’d"].iter().any(|begin| what.starts_with(begin));
    let is_one = what.starts_with('a') && words().next_back() == Some("one");
    let is_label = words().any(|word| ["reply", "response", "tweet", "draft"].contains(&word))
        || words().next_back().is_some_and(|word| LABELS.contains(&word));
    what.is_empty() || says || is_one || is_label
}

/// Whether a line is only an interjection, such as "sure".
fn is_interjection(line: &str) -> bool {
    INTERJECTIONS.contains(&line.trim().trim_end_matches([':', '!', '.', ',']).trim().to_lowercase().as_str())
}

/// What models call a reply.
const LABELS: [&str; 6] = ["reply", "response", "answer", "tweet", "post", "draft"];
/// Words before such a label.
const BEFORE_LABELS: [&str; 6] = ["my", "the", "final", "suggested", "possible", "draft"];

/// The text without a label such as `Reply:` before it.
fn unlabelled(text: &str) -> &str {
    let Some((label, rest)) = text.split_once(':') else { return text };
    let words: Vec<String> = label.trim_matches(['*', '#', ' ']).split_whitespace().map(str::to_lowercase).collect();
    let is_label = words.split_last().is_some_and(|(last, before)| {
        LABELS.contains(&last.as_str()) && before.iter().all(|word| BEFORE_LABELS.contains(&word.as_str()))
    });
    if is_label { rest.trim_start_matches("**").trim() } else { text }
}

/// The text without quotation marks around the whole of it.
fn unquoted(text: &str) -> &str {
    let mut text = text.trim();
    for (open, close) in [('"', '"'), ('“', '”'), ('\'', '\''), ('«', '»'), ('‘', '’'), ('„', '“')] {
        let inner = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        // Quotation marks within belong to the text: "no" and "yes".
        if let Some(inner) = inner.filter(|inner| !inner.contains([open, close]) || open == '\'') {
            text = inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FIELD: &str = "reply";

    fn clear(answer: &str) -> String {
        let reply = text_in(answer, FIELD);
        assert!(reply.is_clear, "{answer}: {reply:?}");
        reply.text
    }

    #[test]
    fn what_models_put_around_a_reply_is_taken_off() {
        for (answer, text) in [
            ("\"Tailing it.\"", "Tailing it."),
            ("Reply: “Fair point.”", "Fair point."),
            ("```\nNo bet for me.\n```", "No bet for me."),
            ("```text\nNo bet for me.\n```", "No bet for me."),
            ("`No bet for me.`", "No bet for me."),
            ("'Not tonight, it's late.'", "Not tonight, it's late."),
            ("\"Yes\" and \"no\"", "\"Yes\" and \"no\""),
            ("plain", "plain"),
            ("Here is the reply:\n\nNo bet for me.", "No bet for me."),
            ("Sure! Here's a short one:\n\"No bet for me.\"", "No bet for me."),
            ("Certainly!\nNo bet for me.", "No bet for me."),
            ("Here's my reply: No bet for me.", "No bet for me."),
            ("Final answer: No bet for me.", "No bet for me."),
            ("{\"reply\": \"\\\"No bet for me.\\\"\"}", "No bet for me."),
            ("```json\n{\"reply\": \"Reply: No bet for me.\", \"confident\": true}\n```", "No bet for me."),
            ("{\"reply\": \"One line.\\nAnd another.\"}", "One line.\nAnd another."),
            ("{\"reply\": \"Here is the reply: No bet for me.\"}", "No bet for me."),
            ("{\"reply\": \"Sure! Here's my reply:\\n\\n\\\"No bet for me.\\\"\"}", "No bet for me."),
            ("Okay, here's a short one: No bet for me.", "No bet for me."),
        ] {
            assert_eq!(clear(answer), text, "{answer}");
        }
    }

    #[test]
    fn a_reply_with_a_colon_or_an_interjection_of_its_own_keeps_them() {
        for text in [
            "My honest read: it is closer than it looks.",
            "Sure, why not.",
            "Short answer: small.",
            "Score: 3 < 4",
            "I <3 it",
            "Here's one for you. https://example.com",
            "Here's hoping for a 7:30 start.",
        ] {
            assert_eq!(clear(text), text);
            assert_eq!(clear(&json!({ "reply": text }).to_string()), text);
        }
        let text = "Great!\nNo bet for me.";
        assert_eq!(clear(&json!({ "reply": text }).to_string()), text);
    }

    #[test]
    fn what_may_announce_a_reply_or_begin_one_is_left_whole_to_a_person() {
        for text in [
            "Here's the thing: unders win.",
            "Here's my lean for the 7:30 game: Lakers -3.5",
            "Here's the problem with that parlay: the legs are correlated.",
            "Here's the answer to your question: no.",
        ] {
            for answer in [text.to_owned(), json!({ "reply": text }).to_string()] {
                assert_eq!(text_in(&answer, FIELD), ModelText { text: text.to_owned(), is_clear: false }, "{answer}");
            }
        }
    }

    #[test]
    fn what_may_be_more_than_the_reply_is_left_to_a_person() {
        for answer in [
            "I would wait.\n\nLet me know if you want it shorter!",
            "The user asks about tonight.\nI would wait.",
            "<scratch>dry</scratch> I would wait.",
            "**Reply**\nI would wait.",
            "I would wait. ```json",
            "{\"reply\": [\"I would wait.\"]}",
            "{\"reply\": \"<analysis>dry</analysis> I would wait.\"}",
            "{\"text\": \"I would wait.\"}",
            "{\"reply\": \"Here is the reply:\"}",
            "{\"reply\": \"I would wait.\\n\\nLet me know if you want it shorter!\"}",
            "I would wait. Would you like me to make it shorter?",
            "{\"reply\": \"I would wait. (13 characters)\"}",
            "[INST] I would wait. [/INST]",
        ] {
            assert!(!text_in(answer, FIELD).is_clear, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn of_an_answer_in_its_shape_nothing_but_the_reply_is_used(
            reply in "[A-Za-z][A-Za-z ,.']{0,60}[A-Za-z.]", thought in "[a-z ]{0,40}", before in "[^{]{0,40}", after in "[^{]{0,40}",
        ) {
            let answer = format!("{before}{}{after}", json!({ "reasoning": thought, "reply": reply, "note": thought }));
            let read = text_in(&answer, FIELD);
            prop_assert!(read.is_clear);
            prop_assert_eq!(read.text, reply.trim());
        }

        #[test]
        fn an_announcement_is_no_part_of_the_reply_wherever_it_stands(
            interjection in prop::option::of(prop::sample::select(INTERJECTIONS.to_vec())),
            announcement in prop::sample::select(ANNOUNCEMENTS.to_vec()),
            what in prop::sample::select(vec!["", " the reply", " my reply", " a short one", " what I would say to them"]),
            label in prop::sample::select(vec!["", "Reply: ", "Final answer: "]),
            between in prop::sample::select(vec![" ", "\n", "\n\n"]),
            quotes in any::<bool>(),
            as_json in any::<bool>(),
            reply in "[B-D][a-z]{1,9}( [a-z]{1,9}){0,5}\\.",
        ) {
            let interjection = interjection.map_or(String::new(), |word| format!("{word}! "));
            let said = if quotes { format!("\"{reply}\"") } else { reply.clone() };
            let text = format!("{interjection}{announcement}{what}:{between}{label}{said}");
            let answer = if as_json { json!({ "reply": text }).to_string() } else { text };
            prop_assert_eq!(text_in(&answer, FIELD), ModelText { text: reply, is_clear: true }, "{}", answer);
        }

        #[test]
        fn nothing_that_is_clear_has_a_mark_or_a_second_line_that_was_not_asked_for(answer in "[ -~\n]{0,120}") {
            let read = text_in(&answer, FIELD);
            if read.is_clear {
                prop_assert!(!is_marked(&read.text));
                prop_assert!(!read.text.contains('\n') || object_with(&answer, FIELD).is_some());
            }
        }
    }
}
