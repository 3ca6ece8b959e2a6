//! Checks that every command in the documents is one that the command line accepts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::error::ErrorKind;

use super::command;

/// A `perch` command in a document.
struct DocumentedCommand {
    place: String,
    words: Vec<String>,
    /// True for a whole command to be typed, false for one named in a sentence.
    whole: bool,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<PathBuf> =
        ["README.md", "docker-compose.yml", ".env.example", "ops/sandbox.env"].map(|name| root.join(name)).into();
    for folder in ["docs", "docs/decisions", "ops/fly", "ops/railway", "config"] {
        let entries = fs::read_dir(root.join(folder)).expect("the folder is there");
        files.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
    }
    files
}

/// The words of a line as a shell splits it, up to a comment, a pipe or the end of the command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#' | '|' | '>' | ';' | '&') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The words from `perch` on, after any variables set for it. None for another program.
fn of_perch(line: &str) -> Option<Vec<String>> {
    let words = words(line.trim_start().trim_start_matches("$ "));
    let at = words.iter().position(|word| !word.contains('='))?;
    let is_perch = ["perch", "./ops/perch"].contains(&words[at].as_str()) && words.len() > at + 1;
    is_perch.then(|| words[at + 1..].to_vec())
}

/// `list|show` names two commands.
fn alternatives(words: &[String]) -> Vec<Vec<String>> {
    let at =
        words.iter().position(|word| word.contains('|') && word.chars().all(|c| c.is_ascii_lowercase() || c == '|'));
    let Some(at) = at else { return vec![words.to_vec()] };
    let with = |word: &str| [&words[..at], &[word.to_owned()], &words[at + 1..]].concat();
    words[at].split('|').map(with).collect()
}

fn told(file: &Path) -> Vec<DocumentedCommand> {
    let text = fs::read_to_string(file).expect("the document is text");
    let is_markdown = file.extension().is_some_and(|extension| extension == "md");
    let (mut told, mut fence) = (Vec::new(), None::<String>);
    for (at, line) in text.lines().enumerate() {
        let place = || format!("{}, line {}: {}", file.display(), at + 1, line.trim());
        if let Some(language) = line.trim_start().strip_prefix("```").filter(|_| is_markdown) {
            fence = if fence.is_some() { None } else { Some(language.trim().to_owned()) };
        } else if let Some(language) = &fence {
            // In a terminal sample, commands follow a prompt.
            if language == "sh" || line.trim_start().starts_with("$ ") {
                let commands = of_perch(line).into_iter().flat_map(|words| alternatives(&words));
                told.extend(commands.map(|words| DocumentedCommand { place: place(), words, whole: true }));
            }
        } else {
            for code in line.split('`').skip(1).step_by(2) {
                let commands = of_perch(code).into_iter().flat_map(|words| alternatives(&words));
                told.extend(commands.map(|words| DocumentedCommand { place: place(), words, whole: false }));
            }
        }
    }
    told
}

#[test]
fn the_command_line_takes_what_the_documents_tell_people_to_type() {
    let told: Vec<DocumentedCommand> = documents().iter().flat_map(|file| told(file)).collect();
    assert!(told.len() > 80 && told.iter().filter(|told| told.whole).count() > 25, "{} are found", told.len());
    let mut wrong = Vec::new();
    for DocumentedCommand { place, words, whole } in told {
        let Err(error) = command().try_get_matches_from(["perch".to_owned()].iter().chain(&words)) else { continue };
        let stands_in = |word: &String| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        let only_named = match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
            // `perch dead show ID`
            ErrorKind::ValueValidation => words.iter().any(stands_in),
            _ => false,
        };
        let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if !is_help && (whole || !only_named) {
            wrong.push(format!("{place}\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_is_split_as_a_shell_splits_it() {
    let line = "$ APP_ENV=staging perch brake on --reason 'wrong odds' # and \"wait\"";
    assert_eq!(of_perch(line).expect("a command"), ["brake", "on", "--reason", "wrong odds"]);
    assert!(of_perch("cargo run").is_none() && of_perch("perch").is_none());
    let both = alternatives(&["jobs".to_owned(), "list|cancel".to_owned()]);
    assert_eq!(both, [["jobs", "list"], ["jobs", "cancel"]]);
}
