//! Credentials that are found again wherever they were written, and the search for them.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// Credentials by name. No two processes of this test have the same.
#[derive(Default)]
pub struct Marks(BTreeMap<String, String>);

impl Marks {
    /// A new credential: letters and digits, so that no encoding of URLs or JSON changes it.
    pub fn plant(&mut self, name: &str) -> String {
        let mark = format!("Zq{:016x}{:08x}mK", RandomState::new().hash_one(name), self.0.len());
        self.0.insert(name.to_owned(), mark.clone());
        mark
    }

    /// Adds one that Perch made itself.
    pub fn know(&mut self, name: &str, credential: &str) {
        self.0.insert(name.to_owned(), credential.to_owned());
    }

    /// The credential of that name.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name} was planted"))
    }

    /// Where credentials stand in `found`, with what is around them: as they are, in hexadecimal, or in base 64.
    pub fn leaks(&self, found: &Written) -> Vec<String> {
        let mut leaks = Vec::new();
        for (name, mark) in &self.0 {
            for form in forms(mark) {
                for (place, text) in &found.0 {
                    leaks.extend(text.find(&form).map(|at| format!("{name} in {place}: {}", around(text, at))));
                }
            }
        }
        leaks
    }
}

/// Everything that was written, by where.
#[derive(Default)]
pub struct Written(Vec<(String, String)>);

impl Written {
    /// Credentials are ASCII, so what of the bytes is no text may go.
    pub fn add(&mut self, place: impl Into<String>, bytes: impl AsRef<[u8]>) {
        self.0.push((place.into(), String::from_utf8_lossy(bytes.as_ref()).into_owned()));
    }

    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Adds every file under a folder.
    pub fn add_folder(&mut self, place: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            let place = format!("{place}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                self.add_folder(&place, &path);
            } else {
                self.add(place, std::fs::read(&path).expect("the file can be read"));
            }
        }
    }

    /// Whether `text` stands in a place whose name starts with `place`: proof that the search reaches it.
    pub fn holds(&self, place: &str, text: &str) -> bool {
        self.0.iter().any(|(name, found)| name.starts_with(place) && found.contains(text))
    }

    pub fn places(&self) -> Vec<&str> {
        self.0.iter().map(|(place, _)| place.as_str()).collect()
    }
}

fn around(text: &str, at: usize) -> String {
    let before: Vec<char> = text[..at].chars().rev().take(160).collect();
    before.into_iter().rev().chain(text[at..].chars().take(80)).collect()
}

fn hexadecimal(text: &str) -> String {
    text.bytes().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// The credential, its hexadecimal form, and what of it is the same in base 64 wherever it stands in the encoded text.
fn forms(mark: &str) -> Vec<String> {
    let in_base64 = (0..3).map(|shift| {
        let encoded = STANDARD_NO_PAD.encode([vec![0; shift], mark.as_bytes().to_vec()].concat());
        // The first and last characters mix with what stands beside the credential.
        encoded[4..encoded.len() - 4].to_owned()
    });
    [mark.to_owned(), hexadecimal(mark)].into_iter().chain(in_base64).collect()
}

#[test]
fn a_credential_is_found_in_every_form_that_it_may_take() {
    let mut marks = Marks::default();
    let mark = marks.plant("one");
    let hex = hexadecimal(&mark);
    let encoded = ["", "a", "ab", "abc"].map(|before| STANDARD_NO_PAD.encode(format!("{before}{mark} after")));
    for text in [mark.clone(), format!("\\x{hex}")].iter().chain(&encoded) {
        let mut written = Written::default();
        written.add("here", text.as_bytes());
        assert_eq!(marks.leaks(&written).len(), 1, "{text}");
    }
    let mut clean = Written::default();
    clean.add("here", "nothing of it");
    assert!(marks.leaks(&clean).is_empty());
}
