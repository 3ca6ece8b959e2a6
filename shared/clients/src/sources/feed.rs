//! Feeds in XML: RSS of all versions and Atom.
//!
//! The document is read in one pass, and only the parts of its entries that are used are kept. No entity is expanded but the five of
//! XML and characters by number, so a document cannot grow while it is read.

use chrono::{DateTime, Utc};
use quick_xml::{
    Reader as Xml,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesStart, Event},
};

use super::{
    date,
    entry::{Entry, Said},
};

/// No feed nests elements deeper.
const DEEPEST: usize = 256;

/// A part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Title,
    Link,
    Id,
    Published,
    Updated,
    Content,
    Summary,
    Media,
}

impl Part {
    /// The part that an element is, by the prefixes that feeds use.
    fn of(prefix: &str, name: &str) -> Option<Self> {
        Some(match (prefix, name) {
            ("" | "atom" | "rss", "title") => Self::Title,
            ("" | "atom" | "rss", "link") => Self::Link,
            ("" | "atom" | "rss", "id" | "guid") => Self::Id,
            ("" | "atom" | "rss", "pubDate" | "published" | "issued") | ("dc" | "dcterms", "date" | "issued") => {
                Self::Published
            }
            ("" | "atom" | "rss", "updated" | "modified") => Self::Updated,
            ("content", "encoded") | ("" | "atom", "content") => Self::Content,
            ("" | "atom" | "rss", "description" | "summary") => Self::Summary,
            ("media", "description") => Self::Media,
            _ => return None,
        })
    }
}

/// The part that is being read.
struct Open {
    part: Part,
    depth: usize,
    said: Said,
    /// The text is XHTML, so characters are escaped when they are put back between its tags.
    is_xhtml: bool,
    is_link: bool,
}

#[derive(Default)]
struct Draft {
    depth: usize,
    entry: Entry,
    published: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    /// The id, when RSS says that it is the address too.
    permalink: Option<String>,
}

#[derive(Default)]
struct Reader {
    depth: usize,
    draft: Option<Draft>,
    open: Option<Open>,
    entries: Vec<Entry>,
}

/// The entries of a feed, in its order; else what is wrong with it.
pub(super) fn read(xml: &str) -> Result<Vec<Entry>, String> {
    let mut events = Xml::from_str(xml);
    let config = events.config_mut();
    config.expand_empty_elements = true;
    config.trim_markup_names_in_closing_tags = true;
    // `AT&T` is wrong, but clear.
    config.allow_dangling_amp = true;
    let mut reader = Reader::default();
    loop {
        let event = events.read_event().map_err(|error| broken(&error, events.error_position()))?;
        match event {
            Event::Start(tag) => reader.start(&tag)?,
            Event::End(tag) => reader.end(tag.local_name().as_ref()),
            Event::Text(text) => reader.text(&text),
            Event::CData(text) => reader.text(&text),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(c)) => reader.text(c.encode_utf8(&mut [0; 4])),
                // A character that XML does not allow is left out.
                Err(_) => {}
                Ok(None) => reader.reference(&name),
            },
            Event::Eof if reader.depth > 0 => return Err("is a feed that breaks off".to_owned()),
            Event::Eof => return Ok(reader.entries),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn broken(error: &quick_xml::Error, position: u64) -> String {
    // The message may hold a tag name of any length from the document.
    let said: String = error.to_string().chars().filter(|c| !c.is_control()).take(120).collect();
    format!("is broken XML at byte {position} ({said})")
}

impl Reader {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("is XML nested deeper than {DEEPEST} elements"));
        }
        let qualified = tag.name();
        let name = qualified.local_name();
        let prefix = qualified.prefix();
        let (name, prefix) = (name.as_ref(), prefix.as_ref().map_or("", AsRef::as_ref));
        if let Some(open) = &mut self.open {
            open.said.is_html = true;
            open.said.text.extend(["<", name, ">"]);
        } else if let Some(draft) = &mut self.draft {
            let is_own = self.depth == draft.depth + 1;
            if let Some(part) = Part::of(prefix, name).filter(|part| is_own || *part == Part::Media) {
                self.open = draft.open(part, name, tag, self.depth);
            }
        } else if matches!((prefix, name), ("" | "atom" | "rss", "item" | "entry")) {
            self.draft = Some(Draft { depth: self.depth, ..Draft::default() });
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match (&mut self.open, &mut self.draft) {
            (Some(open), Some(draft)) => {
                if open.depth < self.depth {
                    open.said.text.extend(["</", name, ">"]);
                } else if let Some(open) = self.open.take() {
                    draft.close(open);
                }
            }
            (None, Some(draft)) if draft.depth == self.depth => {
                self.entries.extend(self.draft.take().map(Draft::finish).filter(|entry| !entry.is_empty()));
            }
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn text(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        if open.is_xhtml {
            open.said.text.push_str(&text.replace('&', "&amp;").replace('<', "&lt;"));
        } else {
            open.said.text.push_str(text);
        }
    }

    fn reference(&mut self, name: &str) {
        match (resolve_predefined_entity(name), &mut self.open) {
            (Some(text), _) => self.text(text),
            // Of no meaning in XML, but perhaps one of HTML.
            (None, Some(open)) => open.said.text.extend(["&", name, ";"]),
            (None, None) => {}
        }
    }
}

impl Draft {
    /// Begins a part, unless it is content of another kind than text, a picture in base64 for example.
    fn open(&mut self, part: Part, name: &str, tag: &BytesStart<'_>, depth: usize) -> Option<Open> {
        let kind = attribute(tag, "type").unwrap_or_default();
        let is_link = name == "guid" && attribute(tag, "isPermaLink").is_none_or(|value| value != "false");
        if part == Part::Link && self.entry.link.is_none() {
            // The link of Atom is an attribute.
            let is_page = attribute(tag, "rel").is_none_or(|rel| rel == "alternate");
            self.entry.link = attribute(tag, "href").filter(|_| is_page);
        }
        let in_xml = kind == "xhtml" || kind.ends_with("xml");
        let is_html = in_xml || matches!(name, "encoded" | "description") || kind == "html" || kind == "text/html";
        let is_text = is_html || !kind.contains('/') || kind.starts_with("text/");
        let said = Said { text: String::new(), is_html };
        (is_text || part != Part::Content).then_some(Open { part, depth, said, is_xhtml: in_xml, is_link })
    }

    fn close(&mut self, open: Open) {
        let said = open.said;
        let line = || Some(said.text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let [content, summary, media] = &mut self.entry.texts;
        let slot = match open.part {
            Part::Title => &mut self.entry.title,
            Part::Content => content,
            Part::Summary => summary,
            Part::Media => media,
            Part::Link => {
                self.entry.link = self.entry.link.take().or_else(line);
                return;
            }
            Part::Id => {
                self.entry.id = line();
                self.permalink = line().filter(|id| open.is_link && id.starts_with("http"));
                return;
            }
            Part::Published => {
                self.published = self.published.or_else(|| date::read(&said.text));
                return;
            }
            Part::Updated => {
                self.updated = self.updated.or_else(|| date::read(&said.text));
                return;
            }
        };
        if slot.text.is_empty() {
            *slot = said;
        }
    }

    fn finish(self) -> Entry {
        let link = self.entry.link.or(self.permalink);
        Entry { link, published_at: self.published.or(self.updated), ..self.entry }
    }
}

/// The value of an attribute. Attributes are not compared with one another, which for a tag of megabytes would take for ever.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    let found = attributes.with_checks(false).flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(unescape(&found.value).map_or_else(|_| found.value.to_string(), std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rss_feed_gives_title_text_link_and_date() {
        let xml = "<?xml version='1.0'?><rss version='2.0' xmlns:content='c' xmlns:media='m'><channel><title>All</title>\
            <item><title>One &amp; two</title><link>https://a.example/1</link><guid>g1</guid>\
            <description>Short</description><content:encoded><![CDATA[<p>Long</p>]]></content:encoded>\
            <pubDate>Thu, 20 Aug 2026 17:00:00 GMT</pubDate><media:title>No</media:title></item>\
            <item><guid isPermaLink='true'>https://a.example/2</guid><description>&lt;b&gt;Bold&lt;/b&gt;</description>\
            <media:group><media:description>M</media:description></media:group></item><item/></channel></rss>";
        let entries = read(xml).expect("a feed");
        assert_eq!(entries.len(), 2, "an entry without anything is none");
        assert_eq!((entries[0].title.line().as_str(), entries[0].text().as_str()), ("One & two", "Long"));
        assert_eq!(entries[0].link.as_deref(), Some("https://a.example/1"));
        assert_eq!(entries[0].id.as_deref(), Some("g1"));
        assert_eq!(entries[0].published_at.map(|at| at.timestamp()), Some(1_787_245_200));
        assert_eq!((entries[1].text().as_str(), entries[1].link.as_deref()), ("Bold", Some("https://a.example/2")));
    }

    #[test]
    fn an_atom_feed_gives_title_text_link_and_date() {
        let xml = "<feed xmlns='http://www.w3.org/2005/Atom'><title>All</title><entry><title type='html'>One &amp;amp; two\
            </title><link rel='self' href='no'/><link href='/1?a=1&amp;b=2'/><id>i</id><updated>2026-08-20T17:00:00Z</updated>\
            <source><title>Other</title></source><content type='xhtml'><div>a &lt; b<script>x</script><p>c</p></div>\
            </content></entry><entry><title>Picture</title><content type='image/png'>aGk=</content>\
            <summary>Seen &nbsp; from</summary></entry></feed>";
        let entries = read(xml).expect("a feed");
        assert_eq!((entries[0].title.line().as_str(), entries[0].text().as_str()), ("One & two", "a < b c"));
        assert_eq!(entries[0].link.as_deref(), Some("/1?a=1&b=2"));
        assert_eq!(entries[0].published_at.map(|at| at.timestamp()), Some(1_787_245_200));
        assert_eq!(entries[1].text(), "Seen from");
    }

    #[test]
    fn broken_xml_is_refused_with_its_place() {
        let said = read("<rss><channel><item></channel></rss>").expect_err("the tags do not match");
        assert!(said.starts_with("is broken XML at byte "), "{said}");
        assert!(read("<rss><channel><item>").expect_err("it is half a feed").contains("breaks off"));
        let deep = "<a>".repeat(100_000);
        assert!(read(&format!("<rss>{deep}")).expect_err("it is too deep").contains("deeper than 256"));
        let unfit = "<rss><item><title>A&T &#0;&#x110000; ok</title></item></rss>";
        assert_eq!(
            read(unfit).expect("it is clear").first().map(|entry| entry.title.line()).as_deref(),
            Some("A&T ok")
        );
    }

    #[test]
    fn entities_are_not_expanded() {
        let laughs = "<!DOCTYPE rss [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'><!ENTITY x SYSTEM 'file:///etc/passwd'>]>\
            <rss><channel><item><title>&b; &x;</title></item></channel></rss>";
        let entries = read(laughs).expect("a feed");
        assert_eq!(entries[0].title.line(), "&b; &x;");
    }

    #[test]
    fn a_tag_with_a_megabyte_of_attributes_and_of_namespaces_is_read_in_one_pass() {
        use std::fmt::Write as _;
        let mut tag = String::from("<rss");
        for n in 0..50_000 {
            write!(tag, " xmlns:a{n}='{n}' xml:base='{n}/'").expect("a string takes all");
        }
        let xml = format!("{tag}><channel>{}</channel></rss>", "<item><title>a</title></item>".repeat(10_000));
        assert_eq!(read(&xml).expect("a feed").len(), 10_000);
    }
}
