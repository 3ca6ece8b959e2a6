//! Converting posts of X to Perch's type, and comparing texts that X has rewritten.

use std::borrow::Cow;

use perch_jobs::{Media, Post, PostId};
use unicode_normalization::UnicodeNormalization as _;

use super::{Includes, Page, UrlEntity, XError, XPost};

const SHORT_LINK: &str = "https://t.co/";

impl Page<XPost> {
    /// The newest post on the page, readable or not: it need not be requested again.
    pub fn newest(&self) -> Option<&PostId> {
        let odd = self.odd.iter().filter_map(|odd| odd.id.as_ref());
        self.data.iter().map(|post| &post.id).chain(odd).chain(&self.newest_id).max_by(|a, b| a.by_age(b))
    }

    /// The posts of the page converted to Perch's type, in the same order.
    ///
    /// Fails with [`XError::Decode`] on the first that lacks its author or time.
    pub fn to_posts(&self) -> Result<Vec<Post>, XError> {
        self.data.iter().map(|post| post.to_post(&self.includes)).collect()
    }
}

impl XPost {
    /// The post converted to Perch's type, with its author and media from the includes. The text is complete and without HTML entities;
    /// for a video, the preview picture is used.
    ///
    /// Fails with [`XError::Decode`] when the author or the time is missing.
    pub fn to_post(&self, includes: &Includes) -> Result<Post, XError> {
        let missing =
            |what: &str| XError::Decode { call: format!("post {}", self.id), reason: format!("{what} is missing") };
        let author_id = self.author_id.clone().ok_or_else(|| missing("author_id"))?;
        let author = includes.users.iter().find(|user| user.id == author_id).ok_or_else(|| missing("its author"))?;
        let created_at = self.created_at.ok_or_else(|| missing("created_at"))?;
        Ok(Post {
            id: self.id.clone(),
            author_id,
            author: author.username.clone(),
            text: unescape(self.full_text()).into_owned(),
            created_at,
            media: self.pictures(includes),
        })
    }

    /// The text as X gives it, complete even for a long post.
    pub fn full_text(&self) -> &str {
        self.note().map_or(&self.text, |note| &note.text)
    }

    fn pictures(&self, includes: &Includes) -> Vec<Media> {
        let keys = self.attachments.as_ref().and_then(|attached| attached.media_keys.as_deref()).unwrap_or_default();
        let found = keys.iter().filter_map(|key| includes.media.iter().find(|m| m.media_key.as_ref() == Some(key)));
        found
            .filter_map(|media| {
                let url = media.url.clone().or_else(|| media.preview_image_url.clone())?;
                Some(Media { url, alt_text: media.alt_text.clone() })
            })
            .collect()
    }

    fn links(&self) -> &[UrlEntity] {
        let entities = match self.note() {
            Some(note) => note.entities.as_ref(),
            None => self.entities.as_ref(),
        };
        entities.and_then(|entities| entities.urls.as_deref()).unwrap_or_default()
    }
}

/// Replaces `&amp;`, `&lt;` and `&gt;`, the only entities that X writes, by their characters.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        let known = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')];
        let (written, stands_for) =
            known.into_iter().find(|(entity, _)| tail.starts_with(entity)).unwrap_or(("&", '&'));
        plain.push(stands_for);
        rest = &tail[written.len()..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Whether `post` has the text `ours` as rewritten by X.
///
/// X writes `&`, `<` and `>` as entities, composes characters (NFC), trims spaces, puts `t.co` links in place of
/// links, may put the names of those who are answered in front of a reply, and puts a `t.co` link for its pictures or video at the end.
pub fn same_text(ours: &str, post: &XPost) -> bool {
    let ours: String = ours.nfc().collect();
    let theirs: String = unescape(post.full_text()).nfc().collect();
    let ours: Vec<&str> = ours.split_whitespace().collect();
    let theirs: Vec<&str> = theirs.split_whitespace().collect();
    if same_words(&ours, &theirs, post) {
        return true;
    }
    let Some((last, theirs)) = theirs.split_last() else { return false };
    stands_for_media(last, post) && same_words(&ours, theirs, post)
}

fn same_words(ours: &[&str], theirs: &[&str], post: &XPost) -> bool {
    let Some(extra) = theirs.len().checked_sub(ours.len()) else { return false };
    let (front, theirs) = theirs.split_at(extra);
    let only_names = front.iter().all(|word| word.starts_with('@'));
    let allowed = front.is_empty() || (post.is_reply() && only_names);
    allowed && ours.iter().zip(theirs).all(|(our, their)| same_word(our, their, post.links()))
}

/// Whether a word is the link that X adds for the pictures or the video of a post.
fn stands_for_media(word: &str, post: &XPost) -> bool {
    let carries = post.attachments.as_ref().is_some_and(|attached| attached.media_keys.is_some());
    let of_media = |entity: &UrlEntity| {
        let leads_to = |part| entity.expanded_url.as_deref().is_some_and(|url| url.contains(part));
        entity.media_key.is_some() || leads_to("/photo/") || leads_to("/video/")
    };
    match post.links().iter().find(|entity| entity.url.as_deref() == Some(word)) {
        Some(entity) => of_media(entity),
        None => carries && word.starts_with(SHORT_LINK),
    }
}

fn same_word(ours: &str, theirs: &str, links: &[UrlEntity]) -> bool {
    if ours == theirs {
        return true;
    }
    let Some(at) = theirs.find(SHORT_LINK) else { return false };
    let code = &theirs[at + SHORT_LINK.len()..];
    let end = code.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(code.len());
    let (before, after) = (&theirs[..at], &code[end..]);
    let Some(link) = ours.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { return false };
    let short = &theirs[at..at + SHORT_LINK.len() + end];
    let entity = links.iter().find(|entity| entity.url.as_deref() == Some(short));
    match entity.and_then(|entity| entity.expanded_url.as_deref()) {
        Some(expanded) => bare(expanded).eq_ignore_ascii_case(bare(link)),
        // X did not say where it leads, so any link matches.
        None => link.contains('.'),
    }
}

/// A link without the parts that X may add: the scheme, and a slash at the end.
fn bare(link: &str) -> &str {
    let link = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://")).unwrap_or(link);
    link.strip_suffix('/').unwrap_or(link)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn post(value: &serde_json::Value) -> XPost {
        let mut whole = json!({ "id": "1849" });
        whole.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
        serde_json::from_value(whole).expect("a post")
    }

    #[test]
    fn entities_are_turned_back_once() {
        assert_eq!(unescape("A &amp; B &lt;3 &gt; &amp;lt; &copy; &"), "A & B <3 > &lt; &copy; &");
    }

    #[test]
    fn a_text_is_known_again_after_x_has_rewritten_it() {
        let theirs = post(&json!({
            "text": "Lakers -3.5 &amp; over 220 (https://t.co/a1B2c3)",
            "entities": { "urls": [{ "url": "https://t.co/a1B2c3", "expanded_url": "https://example.com/pick/" }] },
        }));
        assert!(same_text("Lakers -3.5 & over 220  (https://example.com/pick) ", &theirs));
        assert!(same_text("Lakers -3.5 & over 220 (example.com/pick)", &theirs));
        assert!(!same_text("Lakers -3.5 & over 220 (https://example.com/other)", &theirs));
        assert!(!same_text("Lakers -3.5 & over 221 (https://example.com/pick)", &theirs));
    }

    #[test]
    fn a_reply_is_known_again_behind_the_names_that_x_puts_in_front() {
        let reply = json!({ "text": "@capper @friend Tailing this.", "referenced_posts": [{ "type": "replied_to", "id": "7" }] });
        assert!(same_text("Tailing this.", &post(&reply)));
        assert!(!same_text("Tailing this.", &post(&json!({ "text": "@capper Tailing this." }))));
        assert!(!same_text("this.", &post(&json!({ "text": "Tailing this.", "in_reply_to_user_id": "7" }))));
    }

    #[test]
    fn a_post_with_a_picture_is_known_again_before_the_link_that_x_puts_behind_its_text() {
        let entity = |more: &serde_json::Value| {
            let mut entity = json!({ "url": "https://t.co/pic4" });
            entity.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            json!({ "text": "The slip https://t.co/pic4", "entities": { "urls": [entity] } })
        };
        for said in [
            json!({ "media_key": "3_1" }),
            json!({ "expanded_url": "https://x.com/perch_bot/status/1/photo/1" }),
            json!({ "expanded_url": "https://x.com/perch_bot/status/1/video/1" }),
        ] {
            assert!(same_text("The slip", &post(&entity(&said))), "{said}");
        }
        let attached = json!({ "text": "The slip https://t.co/pic4", "attachments": { "media_keys": ["3_1"] } });
        assert!(same_text("The slip", &post(&attached)));
        let linked = entity(&json!({ "expanded_url": "https://example.com/slip" }));
        assert!(!same_text("The slip", &post(&linked)), "a link of its own belongs to the text");
        assert!(!same_text("The slip", &post(&json!({ "text": "The slip https://t.co/pic4" }))));
    }

    #[test]
    fn a_long_post_is_compared_and_kept_whole() {
        let long =
            post(&json!({ "text": "The first part…", "note_post": { "text": "The first part and the second" } }));
        assert!(same_text("The first part and the second", &long));
        assert_eq!(long.full_text(), "The first part and the second");
    }

    #[test]
    fn a_post_without_its_author_is_refused_by_name() {
        let error =
            post(&json!({ "text": "hi", "author_id": "12" })).to_post(&Includes::default()).expect_err("no author");
        assert_eq!(
            error.to_string().split(';').next(),
            Some("post 1849: the answer cannot be read (its author is missing)")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_known_again_after_escaping(text in "[ -~äöüéß😀\n]{0,200}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            prop_assert_eq!(unescape(&escaped), text.as_str());
            let theirs = post(&json!({ "text": escaped.trim() }));
            prop_assert!(same_text(&text, &theirs));
        }
    }
}
