//! Shows what the rules read in posts, and what makes them doubt.

fn main() {
    let texts: Vec<String> =
        serde_json::from_reader(std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap()).unwrap();
    let (mut sure, mut likely) = (0, 0);
    for text in &texts {
        let found = perch_picks::rules::read(text);
        let is_likely = found.likely != perch_jobs::Answer::Nothing(());
        likely += usize::from(is_likely);
        sure += usize::from(is_likely && found.doubts.is_empty());
        let doubts: Vec<String> = found.doubts.iter().map(ToString::to_string).collect();
        println!(
            "{} {text:?}\n    {} {}",
            if is_likely && doubts.is_empty() {
                "SURE"
            } else if is_likely {
                "doubt"
            } else {
                "nothing"
            },
            serde_json::to_string(&found.likely).unwrap().replace("null", "-"),
            doubts.join("; ")
        );
    }
    println!("{sure} sure, {likely} likely of {}", texts.len());
}
