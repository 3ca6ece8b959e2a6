//! Texts of an arm, as a model would write them: readers and scores see nothing but their words.

use rand::{Rng, RngExt as _, seq::IndexedRandom as _};

use crate::{
    learning::generator,
    spec::{ArmSpec, Form, Hook},
};

const CLAIMS: [&str; 4] = [
    "{} rewards patience more than skill",
    "Most advice on {} is about the wrong thing",
    "Cheap {} costs more in the end",
    "Nobody talks about {} after the first week",
];
const QUESTIONS: [&str; 4] = [
    "What would you change about {} first?",
    "Why does {} behave so differently at home?",
    "Who taught you the most about {}?",
    "How do you know that {} is ready?",
];
const NUMBERS: [&str; 4] = [
    "{n} minutes of {} change the whole day",
    "About {n} bakers use {} every morning",
    "Only {n} percent of {} is sold fresh",
    "Give {} {n} hours more than you think",
];
const STORIES: [&str; 4] = [
    "Last week {} surprised the whole bakery",
    "Yesterday a guest asked about {}",
    "I ignored {} for years",
    "We once ruined a batch by trusting {}",
];
const MORE: [&str; 10] = [
    "It is slower, and it is worth it",
    "Temperature matters more than time",
    "Write down what you did before you change it",
    "The crust tells you more than the clock",
    "Ask whoever does the early shift",
    "Small batches forgive, large ones do not",
    "Flour from another mill behaves like another plant",
    "The recipe is the least of it",
    "Water first, everything else later",
    "Taste it cold, as your guests will",
];

/// The parts of a text of an arm. The same seed gives the same text.
pub(super) fn text(arm: &ArmSpec, seed: u64) -> Vec<String> {
    let mut rng = generator(seed);
    let opening = opening(arm, &mut rng);
    let more: Vec<&str> = MORE.sample(&mut rng, 3).copied().collect();
    match arm.form {
        Form::Single => {
            let sentences = more.iter().take(rng.random_range(0..=2)).map(|more| format!(" {more}."));
            vec![sentences.fold(opening, |text, more| text + &more)]
        }
        Form::List => vec![more.iter().fold(opening, |text, more| format!("{text}\n- {more}"))],
        Form::Thread => std::iter::once(opening).chain(more.iter().map(|more| format!("{more}."))).collect(),
    }
}

fn opening<R: Rng>(arm: &ArmSpec, rng: &mut R) -> String {
    let patterns = match arm.hook {
        Hook::Claim => &CLAIMS,
        Hook::Question => &QUESTIONS,
        Hook::Number => &NUMBERS,
        Hook::Story => &STORIES,
    };
    let pattern = patterns[rng.random_range(0..patterns.len())];
    let number = rng.random_range(2..100).to_string();
    let text = pattern.replace("{n}", &number).replace("{}", arm.topic.as_deref().unwrap_or("bread"));
    if text.ends_with('?') { text } else { text + "." }
}

#[cfg(test)]
mod tests {
    use perch_readers::Shown;

    use super::*;
    use crate::simulate::usual_arms;

    #[test]
    fn readers_recognise_the_arm_of_every_text() {
        let arms = usual_arms();
        let topics: Vec<&str> = arms.iter().filter_map(|arm| arm.topic.as_deref()).collect();
        for arm in &arms {
            for seed in 0..200 {
                let parts = text(arm, seed);
                let shown = Shown::of(&parts, &topics);
                let named = (shown.topic.as_deref(), shown.form.as_str(), shown.hook.as_str());
                assert_eq!(named, (arm.topic.as_deref(), arm.form.as_str(), arm.hook.as_str()), "{parts:?}");
            }
        }
    }
}
