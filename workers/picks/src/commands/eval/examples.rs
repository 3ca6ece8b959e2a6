//! Labelled posts: one JSON object a line, with `text` and `expected`.

use std::{fs::File, io::BufReader, path::Path};

use chrono::Utc;
use perch_bot::cli::{
    CommandError,
    parse::lines::{Line, Lines},
};
use perch_jobs::{ExtractedBets, Media, Post, strict};
use serde::Deserialize;
use serde_json::Value;

/// The longest line in bytes.
const LONGEST: usize = 1024 * 1024;

/// A post with its label.
#[derive(Debug)]
pub struct Example {
    /// Its id in the file, or its line number if it has none.
    pub id: String,
    /// The post that a model gets.
    pub post: Post,
    /// The label, which no model gets.
    pub expected: ExtractedBets,
}

#[derive(Deserialize)]
struct ExampleLine {
    #[serde(default)]
    id: Value,
    text: String,
    #[serde(default)]
    media: Vec<Media>,
    expected: Value,
}

/// Reads the first `limit` examples of a file.
pub fn read(path: &Path, limit: usize) -> Result<Vec<Example>, CommandError> {
    let failed = |source| CommandError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut examples = Vec::new();
    for line in Lines::new(BufReader::new(file), LONGEST) {
        if examples.len() == limit {
            break;
        }
        let line = line.map_err(failed)?;
        let number = line.number;
        let example = example(line)
            .map_err(|reason| CommandError::Refused(format!("{}, line {number}: {reason}", path.display())))?;
        examples.push(example);
    }
    if examples.is_empty() {
        return Err(CommandError::Refused(format!("{} holds no examples", path.display())));
    }
    Ok(examples)
}

fn example(line: Line) -> Result<Example, String> {
    let bytes = line.bytes.ok_or_else(|| format!("it is longer than {LONGEST} bytes"))?;
    let row: ExampleLine =
        strict::from_slice(&bytes).map_err(|error| format!("{error}; a line is an object with text and expected"))?;
    let expected = ExtractedBets::parse(&row.expected.to_string()).map_err(|error| format!("expected: {error}"))?;
    let id = match row.id {
        Value::Null => line.number.to_string(),
        Value::String(id) => id,
        id => id.to_string(),
    };
    let post = Post {
        id: line.number.to_string().parse().map_err(|error| format!("{error}"))?,
        author_id: "1".into(),
        author: "example".into(),
        text: row.text,
        created_at: Utc::now(),
        media: row.media,
    };
    Ok(Example { id, post, expected })
}
