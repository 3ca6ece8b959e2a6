use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn document_in<'a>(bytes: &'a [u8], stated: &'a Stated, url: &'a Url, bounds: &'a Bounds) -> Document<'a> {
    let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time in range");
    Document { bytes, stated, url, bounds, now }
}

fn digest_as(bytes: &[u8], form: Form) -> Result<Vec<Material>, String> {
    let stated = Stated { form, charset: None };
    let url = Url::parse("https://example.com/a/b").expect("a URL");
    document_in(bytes, &stated, &url, &Bounds::default()).material()
}

fn digest(text: &str) -> Vec<Material> {
    digest_as(text.as_bytes(), Form::Unsaid).expect("a source")
}

fn rss(items: &str) -> String {
    format!("<rss version=\"2.0\"><channel>{items}</channel></rss>")
}

fn titles(all: &[Material]) -> Vec<&str> {
    all.iter().filter_map(|material| material.title.as_deref()).collect()
}

#[test]
fn entries_come_newest_first_each_once_and_those_without_a_credible_date_last() {
    let item = |title: &str, guid: &str, day: &str| {
        format!("<item><title>{title}</title><guid>{guid}</guid><pubDate>{day}</pubDate></item>")
    };
    let feed = rss(&[
        item("undated", "1", ""),
        item("old", "2", "2026-08-01"),
        item("new", "3", "2026-08-20"),
        item("old, as it was first", "2", "2026-07-01"),
        item("new", "4", "2026-08-19"),
        item("tomorrow for ever", "5", "2099-01-01"),
    ]
    .concat());
    assert_eq!(titles(&digest(&feed)), ["new", "old", "undated", "tomorrow for ever"]);
}

#[test]
fn of_a_feed_of_ten_thousand_entries_the_newest_twenty_are_kept() {
    let mut items = String::new();
    for n in 0..10_000 {
        let (day, hour, minute) = (1 + n / 1_440, n / 60 % 24, n % 60);
        write!(items, "<item><title>{n}</title><pubDate>2026-08-{day:02}T{hour:02}:{minute:02}:00Z</pubDate></item>")
            .expect("a string takes all");
    }
    let all = digest(&rss(&items));
    assert_eq!(titles(&all)[..2], ["9999", "9998"]);
    assert_eq!(all.len(), 20);
}

#[test]
fn texts_are_cut_and_links_lead_to_web_pages_only() {
    let long = "word ".repeat(1_000);
    let link =
        |link: &str| format!("<item><title>{link}</title><link>{link}</link><description>{long}</description></item>");
    let links = ["../c", "http://a.example/?a=1", "javascript:alert(1)", "https://me:pass@a.example/", "https://["];
    let all = digest(&rss(&links.map(link).concat()));
    let found: Vec<Option<&str>> = all.iter().map(|material| material.link.as_ref().map(Url::as_str)).collect();
    assert_eq!(found, [Some("https://example.com/c"), Some("http://a.example/?a=1"), None, None, None]);
    assert!(all.iter().all(|material| material.text.chars().count() <= 2_000 && material.text.ends_with("word…")));
}

#[test]
fn a_page_gives_its_text_in_parts_and_its_address_unless_that_has_a_query() {
    let page = format!("<title>Head</title><link rel=canonical href='/c'><p>{}</p><p>End", "word ".repeat(500));
    let all = digest(&page);
    assert_eq!(all.len(), 2);
    assert!(all[1].text.ends_with("word End") && titles(&all) == ["Head", "Head"]);
    assert_eq!(all[0].link.as_ref().map(Url::as_str), Some("https://example.com/c"));
    let stated = Stated { form: Form::Text, charset: None };
    for (address, link) in [("https://example.com/a", true), ("https://example.com/a?key=secret", false)] {
        let url = Url::parse(address).expect("a URL");
        let all = document_in(b"Hi", &stated, &url, &Bounds::default()).material().expect("a text");
        assert_eq!(all[0].link.is_some(), link);
    }
}

#[test]
fn a_text_keeps_its_paragraphs_together() {
    let all = digest("One\r\ntwo\n\n  \nthree\n\nOne\ntwo\n");
    assert_eq!(all.iter().map(|material| material.text.as_str()).collect::<Vec<_>>(), ["One two three"]);
}

#[test]
fn what_is_no_source_says_what_it_is() {
    for (text, form, why) in [
        ("<html><script>document.write('hi')</script>", Form::Html, "without text of its own"),
        ("<opml version='2.0'></opml>", Form::Xml, "is XML, but no feed"),
        ("{\"a\": 1}", Form::Json, "is JSON, but no JSON Feed"),
        ("<rss><channel><item></rss>", Form::Xml, "is broken XML"),
        (" \n\u{200b}\n", Form::Text, "is an empty text"),
        ("GIF89a\u{1}\0\u{1}\0\0", Form::Text, "no text"),
    ] {
        let said = digest_as(text.as_bytes(), form).expect_err("it is no source");
        assert!(said.contains(why), "{text}: {said}");
    }
    assert!(digest(&rss("")).is_empty(), "a feed may be empty");
}

const EXAMPLES: [&str; 5] = [
    "<?xml version='1.0' encoding='iso-8859-1'?><!DOCTYPE rss [<!ENTITY a '&b;'>]><rss version='2.0'><channel><item><title>A \
     &amp; b &a;</title><link>/1</link><guid>1</guid><description><![CDATA[<p>c</p>]]></description><pubDate>Thu, 20 Aug \
     2026 17:00:00 GMT</pubDate></item></channel></rss>",
    "<feed xmlns='http://www.w3.org/2005/Atom'><entry xml:base='/a/'><title type='html'>A</title><link href='b'/><content \
     type='xhtml'><div>c<br/>&#100;</div></content><updated>2026-08-20T17:00:00Z</updated></entry></feed>",
    "{\"version\": \"https://jsonfeed.org/version/1.1\", \"items\": [{\"id\": 1, \"content_html\": \"<p>a\", \"title\": \"b\"}]}",
    "<!doctype html><html><head><meta charset=utf-8><title>A</title></head><body><nav>b</nav><main><p>c &lt; d<script>e\
     </script></main></body></html>",
    "A text\n\nof two paragraphs, caf\u{e9} 👩\u{200d}👧",
];

/// An example with some of its bytes changed, doubled or left out.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..40), 0..12);
    (prop::sample::select(&EXAMPLES[..]), changes).prop_map(|(example, changes)| {
        let mut bytes = example.as_bytes().to_vec();
        for (at, byte, length) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            match byte % 4 {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.extend_from_within(at..end),
                2 => bytes.insert(at, byte),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_a_source_holds_its_material_stays_within_the_bounds(
        bytes in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..300)],
        form in prop::sample::select(&[Form::Html, Form::Xml, Form::Json, Form::Text, Form::Unsaid][..]),
        charset in prop::option::of(prop::sample::select(&["utf-8", "utf-16", "gbk", "iso-2022-jp", "replacement", ""][..])),
        (materials, characters) in (0_usize..4, 1_usize..30),
    ) {
        let stated = Stated { form, charset: charset.map(str::to_owned) };
        let url = Url::parse("https://example.com/feed").expect("a URL");
        let bounds = Bounds { materials, characters, ..Bounds::default() };
        if let Ok(all) = document_in(&bytes, &stated, &url, &bounds).material() {
            prop_assert!(all.len() <= materials);
            for material in all {
                prop_assert!(material.text.chars().count() <= characters);
                prop_assert!(material.title.is_none_or(|title| title.chars().count() <= MAX_TITLE));
                prop_assert!(!material.text.chars().any(char::is_control));
            }
        }
    }
}
