//! Pairs of posts, and whether they are near-duplicates.

use super::*;

/// Two posts that say the same in nearly the same words.
const NEAR: &[(&str, &str)] = &[
    // Only numbers, links, emoji, hashtags or the person spoken to differ.
    (
        "Lakers -4.5 (-110) is my favorite play of the night. 2u",
        "Lakers -3 (-105) is my favorite play of the night. 1u",
    ),
    ("Final score in Boston: Celtics 112, Heat 104", "Final score in Boston: Celtics 98, Heat 95 🏀"),
    (
        "New release: our scheduler is out. https://example.com/a",
        "New release: our scheduler is out. https://example.org/b?c=2",
    ),
    (
        "Nothing beats fresh basil on a hot pizza",
        "Nothing beats fresh basil on a hot pizza 🍕🌿 #cooking #pizza #foodie",
    ),
    (
        "@anna thanks for the question, the parlay pays after the last leg",
        "@ben thanks for the question, the parlay pays after the last leg!",
    ),
    ("Noch 3 Tage bis zum Derby in Dortmund!", "Noch 2 Tage bis zum Derby in Dortmund 💛🖤 #BVBS04"),
    ("Faltan 10 días para el clásico. ¿Quién gana?", "Faltan 9 dias para el clasico... quien gana? ⚽"),
    ("今夜の試合は3対1で勝利しました!", "今夜の試合は2対0で勝利しました⚾️ #プロ野球"),
    // Disguises.
    ("I love this underdog on the road tonight", "I  LOVE this underd0g on the r0ad tonight!!!"),
    ("The best odds are gone by noon", "Тhе bеst оdds аrе gоnе by nооn"),
    ("So good, this new keyboard is a joy to type on", "Sooooo goooood, this new keyboard is a joy to type on"),
    ("Rust makes this queue fearless and fast", "Ru\u{200b}st makes th\u{200d}is queue fear\u{ad}less and fast"),
    ("𝗕𝗶𝗴 news for every developer on our team today", "Big news for every developer on our team today"),
    ("Das Auswärtsspiel wird für Köln richtig schwer", "DAS AUSWÄRTSSPIEL WIRD FÜR KÖLN RICHTIG SCHWER"),
    // A word or two were changed, added or left out.
    (
        "The bullpen has been terrible all week, so I am taking the over tonight",
        "The bullpen has been awful all week, so I am taking the over tonight",
    ),
    (
        "Never chase your losses. Set a budget before the game and stick to it.",
        "Never chase losses. Set a budget before the game and always stick to it.",
    ),
    (
        "Let the dough rest overnight and your bread will thank you",
        "Let your dough rest overnight and the bread will thank you",
    ),
    (
        "Line movement tells you more than any expert on television ever will",
        "Honestly, line movement tells you more than any expert on television ever will",
    ),
    (
        "Caching is easy until you have to invalidate something",
        "Caching is easy until the day you have to invalidate something",
    ),
    (
        "Wer heute auf Unentschieden setzt, braucht starke Nerven",
        "Wer heute auf ein Unentschieden setzt, braucht starke Nerven",
    ),
    (
        "Die Zwiebeln langsam anbraten, dann erst den Knoblauch dazugeben",
        "Die Zwiebeln ganz langsam anbraten, dann erst den Knoblauch dazugeben",
    ),
    (
        "El secreto de una buena tortilla es la paciencia con la cebolla",
        "El secreto de una gran tortilla es la paciencia con la cebolla",
    ),
    (
        "Hoy juega el Betis en casa y yo confío en los goles del segundo tiempo",
        "Hoy juega el Betis en casa y confío en los goles del segundo tiempo",
    ),
    ("明日の対戦カードはとても楽しみですね", "明日の対戦カードが本当にとても楽しみですね"),
    (
        "だしを丁寧に取るだけで味噌汁は驚くほどおいしくなります",
        "だしを丁寧に取るだけで、お味噌汁は驚くほど美味しくなります",
    ),
    ("Good luck tonight!", "good luck tonight 🍀"),
];

/// Two posts of one topic that say different things, or of different topics.
const APART: &[(&str, &str)] = &[
    // One frame, different content.
    (
        "Recipe of the day: creamy mushroom risotto with parmesan. Ready in 30 minutes!",
        "Recipe of the day: spicy chickpea curry with coconut milk. Ready in 25 minutes!",
    ),
    ("Tonight's pick: Lakers -4.5 against the Celtics", "Tonight's pick: over 221 in Miami, both defenses are tired"),
    ("Pick: Lakers ML -110, 2u", "Pick: Heat ML +120, 1u"),
    ("Tip of the week: write the test before the fix", "Tip of the week: read the error message to its end"),
    ("Rezept des Tages: Linsensuppe mit Würstchen", "Rezept des Tages: Apfelstrudel nach Omas Art"),
    ("Pronóstico de hoy: gana el Sevilla por la mínima", "Pronóstico de hoy: más de dos goles en Valencia"),
    ("本日の予想:阪神の勝利、先発投手が好調です", "本日の予想:接戦になり延長まで続くと見ています"),
    // One topic, different statements.
    ("The Chiefs offense looked slow in the first half", "Nobody talks about how good the Chiefs were on third down"),
    ("Celtics in six. Their bench is too deep.", "If the Celtics keep missing threes this series goes seven"),
    (
        "Bankroll management is boring and it is the only thing that works",
        "Your bankroll should survive ten bad days in a row",
    ),
    (
        "Cast iron needs heat, oil and time, nothing else",
        "I ruined a cast iron pan with dish soap and fixed it with salt",
    ),
    ("Sourdough starter doubled overnight, baking today", "Why does my sourdough always turn out flat on humid days?"),
    ("Postgres can be your queue until it cannot", "We moved our queue out of Postgres and latency dropped by half"),
    ("Rust compile times got better this year", "The borrow checker caught a real bug in my code this morning"),
    ("Dortmund spielt zu Hause mutiger als auswärts", "Ohne seinen Kapitän fehlt Dortmund die Ordnung im Mittelfeld"),
    ("Spargel schmeckt am besten ganz schlicht mit Butter", "Aus den Schalen vom Spargel wird eine feine Suppe"),
    ("El Madrid sufre cuando le presionan arriba", "Sin Modric el Madrid pierde el control del partido"),
    ("La paella no lleva chorizo y punto", "Para una paella de seis personas uso medio kilo de arroz"),
    ("大谷選手は今日も見事なホームランを打ちました", "大谷選手の投球は序盤から球威が落ちていました"),
    ("新しいスマホは電池の持ちがとても良い", "スマホの画面を割ってしまい修理に出しました"),
    // Short ones, and words in another order.
    ("Good morning everyone", "Good night everyone"),
    ("Kickoff in Berlin!", "Kickoff in Munich!"),
    ("Dallas beats Miami", "Miami beats Dallas"),
    ("🔥🔥🔥", "🎉"),
    ("100", "What a game"),
];

/// How far from the threshold every pair is at least.
const MARGIN: f64 = 0.05;

#[test]
fn posts_that_a_reader_takes_for_the_same_are_near_duplicates_and_others_are_not() {
    let measured = |pairs: &'static [(&str, &str)]| {
        pairs.iter().map(|(one, other)| (similarity(&Fingerprint::of(one), &Fingerprint::of(other)), one, other))
    };
    let missed: Vec<_> = measured(NEAR).filter(|(similarity, ..)| *similarity < NEAR_DUPLICATE + MARGIN).collect();
    let confused: Vec<_> = measured(APART).filter(|(similarity, ..)| *similarity > NEAR_DUPLICATE - MARGIN).collect();
    assert!(missed.is_empty() && confused.is_empty(), "missed: {missed:#?}\nconfused: {confused:#?}");
}

#[test]
fn pairs_of_different_rows_are_not_near_duplicates() {
    let rows: Vec<_> =
        NEAR.iter().chain(APART).map(|(one, other)| [one, other].map(|text| Fingerprint::of(text))).collect();
    for (nth, row) in rows.iter().enumerate() {
        for (other_nth, other_row) in rows.iter().enumerate().skip(nth + 1) {
            for (one, other) in row.iter().flat_map(|one| other_row.iter().map(move |other| (one, other))) {
                assert!(!is_near_duplicate(one, other), "rows {nth} and {other_nth}");
            }
        }
    }
}
