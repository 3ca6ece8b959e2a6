//! JSON Feed, versions 1 and 1.1 (<https://www.jsonfeed.org/version/1.1/>).

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    date,
    entry::{Entry, Said},
};

const VERSION: &str = "https://jsonfeed.org/version/";

#[derive(Deserialize)]
struct Feed<'a> {
    version: String,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item {
    id: Option<Value>,
    url: Option<String>,
    title: Option<String>,
    content_html: Option<String>,
    content_text: Option<String>,
    summary: Option<String>,
    date_published: Option<String>,
    date_modified: Option<String>,
}

/// The entries of a JSON Feed, in its order; `None` when this is none. An item that is not as it should be is left out.
pub(super) fn read(json: &str) -> Option<Vec<Entry>> {
    let feed: Feed<'_> = serde_json::from_str(json).ok().filter(|feed: &Feed<'_>| feed.version.starts_with(VERSION))?;
    let items = feed.items.iter().filter_map(|item| serde_json::from_str::<Item>(item.get()).ok());
    Some(items.map(entry).filter(|entry| !entry.is_empty()).collect())
}

fn entry(item: Item) -> Entry {
    let html = Said::html(item.content_html.unwrap_or_default());
    let [text, summary] = [item.content_text, item.summary].map(|text| Said::plain(text.unwrap_or_default()));
    let [published, updated] = [item.date_published, item.date_modified].map(|at| date::read(&at?));
    Entry {
        id: item.id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)),
        title: Said::plain(item.title.unwrap_or_default()),
        texts: [html, text, summary],
        link: item.url,
        published_at: published.or(updated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_feed_gives_title_text_link_and_date_and_an_odd_item_is_left_out() {
        let json = r#"{"version": "https://jsonfeed.org/version/1.1", "title": "All", "items": [
            {"id": 1, "url": "https://a.example/1", "title": "One", "content_html": "<p>Long", "summary": "Short",
             "date_published": "2026-08-20T17:00:00Z"},
            {"id": "2", "content_text": "Two", "date_modified": "2026-08-20"}, {"title": 3}, 4, {}]}"#;
        let entries = read(json).expect("a feed");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].title.line().as_str(), entries[0].text().as_str()), ("One", "Long"));
        assert_eq!((entries[0].id.as_deref(), entries[1].id.as_deref()), (Some("1"), Some("2")));
        assert_eq!(entries[1].text(), "Two");
        assert!(entries.iter().all(|entry| entry.published_at.is_some()));
    }

    #[test]
    fn other_json_is_no_feed() {
        for json in ["{}", "[]", r#"{"version": "1", "items": []}"#, &"[".repeat(100_000), "{\"version\":"] {
            assert!(read(json).is_none());
        }
    }
}
