//! The text of a post as X returns it: with `t.co` links, three characters as HTML entities, and a list of its entities.

use serde_json::{Value, json};

use crate::{draw::Draw, weight::weight, world::World};

/// A text as X returns it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RenderedText {
    pub text: String,
    /// Mentions, links and tags; `None` when there are none.
    pub entities: Option<Value>,
}

/// Longer posts are cut in `text` and complete in their note. Source: X documentation, note posts.
const LONGEST: usize = 280;
/// Characters of a long post that `text` keeps.
const KEPT: usize = 274;

/// The text, cut when it is long, and in that case also the complete text.
pub(crate) fn written(text: &str, world: &World) -> (RenderedText, Option<RenderedText>) {
    let whole = write(text, world);
    if weight(text) <= LONGEST {
        return (whole, None);
    }
    let start: String = text.chars().take(KEPT).collect();
    let cut = write(&format!("{}…", start.trim_end()), world);
    (cut, Some(whole))
}

fn write(text: &str, world: &World) -> RenderedText {
    let mut out = TextRenderer::default();
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let taken = if in_word { None } else { entity(rest) };
        if let Some((entity, len)) = taken {
            out.put(entity, world);
            rest = &rest[len..];
            in_word = true;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            in_word = first.is_alphanumeric() || first == '_';
        }
    }
    out.finish()
}

#[derive(Clone, Copy)]
enum Entity<'a> {
    Link(&'a str),
    Mention(&'a str),
    Hashtag(&'a str),
    Cashtag(&'a str),
}

/// The entity at the start of a text, and how many bytes of the text it takes.
fn entity(text: &str) -> Option<(Entity<'_>, usize)> {
    if text.starts_with("https://") || text.starts_with("http://") {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let link = text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '"']);
        return Some((Entity::Link(link), link.len())).filter(|_| link.contains('.') || link.contains("localhost"));
    }
    let word = |of: &dyn Fn(char) -> bool| {
        let tail = &text[1..];
        &tail[..tail.find(|c| !of(c)).unwrap_or(tail.len())]
    };
    let named = match text.chars().next()? {
        '@' => {
            let name = word(&|c| c.is_ascii_alphanumeric() || c == '_');
            ((1..=15).contains(&name.len())).then_some((Entity::Mention(name), name))
        }
        '#' => {
            let tag = word(&|c| c.is_alphanumeric() || c == '_');
            tag.chars().any(char::is_alphabetic).then_some((Entity::Hashtag(tag), tag))
        }
        '$' => {
            let tag = word(&|c| c.is_ascii_alphabetic());
            ((1..=6).contains(&tag.len())).then_some((Entity::Cashtag(tag), tag))
        }
        _ => None,
    };
    named.map(|(entity, word)| (entity, 1 + word.len()))
}

#[derive(Default)]
struct TextRenderer {
    text: String,
    /// Characters so far; an HTML entity counts as one.
    at: usize,
    urls: Vec<Value>,
    mentions: Vec<Value>,
    hashtags: Vec<Value>,
    cashtags: Vec<Value>,
}

impl TextRenderer {
    fn push(&mut self, c: char) {
        match c {
            '&' => self.text.push_str("&amp;"),
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            other => self.text.push(other),
        }
        self.at += 1;
    }

    fn put(&mut self, entity: Entity<'_>, world: &World) {
        let start = self.at;
        let shown = match entity {
            Entity::Link(link) => short(link),
            Entity::Mention(name) => format!("@{name}"),
            Entity::Hashtag(tag) => format!("#{tag}"),
            Entity::Cashtag(tag) => format!("${tag}"),
        };
        shown.chars().for_each(|c| self.push(c));
        let end = self.at;
        match entity {
            Entity::Link(link) => {
                let bare = link.split_once("://").map_or(link, |(_, rest)| rest);
                self.urls.push(json!({
                    "start": start, "end": end, "url": shown, "expanded_url": link, "display_url": bare,
                }));
            }
            Entity::Mention(name) => {
                let mut mention = json!({ "start": start, "end": end, "username": name });
                if let Some(account) = world.find(name) {
                    mention["id"] = account.id.to_string().into();
                }
                self.mentions.push(mention);
            }
            Entity::Hashtag(tag) => self.hashtags.push(json!({ "start": start, "end": end, "tag": tag })),
            Entity::Cashtag(tag) => self.cashtags.push(json!({ "start": start, "end": end, "tag": tag })),
        }
    }

    fn finish(self) -> RenderedText {
        let mut entities = json!({});
        for (name, list) in
            [("urls", self.urls), ("mentions", self.mentions), ("hashtags", self.hashtags), ("cashtags", self.cashtags)]
        {
            if !list.is_empty() {
                entities[name] = list.into();
            }
        }
        let entities = entities.as_object().is_some_and(|e| !e.is_empty()).then_some(entities);
        RenderedText { text: self.text, entities }
    }
}

/// The short link for a link; the same link always has the same one.
fn short(link: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut draw = Draw::of(23, link, 0);
    let code = (0..10).map(|_| char::from(DIGITS[draw.index(DIGITS.len())]));
    format!("https://t.co/{}", code.collect::<String>())
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::{account::Plan, audience::Audience};

    fn world() -> World {
        let mut world = World::new(Utc::now(), Plan::Enterprise, Audience::new(1, Vec::new(), 1.0));
        world.account("Perch_Bot");
        world
    }

    #[test]
    fn links_names_and_tags_are_found_where_they_stand() {
        let (written, note) =
            written("hey @perch_bot, see https://example.com/a?b=1&c=2! #NBA $LAL me@home #1", &world());
        assert_eq!(note, None);
        let entities = written.entities.expect("it has some");
        let url = &entities["urls"][0];
        let short = url["url"].as_str().expect("a link");
        assert_eq!(written.text, format!("hey @perch_bot, see {short}! #NBA $LAL me@home #1"));
        assert_eq!(url["expanded_url"], "https://example.com/a?b=1&c=2");
        let at = |entity: &Value| {
            let place = |name: &str| usize::try_from(entity[name].as_u64().expect("a number")).expect("it is small");
            written.text.chars().skip(place("start")).take(place("end") - place("start")).collect::<String>()
        };
        assert_eq!(at(url), short);
        assert_eq!(at(&entities["mentions"][0]), "@perch_bot");
        assert!(entities["mentions"][0]["id"].is_string());
        assert_eq!(at(&entities["hashtags"][0]), "#NBA");
        assert_eq!(at(&entities["cashtags"][0]), "$LAL");
        for name in ["urls", "mentions", "hashtags", "cashtags"] {
            assert_eq!(entities[name].as_array().map(Vec::len), Some(1), "{name}");
        }
    }

    #[test]
    fn three_characters_are_written_as_html_entities() {
        let (written, _) = written("Lakers & over <220> é", &world());
        assert_eq!((written.text.as_str(), written.entities), ("Lakers &amp; over &lt;220&gt; é", None));
    }

    #[test]
    fn a_long_post_is_cut_and_whole_in_its_note() {
        let text = "pick ".repeat(100);
        let (written, note) = written(&text, &world());
        assert!(written.text.ends_with('…') && written.text.chars().count() <= LONGEST);
        assert_eq!(note.map(|note| note.text), Some(text));
    }
}
