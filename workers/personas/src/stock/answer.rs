//! Extracts the posts of a batch from a model's answer. Pure functions.

use perch_clients::models::object_with;
use perch_core::{ModelText, text_of};

use super::prompt::{POSTS, TEXT};

/// The most posts that are taken from one answer.
const MOST: usize = 100;

/// The posts in an answer, each with its place. Entries without a text are left out; an answer without any posts has none.
pub(crate) fn posts_in(answer: &str) -> Vec<(usize, ModelText)> {
    let Some(object) = object_with(answer, POSTS) else { return Vec::new() };
    let posts = object[POSTS].as_array().map(Vec::as_slice).unwrap_or_default();
    // Some models answer with an array of texts, whatever the schema says.
    let text = |post: &serde_json::Value| post.as_str().or_else(|| post[TEXT].as_str()).map(text_of);
    let texts = posts.iter().take(MOST).enumerate().filter_map(|(place, post)| Some((place, text(post)?)));
    texts.filter(|(_, post)| !post.text.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_posts_are_taken_out_of_what_stands_around_them() {
        for answer in [
            r#"{"posts": [{"text": "One."}, {"text": "Two."}]}"#,
            r#"{"posts": ["One.", "Post: Two."]}"#,
            "Sure!\n```json\n{\"posts\": [{\"text\": \"\\\"One.\\\"\"}, {\"note\": 1}, {\"text\": \" \"}, {\"text\": \"Two.\"}]}\n```",
        ] {
            let texts: Vec<String> = posts_in(answer).into_iter().map(|(_, post)| post.text).collect();
            assert_eq!(texts, ["One.", "Two."], "{answer}");
        }
    }

    #[test]
    fn a_post_keeps_its_place_though_one_before_it_has_no_text() {
        let answer = r#"{"posts": [{"text": ""}, {"text": "Two."}]}"#;
        assert_eq!(posts_in(answer).into_iter().map(|(place, _)| place).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_post_that_may_hold_more_than_a_post_is_not_clear() {
        let posts = posts_in(r#"{"posts": ["**Bold** move", "Fine."]}"#);
        assert_eq!(posts.iter().map(|(_, post)| post.is_clear).collect::<Vec<_>>(), [false, true]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic_and_within_bounds(answer in "\\PC{0,200}") {
            prop_assert!(posts_in(&answer).len() <= MOST);
        }
    }
}
