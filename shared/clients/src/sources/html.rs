//! The text of HTML.
//!
//! Tags are read one after another and no tree is built, so depth of nesting costs nothing.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};

use super::{date, plain::plain};

/// Elements whose content is never text of the page.
const UNSEEN: [&[u8]; 17] = [
    b"script",
    b"style",
    b"template",
    b"noscript",
    b"svg",
    b"math",
    b"iframe",
    b"object",
    b"canvas",
    b"audio",
    b"video",
    b"noembed",
    b"noframes",
    b"textarea",
    b"select",
    b"datalist",
    b"map",
];
/// Elements around the text: menus, forms, imprints.
const EDGES: [&[u8]; 7] = [b"nav", b"footer", b"aside", b"form", b"button", b"menu", b"dialog"];
/// Elements that hold the text a page is about.
const CORES: [&[u8]; 2] = [b"main", b"article"];
/// Elements within a line. All others end a paragraph.
const INLINE: [&[u8]; 33] = [
    b"a", b"abbr", b"acronym", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"data", b"del", b"dfn", b"em", b"font",
    b"i", b"img", b"ins", b"kbd", b"label", b"mark", b"q", b"s", b"samp", b"small", b"span", b"strike", b"strong",
    b"sub", b"sup", b"time", b"u", b"var", b"wbr",
];
/// Cells of a table, which stand on one line but are not one word.
const CELLS: [&[u8]; 2] = [b"td", b"th"];

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    /// The paragraphs of the page's main part if it marks one, else without menus and the like, else all.
    pub(super) paragraphs: Vec<String>,
    pub(super) published_at: Option<DateTime<Utc>>,
    /// The address that the page states as its own.
    pub(super) link: Option<String>,
}

/// Where in a page a paragraph stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Core,
    Body,
    Edge,
}

#[derive(Default)]
struct Reader {
    unseen: usize,
    edges: usize,
    cores: usize,
    is_in_title: bool,
    title: Option<String>,
    other_title: Option<String>,
    published_at: Option<DateTime<Utc>>,
    link: Option<String>,
    paragraph: String,
    paragraphs: Vec<(Place, String)>,
}

/// Reads a page.
pub(super) fn read(html: &str) -> Page {
    let reader = tokens(html);
    let choose = |chosen: &[Place]| -> Vec<String> {
        let of = reader.paragraphs.iter().filter(|(place, _)| chosen.contains(place));
        of.map(|(_, text)| text.clone()).collect()
    };
    let choices: [&[Place]; 3] =
        [&[Place::Core], &[Place::Core, Place::Body], &[Place::Core, Place::Body, Place::Edge]];
    let paragraphs = choices.into_iter().map(choose).find(|found| !found.is_empty()).unwrap_or_default();
    let title = reader.title.or(reader.other_title);
    Page { title, paragraphs, published_at: reader.published_at, link: reader.link }
}

/// The text of a fragment, on one line.
pub(super) fn text(html: &str) -> String {
    let paragraphs: Vec<String> = tokens(html).paragraphs.into_iter().map(|(_, text)| text).collect();
    paragraphs.join(" ")
}

fn tokens(html: &str) -> Reader {
    let mut emitter = DefaultEmitter::default();
    // The content of a script is not HTML.
    emitter.naively_switch_states(true);
    let mut reader = Reader::default();
    // The error type has no values: a string can always be read.
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) => reader.start(&tag),
            Token::EndTag(tag) => reader.end(&tag.name),
            Token::String(text) => reader.text(&text),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    reader.end_paragraph();
    reader
}

impl Reader {
    fn start(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        self.boundary(name);
        if UNSEEN.contains(&name) {
            self.unseen += usize::from(!(tag.self_closing && matches!(name, b"svg" | b"math")));
        } else if EDGES.contains(&name) {
            self.edges += 1;
        } else if CORES.contains(&name) {
            self.cores += 1;
        } else if name == b"title" {
            self.is_in_title = self.unseen == 0;
        } else if name == b"meta" {
            self.meta(tag);
        } else if name == b"link" && value(tag, b"rel").is_some_and(|rel| rel.eq_ignore_ascii_case("canonical")) {
            self.link = self.link.take().or_else(|| value(tag, b"href").map(Cow::into_owned));
        }
    }

    fn end(&mut self, name: &HtmlString) {
        let name = name.as_slice();
        self.boundary(name);
        let open = if UNSEEN.contains(&name) {
            &mut self.unseen
        } else if EDGES.contains(&name) {
            &mut self.edges
        } else if CORES.contains(&name) {
            &mut self.cores
        } else {
            self.is_in_title &= name != b"title";
            return;
        };
        *open = open.saturating_sub(1);
    }

    fn text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        if self.is_in_title {
            let title = plain(&text);
            self.title = self.title.take().or(Some(title)).filter(|title| !title.is_empty());
        } else if self.unseen == 0 {
            self.paragraph.push_str(&text);
        }
    }

    fn boundary(&mut self, name: &[u8]) {
        if CELLS.contains(&name) {
            self.paragraph.push(' ');
        } else if !INLINE.contains(&name) {
            self.end_paragraph();
        }
    }

    fn end_paragraph(&mut self) {
        let text = plain(&std::mem::take(&mut self.paragraph));
        if text.is_empty() {
            return;
        }
        let place = match (self.edges, self.cores) {
            (0, 0) => Place::Body,
            (0, _) => Place::Core,
            _ => Place::Edge,
        };
        self.paragraphs.push((place, text));
    }

    fn meta(&mut self, tag: &StartTag<()>) {
        let Some(content) = value(tag, b"content") else { return };
        let names: [&[u8]; 3] = [b"property", b"itemprop", b"name"];
        let name = names.into_iter().find_map(|name| value(tag, name)).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "og:title" => self.other_title = Some(plain(&content)).filter(|title| !title.is_empty()),
            "article:published_time" | "datepublished" => {
                self.published_at = self.published_at.or_else(|| date::read(&content));
            }
            _ => {}
        }
    }
}

/// The value of an attribute.
fn value<'t>(tag: &'t StartTag<()>, name: &[u8]) -> Option<Cow<'t, str>> {
    tag.attributes.get(name).map(|value| String::from_utf8_lossy(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_scripts_and_styles_are_dropped_and_entities_decoded() {
        for (html, line) in [
            ("<p>Lakers &amp; <b>Suns</b>&nbsp;&#8211; &lt;220&gt;", "Lakers & Suns – <220>"),
            ("un<b>believ</b>able<br>and<p>more", "unbelievable and more"),
            ("a<script>if (a < b) { document.write('</p>') }</script>b<style>p{}</style>", "a b"),
            ("a<!-- hidden --><template>t</template><noscript>n</noscript><svg><title>s</title></svg>b", "a b"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("<table><tr><td>a<td>b</table>", "a b"),
            ("<script>never closed", ""),
            ("<p title='<script>'>text</p", "text"),
        ] {
            assert_eq!(text(html), line, "{html}");
        }
    }

    #[test]
    fn of_a_page_the_main_part_is_read_with_title_and_date() {
        let page = read(
            "<!doctype html><html><head><title> A &amp; B\n</title><link rel=canonical href=/a><meta property=article:published_time \
             content=2026-08-20T17:00:00Z></head><body><nav>Menu</nav><header>Site</header><main><h1>Head</h1><p>Text\
             <form>Sign up</form></main><footer>Imprint</footer>",
        );
        assert_eq!((page.title.as_deref(), page.link.as_deref()), (Some("A & B"), Some("/a")));
        assert_eq!(page.paragraphs, ["Head", "Text"]);
        assert_eq!(page.published_at.map(|at| at.timestamp()), Some(1_787_245_200));
    }

    #[test]
    fn a_page_without_a_main_part_is_read_without_its_menus_and_if_need_be_with_them() {
        assert_eq!(read("<nav>Menu</nav><p>Text<main></main>").paragraphs, ["Text"]);
        assert_eq!(read("<nav>Menu</nav><form>Form").paragraphs, ["Menu", "Form"]);
        assert_eq!(read("</nav></main></script><p>Text").paragraphs, ["Text"]);
        assert_eq!(read("<meta property=og:title content=Other>").title.as_deref(), Some("Other"));
    }

    #[test]
    fn megabytes_of_nested_tags_are_read_in_one_pass() {
        let nested = format!("{}deep{}", "<div><main><nav>".repeat(100_000), "</nav></div>".repeat(50_000));
        assert_eq!(read(&nested).paragraphs, ["deep"]);
    }
}
