//! The material in a document. A pure function of bytes.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::{
    Bounds, Material, charset,
    entry::Entry,
    feed, html, json_feed,
    kind::{Form, Kind, Stated, recognise},
    plain::{cut, pieces, plain},
};

/// The longest title, in characters.
const MAX_TITLE: usize = 300;
/// The longest link, in bytes.
const MAX_LINK: usize = 2_048;

/// What the material in a document depends on.
pub(super) struct Document<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stated: &'a Stated,
    /// Where it is.
    pub(super) url: &'a Url,
    pub(super) bounds: &'a Bounds,
    pub(super) now: DateTime<Utc>,
}

impl Document<'_> {
    /// The material, newest first; else why this is no source.
    pub(super) fn material(&self) -> Result<Vec<Material>, String> {
        let text = charset::decode(self.bytes, self.stated.charset.as_deref());
        match recognise(&text, self.stated.form) {
            Kind::Feed => Ok(self.of_entries(feed::read(&text)?)),
            Kind::Json => match json_feed::read(&text) {
                Some(entries) => Ok(self.of_entries(entries)),
                None if self.stated.form == Form::Json => Err("is JSON, but no JSON Feed".to_owned()),
                None => self.of_text(&text),
            },
            Kind::Page => self.of_page(&text),
            Kind::Text => self.of_text(&text),
            Kind::OtherXml => Err("is XML, but no feed".to_owned()),
            Kind::Binary => Err("holds bytes that are no text".to_owned()),
        }
    }

    fn of_entries(&self, mut entries: Vec<Entry>) -> Vec<Material> {
        for entry in &mut entries {
            entry.published_at = self.credible(entry.published_at);
        }
        // Stable, so entries without a date stay in the order of the feed, after those with one.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.published_at));
        let (mut ids, mut said) = (HashSet::new(), HashSet::new());
        let all = entries.into_iter().filter_map(|mut entry| {
            if !entry.id.take().is_none_or(|id| ids.insert(id)) {
                return None;
            }
            let material = self.of_entry(&entry)?;
            said.insert((material.title.clone(), material.text.clone())).then_some(material)
        });
        all.take(self.bounds.materials).collect()
    }

    fn of_entry(&self, entry: &Entry) -> Option<Material> {
        let title = Some(cut(&entry.title.line(), MAX_TITLE)).filter(|title| !title.is_empty());
        let text = cut(&entry.text(), self.bounds.characters);
        let link = entry.link.as_deref().and_then(|link| self.link(link));
        (title.is_some() || !text.is_empty()).then_some(Material {
            title,
            text,
            link,
            published_at: entry.published_at,
        })
    }

    fn of_page(&self, text: &str) -> Result<Vec<Material>, String> {
        let page = html::read(text);
        if page.paragraphs.is_empty() {
            return Err("is a page without text of its own, perhaps one that scripts write".to_owned());
        }
        let title = page.title.map(|title| cut(&title, MAX_TITLE));
        let link = page.link.and_then(|link| self.link(&link)).or_else(|| self.own_link());
        Ok(self.of_paragraphs(&page.paragraphs, title.as_ref(), link.as_ref(), self.credible(page.published_at)))
    }

    fn of_text(&self, text: &str) -> Result<Vec<Material>, String> {
        let mut paragraphs = vec![String::new()];
        for line in text.lines() {
            match paragraphs.last_mut() {
                Some(paragraph) if !line.trim().is_empty() => paragraph.extend([line, " "]),
                _ => paragraphs.push(String::new()),
            }
        }
        let paragraphs: Vec<String> =
            paragraphs.iter().map(|text| plain(text)).filter(|text| !text.is_empty()).collect();
        if paragraphs.is_empty() {
            return Err("is an empty text".to_owned());
        }
        Ok(self.of_paragraphs(&paragraphs, None, self.own_link().as_ref(), None))
    }

    fn of_paragraphs(
        &self,
        paragraphs: &[String],
        title: Option<&String>,
        link: Option<&Url>,
        published_at: Option<DateTime<Utc>>,
    ) -> Vec<Material> {
        let mut said = HashSet::new();
        let paragraphs: Vec<String> = paragraphs.iter().filter(|text| said.insert(text.as_str())).cloned().collect();
        let texts = pieces(&paragraphs, self.bounds.characters, self.bounds.materials);
        let mut said = HashSet::new();
        let texts = texts.into_iter().filter(|text| said.insert(text.clone()));
        texts.map(|text| Material { title: title.cloned(), text, link: link.cloned(), published_at }).collect()
    }

    /// A date in the future would keep its entry on top for ever, so it counts as none. A day is left for clocks and time zones.
    fn credible(&self, at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        at.filter(|at| *at <= self.now + TimeDelta::days(1))
    }

    /// A link of the document, when it leads to a web page.
    fn link(&self, link: &str) -> Option<Url> {
        let is_short = |url: &Url| url.as_str().len() <= MAX_LINK;
        let link = Some(link).filter(|link| link.len() <= MAX_LINK)?;
        let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none();
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        self.url.join(link).ok().filter(|url| is_web(url) && is_plain(url) && is_short(url))
    }

    /// The address itself, unless it has a query, which may hold a secret.
    fn own_link(&self) -> Option<Url> {
        Some(self.url).filter(|url| url.query().is_none()).cloned()
    }
}

#[cfg(test)]
mod tests;
