//! Assigns words of a post to its picks: the part of the game and the start.

mod support;

use perch_bot_picks::normal::{BetTerms, PARTS, parlay_terms, part, starts_at, terms, units};
use perch_jobs::{Parlay, ParlayTag, Pick, PickKind, Side};
use support::{at, post};

fn spread(sport: &str, name: &str, line: f64) -> Pick {
    Pick { line: Some(line), kind: PickKind::Spread, ..moneyline(sport, name) }
}

fn moneyline(sport: &str, name: &str) -> Pick {
    Pick { sport: Some(sport.into()), selection: Some(name.into()), ..Pick::of(PickKind::Moneyline) }
}

fn total(sport: &str, event: &str, line: f64) -> Pick {
    let side = Some(Side::Over);
    Pick { kind: PickKind::Total, event: Some(event.into()), selection: None, side, ..spread(sport, "", line) }
}

#[test]
fn a_bet_on_a_part_of_the_game_says_which() {
    let lakers = spread("nba", "Los Angeles Lakers", -2.5);
    let dodgers = moneyline("mlb", "Los Angeles Dodgers");
    let sinner = spread("tennis", "Jannik Sinner", -1.5);
    let oilers = moneyline("nhl", "Edmonton Oilers");
    let fight = total("mma", "Max Holloway vs Ilia Topuria", 2.5);
    for (text, pick, said) in [
        ("Lakers 1H -2.5 (-110)", &lakers, Some("first half")),
        ("1st half Lakers -2.5", &lakers, Some("first half")),
        ("Lakers -2.5 first half 🔒", &lakers, Some("first half")),
        ("Lakers -2.5 first-half", &lakers, Some("first half")),
        ("Lakers 2H -2.5", &lakers, Some("second half")),
        ("Lakers 1Q -2.5", &lakers, Some("first quarter")),
        ("Lakers Q3 -2.5", &lakers, Some("third quarter")),
        ("Lakers fourth quarter -2.5", &lakers, Some("fourth quarter")),
        ("Lakers -2.5", &lakers, None),
        ("Lakers -2.5 full game, no 1H for me", &lakers, None),
        ("Lakers first half? No thanks. Lakers -2.5 is the play", &lakers, None),
        ("Lakers -2.5, they looked lost in the first half last night", &lakers, None),
        ("Dodgers F5 ML -120", &dodgers, Some("first five innings")),
        ("Dodgers first five -120", &dodgers, Some("first five innings")),
        ("Dodgers ML first 5 innings", &dodgers, Some("first five innings")),
        ("Dodgers 1st inning ML", &dodgers, Some("first inning")),
        ("Phillies F5? I'd rather Dodgers ML (-120) full game", &dodgers, None),
        ("Oilers 1P ML +150", &oilers, Some("first period")),
        ("Oilers 2nd period ML", &oilers, Some("second period")),
        ("Oilers ML in regulation +120", &oilers, Some("regulation")),
        ("Sinner -1.5 sets", &sinner, Some("sets")),
        ("Sinner first set -1.5", &sinner, Some("first set")),
        ("Sinner -1.5 in his first round match", &sinner, None),
        ("Holloway vs Topuria over 2.5 rounds", &fight, Some("rounds")),
        ("Holloway vs Topuria over 2.5", &fight, Some("rounds")),
    ] {
        assert_eq!(part(pick, &post(text)), said, "{text}");
        assert!(said.is_none_or(|said| PARTS.contains(&said)), "{text}");
        assert_eq!(terms(pick, &post(text)).part.as_deref(), said, "{text}");
    }
}

#[test]
fn a_part_is_that_of_its_own_line_alone() {
    let (lakers, celtics) = (spread("nba", "Los Angeles Lakers", -2.5), spread("nba", "Boston Celtics", -4.5));
    let heat = moneyline("nba", "Miami Heat");
    let said = |text: &str| [&lakers, &celtics, &heat].map(|pick| part(pick, &post(text)));
    let first = Some("first half");
    for (text, parts) in [
        ("Card 🏀\nLakers -2.5\nCeltics 1H -4.5\nHeat ML", [None, first, None]),
        ("Lakers -2.5, Celtics -4.5 1H, Heat ML", [None, first, None]),
        ("Lakers -2.5 and Celtics 1H -4.5 and Heat ML", [None, first, None]),
        ("1H Lakers -2.5 Celtics -4.5 Heat ML", [first, None, None]),
        ("1H plays:\nLakers -2.5\nCeltics -4.5\n\nFull game:\nHeat ML", [first, first, None]),
        ("1H: Lakers -2.5, Celtics -4.5\nHeat ML", [first, first, None]),
        ("Heat ML\n\nFirst half 🔒\nLakers -2.5\nCeltics -4.5", [first, first, None]),
        ("Lakers -2.5 (-110), 1H, 2u\nCeltics -4.5\nHeat ML", [first, None, None]),
    ] {
        assert_eq!(said(text), parts, "{text}");
    }
}

#[test]
fn props_and_totals_have_the_part_of_their_own_words() {
    let lebron = Pick {
        kind: PickKind::Prop,
        selection: None,
        player: Some("LeBron James".into()),
        stat: Some("points".into()),
        side: Some(Side::Over),
        ..spread("nba", "", 7.5)
    };
    let game = total("nba", "Los Angeles Lakers vs Boston Celtics", 112.5);
    let card = "LeBron o7.5 1Q points\nLakers/Celtics 1H over 112.5";
    assert_eq!(part(&lebron, &post(card)), Some("first quarter"));
    assert_eq!(part(&game, &post(card)), Some("first half"));
    let card = "LeBron over 7.5 points\nLakers vs Celtics over 112.5 in the first half";
    assert_eq!((part(&lebron, &post(card)), part(&game, &post(card))), (None, Some("first half")));
    let unknown = moneyline("tennis", "Jan Zorblax");
    assert_eq!(part(&unknown, &post("Zverev ML\nJan Zorblax 1st set ML")), Some("first set"));
    let inning = total("mlb", "New York Yankees vs Boston Red Sox", 0.5);
    assert_eq!(part(&inning, &post("NRFI Yankees/Red Sox o0.5")), Some("first inning"));
}

#[test]
fn a_parlay_has_the_parts_of_its_legs() {
    let legs = vec![spread("nba", "Los Angeles Lakers", -2.5), moneyline("nba", "Miami Heat")];
    let parlay = Parlay { kind: ParlayTag::Parlay, picks: legs, odds: Some("+264".into()) };
    let said = |text: &str| parlay_terms(&parlay, &post(text)).part;
    assert_eq!(said("Parlay +264\nLakers -2.5\nHeat ML"), None);
    assert_eq!(said("Parlay +264\nLakers 1H -2.5\nHeat ML").as_deref(), Some("first half"));
    assert_eq!(said("Parlay +264\nLakers 1H -2.5\nHeat 1Q ML").as_deref(), Some("first half + first quarter"));
}

#[test]
fn terms_from_before_parts_were_known_are_read() {
    let old = r#"{"american":-110,"decimal":1.909,"implied":0.5238,"units":2.0,"starts_at":null,"league":"nba"}"#;
    let terms: BetTerms = serde_json::from_str(old).expect("old terms");
    assert_eq!((terms.american, terms.part), (Some(-110), None));
}

#[test]
fn prices_and_teams_are_no_days() {
    let posted = at("2026-11-21T15:00:00Z");
    for (written, start) in [
        ("Arsenal 11/10 to beat Chelsea, 17:30 GMT", Some("2026-11-21T17:30:00Z")),
        ("Liverpool 4/6, 7pm ET", Some("2026-11-22T00:00:00Z")),
        ("Liverpool 4/6 7pm ET", Some("2026-11-22T00:00:00Z")),
        ("Sun -4.5 7pm ET", Some("2026-11-22T00:00:00Z")),
        ("Aces @ Sun 7pm ET", Some("2026-11-22T00:00:00Z")),
        ("Sun 7pm ET", Some("2026-11-23T00:00:00Z")),
        ("Lakers -3.5 Sun @ 7pm ET", Some("2026-11-23T00:00:00Z")),
        ("11/26 at 12:30pm ET", Some("2026-11-26T17:30:00Z")),
        ("1/3 7pm ET", Some("2027-01-04T00:00:00Z")),
        ("beat them last Sunday. 7pm ET", Some("2026-11-22T00:00:00Z")),
    ] {
        assert_eq!(starts_at(written, posted), start.map(at), "{written}");
    }
}

#[test]
fn each_pick_of_a_card_begins_at_its_own_time() {
    let (lakers, celtics) = (spread("nba", "Los Angeles Lakers", -2.5), spread("nba", "Boston Celtics", -4.5));
    let heat = moneyline("nba", "Miami Heat");
    let starts = |text: &str| [&lakers, &celtics, &heat].map(|pick| terms(pick, &post(text)).starts_at);
    let (seven, eight) = (Some(at("2026-11-22T00:00:00Z")), Some(at("2026-11-22T01:00:00Z")));
    for (text, expected) in [
        ("Lakers -2.5 7pm ET\nCeltics -4.5 8pm ET\nHeat ML", [seven, eight, None]),
        ("7pm ET\nLakers -2.5\nCeltics -4.5\nHeat ML", [seven, seven, seven]),
        ("7pm ET games:\nLakers -2.5\nCeltics -4.5\n8pm ET games:\nHeat ML", [seven, seven, eight]),
        ("Lakers -2.5, Celtics -4.5, Heat ML. All at 7pm ET", [seven, seven, seven]),
        ("Lakers @ Suns 7pm ET\nLakers -2.5\nCeltics -4.5 8pm ET\nHeat ML", [seven, eight, None]),
    ] {
        assert_eq!(starts(text), expected, "{text}");
    }
    let sunday = Some(at("2026-11-22T18:00:00Z"));
    assert_eq!(starts("Sunday card\nLakers -2.5 1pm ET")[0], sunday);
}

#[test]
fn only_a_share_of_the_bankroll_is_a_stake_in_per_cent() {
    for (text, stake) in [
        ("Lakers -3.5 with a 20% profit boost", None),
        ("Lakers -3.5, model has a 12% edge", None),
        ("Lakers -3.5, only 18% of bets", None),
        ("Lakers -3.5, 3% of my bankroll", Some(3.0)),
        ("Lakers -3.5, risking 2%", Some(2.0)),
        ("Lakers -3.5 5% play", Some(5.0)),
    ] {
        assert_eq!(units(text), stake, "{text}");
    }
}
