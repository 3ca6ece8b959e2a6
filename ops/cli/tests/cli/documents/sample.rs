//! Samples of output in a document, and whether something is what they show.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a reader types or pastes. Every other block of a document is a sample of what comes out.
const TYPED: [&str; 8] = ["mermaid", "sh", "sql", "python", "js", "rust", "toml", "yaml"];

/// A block of output.
#[derive(Debug)]
pub struct Sample {
    pub document: String,
    /// Where it begins.
    pub line: usize,
    lines: Vec<String>,
}

/// A command of a sample, and what the document says that it prints.
#[derive(Debug)]
pub struct Shown {
    pub words: Vec<String>,
    lines: Vec<String>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn text_of(document: &str) -> String {
    fs::read_to_string(root().join(document)).expect("the document is there")
}

/// The samples of a document, in their order.
pub fn samples(document: &str) -> Vec<Sample> {
    let (mut samples, mut fence) = (Vec::<Sample>::new(), None::<bool>);
    for (at, line) in text_of(document).lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(language), None) => {
                let is_sample = !TYPED.contains(&language.trim());
                fence = Some(is_sample);
                if is_sample {
                    samples.push(Sample { document: document.to_owned(), line: at + 2, lines: Vec::new() });
                }
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some(true)) => samples.last_mut().expect("it has begun").lines.push(line.to_owned()),
            (None, _) => {}
        }
    }
    samples
}

/// The one sample of a document that begins like this.
pub fn sample(document: &str, begins: &str) -> Sample {
    let mut fitting: Vec<Sample> = samples(document);
    fitting.retain(|sample| sample.first_line().starts_with(begins));
    assert_eq!(fitting.len(), 1, "samples of {document} that begin with {begins:?}");
    fitting.remove(0)
}

impl Sample {
    pub fn first_line(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// All of it as it stands.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The commands that stand after a prompt, each with what it prints.
    pub fn commands(&self) -> Vec<Shown> {
        let mut commands = Vec::<Shown>::new();
        for line in &self.lines {
            if let Some(command) = line.strip_prefix("$ perch ") {
                commands.push(Shown { words: shell_words::split(command).expect("a command"), lines: Vec::new() });
            } else if let Some(shown) = commands.last_mut() {
                shown.lines.push(line.clone());
            }
        }
        commands
    }

    /// What is wrong with it, if anything, where this was printed.
    pub fn difference(&self, printed: &str) -> Option<String> {
        difference(&self.lines, printed)
    }
}

impl Shown {
    /// What is wrong with what the command printed, if anything.
    pub fn difference(&self, stdout: &str, stderr: &str) -> Option<String> {
        // What is said beside an answer may come before it or after it.
        let orders = [[stdout, stderr], [stderr, stdout]];
        let wrong = orders.map(|[first, then]| difference(&self.lines, &format!("{first}{then}")));
        let wrong = wrong.into_iter().reduce(|one, other| if one.is_none() { one } else { other.and(one) }).flatten();
        wrong.map(|wrong| format!("$ perch {}\n{wrong}", self.words.join(" ")))
    }
}

pub fn is_id(word: &str) -> bool {
    word.len() == 26 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// A line without what differs from run to run.
fn shape(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.replace('(', "( ").replace(')', " )").split_whitespace() {
        // Which of them is asked first differs too.
        let word = if ["grok:", "openai:", "together:"].contains(&word) { "PROVIDER:" } else { word };
        let mut digits = String::new();
        for c in word.chars() {
            match c {
                c if c.is_ascii_digit() && digits.ends_with('0') => {}
                c if c.is_ascii_digit() => digits.push('0'),
                c => digits.push(c),
            }
        }
        let bare = digits.trim_end_matches([';', ',', '.']);
        let is_time = ["now", "0ms", "0s", "0m", "0h", "0d"].contains(&bare);
        match (word, words.last().map(String::as_str)) {
            _ if is_id(word) => words.push("ID".into()),
            ("ago", Some("TIME")) => {}
            _ if is_time => {
                if words.last().is_some_and(|last| last == "in") {
                    words.pop();
                }
                words.push("TIME".into());
            }
            _ => words.push(digits),
        }
    }
    words
}

fn is_alike(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (shape(shown), shape(printed));
    let is_cut = |word: &String| word.contains('…') || word == "...";
    match (shown.iter().position(is_cut), shown.iter().rposition(is_cut)) {
        // Where a text is cut depends on what stands beside it.
        (Some(first), Some(last)) => {
            let (before, after) = (&shown[..first], &shown[last + 1..]);
            printed.len() >= before.len() + after.len() && printed.starts_with(before) && printed.ends_with(after)
        }
        _ => shown == printed,
    }
}

fn difference(shown: &[String], printed: &str) -> Option<String> {
    let mut lines = printed.lines().filter(|line| !line.trim().is_empty()).peekable();
    let mut skips = false;
    for line in shown.iter().filter(|line| !line.trim().is_empty()) {
        if line == "..." {
            skips = true;
            continue;
        }
        let found = if std::mem::take(&mut skips) {
            lines.any(|printed| is_alike(line, printed))
        } else {
            lines.next().is_some_and(|printed| is_alike(line, printed))
        };
        if !found {
            return Some(format!("not printed: {line}\n{printed}"));
        }
    }
    let more = lines.next().filter(|_| !skips);
    more.map(|line| format!("printed too: {line}\n{printed}"))
}
