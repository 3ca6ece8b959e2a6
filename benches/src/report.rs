//! The measurements and goals of a run, and their tables.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::numbers::median;

/// The unit of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of whatever the row names.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Millions of bytes.
    Megabytes,
    /// Of one processor.
    Percent,
    /// Microseconds.
    Micros,
    /// Of whatever the row names.
    Count,
}

impl Unit {
    fn written(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Ms => "ms",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Megabytes => "MB",
            Self::Percent => "%",
            Self::Micros => "µs",
            Self::Count => "",
        }
    }
}

/// A column of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// What the row is about.
    Value,
    /// CPU of the worker a job, in microseconds.
    Worker,
    /// CPU of redis-server a job, in microseconds.
    Redis,
}

/// CPU that a job took, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Of the worker process; `None` where the system does not say.
    pub worker: Option<f64>,
    /// Of redis-server, all threads.
    pub redis: Option<f64>,
}

/// A quantity that was measured once a round.
#[derive(Debug, Serialize)]
pub struct Measurement {
    scenario: &'static str,
    name: String,
    unit: Unit,
    samples: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    worker_us: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redis_us: Vec<f64>,
}

impl Measurement {
    fn of(&self, field: Field) -> f64 {
        median(match field {
            Field::Value => &self.samples,
            Field::Worker => &self.worker_us,
            Field::Redis => &self.redis_us,
        })
    }
}

/// The bound of a goal.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// A goal, and what was measured for it.
#[derive(Debug, Serialize)]
pub struct Goal {
    scenario: &'static str,
    says: String,
    bound: Bound,
    /// A median of ratios, a ratio of medians, or a median.
    measured: f64,
    met: bool,
}

/// The measurements and goals of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Measurement>,
    goals: Vec<Goal>,
    remarks: Vec<String>,
    #[serde(skip)]
    scenario: &'static str,
}

impl Report {
    /// Starts a scenario: what is added next belongs to it.
    pub fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
    }

    /// Adds a remark below the table.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(format!("{}: {}", self.scenario, text.into()));
    }

    /// Adds a sample to a row; the first sample makes the row.
    pub fn add(&mut self, name: &str, unit: Unit, value: f64) {
        self.add_with(name, unit, value, Cost::default());
    }

    /// Adds a sample with its CPU cost.
    pub fn add_with(&mut self, name: &str, unit: Unit, value: f64, cost: Cost) {
        let scenario = self.scenario;
        let place = self.rows.iter().position(|row| row.scenario == scenario && row.name == name);
        let place = place.unwrap_or_else(|| {
            let (samples, worker_us, redis_us) = Default::default();
            self.rows.push(Measurement { scenario, name: name.to_owned(), unit, samples, worker_us, redis_us });
            self.rows.len() - 1
        });
        let row = &mut self.rows[place];
        row.samples.push(value);
        row.worker_us.extend(cost.worker);
        row.redis_us.extend(cost.redis);
    }

    /// The median of a row of this scenario, or of the first that has one of this name; NaN when there is none.
    pub fn median(&self, name: &str, field: Field) -> f64 {
        self.row(name).map_or(f64::NAN, |row| row.of(field))
    }

    fn row(&self, name: &str) -> Option<&Measurement> {
        let named = || self.rows.iter().filter(|row| row.name == name);
        named().find(|row| row.scenario == self.scenario).or_else(|| named().next())
    }

    /// Compares a row with another. Where both were measured in the same rounds, each round is a ratio of its own, and theirs is
    /// the median: the pace of a shared machine differs between rounds more than within one.
    pub fn goal_ratio(&mut self, says: &str, name: &str, of: &str, bound: Bound) {
        let samples = |name: &str| self.row(name).map_or(&[][..], |row| &row.samples);
        let (ours, theirs) = (samples(name), samples(of));
        let measured = if ours.len() == theirs.len() {
            median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
        } else {
            median(ours) / median(theirs)
        };
        self.goal_value(says, measured, bound);
    }

    /// Compares the median of a row with a number.
    pub fn goal(&mut self, says: &str, name: &str, field: Field, bound: Bound) {
        let measured = self.median(name, field);
        self.goal_value(says, measured, bound);
    }

    /// Compares a number with a bound. NaN, a failed measurement, does not meet it.
    pub fn goal_value(&mut self, says: &str, measured: f64, bound: Bound) {
        let met = match bound {
            Bound::AtLeast(least) => measured >= least,
            Bound::AtMost(most) => measured <= most,
        };
        self.goals.push(Goal { scenario: self.scenario, says: says.to_owned(), bound, measured, met });
    }

    /// Whether every goal was reached.
    pub fn all_met(&self) -> bool {
        self.goals.iter().all(|goal| goal.met)
    }

    /// The tables, as text.
    pub fn text(&self) -> String {
        let mut rows =
            table(&["scenario", "measured", "median", "min … max", "worker µs/job", "redis µs/job"], &[2, 3, 4, 5]);
        let mut shown = "";
        for row in &self.rows {
            let of = if row.scenario == shown { "" } else { row.scenario };
            shown = row.scenario;
            let least = row.samples.iter().copied().fold(f64::INFINITY, f64::min);
            let most = row.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let cost = |samples: &[f64]| if samples.is_empty() { String::new() } else { number(median(samples)) };
            rows.add_row(vec![
                of.to_owned(),
                row.name.clone(),
                format!("{} {}", number(median(&row.samples)), row.unit.written()),
                format!("{} … {}", number(least), number(most)),
                cost(&row.worker_us),
                cost(&row.redis_us),
            ]);
        }
        let mut goals = table(&["scenario", "goal", "bound", "measured", ""], &[2, 3]);
        for goal in &self.goals {
            let bound = match goal.bound {
                Bound::AtLeast(least) => format!("≥ {}", number(least)),
                Bound::AtMost(most) => format!("≤ {}", number(most)),
            };
            let met = if goal.met { "met" } else { "NOT MET" };
            goals.add_row(vec![goal.scenario, &goal.says, &bound, &number(goal.measured), met]);
        }
        let mut text = format!("{rows}\n\n{goals}\n");
        for remark in &self.remarks {
            text.push_str("\n- ");
            text.push_str(remark);
        }
        text
    }
}

fn table(headers: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.to_vec());
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number with three or four digits that count.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "—".to_owned();
    }
    if size >= 1_000.0 {
        let digits = format!("{size:.0}");
        let mut text = String::new();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return if value < 0.0 { format!("-{text}") } else { text };
    }
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_the_digits_that_count() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(148.2), "148");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(0.456), "0.46");
        assert_eq!(number(f64::NAN), "—");
    }

    #[test]
    fn a_goal_is_judged_by_the_medians_and_what_was_not_measured_is_not_met() {
        let mut report = Report::default();
        report.begin("drain");
        // The machine halves its pace between two rounds.
        for (limit, ours) in [(100.0, 60.0), (50.0, 31.0), (110.0, 60.0)] {
            report.add("limit", Unit::PerSecond, limit);
            report.add("ours", Unit::PerSecond, ours);
        }
        report.goal_ratio("60 %", "ours", "limit", Bound::AtLeast(0.6));
        assert!(report.all_met());
        report.goal("never measured", "other", Field::Value, Bound::AtMost(1.0));
        assert!(!report.all_met());
        assert!(report.text().contains("NOT MET"));
    }
}
