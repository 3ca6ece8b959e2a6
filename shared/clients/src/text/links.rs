//! Where the links of a text are.

use std::ops::Range;

/// General domains that are common in posts. With `https://` in front, any other is a link as well.
const GENERAL: &str = " com org net edu gov mil int info biz name pro app dev xyz online site website store shop tech \
     club live news blog media social link click page space cloud email agency digital world today life fun games game \
     bet casino poker bingo sport football tennis golf hockey soccer team fans fan tips vip win money finance trade \
     wiki art video tv show stream studio guru expert zone network group company business ";

const COUNTRIES: &str = " ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs \
     bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi \
     fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir \
     is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn \
     mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw \
     py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm \
     tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw ";

/// The links of a text, in order, as ranges of bytes.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut links: Vec<Range<usize>> = Vec::new();
    let mut previous = None;
    for (at, c) in text.char_indices() {
        let inside = links.last().is_some_and(|link| at < link.end);
        if !inside && c.is_alphanumeric() {
            links.extend(link_at(text, at, previous));
        }
        previous = Some(c);
    }
    links
}

/// The link that starts at `at`, after the character `previous`.
fn link_at(text: &str, at: usize, previous: Option<char>) -> Option<Range<usize>> {
    let rest = &text[at..];
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '@' | '$' | '#' | '_');
    let continues_bare = |c: char| continues(c) || matches!(c, '-' | '.' | '/');
    if previous.is_some_and(|c| if scheme.is_some() { continues(c) } else { continues_bare(c) }) {
        return None;
    }
    let host_start = scheme.map_or(0, str::len);
    let host = host_length(&rest[host_start..], scheme.is_some())?;
    let mut end = host_start + host;
    end += port_length(&rest[end..]);
    end += path_length(&rest[end..]);
    Some(at..at + end)
}

/// The length of the longest host at the start of `text`: labels with dots between, the last a known domain.
fn host_length(text: &str, with_scheme: bool) -> Option<usize> {
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (with_scheme && c.is_alphabetic());
    let run = &text[..text.find(|c: char| !is_host(c)).unwrap_or(text.len())];
    let mut longest = None;
    let mut end = 0;
    for (nth, label) in run.split('.').enumerate() {
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            break;
        }
        end += label.len() + usize::from(nth > 0);
        let stands_alone = !text[end..].starts_with(['@', '-', '_']);
        if nth > 0 && stands_alone && is_domain(label, with_scheme) {
            longest = Some(end);
        }
    }
    longest
}

fn is_domain(label: &str, with_scheme: bool) -> bool {
    let label = label.to_ascii_lowercase();
    let listed = |list: &str| list.split_ascii_whitespace().any(|known| known == label);
    let plausible = label.chars().count() >= 2 && label.chars().all(char::is_alphabetic);
    listed(COUNTRIES) || listed(GENERAL) || (with_scheme && (plausible || label.starts_with("xn--")))
}

fn port_length(text: &str) -> usize {
    let Some(digits) = text.strip_prefix(':') else { return 0 };
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if length == 0 { 0 } else { 1 + length }
}

/// The length of path and query at the start of `text`, without the punctuation of the sentence around.
fn path_length(text: &str) -> usize {
    if !text.starts_with(['/', '?']) {
        return 0;
    }
    let belongs = |c: char| c.is_alphanumeric() && u32::from(c) < 0x530 || "!?*'();:&=+$/%#[]-_.,~|@".contains(c);
    let mut path = &text[..text.find(|c: char| !belongs(c)).unwrap_or(text.len())];
    while let Some(last) = path.chars().next_back() {
        let balanced = last == ')' && path.matches('(').count() >= path.matches(')').count();
        if last.is_alphanumeric() || "=_#/+-&".contains(last) || balanced {
            break;
        }
        path = &path[..path.len() - last.len_utf8()];
    }
    path.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<&str> {
        find(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn links_are_found_in_running_text() {
        assert_eq!(
            links("See HTTPS://Example.com/a?b=c&d, bet.com:8080/x. And t.co/1; https://пример.рф/путь!"),
            ["HTTPS://Example.com/a?b=c&d", "bet.com:8080/x", "t.co/1", "https://пример.рф/путь"]
        );
        assert_eq!(links("example.com.Next one"), ["example.com"]);
        assert_eq!(links("(https://en.example.org/Odds_(betting)) here"), ["https://en.example.org/Odds_(betting)"]);
    }

    #[test]
    fn addresses_names_and_numbers_are_no_links() {
        for text in ["me@example.com", "john.do@example.com", "@bet.com", "1.91", "-3.5", "vs.the", "$a.com", "x/y.com"]
        {
            assert!(find(text).is_empty(), "{text}");
        }
    }
}
