//! What a document is: by its content, and by what the server says where the content leaves it open.

use http::{HeaderMap, header::CONTENT_TYPE};

/// What the server says of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) form: Form,
    pub(super) charset: Option<String>,
}

/// The form that a media type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Xml,
    Json,
    Text,
    /// There is no media type.
    Unsaid,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Feed,
    /// JSON, perhaps a JSON Feed.
    Json,
    Page,
    Text,
    /// XML, but no feed.
    OtherXml,
    Binary,
}

impl Stated {
    /// What the headers of an answer say; the media type itself when it is none that sources have.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, String> {
        let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Self { form: Form::Unsaid, charset: None }) };
        let value = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| part.strip_prefix("charset="));
        let charset = charset.map(|label| label.trim_matches(['"', '\'']).to_owned());
        match form(media) {
            Some(form) => Ok(Self { form, charset }),
            None => Err(media.chars().filter(|c| !c.is_control()).take(100).collect()),
        }
    }
}

fn form(media: &str) -> Option<Form> {
    Some(match media {
        "" => Form::Unsaid,
        "text/html" | "application/xhtml+xml" => Form::Html,
        "application/json" | "application/feed+json" | "text/json" => Form::Json,
        "text/xml" | "application/xml" => Form::Xml,
        "text/css" | "text/javascript" | "text/ecmascript" => return None,
        media if media.starts_with("application/") && media.ends_with("+xml") => Form::Xml,
        media if media.starts_with("text/") => Form::Text,
        _ => return None,
    })
}

/// What `text` is.
pub(super) fn recognise(text: &str, stated: Form) -> Kind {
    if is_binary(text) {
        return Kind::Binary;
    }
    match (root(text), stated) {
        (Some(name), _) if ["rss", "feed", "rdf", "entry"].contains(&name.as_str()) => Kind::Feed,
        (Some(name), Form::Xml) if name != "html" => Kind::OtherXml,
        (Some(_), _) | (None, Form::Html) => Kind::Page,
        (None, Form::Xml) => Kind::OtherXml,
        (None, Form::Json) => Kind::Json,
        (None, _) if text.trim_start().starts_with('{') => Kind::Json,
        (None, _) => Kind::Text,
    }
}

/// Whether more than a twentieth of the characters is none that a text has.
fn is_binary(text: &str) -> bool {
    let is_odd = |c: &char| (c.is_control() && !c.is_whitespace()) || *c == char::REPLACEMENT_CHARACTER;
    text.chars().filter(is_odd).count() * 20 > text.chars().count()
}

/// The name of the first element, without prefix and in lower case, when the text begins with markup.
fn root(text: &str) -> Option<String> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = if let Some(comment) = rest.strip_prefix("<!--") {
            4 + comment.find("-->")? + 3
        } else if rest.starts_with("<?") {
            rest.find("?>")? + 2
        } else if rest.starts_with("<!") {
            end_of_declaration(rest)?
        } else {
            break;
        };
        rest = rest[end..].trim_start();
    }
    let name = rest.strip_prefix('<')?;
    let end = name.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(name.len());
    let name = name[..end].rsplit(':').next().unwrap_or_default();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 64;
    is_name.then(|| name.to_ascii_lowercase())
}

/// The end of `<!DOCTYPE …>`, which may hold declarations of its own in brackets.
fn end_of_declaration(text: &str) -> Option<usize> {
    let end = text.find('>')?;
    match text[..end].find('[') {
        None => Some(end + 1),
        Some(open) => {
            let close = open + text[open..].find(']')?;
            Some(close + text[close..].find('>')? + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn stated(value: &'static str) -> Result<Stated, String> {
        Stated::read(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]))
    }

    #[test]
    fn media_types_of_texts_are_read_and_all_others_refused() {
        for (value, form, charset) in [
            ("text/html; charset=UTF-8", Form::Html, Some("utf-8")),
            ("application/rss+xml;charset=\"iso-8859-1\"", Form::Xml, Some("iso-8859-1")),
            ("application/feed+json", Form::Json, None),
            ("TEXT/Markdown", Form::Text, None),
            ("", Form::Unsaid, None),
        ] {
            let stated = stated(value).expect("it is a text");
            assert_eq!((stated.form, stated.charset.as_deref()), (form, charset), "{value}");
        }
        for value in ["image/svg+xml", "image/png", "application/octet-stream", "video/mp4", "text/css", "x"] {
            assert_eq!(stated(value), Err(value.to_owned()));
        }
        assert_eq!(Stated::read(&HeaderMap::new()).map(|stated| stated.form), Ok(Form::Unsaid));
    }

    #[test]
    fn a_document_is_recognised_by_what_it_holds() {
        for (text, stated, kind) in [
            ("\u{feff} <?xml version='1.0'?><!-- a > b --><rss>", Form::Text, Kind::Feed),
            ("<!DOCTYPE rss [<!ENTITY a '>'>]><rdf:RDF xmlns='x'>", Form::Html, Kind::Feed),
            ("<feed/>", Form::Unsaid, Kind::Feed),
            ("<!doctype html><html>", Form::Text, Kind::Page),
            ("<p>Hi", Form::Unsaid, Kind::Page),
            ("Hi", Form::Html, Kind::Page),
            ("<opml>", Form::Xml, Kind::OtherXml),
            ("Hi", Form::Xml, Kind::OtherXml),
            (" {\"version\":", Form::Text, Kind::Json),
            ("Hi", Form::Json, Kind::Json),
            ("Hi", Form::Unsaid, Kind::Text),
            ("<3 you", Form::Text, Kind::Text),
            ("<!-- never closed", Form::Text, Kind::Text),
            ("PK\u{3}\u{4}\0\0\0", Form::Text, Kind::Binary),
            ("\u{fffd}\u{fffd}a", Form::Html, Kind::Binary),
            ("", Form::Text, Kind::Text),
        ] {
            assert_eq!(recognise(text, stated), kind, "{text:?}");
        }
    }
}
