use std::{collections::BTreeSet, sync::LazyLock};

use perch_jobs::PickKind;
use perch_odds::fold;

use crate::rules::{
    asides::without_asides,
    lex::{normalise, tokens},
    names::{NAMES, key_of},
    token::{Lexeme, Token},
};

/// Canonical sports and the words for them.
const SPORTS: [(&str, &[&str]); 25] = [
    ("nba", &["nba", "basketball nba", "nba basketball", "pro basketball", "association"]),
    ("wnba", &["wnba", "womens nba", "wnba basketball"]),
    (
        "ncaab",
        &[
            "ncaab",
            "ncaam",
            "ncaabb",
            "cbb",
            "ncaa basketball",
            "ncaa b",
            "college basketball",
            "mens college basketball",
            "college hoops",
            "march madness",
            "ncaamb",
        ],
    ),
    ("nfl", &["nfl", "pro football", "nfl football", "american football"]),
    ("ncaaf", &["ncaaf", "cfb", "ncaafb", "ncaa football", "college football", "ncaa f"]),
    ("mlb", &["mlb", "baseball", "mlb baseball", "major league baseball"]),
    ("nhl", &["nhl", "hockey", "ice hockey", "nhl hockey"]),
    ("soccer", &["soccer", "futbol", "fútbol", "association football", "footy", "football (soccer)"]),
    ("tennis", &["tennis", "atp", "wta", "atp tennis", "wta tennis", "tennis atp", "tennis wta"]),
    ("mma", &["mma", "ufc", "mixed martial arts", "bellator", "pfl", "ufc/mma", "ufc mma"]),
    ("boxing", &["boxing", "box"]),
    ("golf", &["golf", "pga", "pga tour", "liv", "liv golf"]),
    ("cricket", &["cricket", "ipl", "t20"]),
    ("esports", &["esports", "e-sports", "cs2", "csgo", "league of legends", "lol", "valorant", "dota 2"]),
    ("rugby", &["rugby", "rugby union", "rugby league", "nrl", "six nations"]),
    ("darts", &["darts", "pdc"]),
    ("snooker", &["snooker"]),
    ("table tennis", &["table tennis", "ping pong"]),
    ("volleyball", &["volleyball"]),
    ("handball", &["handball"]),
    ("lacrosse", &["lacrosse"]),
    ("aussie rules", &["aussie rules", "afl", "australian rules"]),
    ("motorsport", &["motorsport", "f1", "formula 1", "formula one", "nascar", "motogp"]),
    ("cycling", &["cycling"]),
    ("horse racing", &["horse racing", "racing", "horses"]),
];

/// Words for sports that have several leagues, so that the league stays open.
const SEVERAL_LEAGUES: [&str; 5] = ["football", "basketball", "ncaa", "college", "college sports"];

/// Leagues of soccer, tennis and MMA, which the word for the sport does not determine.
const LEAGUES: [(&str, &[&str]); 16] = [
    ("premier league", &["epl", "premier league", "english premier league", "prem", "premierleague"]),
    ("championship", &["efl championship", "championship"]),
    ("la liga", &["la liga", "laliga", "la liga ea sports"]),
    ("serie a", &["serie a", "seriea", "calcio"]),
    ("bundesliga", &["bundesliga", "german bundesliga"]),
    ("ligue 1", &["ligue 1", "ligue1"]),
    ("champions league", &["ucl", "champions league", "uefa champions league", "championsleague"]),
    ("europa league", &["uel", "europa league", "uefa europa league"]),
    ("conference league", &["uecl", "conference league"]),
    ("mls", &["mls", "major league soccer"]),
    ("liga mx", &["liga mx", "ligamx"]),
    ("world cup", &["world cup", "fifa world cup"]),
    ("euros", &["euros", "euro 2024", "uefa euro"]),
    ("atp", &["atp", "atp tour", "atp tennis"]),
    ("wta", &["wta", "wta tour", "wta tennis"]),
    ("ufc", &["ufc"]),
];

/// Sports that are a league themselves.
const OWN_LEAGUE: [&str; 7] = ["nba", "wnba", "ncaab", "nfl", "ncaaf", "mlb", "nhl"];

const MARKETS: [(PickKind, &[&str]); 5] = [
    (
        PickKind::Moneyline,
        &[
            "moneyline",
            "ml",
            "money line",
            "m/l",
            "money-line",
            "to win",
            "win",
            "winner",
            "match winner",
            "match result",
            "h2h",
            "head to head",
            "1x2",
            "3-way",
            "straight up",
            "su",
            "full time result",
            "ftr",
            "money",
        ],
    ),
    (
        PickKind::Spread,
        &[
            "spread",
            "ats",
            "point spread",
            "pointspread",
            "handicap",
            "asian handicap",
            "ah",
            "run line",
            "runline",
            "rl",
            "puck line",
            "puckline",
            "pl",
            "line",
            "the spread",
            "points spread",
            "hcp",
            "game handicap",
            "draw no bet",
            "dnb",
        ],
    ),
    (
        PickKind::Total,
        &[
            "total",
            "totals",
            "o/u",
            "ou",
            "over/under",
            "over under",
            "over",
            "under",
            "game total",
            "total points",
            "total goals",
            "total runs",
            "team total",
            "tt",
            "goals o/u",
        ],
    ),
    (
        PickKind::Prop,
        &[
            "prop",
            "props",
            "player prop",
            "player props",
            "player_prop",
            "proposition",
            "player special",
            "player total",
            "goalscorer",
            "anytime scorer",
        ],
    ),
    (
        PickKind::Future,
        &[
            "future",
            "futures",
            "outright",
            "outrights",
            "outright winner",
            "to win outright title",
            "ante post",
            "antepost",
            "season long",
            "award",
        ],
    ),
];

/// Statistics that either happen or not, without a line.
const HAPPENS: [&str; 5] =
    ["anytime touchdown", "first touchdown", "anytime goal", "anytime goalscorer", "double-double"];

fn canonical<T: Copy>(table: &[(T, &[&str])], text: &str) -> Option<T> {
    let word = plain(text);
    table.iter().find(|(_, words)| words.iter().any(|known| plain(known) == word)).map(|(canonical, _)| *canonical)
}

/// Letters, digits and slashes in lower case, separated by single spaces.
fn plain(text: &str) -> String {
    let spaced: String = fold(text).chars().map(|c| if c.is_alphanumeric() || c == '/' { c } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The canonical word for a sport or league: "College Hoops" is `ncaab`, "EPL" is `soccer`. `None` for words that fit several sports,
/// such as "football".
pub fn sport(text: &str) -> Option<&'static str> {
    canonical(&SPORTS, text).or_else(|| match canonical(&LEAGUES, text)? {
        "atp" | "wta" => Some("tennis"),
        "ufc" => Some("mma"),
        _ => Some("soccer"),
    })
}

/// Whether a text is a word for a sport, including sports of several leagues.
pub(crate) fn is_sport(text: &str) -> bool {
    sport(text).is_some() || SEVERAL_LEAGUES.contains(&plain(text).as_str())
}

/// The league name in the tables for a word for a sport; `None` if the word fits several leagues.
pub(super) fn one_league(text: &str) -> Option<&str> {
    sport(text).or_else(|| (!SEVERAL_LEAGUES.contains(&plain(text).as_str())).then_some(text))
}

/// The canonical word for a league: "EPL" is `premier league`. A sport that is a league itself, such as `nba`, is returned as it is.
pub fn league(text: &str) -> Option<&'static str> {
    canonical(&LEAGUES, text).or_else(|| sport(text).filter(|sport| OWN_LEAGUE.contains(sport)))
}

/// The league that a text names, if it names exactly one.
pub(super) fn league_in(text: &str) -> Option<&'static str> {
    let said = format!(" {} ", plain(text));
    let all = LEAGUES.iter().map(|(name, words)| (*name, *words));
    let own = SPORTS.iter().filter(|(sport, _)| OWN_LEAGUE.contains(sport)).map(|(sport, words)| (*sport, *words));
    let mut found =
        all.chain(own).filter(|(_, words)| words.iter().any(|word| said.contains(&format!(" {} ", plain(word)))));
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}

/// The kind of bet that a word for a market means.
pub fn market(text: &str) -> Option<PickKind> {
    canonical(&MARKETS, text)
}

/// The canonical name of a statistic: "3PM" is `threes`, "pass yds" is `passing yards`.
pub fn stat(text: &str) -> Option<&'static str> {
    let key = key_of(text);
    let known = NAMES.stats.iter().find(|stat| stat.name == key || key_of(stat.name) == key).map(|stat| stat.name);
    let found = known.or_else(|| NAMES.stat(&key).map(|at| NAMES.stats[at].name));
    // In "total rebounds" the first word adds nothing.
    let stripped = || {
        let rest = key.strip_prefix("total ").or_else(|| key.strip_prefix("player "))?;
        NAMES.stat(rest).map(|at| NAMES.stats[at].name)
    };
    found.or_else(stripped).or_else(|| summed(text))
}

/// The statistic that counts several others together: "pts+reb+ast".
fn summed(text: &str) -> Option<&'static str> {
    let parts: Option<BTreeSet<usize>> = text.split(['+', '&', ',']).map(|part| NAMES.stat(&key_of(part))).collect();
    let names: Vec<&str> = parts.filter(|parts| parts.len() > 1)?.into_iter().map(|at| NAMES.stats[at].name).collect();
    let sum = names.join("+");
    NAMES.stats.iter().find(|stat| stat.name == sum).map(|stat| stat.name)
}

/// Whether all words of a text are words for statistics: "made threes and assists".
pub(crate) fn is_of_stats(text: &str) -> bool {
    plain(text).split([' ', '/']).all(|word| STAT_WORDS.contains(word))
}

/// All words of the names of the statistics, and the words that join them.
static STAT_WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let apart = |c: char| !c.is_alphanumeric();
    let rows = include_str!("../../data/stats.txt").lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|row| row.split(apart)).chain(["total", "and", "team", "player", "match"]).collect()
});

pub(super) fn is_over_or_under(text: &str) -> bool {
    matches!(plain(text).split(' ').next(), Some("over" | "under" | "o" | "u" | "overs" | "unders"))
}

/// Whether a text is about the points of one team.
pub(super) fn says_team_total(text: &str) -> bool {
    let said = format!(" {} ", plain(text));
    ["team total", "team totals", "tt", "tto", "ttu", "team o/u"]
        .iter()
        .any(|words| said.contains(&format!(" {words} ")))
}

/// Whether a statistic is what the games of a sport are scored in. A total of the game is the same bet with or without that word.
pub(super) fn counts_the_game(stat: &str, sport: Option<&str>) -> bool {
    matches!(
        (sport, stat),
        (Some("nba" | "wnba" | "ncaab" | "nfl" | "ncaaf"), "points")
            | (Some("mlb"), "runs")
            | (Some("nhl" | "soccer"), "goals")
            | (Some("tennis"), "games")
            | (Some("mma" | "boxing"), "rounds")
    )
}

pub(super) fn happens(stat: &str) -> bool {
    HAPPENS.contains(&stat)
}

/// The highest percentage of a bankroll that is accepted as a stake.
const MOST_PERCENT: f64 = 25.0;

/// Words beside a percentage that make it a share of the bankroll.
const OF_A_BANKROLL: [&str; 9] = ["roll", "bankroll", "br", "bank", "stake", "staking", "play", "risk", "risking"];

/// The stake of a text in units, if it names only one: "2u", "1.5 units", "★★★". A share of the bankroll counts as one unit per per
/// cent, the usual definition of a unit; other percentages are not stakes.
pub fn units(text: &str) -> Option<f64> {
    units_in(&tokens(&normalise(text)))
}

/// The stake that some words name, if it is only one.
pub(super) fn units_in(tokens: &[Token]) -> Option<f64> {
    let tokens = without_asides(tokens);
    let of_a_bankroll = |at: usize| {
        let after = tokens.iter().skip(at + 1).filter(|t| !matches!(t.folded.as_str(), "of" | "my" | "the" | "your"));
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        before.into_iter().chain(after.take(1)).any(|t| OF_A_BANKROLL.contains(&t.folded.as_str()))
    };
    let share = |at: usize| {
        let share = tokens[at].text.strip_suffix('%')?.parse().ok()?;
        (share > 0.0 && share <= MOST_PERCENT && of_a_bankroll(at)).then_some(share)
    };
    let stake = |at: usize| match tokens[at].lexeme {
        Lexeme::Units(units) if units > 0.0 && units <= 1_000.0 => Some(units),
        Lexeme::Word => share(at),
        _ => None,
    };
    let mut stakes: Vec<f64> = (0..tokens.len()).filter_map(stake).collect();
    stakes.dedup();
    match stakes.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}
