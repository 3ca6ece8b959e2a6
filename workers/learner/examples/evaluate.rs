//! Measures the learner on data that is not part of the project: `evaluate --data DIR`, where the folder `upworthy` of `DIR` holds
//! randomised tests of headlines and the folder `own-posts` the post analytics of one account, as X exports them.

use std::{
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Datelike as _, Utc};
use clap::Parser;
use perch_bot_learner::learning::{
    pairs::{self, Package, Training},
    timing::{Comparison, Post, Timing},
};

#[derive(Parser)]
struct Arguments {
    /// The folder with the data.
    #[arg(long)]
    data: PathBuf,
    /// Judge within the training weeks only, as one does while choosing settings.
    #[arg(long)]
    within_training: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let packages = packages(&arguments.data.join("upworthy"))?;
    if arguments.within_training {
        within_training(&packages);
        return Ok(());
    }
    println!("Pairs of headlines, trained on the first 70 % of the weeks");
    println!("{}\n", pairs::evaluate(&packages, 0.7, &Training::default()));
    timing(&arguments.data.join("own-posts"))
}

fn files(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    let is_ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(is_ours).collect();
    paths.sort();
    Ok(paths)
}

fn packages(folder: &Path) -> Result<Vec<Package>, Box<dyn Error>> {
    let mut packages = Vec::new();
    for file in files(folder, "packages")? {
        packages.extend(pairs::read(File::open(file)?)?);
    }
    Ok(packages)
}

fn within_training(packages: &[Package]) {
    let (training, _) = pairs::split_by_week(packages, 0.7);
    for share in [0.6, 0.7, 0.8] {
        println!(
            "trained on {share} of the training weeks\n{}\n",
            pairs::evaluate(&training, share, &Training::default())
        );
    }
}

fn timing(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut posts = Vec::new();
    for file in files(folder, "tweet_activity")? {
        posts.extend(own_posts(&file)?);
    }
    let (learned, later): (Vec<_>, Vec<_>) = posts.iter().copied().partition(|(at, _)| at.year() < 2019);
    let (learned, later) = (slots(&learned), slots(&later));
    println!("When to post: {} posts before 2019, judged on {} of 2019", learned.len(), later.len());
    println!("{}", Timing::learn(&learned, 1).verdict());
    let compared = Comparison::of(&learned, &later, 1).ok_or("there are no posts of 2019, or none before")?;
    let Comparison { global_mean, raw_cells, shrunk, used, gain, .. } = compared;
    println!(
        "squared error: global mean {global_mean:.4}, raw cells {raw_cells:.4}, shrunk {shrunk:.4}, used {used:.4}"
    );
    println!("less than the global mean by {gain} ({})", if compared.is_met() { "met" } else { "NOT MET" });
    Ok(())
}

/// When a post went out, and the logarithm of its likes.
type Liked = (DateTime<Utc>, f64);

fn slots(posts: &[Liked]) -> Vec<Post> {
    posts.iter().map(|&(at, reward)| Post::new(at, reward)).collect()
}

fn own_posts(file: &Path) -> Result<Vec<Liked>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(file)?;
    let header = reader.headers()?.clone();
    let place = |name: &str| header.iter().position(|other| other == name).ok_or(format!("no column {name}"));
    let (time, likes) = (place("time")?, place("likes")?);
    let mut posts = Vec::new();
    for record in reader.records() {
        let record = record?;
        let at = DateTime::parse_from_str(&record[time], "%Y-%m-%d %H:%M %z")?.to_utc();
        posts.push((at, (record[likes].parse::<f64>()? + 1.0).ln()));
    }
    Ok(posts)
}
