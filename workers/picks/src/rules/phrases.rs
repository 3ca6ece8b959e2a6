//! The phrases of bettors, and the words around bets.

use std::{collections::HashMap, sync::LazyLock};

use perch_jobs::Side;

use super::term::Term;

/// The meaning of each phrase in a bet.
pub(crate) static PHRASES: LazyLock<HashMap<&'static str, Term>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    let mut add = |term: Term, phrases: &[&'static str]| {
        for phrase in phrases {
            table.insert(*phrase, term.clone());
        }
    };
    add(Term::Side(Side::Over), &["over", "o", "ov", "overs"]);
    add(Term::Side(Side::Under), &["under", "u", "un", "unders"]);
    add(Term::Win { strong: true }, &["ml", "moneyline", "money line", "by any means", "straight up", "su", "h2h"]);
    add(Term::Win { strong: false }, &["to win", "win", "wins", "outright", "to win outright", "to win the fight"]);
    add(Term::Win { strong: false }, &["to win the match", "to win the game", "to win tonight", "win outright"]);
    add(Term::Beats, &["to beat", "beat", "beats", "to defeat", "defeats", "to get past"]);
    add(Term::PickEm, &["pk", "pick em", "pickem", "pick'em", "pick ' em"]);
    add(Term::DrawNoBet, &["dnb", "draw no bet"]);
    add(Term::Draw, &["draw", "the draw", "to draw"]);
    add(Term::Even, &["even", "evens", "ev", "even money"]);
    add(
        Term::Season,
        &["nba title", "title", "the title", "championship", "the championship", "nba championship", "super bowl"],
    );
    add(Term::Season, &["the super bowl", "world series", "the world series", "stanley cup", "the stanley cup"]);
    add(
        Term::Season,
        &["the cup", "the league", "the division", "the conference", "champions league", "mvp", "the mvp"],
    );
    add(Term::Season, &["the afc", "the nfc", "the al", "the nl", "the pennant", "the world cup", "world cup"]);
    add(Term::Season, &["cy young", "the cy young", "heisman", "the heisman", "the finals", "nba finals", "finals"]);
    add(Term::Season, &["the premier league", "premier league title", "the champions league", "la liga title"]);
    add(Term::Season, &["the east", "the west", "wimbledon", "the us open", "the french open", "roland garros"]);
    add(Term::Season, &["the australian open", "the masters", "to make the playoffs", "make the playoffs"]);
    add(
        Term::Season,
        &["rookie of the year", "roty", "dpoy", "opoy", "golden boot", "ballon d'or", "future", "futures"],
    );
    add(Term::Season, &["the nba title", "the nba championship", "the nba finals", "it all", "the natty"]);
    add(Term::Season, &["the open", "the open championship", "the pga championship", "the players", "the derby"]);
    add(
        Term::Season,
        &["national championship", "the national championship", "the tournament", "the fa cup", "fa cup"],
    );
    add(Term::Season, &["the euros", "copa america", "the group", "the group stage", "to be relegated", "relegation"]);
    add(
        Term::Season,
        &["coach of the year", "coy", "mip", "6moy", "sixth man of the year", "the nl mvp", "the al mvp"],
    );
    add(Term::Season, &DIVISIONS);
    add(Term::Versus, &["vs", "v", "versus", "against"]);
    add(Term::Joint, &["/", "-", "&", "and", "x"]);
    add(Term::At, &["@", "at"]);
    add(Term::TeamTotal, &["team total", "tt", "team totals"]);
    add(Term::Each, &["across the board"]);
    add(Term::Each, &["each", "all", "both", "apiece", "a piece", "every", "per play", "per pick", "on everything"]);
    add(Term::Parlay, &["parlay", "parlays", "parlayed", "sgp", "sgps", "acca", "accumulator", "treble", "multi"]);
    add(Term::Parlay, &["same game parlay", "leg", "legs", "legger", "2-leg", "3-leg", "4-leg", "5-leg", "6-leg"]);
    add(
        Term::Parlay,
        &["2-legger", "3-legger", "4-legger", "2leg", "3leg", "4leg", "two leg", "three leg", "teaser", "double @"],
    );
    add(
        Term::Filler,
        &["the", "are", "is", "getting", "laying", "take", "on", "with", "to", "cover", "full", "game", "live", "alt"],
    );
    add(
        Term::Filler,
        &["to cover", "ats", "spread", "the spread", "handicap", "ah", "asian handicap", "asian", "line"],
    );
    add(Term::Filler, &["first half", "1st half", "1h", "2h", "1q", "f5", "first 5", "first five", "first quarter"]);
    add(
        Term::Filler,
        &["tonight", "today", "tomorrow", "(", ")", "[", "]", ":", "for", "of", "in", "total", "combined"],
    );
    add(Term::Filler, &["alternate", "game total", "regulation", "plus the points", "a", "goes", "go", "gets", "pl"]);
    add(Term::Filler, &["to go", "to get", "has", "to have", "to record", "to throw", "1p", "first period", "made"]);
    for (league, phrases) in LEAGUE_WORDS {
        add(Term::League(league), phrases);
    }
    table
});

const DIVISIONS: [&str; 14] = [
    "the afc north",
    "the afc south",
    "the afc east",
    "the afc west",
    "the nfc north",
    "the nfc south",
    "the nfc east",
    "the nfc west",
    "the al east",
    "the al central",
    "the al west",
    "the nl east",
    "the nl central",
    "the nl west",
];

const LEAGUE_WORDS: [(&str, &[&str]); 21] = [
    ("nba", &["nba"]),
    ("nfl", &["nfl", "tnf", "snf", "mnf", "thursday night football", "monday night football", "sunday night football"]),
    ("mlb", &["mlb", "baseball", "run line", "runline", "rl", "nrfi", "yrfi"]),
    ("nhl", &["nhl", "hockey", "puck line", "puckline"]),
    ("wnba", &["wnba"]),
    (
        "ncaab",
        &[
            "ncaab",
            "cbb",
            "ncaabb",
            "college basketball",
            "college hoops",
            "collegebasketball",
            "collegehoops",
            "march madness",
            "ncaa tournament",
        ],
    ),
    ("ncaaf", &["ncaaf", "cfb", "college football", "collegefootball"]),
    (
        "soccer",
        &["soccer", "epl", "premier league", "ucl", "la liga", "serie a", "bundesliga", "mls", "ligue 1", "europa"],
    ),
    ("tennis", &["tennis", "atp", "wta", "grand slam"]),
    ("mma", &["ufc", "mma", "bellator", "pfl"]),
    ("boxing", &["boxing"]),
    ("golf", &["golf", "pga", "liv golf"]),
    ("cricket", &["cricket", "ipl", "t20", "big bash"]),
    (
        "esports",
        &[
            "esports",
            "cs2",
            "csgo",
            "cs:go",
            "valorant",
            "vct",
            "dota",
            "dota 2",
            "league of legends",
            "lck",
            "lec",
            "lpl",
        ],
    ),
    ("rugby", &["rugby", "six nations", "rugby union", "rugby league"]),
    ("darts", &["darts"]),
    ("snooker", &["snooker"]),
    ("f1", &["f1", "formula 1"]),
    ("nascar", &["nascar"]),
    ("cfl", &["cfl"]),
    ("afl", &["afl"]),
];

/// Sports without a table of names. If the post names such a sport, a name of another sport's table is taken for one of this sport.
pub(crate) const WITHOUT_TABLE: [&str; 9] =
    ["cricket", "esports", "rugby", "darts", "snooker", "f1", "nascar", "cfl", "afl"];

/// The league that an emoji stands for.
pub(crate) const LEAGUE_SIGNS: [(char, &str); 11] = [
    ('🏀', "nba"),
    ('🏈', "nfl"),
    ('⚾', "mlb"),
    ('🏒', "nhl"),
    ('⚽', "soccer"),
    ('🎾', "tennis"),
    ('🥊', "mma"),
    ('🥋', "mma"),
    ('⛳', "golf"),
    ('🏏', "cricket"),
    ('🏉', "rugby"),
];

/// Words that are not names, even when capitalised.
pub(crate) const NOT_NAMES: &str = " i i'm i've i'll i'd lean leans me mine im we we're we've we'll us you you're he \
she they it this that these my our your his their let lets let's pick picks play plays best bet bets lock locks potd \
free vip max love like give gimme hammer hammering tail fade tailing fading riding rolling back backing going taking \
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun card player prop props day night \
week one two three four good morning afternoon evening system value small big sprinkle half unit units odds price early \
late add adding also bonus sharp public new action update dog underdog favorite fav home away road team teams series \
match fight main event prelims round first second third not no yes who what why how when if but or so as from by in out \
up down now just only still another next last final official whale bomb nuke confidence star stars risk risking \
longshot ladder double single singles straight straights slate plus minus college need needs want got get doing done \
here there more most all any every each today's tonight's fanduel draftkings mgm caesars bet365 dk fd est et pt ct pm \
am january february march april may june july august september october november december boom bang easy winner cash dm \
join link discord telegram promo use code sign recap results result record had has have having was were is are been be \
loved loving liked liking hitting watching seeing brutal tough huge easy free lay laying laid confident ";

/// Words that may stand around a recommended bet without a price.
pub(crate) const PROPOSING: &str = " i i'm im i'll i've lean leans we we're my me us you give gimme like liking love \
loving take taking play plays playing pick picks bet bets betting lock locks day night week month year century best \
potd lotd hammer hammering tail tailing fade let's lets go going ride riding roll rolling back backing here tonight's \
today's now early late add adding also too again free max small big sprinkle sprinkling game games card slate favorite \
fav one just another more please baby easy huge strong value sharp dog dogs sunday monday tuesday wednesday thursday \
friday saturday morning afternoon evening nightcap prop props player this that it is by for my and or lfg book fanduel \
draftkings fd dk mgm betmgm caesars bet365 espn all in from be will grab grabbing locked locking slip system model says \
favorite official whale bomb confident feeling feel hammered placed bought good luck gl trust eat win riders folks \
everybody everyone guys fam gang about ladder single singles straight ";
