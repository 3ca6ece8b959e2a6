//! Makes a persona of a row of `bot_configs`. Pure functions.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use perch_core::personas::{FieldProblem, PersonaLimits, PersonaSpec, Topic};
use perch_jobs::AccountId;
use serde_json::Value;
use url::Url;

use super::sqlite::ConfigRow;

/// A persona as far as the row gives one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Converted {
    pub(super) spec: PersonaSpec,
    /// What cannot be so, by the columns of the row.
    pub(super) problems: Vec<String>,
    /// What is not as in the row.
    pub(super) notes: Vec<String>,
}

/// The persona of a row, for an account.
pub(super) fn persona(row: &ConfigRow, account: AccountId, limits: &PersonaLimits) -> Converted {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let most = limits.longest_post(&account);
    let text = |column: &Option<String>| column.as_deref().unwrap_or_default().trim().to_owned();
    let (style, tone) = (text(&row.posting_style), text(&row.tone));
    let mut spec = PersonaSpec { style, tone, ..PersonaSpec::new(account, text(&row.personality_prompt)) };
    spec.topics = topics(row.topics.as_deref().unwrap_or_default(), &mut notes);
    spec.sources = sources(row.content_sources.as_deref().unwrap_or_default(), &mut notes);
    spec.schedule = schedule(row.schedule_cron.as_deref().unwrap_or_default(), &mut notes);
    if let Some(units) = row.max_length {
        spec.max_length = u16::try_from(units).unwrap_or(u16::MAX);
        if spec.max_length > most {
            notes.push(format!(
                "max_length is {units} in the file and {most} now, the longest post of {}",
                spec.account
            ));
            spec.max_length = most;
        }
    }
    match row.timezone.as_deref().map(str::trim).filter(|zone| !zone.is_empty()).map(str::parse::<Tz>) {
        None => {}
        Some(Ok(zone)) => spec.timezone = zone,
        Some(Err(error)) => problems.push(format!("timezone: {error}; an IANA name such as Europe/Berlin is expected")),
    }
    problems.extend(limits.problems(&spec).into_iter().map(|problem| by_column(&problem)));
    Converted { spec, problems, notes }
}

/// A problem under the name of its column in the file.
fn by_column(FieldProblem { field, reason }: &FieldProblem) -> String {
    let columns = [
        ("prompt", "personality_prompt"),
        ("style", "posting_style"),
        ("sources", "content_sources"),
        ("schedule", "schedule_cron"),
    ];
    let column = columns.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", field.strip_prefix(ours)?)));
    format!("{}: {reason}", column.as_ref().unwrap_or(field))
}

/// The entries of a list: a JSON array, or a text with an entry a line or with commas between them.
fn entries(text: &str) -> Vec<Value> {
    let text = text.trim();
    if let Ok(Value::Array(entries)) = serde_json::from_str(text) {
        return entries;
    }
    let parts = text.split(['\n', ';']);
    let parts: Vec<&str> = if text.contains(['\n', ';']) { parts.collect() } else { text.split(',').collect() };
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
}

fn topics(text: &str, notes: &mut Vec<String>) -> Vec<Topic> {
    let (mut topics, mut seen) = (Vec::new(), BTreeSet::new());
    for entry in entries(text) {
        let name = entry.as_str().or_else(|| entry["name"].as_str()).unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            notes.push(format!("topics: {entry} is left out, because it has no name"));
        } else if seen.insert(name.to_lowercase()) {
            topics.push(Topic { name, weight: entry["weight"].as_f64().unwrap_or(1.0) });
        } else {
            notes.push(format!("topics: {name:?} is there twice, and is one topic now"));
        }
    }
    topics
}

fn sources(text: &str, notes: &mut Vec<String>) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for entry in entries(text) {
        let source = entry.as_str().or_else(|| entry["url"].as_str()).unwrap_or_default().trim().to_owned();
        if Url::parse(&source).is_ok_and(|url| url.scheme() == "https") {
            if !sources.contains(&source) {
                sources.push(source);
            }
        } else {
            notes.push(format!("content_sources: {entry} is left out; only https addresses are read"));
        }
    }
    sources
}

/// The template's scheduler takes seconds before the five fields; a slot is to the minute.
fn schedule(text: &str, notes: &mut Vec<String>) -> Vec<String> {
    let expressions = text.split(['\n', ';']).map(str::trim).filter(|expression| !expression.is_empty());
    let mut to_the_minute = |expression: &str| {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        if let ["0" | "00", five @ ..] = fields.as_slice()
            && five.len() == 5
        {
            notes.push(format!("schedule_cron: {expression:?} is {:?} now, without its seconds", five.join(" ")));
            return five.join(" ");
        }
        fields.join(" ")
    };
    expressions.map(&mut to_the_minute).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> ConfigRow {
        ConfigRow {
            bot_id: "template-bot".into(),
            personality_prompt: Some("You are kind.".into()),
            ..ConfigRow::default()
        }
    }

    fn converted(row: &ConfigRow) -> Converted {
        let main = AccountId::from_static("main");
        persona(row, main.clone(), &PersonaLimits::default().with_account(main, 280))
    }

    #[test]
    fn every_column_of_the_template_has_its_field() {
        let row = ConfigRow {
            content_sources: Some(r#"["https://example.com/feed", "my own thoughts"]"#.into()),
            posting_style: Some("short".into()),
            topics: Some("rye, ovens, Rye".into()),
            tone: Some(" dry ".into()),
            max_length: Some(260),
            schedule_cron: Some("0 9 * * *".into()),
            timezone: Some("Europe/Berlin".into()),
            ..row()
        };
        let Converted { spec, problems, notes } = converted(&row);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((spec.prompt.as_str(), spec.style.as_str(), spec.tone.as_str()), ("You are kind.", "short", "dry"));
        assert_eq!(spec.topics.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), ["rye", "ovens"]);
        assert_eq!((spec.sources.as_slice(), spec.max_length), (&["https://example.com/feed".to_owned()][..], 260));
        assert_eq!((spec.schedule.as_slice(), spec.timezone), (&["0 9 * * *".to_owned()][..], Tz::Europe__Berlin));
        assert!(notes.len() == 2 && notes[0].contains("\"Rye\"") && notes[1].contains("my own thoughts"), "{notes:?}");
    }

    #[test]
    fn empty_columns_are_left_to_the_defaults() {
        let Converted { spec, problems, notes } = converted(&row());
        assert_eq!(
            (spec, problems, notes),
            (PersonaSpec::new(AccountId::from_static("main"), "You are kind.".into()), vec![], vec![])
        );
    }

    #[test]
    fn what_cannot_be_so_is_named_by_its_column() {
        let row = ConfigRow {
            personality_prompt: None,
            posting_style: Some("x".repeat(500)),
            max_length: Some(10),
            schedule_cron: Some("every day".into()),
            timezone: Some("Berlin".into()),
            ..row()
        };
        let Converted { problems, .. } = converted(&row);
        for column in ["personality_prompt", "posting_style", "max_length", "schedule_cron[0]", "timezone"] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(&format!("{column}: "))),
                "{column}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_schedule_loses_its_seconds_and_a_post_what_the_account_cannot_have() {
        let row = ConfigRow { schedule_cron: Some("0 30 9 * * *".into()), max_length: Some(1_000), ..row() };
        let Converted { spec, problems, notes } = converted(&row);
        assert_eq!((spec.schedule.as_slice(), spec.max_length), (&["30 9 * * *".to_owned()][..], 280));
        assert!(problems.is_empty() && notes.len() == 2, "{problems:?} {notes:?}");
    }

    #[test]
    fn weights_are_taken_from_a_list_of_objects() {
        let row = ConfigRow { topics: Some(r#"[{"name": "rye", "weight": 2}, {"weight": 1}]"#.into()), ..row() };
        let Converted { spec, notes, .. } = converted(&row);
        assert_eq!(spec.topics, [Topic { name: "rye".into(), weight: 2.0 }]);
        assert!(notes[0].contains("no name"), "{notes:?}");
    }

    proptest! {
        #[test]
        fn any_text_in_any_column_is_read_without_a_panic(text in "\\PC{0,80}", units in any::<i64>()) {
            let text = Some(text);
            let row = ConfigRow {
                content_sources: text.clone(), topics: text.clone(), schedule_cron: text.clone(), timezone: text,
                max_length: Some(units), ..row()
            };
            let _ = converted(&row);
        }
    }
}
