//! Canonical spelling for what posts and models write in many ways.

mod support;

use perch_bot_picks::normal::{
    event, identity, league, market, normalised, player, sport, starts_at, stat, team, terms, units,
};
use perch_jobs::{Pick, PickKind, Side};
use support::{at, post};

#[test]
fn sports_and_leagues_have_one_word() {
    for (written, sport_word, league_word) in [
        ("NBA", Some("nba"), Some("nba")),
        ("WNBA", Some("wnba"), Some("wnba")),
        ("College Hoops", Some("ncaab"), Some("ncaab")),
        ("CBB", Some("ncaab"), Some("ncaab")),
        ("NCAA Basketball", Some("ncaab"), Some("ncaab")),
        ("CFB", Some("ncaaf"), Some("ncaaf")),
        ("college football", Some("ncaaf"), Some("ncaaf")),
        ("Baseball", Some("mlb"), Some("mlb")),
        ("Ice Hockey", Some("nhl"), Some("nhl")),
        ("EPL", Some("soccer"), Some("premier league")),
        ("Premier League", Some("soccer"), Some("premier league")),
        ("La Liga", Some("soccer"), Some("la liga")),
        ("UCL", Some("soccer"), Some("champions league")),
        ("MLS", Some("soccer"), Some("mls")),
        ("fútbol", Some("soccer"), None),
        ("ATP", Some("tennis"), Some("atp")),
        ("UFC", Some("mma"), Some("ufc")),
        ("Mixed Martial Arts", Some("mma"), None),
        ("PGA Tour", Some("golf"), None),
        ("football", None, None),
        ("quidditch", None, None),
    ] {
        assert_eq!(sport(written), sport_word, "{written}");
        assert_eq!(league(written), league_word, "{written}");
    }
}

#[test]
fn teams_and_competitors_have_their_full_names() {
    for (written, of, full) in [
        ("LA Lakers", None, "Los Angeles Lakers"),
        ("lakers", None, "Los Angeles Lakers"),
        ("LAL", Some("nba"), "Los Angeles Lakers"),
        ("the Celtics", None, "Boston Celtics"),
        ("Sixers", None, "Philadelphia 76ers"),
        ("Mavs", None, "Dallas Mavericks"),
        ("NY Giants", Some("nfl"), "New York Giants"),
        ("Giants", Some("mlb"), "San Francisco Giants"),
        ("Giants", None, "Giants"),
        ("Niners", None, "San Francisco 49ers"),
        ("KC", Some("nfl"), "Kansas City Chiefs"),
        ("Green Bay", Some("nfl"), "Green Bay Packers"),
        ("Yanks", None, "New York Yankees"),
        ("Leafs", None, "Toronto Maple Leafs"),
        ("Golden Knights", None, "Vegas Golden Knights"),
        ("Man Utd", None, "Manchester United"),
        ("Man City", None, "Manchester City"),
        ("Spurs", Some("soccer"), "Tottenham Hotspur"),
        ("Spurs", Some("nba"), "San Antonio Spurs"),
        ("Arsenal FC", Some("soccer"), "Arsenal"),
        ("Chelsea F.C.", Some("soccer"), "Chelsea"),
        ("FC Bayern", Some("soccer"), "Bayern Munich"),
        ("Brighton & Hove Albion", Some("soccer"), "Brighton"),
        ("PSG", None, "Paris Saint-Germain"),
        ("Atlético", None, "Atletico Madrid"),
        ("Duke Blue Devils", Some("ncaab"), "Duke"),
        ("Michigan State Spartans", Some("ncaab"), "Michigan State"),
        ("Djokovic", Some("tennis"), "Novak Djokovic"),
        ("Aces", Some("wnba"), "Las Vegas Aces"),
        ("  Unheard   Of  ", None, "Unheard Of"),
    ] {
        assert_eq!(team(written, of), full, "{written} in {of:?}");
    }
}

#[test]
fn players_have_their_full_names() {
    for (written, of, full) in [
        ("LeBron", None, "LeBron James"),
        ("lebron james", None, "LeBron James"),
        ("Jokić", None, "Nikola Jokic"),
        ("SGA", Some("nba"), "Shai Gilgeous-Alexander"),
        ("Shai Gilgeous Alexander", None, "Shai Gilgeous-Alexander"),
        ("P. Nobody", None, "P. Nobody"),
        ("Mahomes", Some("nfl"), "Patrick Mahomes"),
        ("Ja'Marr Chase", None, "Ja'Marr Chase"),
        ("Amon-Ra St Brown", None, "Amon-Ra St. Brown"),
        ("Josh Allen", Some("nfl"), "Josh Allen"),
    ] {
        assert_eq!(player(written, of), full, "{written}");
    }
}

#[test]
fn events_name_both_sides_in_full_and_in_the_order_given() {
    for (written, of, full) in [
        ("Knicks @ Heat", Some("nba"), Some("New York Knicks vs Miami Heat")),
        ("Knicks at Heat", None, Some("New York Knicks vs Miami Heat")),
        ("Chiefs/Bills", None, Some("Kansas City Chiefs vs Buffalo Bills")),
        ("Rangers vs. Devils", None, Some("New York Rangers vs New Jersey Devils")),
        ("Rangers v Astros", None, Some("Texas Rangers vs Houston Astros")),
        ("Man City v Liverpool", None, Some("Manchester City vs Liverpool")),
        ("Arsenal - Chelsea", Some("soccer"), Some("Arsenal vs Chelsea")),
        ("Djokovic versus Alcaraz", None, Some("Novak Djokovic vs Carlos Alcaraz")),
        ("Lakers", None, None),
    ] {
        assert_eq!(event(written, of).as_deref(), full, "{written}");
    }
}

#[test]
fn markets_have_one_word() {
    for (written, kind) in [
        ("ML", PickKind::Moneyline),
        ("Money Line", PickKind::Moneyline),
        ("match winner", PickKind::Moneyline),
        ("1X2", PickKind::Moneyline),
        ("ATS", PickKind::Spread),
        ("Run Line", PickKind::Spread),
        ("puck line", PickKind::Spread),
        ("Asian Handicap", PickKind::Spread),
        ("o/u", PickKind::Total),
        ("Over/Under", PickKind::Total),
        ("team total", PickKind::Total),
        ("Player Props", PickKind::Prop),
        ("outright", PickKind::Future),
        ("Futures", PickKind::Future),
    ] {
        assert_eq!(market(written), Some(kind), "{written}");
    }
    assert_eq!(market("horoscope"), None);
}

#[test]
fn statistics_have_one_name() {
    for (written, name) in [
        ("pts", "points"),
        ("Points", "points"),
        ("total points", "points"),
        ("rebs", "rebounds"),
        ("boards", "rebounds"),
        ("ast", "assists"),
        ("3PM", "threes"),
        ("three pointers made", "threes"),
        ("3-pointers", "threes"),
        ("PRA", "points+rebounds+assists"),
        ("pts+reb+ast", "points+rebounds+assists"),
        ("points + assists", "points+assists"),
        ("pass yds", "passing yards"),
        ("passing TDs", "passing touchdowns"),
        ("rush yards", "rushing yards"),
        ("rec yds", "receiving yards"),
        ("rush + rec yds", "rushing+receiving yards"),
        ("catches", "receptions"),
        ("ATD", "anytime touchdown"),
        ("anytime TD scorer", "anytime touchdown"),
        ("Ks", "strikeouts"),
        ("TB", "total bases"),
        ("HR", "home runs"),
        ("H+R+RBI", "hits+runs+rbis"),
        ("SOG", "shots on goal"),
        ("SOT", "shots on target"),
        ("double double", "double-double"),
    ] {
        assert_eq!(stat(written), Some(name), "{written}");
    }
    assert_eq!(stat("vibes"), None);
}

#[test]
fn stakes_are_units_however_they_are_told() {
    for (written, stake) in [
        ("Lakers -3.5 2u", Some(2.0)),
        ("Lakers -3.5 2U", Some(2.0)),
        ("Lakers -3.5, 1.5 units", Some(1.5)),
        ("Lakers -3.5 (.5u)", Some(0.5)),
        ("Lakers -3.5 half a unit", Some(0.5)),
        ("Lakers -3.5 ½ unit", Some(0.5)),
        ("Lakers -3.5 1/2u", Some(0.5)),
        ("Lakers -3.5 for a unit", Some(1.0)),
        ("Lakers -3.5 one unit", Some(1.0)),
        ("Lakers -3.5 3*", Some(3.0)),
        ("Lakers -3.5 ★★★", Some(3.0)),
        ("3-star play: Lakers -3.5", Some(3.0)),
        ("2-unit play: Lakers -3.5", Some(2.0)),
        ("Lakers -3.5\nUnits: 2", Some(2.0)),
        ("Lakers -3.5, 3% of the roll", Some(3.0)),
        ("Arsenal 11/10, 1pt", Some(1.0)),
        ("Lakers -3.5 1u, Heat +4 2u", None),
        ("Lakers ML (-120) to win 1u", None),
        ("Lakers ML (-120) 1.2u to win 1u", Some(1.2)),
        ("Lakers ML -120\nStake: 2u", Some(2.0)),
        ("up +3.2u on the week", None),
        ("90% of bettors are on the Lakers", None),
        ("Lakers -3.5", None),
    ] {
        assert_eq!(units(written), stake, "{written}");
    }
}

#[test]
fn a_start_is_read_with_its_zone_and_its_day() {
    // A Saturday at ten in the morning in New York.
    let posted = at("2026-11-21T15:00:00Z");
    for (written, start) in [
        ("Lakers -3.5 7:30 ET", Some("2026-11-22T00:30:00Z")),
        ("Lakers -3.5 tonight 7:30pm EST", Some("2026-11-22T00:30:00Z")),
        ("7 PM ET tonight", Some("2026-11-22T00:00:00Z")),
        ("8p ET", Some("2026-11-22T01:00:00Z")),
        ("tip at 7:30et", Some("2026-11-22T00:30:00Z")),
        ("10pm PT", Some("2026-11-22T06:00:00Z")),
        ("1:05 CT first pitch", Some("2026-11-21T19:05:00Z")),
        ("tomorrow 1pm ET", Some("2026-11-22T18:00:00Z")),
        ("Sunday 4:25 p.m. ET", Some("2026-11-22T21:25:00Z")),
        ("Thursday 8:15 ET", Some("2026-11-27T01:15:00Z")),
        ("11/26 12:30pm ET", Some("2026-11-26T17:30:00Z")),
        ("9:30 am ET London game", Some("2026-11-22T14:30:00Z")),
        ("20:45 CET", Some("2026-11-21T19:45:00Z")),
        ("17:30 GMT", Some("2026-11-21T17:30:00Z")),
        ("12:00 GMT", Some("2026-11-22T12:00:00Z")),
        ("tonight", None),
        ("7:30 tonight", None),
        ("25:10 ET", None),
        ("3 ETs and a spaceship", None),
    ] {
        assert_eq!(starts_at(written, posted), start.map(at), "{written}");
    }
    let summer = at("2026-07-01T15:00:00Z");
    assert_eq!(starts_at("7:05 EST", summer), Some(at("2026-07-01T23:05:00Z")), "clocks show summer time");
}

#[test]
fn the_same_bet_has_the_same_identity_however_it_is_worded() {
    let plain = post("");
    let lakers = Pick { selection: Some("Los Angeles Lakers".into()), line: Some(-3.5), ..Pick::of(PickKind::Spread) };
    let same = [
        Pick { sport: Some("NBA".into()), odds: Some("-110".into()), units: Some(2.0), ..lakers.clone() },
        Pick { selection: Some("LA Lakers".into()), odds: Some("+105".into()), ..lakers.clone() },
        Pick { selection: Some("lakers".into()), sport: Some("basketball".into()), ..lakers.clone() },
        Pick { event: Some("Lakers @ Heat".into()), ..lakers.clone() },
        Pick { event: Some("Heat vs. Lakers".into()), ..lakers.clone() },
    ];
    let expected = identity(&Pick { sport: Some("nba".into()), ..lakers.clone() }, &plain);
    // "basketball" does not determine the league; the team does.
    for other in same.iter().filter(|p| p.sport.as_deref() != Some("basketball")) {
        assert_eq!(identity(other, &plain), expected, "{other:?}");
    }
    assert_eq!(identity(&same[2], &plain), expected);
    assert_ne!(identity(&Pick { line: Some(-4.5), ..lakers }, &plain), expected);

    let total = |event: &str| Pick {
        event: Some(event.into()),
        line: Some(221.5),
        side: Some(Side::Over),
        ..Pick::of(PickKind::Total)
    };
    assert_eq!(identity(&total("Lakers/Celtics"), &plain), identity(&total("Boston Celtics vs LA Lakers"), &plain));

    let prop = |player: &str, stat: &str, line: Option<f64>, side: Option<Side>| Pick {
        player: Some(player.into()),
        stat: Some(stat.into()),
        line,
        side,
        ..Pick::of(PickKind::Prop)
    };
    let over = Some(Side::Over);
    assert_eq!(
        identity(&prop("Steph Curry", "3PM", Some(4.5), over), &plain),
        identity(&prop("Stephen Curry", "threes", Some(4.5), over), &plain),
    );
    assert_eq!(
        identity(&prop("Derrick Henry", "anytime TD", Some(0.5), over), &plain),
        identity(&prop("Derrick Henry", "Anytime Touchdown", None, None), &plain),
    );
}

#[test]
fn what_the_post_says_of_its_sport_tells_names_apart() {
    let jets = Pick { selection: Some("Jets".into()), ..Pick::of(PickKind::Moneyline) };
    let read = |text: &str| normalised(&jets, &post(text));
    assert_eq!(read("Jets ML 🏒").selection.as_deref(), Some("Winnipeg Jets"));
    assert_eq!(read("Jets ML #NFL").selection.as_deref(), Some("New York Jets"));
    assert_eq!(read("Jets ML").selection.as_deref(), Some("Jets"));
    assert_eq!(read("Jets ML #NFL").sport.as_deref(), Some("nfl"));
    let draw = Pick { selection: Some("tie".into()), ..Pick::of(PickKind::Moneyline) };
    assert_eq!(normalised(&draw, &post("")).selection.as_deref(), Some("Draw"));
}

#[test]
fn a_normalised_pick_is_normalised_already() {
    for name in ["LA Lakers", "Giants", "Man Utd", "Duke Blue Devils", "Nobody At All", "Spurs"] {
        for sport in [None, Some("NBA"), Some("EPL"), Some("cbb"), Some("football")] {
            let pick = Pick {
                sport: sport.map(Into::into),
                selection: Some(name.into()),
                event: Some(format!("{name} @ Heat")),
                ..Pick::of(PickKind::Moneyline)
            };
            let once = normalised(&pick, &post(""));
            assert_eq!(normalised(&once, &post("")), once, "{name} in {sport:?}");
        }
    }
}

#[test]
fn terms_say_what_a_pick_has_no_field_for() {
    let arsenal = Pick {
        sport: Some("soccer".into()),
        selection: Some("Arsenal".into()),
        odds: Some("1.85".into()),
        ..Pick::of(PickKind::Moneyline)
    };
    let said = terms(&arsenal, &post("EPL: Arsenal to win @ 1.85, 2 units. 17:30 GMT"));
    assert_eq!((said.american, said.decimal, said.units), (Some(-118), Some(1.85), Some(2.0)));
    assert_eq!(said.league.as_deref(), Some("premier league"));
    assert_eq!(said.starts_at, Some(at("2026-11-21T17:30:00Z")));
    assert!((said.implied.expect("odds") - 1.0 / 1.85).abs() < 1e-12);
    let silent = terms(&Pick { odds: None, sport: None, ..arsenal }, &post("Arsenal to win"));
    assert_eq!(silent, perch_bot_picks::normal::BetTerms::default());
}

#[test]
fn the_stake_of_a_pick_is_that_of_its_own_words_line_or_heading() {
    let warriors = Pick { selection: Some("Golden State Warriors".into()), ..Pick::of(PickKind::Moneyline) };
    for (text, units) in [
        ("Warriors ML 2u", Some(2.0)),
        ("Warriors ML\nCeltics -4 2u", None),
        ("Warriors ML, Celtics -4 2u", None),
        ("Celtics -4 2u\nWarriors ML 1u", Some(1.0)),
        ("2u plays\nWarriors ML\nCeltics -4", Some(2.0)),
        ("Tonight, 3 units", None),
    ] {
        assert_eq!(terms(&warriors, &post(text)).units, units, "{text}");
    }
}
