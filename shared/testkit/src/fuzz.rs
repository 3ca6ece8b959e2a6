//! Fuzzing with hostile input that is made from examples, for everything that comes from outside.
//!
//! A fuzz test has a folder of examples beside it, its corpus: inputs made by hand, and inputs that once broke something.
//! Each of them is checked first. Then, for `PERCH_FUZZ_SECONDS` (2 unless set), inputs are made from them by changing
//! bytes, and by changing values where they are JSON. An input with a new kind of outcome becomes an example too.
//!
//! An input that breaks the check is made smaller, printed, and with `PERCH_FUZZ_SAVE=1` written to the corpus.
//! `PERCH_FUZZ_SEED` repeats a run.

mod change;

use std::{
    collections::BTreeSet,
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// The longest time for checking one input.
const LONGEST: Duration = Duration::from_secs(20);
/// The longest time for making a failing input smaller.
const SHRINKING: Duration = Duration::from_secs(5);
/// The most examples kept.
const MOST: usize = 2_000;

/// Checks every example in the folder `corpus` and then inputs made from them.
///
/// `check` panics when the outcome of an input is wrong, and otherwise answers the kind of outcome, such as `ok` or the name of an
/// error. There should be few kinds, because each is explored.
///
/// # Panics
/// When `check` does, with the input; when the corpus is empty; when an input takes longer than 20 seconds, the process
/// is ended.
pub fn fuzz(corpus: impl AsRef<Path>, check: impl Fn(&[u8]) -> String) {
    let corpus = corpus.as_ref();
    let watch = HangGuard::start();
    let mut examples = examples(corpus);
    assert!(!examples.is_empty(), "there is no example in {}", corpus.display());
    let mut kinds = BTreeSet::new();
    let run = |input: &[u8], seed: Option<u64>| {
        watch.on(input);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(input)));
        watch.off();
        outcome.unwrap_or_else(|_| broken(corpus, input, seed, &watch, &check))
    };
    for example in &examples {
        kinds.insert(run(example, None));
    }
    let seed = env::var("PERCH_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(some_seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let (began, lasts) = (Instant::now(), duration());
    while began.elapsed() < lasts {
        let at = rng.random_range(0..examples.len());
        let mut input = examples[at].clone();
        for _ in 0..rng.random_range(1..=4) {
            let other = rng.random_range(0..examples.len());
            input = change::change(&mut rng, &input, &examples[other]);
        }
        if kinds.insert(run(&input, Some(seed))) && examples.len() < MOST {
            examples.push(input);
        }
    }
}

fn duration() -> Duration {
    let seconds = env::var("PERCH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

fn some_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The files of a folder in the order of their names.
fn examples(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// Reports the input that failed the check.
fn broken(corpus: &Path, input: &[u8], seed: Option<u64>, watch: &HangGuard, check: &impl Fn(&[u8]) -> String) -> ! {
    let small = smaller(input, watch, check);
    if env::var_os("PERCH_FUZZ_SAVE").is_some_and(|value| value == "1") {
        let name =
            format!("found-{:016x}", small.iter().fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte)));
        fs::write(corpus.join(name), &small).expect("the corpus can be written");
    }
    let from = seed.map_or_else(|| "an example of the corpus".to_owned(), |seed| format!("PERCH_FUZZ_SEED={seed}"));
    panic!("the check broke on {} bytes ({from}): \"{}\"", small.len(), small.escape_ascii());
}

/// The smallest part of a failing input that fails too, as far as it is found in time.
fn smaller(input: &[u8], watch: &HangGuard, check: &impl Fn(&[u8]) -> String) -> Vec<u8> {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let began = Instant::now();
    let mut small = input.to_vec();
    let mut step = small.len().div_ceil(2);
    let breaks = |input: &[u8]| {
        watch.on(input);
        let breaks = panic::catch_unwind(AssertUnwindSafe(|| check(input))).is_err();
        watch.off();
        breaks
    };
    while step > 0 && began.elapsed() < SHRINKING {
        // Nested values need both their brackets, so one part from each end is removed.
        while small.len() > 2 * step && breaks(&small[step..small.len() - step]) {
            small = small[step..small.len() - step].to_vec();
        }
        let mut at = 0;
        while at < small.len() && began.elapsed() < SHRINKING {
            let without = [&small[..at], &small[(at + step).min(small.len())..]].concat();
            if breaks(&without) { small = without } else { at += step }
        }
        step /= 2;
    }
    panic::set_hook(loud);
    small
}

/// Ends the process when an input hangs, because nothing else can end an endless loop.
struct HangGuard(Arc<CurrentInput>);

/// The input that is being checked, and since when.
type CurrentInput = Mutex<Option<(Instant, Vec<u8>)>>;

impl HangGuard {
    fn start() -> Self {
        let current = Arc::<CurrentInput>::default();
        let watched = Arc::downgrade(&current);
        thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                if let Some((since, input)) = &*current.lock().unwrap_or_else(PoisonError::into_inner)
                    && since.elapsed() > LONGEST
                {
                    eprintln!("the check takes longer than {LONGEST:?} on: \"{}\"", input.escape_ascii());
                    std::process::abort();
                }
                drop(current);
                thread::park_timeout(LONGEST / 40);
            }
        });
        Self(current)
    }

    fn on(&self, input: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), input.to_vec()));
    }

    fn off(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(example: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("one"), example).expect("it can be written");
        folder
    }

    fn has_its_number(input: &[u8]) -> String {
        let value = serde_json::from_slice::<serde_json::Value>(input);
        assert!(!value.as_ref().is_ok_and(|value| value["number"].is_null()), "a number that is missing");
        if value.is_ok() { "json".to_owned() } else { "no json".to_owned() }
    }

    #[test]
    fn an_input_that_breaks_the_check_is_found_and_named_with_its_seed() {
        let folder = corpus(br#"{"name":"somebody","number":7}"#);
        let found = panic::catch_unwind(AssertUnwindSafe(|| fuzz(folder.path(), has_its_number)));
        let found = found.expect_err("it is found");
        let said = found.downcast_ref::<String>().expect("words");
        assert!(said.contains("PERCH_FUZZ_SEED="), "{said}");
    }

    #[test]
    fn an_input_that_breaks_the_check_is_made_small() {
        let long = format!(r#"{{"name":"{}","nothing":[1,2,3]}}"#, "somebody".repeat(20));
        let nested = format!("{}{{}}{}", "[".repeat(60), "]".repeat(60));
        for (input, most) in [(long, 20), (nested, 2)] {
            let small = smaller(input.as_bytes(), &HangGuard::start(), &has_its_number);
            assert!(small.len() <= most, "{}", small.escape_ascii());
        }
    }

    #[test]
    fn an_example_that_breaks_the_check_is_named_as_one() {
        let folder = corpus(b"bad");
        let found = panic::catch_unwind(AssertUnwindSafe(|| fuzz(folder.path(), |_| panic!("always"))));
        let found = found.expect_err("it is found");
        assert!(found.downcast_ref::<String>().is_some_and(|said| said.contains("an example of the corpus")));
    }
}
