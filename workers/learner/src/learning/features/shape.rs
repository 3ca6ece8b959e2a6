use super::words::Words;

/// Length and form of a text, each scaled to be around 1 in an ordinary one.
pub(super) fn of(text: &str, words: &Words) -> [(&'static str, f64); 16] {
    let letters = text.chars().count() as f64;
    let spaced = text.split_whitespace().count() as f64;
    let is = |found: bool| f64::from(u8::from(found));
    let starts_with_digit = text.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let shouted = text.split_whitespace().filter(|word| is_shouted(word)).count() as f64;
    [
        ("words", spaced / 10.0),
        ("words squared", (spaced / 10.0).powi(2)),
        ("length", letters / 50.0),
        ("length squared", (letters / 50.0).powi(2)),
        ("length logarithm", (letters + 1.0).ln()),
        (
            "length of words",
            words.iter().map(|word| word.chars().count() as f64).sum::<f64>() / words.count().max(1) as f64 / 5.0,
        ),
        ("question", is(text.contains('?'))),
        ("exclamation", is(text.contains('!'))),
        ("number", is(text.contains(|c: char| c.is_ascii_digit()))),
        ("number first", is(starts_with_digit)),
        ("quote", is(text.contains(['"', '“', '\'', '’']))),
        ("dots", is(text.contains("...") || text.contains('…'))),
        ("commas", text.matches(',').count() as f64),
        ("sentences", sentences(text)),
        ("shouted", shouted),
        ("link", is(text.contains("http://") || text.contains("https://"))),
    ]
}

fn is_shouted(word: &str) -> bool {
    let mut letters = word.chars().filter(|c| c.is_alphabetic());
    letters.clone().count() > 2 && letters.all(char::is_uppercase)
}

/// Runs of closing marks that end a word.
fn sentences(text: &str) -> f64 {
    text.split_whitespace().filter(|word| word.ends_with(['.', '!', '?'])).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        of(text, &Words::of(text)).into_iter().find(|(other, _)| *other == name).expect("a name of the list").1
    }

    #[test]
    fn form_is_read_from_the_text() {
        let text = "7 Things NOBODY says. Really? See https://a.example";
        for (name, expected) in
            [("number first", 1.0), ("shouted", 1.0), ("sentences", 2.0), ("link", 1.0), ("dots", 0.0)]
        {
            assert!((value(text, name) - expected).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn an_empty_text_has_a_shape() {
        assert!(of("", &Words::of("")).iter().all(|(_, value)| value.is_finite()));
    }
}
