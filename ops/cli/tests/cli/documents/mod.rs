//! What the documents print is what the system prints: every sample of output is played here, against real servers.
//!
//! Ids, numbers and times differ from run to run and are left out of the comparison; `...` stands for lines that are left out of a
//! document.

/// Declares the tests of a document. Each gets the samples that it names by how they begin, so that one which it does not play is an
/// unused variable; `PLAYED` has them all.
macro_rules! played {
    ($document:literal: $($test:ident($($begins:literal),+);)+) => {
        pub const PLAYED: &[(&str, &str)] = &[$($(($document, $begins)),+),+];

        mod played {
            use crate::documents::sample::sample;

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test([$(sample($document, $begins)),+]).await;
                }
            )+
        }
    };
}

mod bots;
mod ledger;
mod mentions;
mod picks;
mod publishing;
mod readme;
mod sample;
mod screen;
mod stage;

use std::{fs, path::PathBuf};

use self::sample::{root, samples};

const PLAYED: [&[(&str, &str)]; 6] =
    [readme::PLAYED, bots::PLAYED, ledger::PLAYED, mentions::PLAYED, picks::PLAYED, publishing::PLAYED];

/// The README and all pages below `docs`, from the top of the repository.
fn documents() -> Vec<String> {
    let (mut documents, mut folders) = (vec!["README.md".to_owned()], vec![PathBuf::from("docs")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder is there") {
            let path = folder.join(entry.expect("an entry").file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path.to_string_lossy().into_owned());
            }
        }
    }
    documents
}

#[test]
fn every_sample_of_a_document_is_played() {
    let all: Vec<_> = documents().iter().flat_map(|document| samples(document)).collect();
    let is_played = |document: &str, line: &str| {
        PLAYED.iter().copied().flatten().any(|(page, begins)| *page == document && line.starts_with(begins))
    };
    let left_out: Vec<String> = all
        .iter()
        .filter(|sample| !is_played(&sample.document, sample.first_line()))
        .map(|sample| format!("{}, line {}: {}", sample.document, sample.line, sample.first_line()))
        .collect();
    assert!(left_out.is_empty(), "samples that no test plays:\n{}", left_out.join("\n"));
    assert!(all.iter().map(|sample| sample.commands().len()).sum::<usize>() > 20);
}
