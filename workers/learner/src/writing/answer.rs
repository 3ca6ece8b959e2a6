//! Extracts the posts from a model's answer. Pure functions.

use perch_clients::models::object_with;
use perch_core::{ModelText, text_of};

use super::prompt::{PARTS, POSTS};

/// The most posts that are taken from one answer, and the most parts of each.
const MOST: usize = 24;
const MOST_PARTS: usize = 12;

/// The posts in an answer, each with its place and its parts. One without a text is left out; an answer without any posts has none.
pub(super) fn posts_in(answer: &str) -> Vec<(usize, Vec<ModelText>)> {
    let Some(object) = object_with(answer, POSTS) else { return Vec::new() };
    let posts = object[POSTS].as_array().map(Vec::as_slice).unwrap_or_default();
    let posts = posts.iter().take(MOST).enumerate().map(|(place, post)| (place, parts_of(post)));
    posts.filter(|(_, parts)| !parts.is_empty() && parts.len() <= MOST_PARTS).collect()
}

/// Some models answer with texts in the place of objects, whatever the schema says.
fn parts_of(post: &serde_json::Value) -> Vec<ModelText> {
    let parts = post.as_array().or_else(|| post[PARTS].as_array());
    let texts: Vec<&str> = match parts {
        Some(parts) => parts.iter().filter_map(|part| part.as_str()).collect(),
        None => post.as_str().or_else(|| post["text"].as_str()).into_iter().collect(),
    };
    texts.into_iter().map(text_of).filter(|text| !text.text.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(answer: &str) -> Vec<Vec<String>> {
        posts_in(answer).into_iter().map(|(_, parts)| parts.into_iter().map(|part| part.text).collect()).collect()
    }

    #[test]
    fn posts_and_threads_are_taken_out_of_what_stands_around_them() {
        let answer = "Sure!\n```json\n{\"posts\": [{\"parts\": [\"One.\", \"Two.\"]}, {\"parts\": []}, \"Three.\", {\"text\": \"Four.\"}]}\n```";
        assert_eq!(texts(answer), [vec!["One.", "Two."], vec!["Three."], vec!["Four."]]);
        assert_eq!(posts_in(answer).iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 2, 3]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic_and_within_bounds(answer in "\\PC{0,200}") {
            let posts = posts_in(&answer);
            prop_assert!(posts.len() <= MOST && posts.iter().all(|(_, parts)| parts.len() <= MOST_PARTS));
        }
    }
}
