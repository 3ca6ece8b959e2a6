//! Removing what models write besides their answer: reasoning, and the markers of chat templates. No I/O.

/// The names of reasoning tags, in lower case and without punctuation.
const THOUGHTS: [&str; 16] = [
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reason",
    "reasoning",
    "reflection",
    "analysis",
    "scratchpad",
    "innermonologue",
    "monologue",
    "reasoningcontent",
    "thoughtprocess",
    "chainofthought",
    "beginofthought",
    "endofthought",
];
/// The longest text that counts as a tag, in bytes.
const LONGEST_TAG: usize = 80;
/// What opens and closes tags: `<think>`, `[THINK]`, `◁think▷`.
const BRACKETS: [(char, char); 3] = [('<', '>'), ('[', ']'), ('◁', '▷')];
/// The channel of the "harmony" format with the answer to the user.
const FINAL: &str = "final";
const MESSAGE: &str = "<|message|>";
const CHANNEL: &str = "<|channel|>";

/// A tag that opens or closes reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    start: usize,
    end: usize,
    closes: bool,
}

/// The answer without reasoning: the text after the last closing tag, up to the next opening tag.
///
/// Reasoning without a closing tag has no answer after it. Reasoning without an opening tag was opened by the chat template.
pub(super) fn without_thoughts(text: &str) -> &str {
    let said = in_the_final_channel(text);
    let tags = tags(said);
    let after = tags.iter().rev().find(|tag| tag.closes).map_or(0, |tag| tag.end);
    let before = tags.iter().find(|tag| !tag.closes && tag.start >= after).map_or(said.len(), |tag| tag.start);
    without_marks(said.get(after..before).unwrap_or_default()).trim()
}

/// The text of the last `final` channel, for answers in channels; other answers unchanged.
fn in_the_final_channel(text: &str) -> &str {
    if !text.contains(CHANNEL) {
        return text;
    }
    let final_one = text.rmatch_indices(CHANNEL).find_map(|(at, _)| {
        let (name, said) = text[at + CHANNEL.len()..].split_once(MESSAGE)?;
        name.trim_start().starts_with(FINAL).then_some(said)
    });
    let said = final_one.unwrap_or_default();
    said.split_once("<|").map_or(said, |(said, _)| said)
}

/// The text without markers of a chat template at its end: `<|im_end|>`, `<|eot_id|>`, `</s>`.
fn without_marks(text: &str) -> &str {
    let mut text = text.trim_end();
    loop {
        let mark = text.rfind("<|").filter(|_| text.ends_with("|>")).filter(|at| text.len() - at <= LONGEST_TAG);
        let start = mark.or_else(|| text.strip_suffix("</s>").map(str::len));
        match start {
            Some(start) => text = text[..start].trim_end(),
            None => return text,
        }
    }
}

/// All reasoning tags, in order.
fn tags(text: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = BRACKETS.into_iter().flat_map(|(open, close)| tags_between(text, open, close)).collect();
    tags.sort_by_key(|tag| tag.start);
    tags
}

fn tags_between(text: &str, open: char, close: char) -> Vec<Tag> {
    let tag = |(start, _): (usize, &str)| {
        let inside = &text[start + open.len_utf8()..];
        let end = inside.find([open, close]).filter(|end| *end <= LONGEST_TAG)?;
        if !inside[end..].starts_with(close) {
            return None;
        }
        let (closes, name) = named(&inside[..end])?;
        let is_thought = THOUGHTS.contains(&name.as_str()) && (open != '[' || is_loud(&inside[..end]));
        let end = start + open.len_utf8() + end + close.len_utf8();
        let closes = closes || name.starts_with("end");
        is_thought.then_some(Tag { start, end, closes })
    };
    text.match_indices(open).filter_map(tag).collect()
}

/// Whether a name has no lower-case letters. In square brackets only such a name is a tag, as in `[THINK]`; others are plain text.
fn is_loud(inside: &str) -> bool {
    !inside.chars().any(char::is_lowercase)
}

/// Whether a tag closes, and its name.
fn named(inside: &str) -> Option<(bool, String)> {
    let inside = inside.trim().trim_matches('|').trim();
    let (closes, inside) = match inside.strip_prefix('/') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, inside),
    };
    let word = inside.split(|c: char| c.is_whitespace() || c == '=').next()?;
    // A model family may put its name in front: `seed:think`.
    let word = word.rsplit(':').next()?;
    let name: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (!name.is_empty()).then_some((closes, name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thought_is_cut_in_every_way_that_models_mark_one() {
        for text in [
            "<think>short</think>Fair point.",
            "<think>\nshort\n</think>\n\nFair point.",
            "short, so</think>\nFair point.",
            "<Thinking effort=\"high\">short</Thinking> Fair point.",
            "<think>one</think><think>two <b>bold</b></think>Fair point.",
            "<think>a <think>nested</think> one</think>Fair point.",
            "[THINK]short[/THINK]Fair point.",
            "◁think▷short◁/think▷Fair point.",
            "<seed:think>short</seed:think>Fair point.",
            "<|begin_of_thought|>short<|end_of_thought|>Fair point.",
            "<inner_monologue>short</inner_monologue>Fair point.<|im_end|>",
            "<scratchpad>short</scratchpad>\nFair point.</s>",
            "<|channel|>analysis<|message|>short<|end|><|start|>assistant<|channel|>final<|message|>Fair point.<|return|>",
            "Fair point. <think>was that",
            "Fair point.",
        ] {
            assert_eq!(without_thoughts(text), "Fair point.", "{text}");
        }
    }

    #[test]
    fn a_thought_without_an_end_has_no_answer_after_it() {
        for text in
            ["<think>The user wants", "[THINK] so", "<|channel|>analysis<|message|>so", "<think>a</think><think>b"]
        {
            assert_eq!(without_thoughts(text), "", "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_thought_is_part_of_the_answer() {
        for text in
            ["I <3 you, a<b and b>a", "[thinking] it over", "{\"answer\":null}", "3 < 4 > 2", "< >", "<", "I think so"]
        {
            assert_eq!(without_thoughts(text), text);
        }
    }

    /// Text without a sign that opens or closes a tag.
    fn plain() -> impl Strategy<Value = String> {
        "[^<>◁▷|\\[\\]]{0,80}"
    }

    proptest! {
        #[test]
        fn whatever_a_model_thinks_its_answer_is_what_stands_after_it(
            thought in ".{0,120}", answer in plain(), name in prop::sample::select(&THOUGHTS[..8]),
            space in "[ \n]{0,2}", bracket in 0_usize..3, begins in any::<bool>(),
        ) {
            let (open, close) = BRACKETS[bracket];
            let name = name.to_uppercase();
            let begin = if begins { format!("{open}{name}{space}{close}") } else { String::new() };
            let text = format!("{begin}{thought}{open}/{name}{close}{answer}");
            // A thought may hold a channel of its own, which only the model's template writes.
            prop_assume!(!thought.contains(CHANNEL));
            prop_assert_eq!(without_thoughts(&text), answer.trim());
        }

        #[test]
        fn no_tag_of_a_thought_is_left_whatever_is_written(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<think>", "</think>", "<thinking>", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "word ", "<", ">", "<|im_end|>",
                "<|channel|>", "final", "<|message|>", "{}", "\n", "</ reasoning >",
            ]), 0..12),
        ) {
            let text = parts.concat();
            let said = without_thoughts(&text);
            prop_assert!(tags(said).is_empty(), "{:?} of {:?}", said, text);
            prop_assert_eq!(without_thoughts(said), said);
        }
    }
}
