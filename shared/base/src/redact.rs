//! Keeps credentials out of errors and logs.

const SECRET_WORDS: [&str; 8] = ["token", "secret", "password", "passwd", "credential", "private", "bearer", "api_key"];

/// Whether a key of that name probably holds a credential.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
        || ["key", "apikey", "redis_url", "database_url", "database_session_url"].contains(&name.as_str())
}

/// The text with the user information of every URL in it removed, and the values of query parameters such as
/// `password` replaced by `***`.
///
/// Meant for connection URLs, which are often not quite valid: when in doubt it removes too much.
///
/// ```
/// # use perch_base::redact::scrub_url;
/// assert_eq!(scrub_url("redis://worker:s3cret@10.0.0.7:6379/0"), "redis://10.0.0.7:6379/0");
/// ```
pub fn scrub_url(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = url_end(after);
        out.push_str(before);
        let is_http = before.ends_with("http://") || before.ends_with("https://");
        out.push_str(&scrub_query(without_user(&after[..end], is_http)));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// A URL ends at white space, a quote, or where the next one of a comma-separated list begins. A comma alone does not
/// end it: it may be part of a password.
fn url_end(text: &str) -> usize {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(text.len());
    match text[..end].find("://") {
        Some(next) => text[..next].rfind(',').unwrap_or(end),
        None => end,
    }
}

fn without_user(url: &str, is_http: bool) -> &str {
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    let is_plain_host = !authority.contains('@')
        && authority.rsplit_once(':').is_none_or(|(_, port)| port.bytes().all(|b| b.is_ascii_digit() || b == b']'));
    // A later @ belongs to the path of a web address, but in a connection URL it ends an unescaped password.
    let user_end = if is_http && is_plain_host { None } else { url.rfind('@') };
    user_end.map_or(url, |at| &url[at + 1..])
}

fn scrub_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let scrubbed: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if names_a_secret(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", scrubbed.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_never_survives() {
        for (url, scrubbed) in [
            ("redis://user:pass@host:6379/0", "redis://host:6379/0"),
            ("rediss://:pass@host", "rediss://host"),
            ("postgres://app:p@ss/w?rd@db/perch", "postgres://db/perch"),
            ("https://token@host/path", "https://host/path"),
            ("https://user:p/w@host/path", "https://host/path"),
            ("redis://a:x,y@one:1,redis://b:z@two:2", "redis://one:1,redis://two:2"),
            ("cannot reach redis://u:p@h:1: refused", "cannot reach redis://h:1: refused"),
            ("postgres://db/perch?user=app&password=hidden", "postgres://db/perch?user=app&password=***"),
        ] {
            assert_eq!(scrub_url(url), scrubbed, "{url}");
        }
    }

    #[test]
    fn a_url_without_user_information_stays_as_it_is() {
        for url in ["https://api.x.com/2/users/@someone", "redis://[::1]:6379", "http://host:80/a?b=c", "no url", ""] {
            assert_eq!(scrub_url(url), url);
        }
    }
}
