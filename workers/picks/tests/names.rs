//! A name means a team only as a whole: words after it may make it another team.

mod support;

use perch_bot_picks::normal::{event, normalised, player, team};
use perch_jobs::{ExtractedBets, Pick, PickKind, Side, odds::Odds};
use proptest::prelude::*;
use support::post;

#[test]
fn a_longer_name_is_not_the_team_that_it_begins_with() {
    for (written, sport, full) in [
        ("Michigan St.", "ncaab", "Michigan State"),
        ("Florida St", "ncaaf", "Florida State"),
        ("Oklahoma St", "ncaaf", "Oklahoma State"),
        ("Kansas St", "ncaaf", "Kansas State"),
        ("Iowa St.", "ncaab", "Iowa State"),
        ("Arizona St.", "ncaaf", "Arizona State"),
        ("Ohio St", "ncaaf", "Ohio State"),
        ("Ohio St. Buckeyes", "ncaaf", "Ohio State"),
        ("San Diego St. Aztecs", "ncaab", "San Diego State"),
        ("Washington State", "ncaab", "Washington State"),
        ("Oregon State Beavers", "ncaab", "Oregon State"),
        ("Miami (OH) RedHawks", "ncaab", "Miami (OH)"),
        ("Miami (FL)", "ncaaf", "Miami"),
        ("Miami Hurricanes", "ncaaf", "Miami"),
        ("Texas State", "ncaaf", "Texas State"),
        ("Texas A&M Aggies", "ncaaf", "Texas A&M"),
        ("Georgia Southern", "ncaaf", "Georgia Southern"),
        ("Georgia Bulldogs", "ncaaf", "Georgia"),
        ("UNC Wilmington", "ncaab", "UNC Wilmington"),
        ("Houston Christian", "ncaab", "Houston Christian"),
        ("Alabama A&M", "ncaaf", "Alabama A&M"),
        ("Tennessee Tech", "ncaaf", "Tennessee Tech"),
        ("Idaho St.", "ncaaf", "Idaho State"),
        ("St. John's Red Storm", "ncaab", "St. John's"),
        ("Duke Lady Blue Devils", "ncaab", "Duke Lady Blue Devils"),
        ("Arsenal Women", "soccer", "Arsenal Women"),
        ("England U21", "soccer", "England U21"),
        ("Bayern Munich II", "soccer", "Bayern Munich II"),
        ("Atletico Nacional", "soccer", "Atletico Nacional"),
        ("Barcelona SC", "soccer", "Barcelona SC"),
        ("Independiente del Valle", "soccer", "Independiente del Valle"),
        ("Newcastle Jets", "soccer", "Newcastle Jets"),
        ("Brighton and Hove Albion FC", "soccer", "Brighton and Hove Albion FC"),
        ("Brighton and Hove Albion", "soccer", "Brighton"),
    ] {
        assert_eq!(team(written, Some(sport)), full, "{written}");
    }
    assert_eq!(event("Florida St @ Clemson", Some("ncaaf")).as_deref(), Some("Florida State vs Clemson"));
    assert_eq!(event("Texas State vs Texas", Some("ncaaf")).as_deref(), Some("Texas State vs Texas"));
}

#[test]
fn every_college_goes_by_its_name_with_its_mascot_in_both_its_sports() {
    for row in include_str!("../data/mascots.txt").lines().filter(|row| row.starts_with("college")) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, mascots] = columns.as_slice() else { panic!("{row}") };
        let known = |sport: &str| include_str!("../data/teams.txt").contains(&format!("{sport} | | {name} |"));
        for sport in ["ncaab", "ncaaf"].into_iter().filter(|sport| known(sport)) {
            for mascot in mascots.split(',').map(str::trim) {
                assert_eq!(team(&format!("{name} {mascot}"), Some(sport)), *name, "{row} in {sport}");
            }
        }
    }
}

#[test]
fn a_name_of_several_teams_is_nobody_s() {
    for (written, sport, full) in [
        ("Sox", Some("mlb"), "Sox"),
        ("Sox", None, "Sox"),
        ("Wildcats", Some("ncaab"), "Wildcats"),
        ("Cougars", Some("ncaab"), "Cougars"),
        ("Vegas", None, "Vegas"),
        ("Vegas", Some("nfl"), "Las Vegas Raiders"),
        ("Vegas", Some("nhl"), "Vegas Golden Knights"),
        ("Philly", None, "Philly"),
        ("Philly", Some("mlb"), "Philadelphia Phillies"),
        ("Charlotte", None, "Charlotte"),
        ("Charlotte", Some("nba"), "Charlotte Hornets"),
    ] {
        assert_eq!(team(written, sport), full, "{written} in {sport:?}");
    }
    let vegas = Pick { selection: Some("Vegas".into()), ..Pick::of(PickKind::Moneyline) };
    assert_eq!(normalised(&vegas, &post("Vegas ML")).sport, None);
}

#[test]
fn names_of_results_are_read_with_accents_and_with_any_word_for_the_sport() {
    for (written, sport, full) in [
        ("Atlético Madrid", Some("La Liga"), "Atletico Madrid"),
        ("Atlético de Madrid", Some("soccer"), "Atletico Madrid"),
        ("Man Utd", Some("EPL"), "Manchester United"),
        ("LA Clippers", Some("NBA"), "Los Angeles Clippers"),
        ("LA Clippers", Some("basketball"), "Los Angeles Clippers"),
        ("Bayern München", Some("Bundesliga"), "Bayern Munich"),
        ("FC Bayern München", Some("Bundesliga"), "Bayern Munich"),
        ("Michigan State", None, "Michigan State"),
        ("Duke Blue Devils", None, "Duke"),
        ("Duke Blue Devils", Some("College Basketball"), "Duke"),
    ] {
        assert_eq!(team(written, sport), full, "{written} in {sport:?}");
    }
    assert_eq!(player("Luka Dončić", Some("NBA")), "Luka Doncic");
}

#[test]
fn a_total_has_its_game_and_no_selection() {
    let total = Pick {
        sport: Some("nba".into()),
        event: Some("Lakers vs Celtics".into()),
        line: Some(221.5),
        side: Some(Side::Over),
        ..Pick::of(PickKind::Total)
    };
    let plain = normalised(&total, &post("Lakers/Celtics over 221.5"));
    for selection in ["Over", "over 221.5", "Under", "Los Angeles Lakers", "celtics", " "] {
        let answered = Pick { selection: Some(selection.into()), ..total.clone() };
        let read = normalised(&answered, &post("Lakers/Celtics over 221.5"));
        assert_eq!(read.identity(), plain.identity(), "{selection}");
    }
    for stat in ["points", "pts", "total points"] {
        let answered = Pick { stat: Some(stat.into()), ..total.clone() };
        assert_eq!(normalised(&answered, &post("")).identity(), plain.identity(), "{stat}");
    }
    let own = Pick { selection: Some("Lakers".into()), ..total.clone() };
    let read = normalised(&own, &post("Lakers team total over 112.5 vs Celtics"));
    assert_eq!(read.selection.as_deref(), Some("Los Angeles Lakers"), "their own points are counted");
    let corners = Pick { stat: Some("corners".into()), sport: Some("soccer".into()), ..total };
    assert_eq!(normalised(&corners, &post("")).stat.as_deref(), Some("corners"));
}

#[test]
fn what_says_nothing_makes_no_other_bet() {
    let prop = Pick {
        sport: Some("nba".into()),
        player: Some("LeBron James".into()),
        stat: Some("points".into()),
        line: Some(25.5),
        side: Some(Side::Over),
        ..Pick::of(PickKind::Prop)
    };
    let plain = normalised(&prop, &post("")).identity();
    for selection in ["Over", "LeBron James", "Lakers", ""] {
        let answered = Pick { selection: Some(selection.into()), ..prop.clone() };
        assert_eq!(normalised(&answered, &post("")).identity(), plain, "{selection}");
    }
    let pickem = Pick { selection: Some("Lakers".into()), line: Some(0.0), ..Pick::of(PickKind::Spread) };
    let negative = Pick { line: Some(-0.0), ..pickem.clone() };
    assert_eq!(normalised(&negative, &post("")).identity(), normalised(&pickem, &post("")).identity());
}

#[test]
fn what_wins_at_the_line_itself_is_over_a_half_less() {
    let threes = |text: &str, line: f64, side: Option<Side>| {
        let prop = Pick {
            sport: Some("nba".into()),
            player: Some("Klay Thompson".into()),
            stat: Some("threes".into()),
            line: Some(line),
            side,
            ..Pick::of(PickKind::Prop)
        };
        let read = normalised(&prop, &post(text));
        (read.line, read.side)
    };
    let over = Some(Side::Over);
    for text in ["Klay Thompson 4+ threes +120", "Klay 4 or more threes", "Klay to make at least 4 threes"] {
        assert_eq!(threes(text, 4.0, over), (Some(3.5), over), "{text}");
        assert_eq!(threes(text, 4.0, None), (Some(3.5), over), "{text}");
        assert_eq!(threes(text, 3.5, over), (Some(3.5), over), "{text}");
    }
    assert_eq!(threes("Klay Thompson over 4 threes", 4.0, over), (Some(4.0), over));
    let card = "Klay Thompson over 4 threes\nLeBron James 4+ threes";
    assert_eq!(threes(card, 4.0, over), (Some(4.0), over));
    assert_eq!(threes("Klay under 4 threes, not 4+", 4.0, Some(Side::Under)), (Some(4.0), Some(Side::Under)));
}

proptest! {
    #[test]
    fn an_answer_may_have_the_odds_that_are_read_and_no_others(written in r"[-+@( ]{0,2}[0-9.,/evns]{0,6}\)?") {
        let answer = serde_json::json!({
            "type": "moneyline", "sport": "nba", "event": null, "selection": "Los Angeles Lakers", "line": null,
            "side": null, "player": null, "stat": null, "odds": written, "units": null,
        });
        prop_assert_eq!(ExtractedBets::parse(&answer.to_string()).is_ok(), Odds::parse(&written).is_ok());
    }
}
