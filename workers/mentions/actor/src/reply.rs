//! Short replies, combined from parts so that few are alike.

use perch_sandbox::Draw;

/// The tone of a mention, which decides how a reply begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Question,
    Thanks,
    Joke,
    Cold,
    Talk,
}

const THANKS: [&str; 8] = ["thank", "thx", "appreciate", "cashed", "respect", "good stuff", "called that", "units up"];
const JOKES: [&str; 8] = ["my dog", "my wife", "fish", "hot dog", "blanket", "lawn chair", "is it legal", "lol"];
const COLD: [&str; 8] = ["worst", "losses in a row", "square", "weak", "scam", "stupid", "shut up", "nobody wants"];

fn tone(text: &str) -> Tone {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&COLD) {
        Tone::Cold
    } else if has(&THANKS) {
        Tone::Thanks
    } else if has(&JOKES) {
        Tone::Joke
    } else if text.contains('?') || has(&["who", "what", "how", "give me", "rate ", "roast", "say something"]) {
        Tone::Question
    } else {
        Tone::Talk
    }
}

fn openers(tone: Tone) -> &'static [&'static str] {
    match tone {
        Tone::Question => &[
            "Short answer: small.",
            "I had the same question this morning.",
            "Depends on the number you can get.",
            "Fair one to ask.",
            "I would not rush it.",
            "Looked at that one twice.",
            "My honest read:",
            "It is closer than it looks.",
            "Not my strongest spot, but",
            "Two ways to see it.",
        ],
        Tone::Thanks => &[
            "Glad it landed.",
            "That one was fun to watch.",
            "Enjoy it, and keep the stake flat.",
            "You did the hard part.",
            "Nice to hear.",
            "Good night for once.",
            "We take those.",
            "Credit to the closing line.",
        ],
        Tone::Joke => &[
            "That is going on my fridge.",
            "I have seen worse models.",
            "Put that in the preview next time.",
            "My spreadsheet just laughed.",
            "I needed that today.",
            "Hard to argue with the sample size.",
            "Somebody check the injury report on that one.",
            "I would bet on that if I could find the market.",
        ],
        Tone::Cold => &[
            "Fair, the last week was rough.",
            "Noted, no hard feelings.",
            "I have earned some of that.",
            "You are not the only one who thinks so.",
            "Happy to be wrong in public.",
            "Cold streaks read worse than they are.",
            "All on the record, the bad ones too.",
            "No argument from me.",
        ],
        Tone::Talk => &[
            "Good to see you here.",
            "Reading along.",
            "Interesting way to put it.",
            "I had to read that twice.",
            "Could be.",
            "Noted.",
            "That is one way to spend an evening.",
            "Here for it.",
        ],
    }
}

const MIDDLES: [&str; 24] = [
    "The price matters more to me than the side",
    "I would want half a point more",
    "The total tells you more than the spread here",
    "Rest days are the part people forget",
    "I keep coming back to the pace of that one",
    "The market has moved without much news",
    "I like it less than I did an hour ago",
    "The first ten minutes will say a lot",
    "There is no rule against passing",
    "The bench decides these more often than the stars",
    "I trust the matchup and not the trend",
    "Books are hanging a tempting number",
    "Everybody saw the last game and nobody the ten before",
    "The travel spot is a real one",
    "Public money is loud on the other side",
    "The weather may matter more than the quarterback",
    "A flat stake keeps it fun",
    "My notes say wait for the lineup",
    "The numbers and my gut disagree, so I go small",
    "The road team is better than its record",
    "I would rather be early than right at the wrong price",
    "The underdog has the better goalie tonight",
    "It is a long season and a short evening",
    "Variance is doing most of the talking",
];

const DETAILS: [&str; 16] = [
    ", and that is about all I know.",
    ", at least until the lineups are out.",
    ", which is why I keep it at half a unit.",
    ", so shop around first.",
    ", though I have been wrong there before.",
    ". I will post the result either way.",
    ". Ask me again at tip-off.",
    ". It is on my list, not on my card.",
    ", for what it is worth.",
    ". No lock, just a lean.",
    ", and the closing line will tell.",
    ". If it moves again I am out.",
    ", so no chasing please.",
    ". Passing is a position too.",
    ", says the one without a crystal ball.",
    ". Take it with some salt.",
];

const CLOSERS: [&str; 12] = [
    "",
    "",
    " Good luck tonight.",
    " Enjoy the game.",
    " Let me know how it goes.",
    " See you at the final whistle.",
    " Keep it small.",
    " Curious what you end up doing.",
    " Have a good one.",
    " Stay patient.",
    " Talk later.",
    " Cheers.",
];

/// A reply to a text; the same for the same text and seed.
pub(crate) fn to(text: &str, seed: u64) -> String {
    let mut draw = Draw::of(seed, text, 0);
    let opener = draw.pick(openers(tone(text)));
    let middle = draw.pick(&MIDDLES);
    let middle = if opener.ends_with([':', 't']) { lowered(middle) } else { (*middle).to_owned() };
    format!("{opener} {middle}{}{}", draw.pick(&DETAILS), draw.pick(&CLOSERS))
}

fn lowered(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.starts_with("I ") => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use perch_sandbox::{LONGEST, weight};

    use super::*;
    use crate::{MentionKind, text};

    #[test]
    fn replies_fit_a_post_and_hardly_two_are_alike() {
        let mut seen = HashSet::new();
        let mut draw = Draw::new(1);
        for n in 0..300 {
            let kind = MentionKind::drawn(&mut draw);
            let reply = to(&format!("{n} {}", text(kind, "perch_bot", &mut draw)), 1);
            assert!(weight(&reply) < LONGEST - 60 && !reply.contains(['@', '#', '<']), "{reply}");
            seen.insert(reply);
        }
        assert!(seen.len() >= 298, "{} of 300", seen.len());
    }

    #[test]
    fn a_mention_is_answered_in_its_tone() {
        for (text, expected) in [
            ("@bot who do you like tonight?", Tone::Question),
            ("@bot cashed with you, thank you!", Tone::Thanks),
            ("@bot my dog picked the Suns", Tone::Joke),
            ("@bot worst take of the year", Tone::Cold),
            ("@bot", Tone::Talk),
        ] {
            assert_eq!(tone(text), expected, "{text}");
        }
    }
}
