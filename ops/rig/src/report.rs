//! The report at the end of a run.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::{
    books::{Books, DOUBLED, LOST, MISSING, STUCK},
    journal::Notes,
};

/// Ids printed of each breach; the rest are counted.
const SHOWN: usize = 20;

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(head.iter().copied());
    table
}

fn number(n: impl std::fmt::Display) -> Cell {
    Cell::new(n).set_alignment(CellAlignment::Right)
}

/// The results of a run as text.
pub fn told(books: &Books, notes: &Notes) -> String {
    let mut faults = table(&["fault", "times"]);
    for (name, times) in &notes.faults {
        faults.add_row(vec![Cell::new(name), number(times)]);
    }
    let mut jobs = table(&["jobs", "done", "dead", "cancelled"]);
    let mut sum = [0; 3];
    for (label, ends) in &books.ends.by_label {
        jobs.add_row(vec![Cell::new(label), number(ends[0]), number(ends[1]), number(ends[2])]);
        sum.iter_mut().zip(ends).for_each(|(sum, n)| *sum += n);
    }
    jobs.add_row(vec![Cell::new("all"), number(sum[0]), number(sum[1]), number(sum[2])]);
    let mut sums = table(&["result", ""]);
    let effects = &books.effects;
    let recovery = &books.recovery;
    let lines: [(&str, String); 19] = [
        ("jobs accepted", notes.accepted.len().to_string()),
        ("calls that had to be repeated", notes.repeated.to_string()),
        ("kept out by a unique key (kept, refused)", format!("{}, {}", notes.kept, notes.refused)),
        ("replaced by a newer job of the same key", notes.replaced.to_string()),
        ("posts and replies at the sandbox", effects.posts.to_string()),
        ("retweets at the sandbox", effects.retweets.to_string()),
        ("duplicates that X refused", effects.refused.to_string()),
        ("effects confirmed in the ledger", effects.confirmed.to_string()),
        ("effects open, of dead jobs", effects.open.to_string()),
        ("actions published in Postgres", effects.actions.to_string()),
        ("attempts lost with their worker", recovery.lost.to_string()),
        ("recovery: median", format!("{:.1} s", recovery.median.as_secs_f64())),
        ("recovery: longest", format!("{:.1} s", recovery.longest.as_secs_f64())),
        ("taken by Redis within the promise", (books.ends.within_promise + books.ends.wiped).to_string()),
        ("forgotten by Postgres within the promise", books.ends.forgotten.to_string()),
        ("LOST", books.count(LOST).to_string()),
        ("DOUBLED", books.count(DOUBLED).to_string()),
        ("STUCK", books.count(STUCK).to_string()),
        ("MISSING", books.count(MISSING).to_string()),
    ];
    for (name, value) in lines {
        sums.add_row(vec![Cell::new(name), number(value)]);
    }
    let mut text = format!("{faults}\n\n{jobs}\n\n{sums}\n");
    for breach in &books.breaches {
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{} ({}):", breach.what, breach.which.len());
        for which in breach.which.iter().take(SHOWN) {
            let _ = writeln!(text, "  {which}");
        }
        if breach.which.len() > SHOWN {
            let _ = writeln!(text, "  … and {} more", breach.which.len() - SHOWN);
        }
    }
    text
}
