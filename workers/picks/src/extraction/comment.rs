//! Renders a pick as text, and the comment on it. Pure functions.

use perch_clients::text::{POST_UNITS, fit, has_link, weighted_length};
use perch_core::short_hash;
use perch_jobs::{AccountId, Pick, PickKind, PostId, Side};

use crate::store::PickBody;

/// The effect key of a comment on a pick: one comment for each account, post and pick, however often it is tried.
pub(super) fn effect_key(account: &AccountId, post: &PostId, pick_key: &str) -> String {
    format!("comment:{account}:{post}:{}", short_hash(pick_key))
}

/// The comment that `template` makes of a pick, at most as long as a post may be. When it is too long, the pick is
/// shortened and the words around it stay.
pub(super) fn comment(template: &str, pick: &PickBody, author: &str, part: PartOf<'_>) -> String {
    let around = filled(template, "", author);
    let room = POST_UNITS.saturating_sub(weighted_length(&around));
    fit(&filled(template, &fit(&render_pick(pick, part), room), author), POST_UNITS)
}

/// Fills the template in one pass, so that braces in the filled-in values are not replaced.
fn filled(template: &str, pick: &str, author: &str) -> String {
    let mut text = String::with_capacity(template.len() + pick.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        text.push_str(before);
        let known = [("{pick}", pick), ("{author}", author)].into_iter().find(|(name, _)| tail.starts_with(name));
        let (name, value) = known.unwrap_or(("{", "{"));
        text.push_str(value);
        rest = &tail[name.len()..];
    }
    text.push_str(rest);
    text.trim().to_owned()
}

/// Returns the part of the game that a pick is about, according to its post.
pub(super) type PartOf<'a> = &'a dyn Fn(&Pick) -> Option<&'static str>;

/// A pick as text: `Los Angeles Lakers -3.5 first half (-110) 2u`.
pub(super) fn render_pick(body: &PickBody, part: PartOf<'_>) -> String {
    match body {
        PickBody::Single(pick) => render_single(pick, part(pick)),
        PickBody::Parlay(parlay) => {
            let legs: Vec<String> = parlay.picks.iter().map(|leg| render_single(leg, part(leg))).collect();
            let odds = parlay.odds.as_deref().map(|odds| format!(" ({})", plain(odds))).unwrap_or_default();
            format!("Parlay{odds}: {}", legs.join(" + "))
        }
    }
}

fn render_single(pick: &Pick, part: Option<&str>) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut say = |word: Option<String>| words.extend(word.filter(|word| !word.is_empty()));
    let side = pick.side.map(|side| if side == Side::Over { "over" } else { "under" }.to_owned());
    let selection = pick.selection.as_deref().map(plain);
    let event = pick.event.as_deref().map(plain);
    match pick.kind {
        PickKind::Moneyline => {
            say(selection);
            say(Some("ML".into()));
        }
        PickKind::Spread => {
            say(selection.or(event));
            say(pick.line.map(spread));
        }
        PickKind::Total => {
            say(event.or(selection).or_else(|| pick.sport.as_deref().map(|sport| plain(sport).to_uppercase())));
            say(side);
            say(pick.line.map(number));
        }
        PickKind::Prop => {
            say(pick.player.as_deref().map(plain));
            say(side);
            say(pick.line.map(number));
            say(pick.stat.as_deref().map(plain));
        }
        PickKind::Future => {
            say(selection);
            say(event);
            say(Some("(future)".into()));
        }
    }
    say(part.map(str::to_owned));
    say(pick.odds.as_deref().map(|odds| format!("({})", plain(odds))));
    say(pick.units.map(|units| format!("{}u", number(units))));
    words.join(" ")
}

fn spread(line: f64) -> String {
    if line == 0.0 {
        return "PK".to_owned();
    }
    format!("{line:+}")
}

fn number(n: f64) -> String {
    n.to_string()
}

/// A field of a model's answer, made safe for publishing. A stranger's post may have influenced it, so it must not mention accounts,
/// contain links or break lines.
fn plain(field: &str) -> String {
    let word = |word: &str| {
        let word: String = word.chars().filter(|c| !c.is_control() && !matches!(c, '@' | '＠')).collect();
        let is_link = word.contains("://") || word.to_lowercase().starts_with("www.") || has_link(&word);
        (!is_link && !word.is_empty()).then_some(word)
    };
    field.split_whitespace().filter_map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use perch_jobs::{ExtractedBets, Parlay, ParlayTag};
    use proptest::prelude::*;

    use super::*;

    const WHOLE: PartOf<'static> = &|_| None;
    const TEMPLATE: &str = "{pick} (via @{author})";

    fn pick(json: &str) -> Pick {
        let blank = r#""sport":null,"event":null,"selection":null,"line":null,"side":null,"player":null,"stat":null,"odds":null,"units":null"#;
        let mut whole: serde_json::Value = serde_json::from_str(&format!("{{{blank}}}")).expect("JSON");
        let given: serde_json::Value = serde_json::from_str(json).expect("JSON");
        for (name, value) in given.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        match ExtractedBets::parse(&whole.to_string()) {
            Ok(ExtractedBets::One(pick)) => pick,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn every_kind_of_pick_is_put_into_words() {
        for (json, words) in [
            (
                r#"{"type":"spread","selection":"Los Angeles Lakers","line":-3.5,"odds":"-110","units":2}"#,
                "Los Angeles Lakers -3.5 (-110) 2u",
            ),
            (r#"{"type":"spread","selection":"Baltimore Ravens","line":3}"#, "Baltimore Ravens +3"),
            (r#"{"type":"spread","selection":"Baltimore Ravens","line":0}"#, "Baltimore Ravens PK"),
            (r#"{"type":"moneyline","selection":"Arsenal","odds":"1.85","units":0.5}"#, "Arsenal ML (1.85) 0.5u"),
            (
                r#"{"type":"total","event":"Manchester City vs Liverpool","line":2.5,"side":"over"}"#,
                "Manchester City vs Liverpool over 2.5",
            ),
            (r#"{"type":"total","sport":"nba","line":221,"side":"under"}"#, "NBA under 221"),
            (
                r#"{"type":"prop","player":"LeBron James","line":25.5,"side":"over","stat":"points"}"#,
                "LeBron James over 25.5 points",
            ),
            (r#"{"type":"prop","player":"Travis Kelce","stat":"anytime touchdown"}"#, "Travis Kelce anytime touchdown"),
            (r#"{"type":"future","selection":"Boston Celtics","odds":"+450"}"#, "Boston Celtics (future) (+450)"),
        ] {
            assert_eq!(render_pick(&PickBody::Single(pick(json)), WHOLE), words);
        }
    }

    #[test]
    fn the_part_of_the_game_is_said() {
        let half: PartOf<'_> = &|pick| (pick.line == Some(-2.5)).then_some("first half");
        let json = r#"{"type":"spread","selection":"Los Angeles Lakers","line":-2.5,"odds":"-110"}"#;
        let words = render_pick(&PickBody::Single(pick(json)), half);
        assert_eq!(words, "Los Angeles Lakers -2.5 first half (-110)");
    }

    #[test]
    fn a_parlay_is_one_pick_with_its_legs() {
        let picks = vec![
            pick(r#"{"type":"moneyline","selection":"New York Knicks"}"#),
            pick(r#"{"type":"spread","selection":"Boston Celtics","line":-4.5}"#),
        ];
        let parlay = Parlay { kind: ParlayTag::Parlay, picks, odds: Some("+264".into()) };
        assert_eq!(
            render_pick(&PickBody::Parlay(parlay), WHOLE),
            "Parlay (+264): New York Knicks ML + Boston Celtics -4.5"
        );
    }

    #[test]
    fn a_comment_that_is_too_long_loses_words_of_the_pick_and_not_its_author() {
        let long = pick(&format!(r#"{{"type":"moneyline","selection":"{}"}}"#, "Very Long Name ".repeat(60)));
        let text = comment(TEMPLATE, &PickBody::Single(long), "sharp_sally", WHOLE);
        assert!(weighted_length(&text) <= POST_UNITS && text.ends_with("(via @sharp_sally)"), "{text}");
        assert!(weighted_length(&text) > 250, "{text}");
    }

    #[test]
    fn a_pick_cannot_mention_link_or_fill_in_anything() {
        let evil = pick(
            r#"{"type":"moneyline","selection":"@someone see https://evil.example/x\nor www.evil.example evil.com {author}"}"#,
        );
        let text = comment(TEMPLATE, &PickBody::Single(evil), "sally", WHOLE);
        assert_eq!(text, "someone see or {author} ML (via @sally)");
    }

    #[test]
    fn the_effect_key_is_the_same_for_the_same_pick_and_fits_the_ledger() {
        let account: AccountId = "main".parse().expect("a name");
        let post: PostId = "1849".parse().expect("an id");
        let key = effect_key(&account, &post, &"x".repeat(600));
        assert_eq!(key, effect_key(&account, &post, &"x".repeat(600)));
        assert_ne!(key, effect_key(&account, &post, "y"));
        assert!(key.starts_with("comment:main:1849:") && key.len() < 64, "{key}");
    }

    proptest! {
        #[test]
        fn every_comment_fits_into_a_post(name in "\\PC{1,400}", template in "\\PC{0,300}") {
            let mut single = pick(r#"{"type":"moneyline","selection":"x"}"#);
            single.selection = Some(name);
            let text = comment(&format!("{template}{{pick}}"), &PickBody::Single(single), "sally", WHOLE);
            prop_assert!(weighted_length(&text) <= POST_UNITS);
        }
    }
}
