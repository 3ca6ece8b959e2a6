//! Statements use parameters: input never becomes part of their text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Statements that are neither literals nor constants, and why that is safe.
const REASONS: [(&str, &str, &str); 8] = [
    ("store/src/sql.rs", "$", "the macros that take a literal"),
    ("store/src/record.rs", "sql", "a constant of a sealed trait; the rows are a parameter"),
    ("store/src/connection.rs", "sql", "begin, commit or rollback: each a constant"),
    ("store/src/history.rs", "select_jobs!", "put together of literals"),
    ("store/src/schema.rs", "migration.sql", "a file of the folder of migrations"),
    (
        "store/src/sync/rows.rs",
        "sql",
        "put together of literals: those of the columns that have values, which are bound",
    ),
    ("store/src/sync/rows.rs", "AssertSqlSafe", "as above"),
    ("store/src/history.rs", "condition", "one of a list of literals that stands above; its value is bound"),
];

/// The beginning of the statement argument at each call of sqlx, which tells where the text comes from.
fn statements(source: &str) -> Vec<&str> {
    let calls = source.match_indices("sqlx::query").chain(source.match_indices("sqlx::raw_sql"));
    let arguments = calls.filter_map(|(at, start)| {
        let rest = source[at + start.len()..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        // Types between the name and the bracket.
        let rest = if rest.starts_with("::<") { &rest[rest.find(">(")? + 1..] } else { rest };
        rest.strip_prefix('(')
    });
    // A builder gets the parts of its statement one by one.
    let parts = source.match_indices(".push(").filter(|_| source.contains("QueryBuilder"));
    arguments.chain(parts.map(|(at, call)| &source[at + call.len()..])).map(|text| beginning(code(text))).collect()
}

/// The text without the comments that it begins with.
fn code(text: &str) -> &str {
    let text = text.trim_start();
    match text.strip_prefix("//") {
        Some(comment) => comment.split_once('\n').map_or("", |(_, rest)| code(rest)),
        None => text,
    }
}

/// A literal as its quote, anything else up to where its name ends.
fn beginning(argument: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || "_:.!".contains(c);
    let end = argument.find(|c: char| !is_name(c)).unwrap_or(argument.len()).max(1);
    argument.get(..end).unwrap_or(argument)
}

/// Whether the text of a statement is written in the source.
fn is_fixed(statement: &str) -> bool {
    let name = statement.rsplit("::").next().unwrap_or_default();
    let is_constant =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    ["\"", "r", "concat!", "include_str!"].contains(&statement) || is_constant
}

fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is text");
            into.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

#[test]
fn no_statement_is_put_together_from_what_the_program_was_given() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    for folder in ["store", "queue", "clients", "base"] {
        sources(&root.join("shared").join(folder).join("src"), &mut all);
    }
    sources(&root.join("workers"), &mut all);
    // Tests may build a statement at run time.
    all.retain(|(path, _)| !path.contains("/tests/"));
    sources(&root.join("ops/api/src"), &mut all);
    sources(&root.join("ops/cli/src"), &mut all);
    let (mut seen, mut unexplained) = (0, Vec::new());
    for (path, text) in &all {
        let found = statements(text);
        seen += found.len() + text.matches("query!(").count() + text.matches("query_as!(").count();
        // Without this name, sqlx itself only accepts static text.
        let composed = Some("AssertSqlSafe").filter(|word| text.contains(word));
        for statement in found.into_iter().filter(|statement| !is_fixed(statement)).chain(composed) {
            let explained = |file: &str, name: &str| path.ends_with(file) && statement.starts_with(name);
            if !REASONS.iter().any(|(file, name, _)| explained(file, name)) {
                unexplained.push(format!("{path}: {statement}"));
            }
        }
    }
    assert!(seen > 90, "only {seen} statements were found, so the search is wrong");
    assert!(unexplained.is_empty(), "give these statements parameters, or a reason: {unexplained:#?}");
}

/// The crates whose statements the build checks.
fn with_known_statements(root: &Path) -> Vec<PathBuf> {
    let rooms = ["shared", "workers"].iter().map(|room| fs::read_dir(root.join(room)).expect("the folder is there"));
    rooms.flatten().map(|entry| entry.expect("an entry").path()).filter(|path| path.join(".sqlx").is_dir()).collect()
}

#[test]
fn a_statement_that_stands_in_the_source_is_checked_by_the_build() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut unchecked = Vec::new();
    for folder in with_known_statements(&root) {
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        for (path, text) in &files {
            let calls = text.match_indices("sqlx::query").map(|(at, _)| &text[at..]);
            for statement in calls.filter_map(|call| statements(call).into_iter().next()) {
                let constant = format!("const {statement}: ");
                let is_checked = |text: &str| {
                    let value = text.split_once(&constant).and_then(|(_, rest)| rest.split_once("= "));
                    value.is_some_and(|(_, value)| value.starts_with("sql!("))
                };
                if is_fixed(statement) && !files.iter().any(|(_, text)| is_checked(text)) {
                    unchecked.push(format!("{path}: {statement}"));
                }
            }
        }
    }
    assert!(unchecked.is_empty(), "use query!, query_as!, query_scalar! or sql! of perch-store: {unchecked:#?}");
}

/// They would read the `.env` of whoever builds, and ask the database of its `DATABASE_URL`.
#[test]
fn no_build_runs_the_macros_that_read_the_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for room in ["shared", "workers", "ops", "jobs", "benches"] {
        sources(&root.join(room), &mut files);
    }
    files.retain(|(path, _)| !path.ends_with("store/src/sql.rs") && !path.ends_with("store/tests/statements.rs"));
    let macros = ["query!", "query_as!", "query_scalar!", "query_file!"].map(|name| format!("sqlx::{name}"));
    let found = files.iter().filter(|(_, text)| macros.iter().any(|name| text.contains(name.as_str())));
    let found: Vec<&String> = found.map(|(path, _)| path).collect();
    assert!(files.len() > 500 && found.is_empty(), "use the macros of perch-store: {found:?}");
}

/// Statements with effects beyond a transaction, which do not work behind a pooler in transaction mode.
const OF_SESSIONS: [&str; 6] = [
    "pg_advisory_lock(",
    "pg_try_advisory_lock(",
    "pg_advisory_lock_shared(",
    "create temp",
    "with hold",
    "deallocate",
];

#[test]
fn nothing_is_asked_of_a_session_that_outlives_its_transaction() {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for (path, source) in files {
        for line in source.to_lowercase().lines() {
            // Where a statement begins: after a quote or the end of another.
            let begun = line.split(['"', ';']).skip(1).map(str::trim_start);
            let sets = begun.filter(|statement| statement.starts_with("set "));
            let for_good = sets.filter(|statement| statement.contains(" = ") && !statement.starts_with("set local "));
            found.extend(for_good.map(|statement| format!("{path}: {statement}")));
            let lasts = |word: &&&str| line.contains(**word) && !line.contains("on commit drop");
            found.extend(OF_SESSIONS.iter().filter(lasts).map(|word| format!("{path}: {word}")));
        }
    }
    assert!(found.is_empty(), "use what ends with the transaction: {found:#?}");
}

#[test]
fn a_statement_that_is_put_together_is_found_however_it_is_written() {
    let fixed = |source| statements(source).into_iter().all(is_fixed);
    for source in [
        r#"sqlx::query("select 1")"#,
        "sqlx::query_as(\n  \"select $1\",\n)",
        r##"sqlx::query_scalar::<_, (i64, String)>(r#"select 1"#)"##,
        "sqlx::query(concat!(\"select\", \" 1\"))",
        "sqlx::query_as(Self::FIND)",
        "sqlx::query(\n  // A reason.\n  \"select 1\")",
        "QueryBuilder; query.push(\" and id < \").push_bind(id)",
    ] {
        assert!(fixed(source) && statements(source).len() == 1, "{source}");
    }
    for source in [
        r#"sqlx::query(&format!("select {x}"))"#,
        r#"sqlx::query(format!("select {x}"))"#,
        "sqlx::query_as::<_, Row>(sql.as_str())",
        "sqlx::query(AssertSqlSafe(sql))",
        "sqlx::raw_sql(text)",
        "sqlx::query_scalar(\n  sql,\n)",
        "QueryBuilder; query.push(column)",
    ] {
        assert!(!fixed(source), "{source}");
    }
}
