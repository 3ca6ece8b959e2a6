//! `perch learn evaluate --posts`: whether the times that are learned from an account's posts predict its later ones.

use std::{fmt, path::PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use perch_bot::cli::CommandError;
use serde::Serialize;

use crate::learning::timing::{Comparison, Post, Timing};

/// What came out.
#[derive(Debug, Serialize)]
pub struct TimesReport {
    /// Posts that it learned from.
    learned: usize,
    /// What it makes of them.
    verdict: String,
    /// How it predicts the others.
    #[serde(flatten)]
    compared: Comparison,
}

impl fmt::Display for TimesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { posts, global_mean, raw_cells, shrunk, used, gain } = &self.compared;
        writeln!(f, "{} posts learned from, {posts} predicted", self.learned)?;
        writeln!(f, "{}", self.verdict)?;
        writeln!(
            f,
            "squared error: global mean {global_mean:.4}, raw cells {raw_cells:.4}, shrunk {shrunk:.4}, used {used:.4}"
        )?;
        write!(f, "less than the global mean by {gain} ({})", if self.compared.is_met() { "met" } else { "NOT MET" })
    }
}

/// Learns from the posts before a day and predicts those from then on. The files are exports of X's post analytics: CSV with the columns
/// `time` and `likes`.
pub fn of_posts(files: &[PathBuf], judged_from: NaiveDate) -> Result<TimesReport, CommandError> {
    let mut posts: Vec<(DateTime<Utc>, f64)> = Vec::new();
    for file in files {
        let refused = |why: String| CommandError::Usage(format!("{}: {why}", file.display()));
        posts.extend(read(file).map_err(refused)?);
    }
    let (before, after): (Vec<_>, Vec<_>) = posts.into_iter().partition(|(at, _)| at.date_naive() < judged_from);
    let slots = |posts: &[(DateTime<Utc>, f64)]| -> Vec<Post> {
        posts.iter().map(|&(at, reward)| Post::new(at, reward)).collect()
    };
    let (learned, predicted) = (slots(&before), slots(&after));
    let compared = Comparison::of(&learned, &predicted, 1)
        .ok_or_else(|| CommandError::Usage(format!("there are no posts from {judged_from} on, or none before")))?;
    let verdict = Timing::learn(&learned, 1).verdict().to_string();
    Ok(TimesReport { learned: learned.len(), verdict, compared })
}

/// When each post went out, and the logarithm of its likes.
fn read(file: &PathBuf) -> Result<Vec<(DateTime<Utc>, f64)>, String> {
    let mut reader = csv::Reader::from_path(file).map_err(|error| error.to_string())?;
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| header.iter().position(|other| other == name).ok_or(format!("there is no column {name}"));
    let (time, likes) = (place("time")?, place("likes")?);
    let mut posts = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let at = DateTime::parse_from_str(&record[time], "%Y-%m-%d %H:%M %z")
            .map_err(|error| format!("time {:?}: {error}", &record[time]))?;
        let count: f64 = record[likes].parse().map_err(|_| format!("likes {:?} is no number", &record[likes]))?;
        posts.push((at.to_utc(), (count + 1.0).ln()));
    }
    Ok(posts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, from: &str) -> Result<TimesReport, CommandError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it can be written");
        of_posts(&[file.path().to_owned()], from.parse().expect("a day"))
    }

    #[test]
    fn posts_before_a_day_are_learned_from_and_the_others_predicted() {
        let text = "Tweet text,time,likes\nA,2018-12-31 09:00 +0000,3.0\nB,2019-01-01 09:00 +0000,5.0\n";
        let report = report(text, "2019-01-01").expect("a report");
        assert_eq!((report.learned, report.compared.posts), (1, 1));
    }

    #[test]
    fn what_cannot_be_read_names_its_file_and_its_field() {
        for (text, part) in [
            ("time\n2018-12-31 09:00 +0000\n", "no column likes"),
            ("time,likes\nnoon,3\n", "time \"noon\""),
            ("time,likes\n2018-12-31 09:00 +0000,many\n", "likes \"many\""),
            ("time,likes\n2018-12-31 09:00 +0000,3\n", "no posts from 2019-01-01 on"),
        ] {
            let refused = report(text, "2019-01-01").map(|_| ()).expect_err("it cannot be read").to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
