//! Reads the file. It is opened for reading alone, and nothing is written beside it where that can be avoided.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};
use url::Url;

use super::{
    ImportError, OddRow,
    cells::{Cells, Columns, OddCell},
};

/// The most rows of a table that are read.
const MOST_ROWS: usize = 500_000;
/// How long a lock of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);

const CONFIGS: &str = "bot_configs";
const POSTS: &str = "posts";
const STATS: &str = "bot_stats";

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TemplateData {
    pub(super) configs: Vec<ConfigRow>,
    pub(super) posts: Vec<PostRow>,
    pub(super) stats: Vec<StatsRow>,
    pub(super) odd: Vec<OddRow>,
}

/// A row of `bot_configs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConfigRow {
    pub(super) bot_id: String,
    pub(super) personality_prompt: Option<String>,
    pub(super) content_sources: Option<String>,
    pub(super) posting_style: Option<String>,
    pub(super) topics: Option<String>,
    pub(super) tone: Option<String>,
    pub(super) max_length: Option<i64>,
    pub(super) schedule_cron: Option<String>,
    pub(super) timezone: Option<String>,
}

/// A row of `posts`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PostRow {
    pub(super) bot_id: String,
    pub(super) content: String,
    pub(super) category: Option<String>,
    pub(super) used: bool,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) updated_at: Option<DateTime<Utc>>,
    pub(super) generation_cost: Option<f64>,
    pub(super) generation_tokens: Option<i64>,
    pub(super) generation_model: Option<String>,
}

/// A row of `bot_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatsRow {
    pub(super) bot_id: String,
    pub(super) total_posts: Option<i64>,
    pub(super) last_replenishment_at: Option<DateTime<Utc>>,
}

/// Reads a file. It must not be written meanwhile.
pub fn read_template(path: &Path) -> Result<TemplateData, ImportError> {
    let before = stamp(path)?;
    // Where no other process has a transaction under way, the file is all there is, and nothing is created beside it.
    let is_alone =
        ["-wal", "-journal"].iter().all(|suffix| beside(path, suffix).metadata().map_or(true, |m| m.len() == 0));
    let data = open(path, is_alone).and_then(|connection| read(&connection));
    let data = data.map_err(|error| match error {
        ReadError::Sqlite(source) => ImportError::Sqlite { path: path.to_owned(), source },
        ReadError::Other(reason) => ImportError::OtherFile { path: path.to_owned(), reason },
    })?;
    // Otherwise SQLite's locks keep what is read together.
    if is_alone && stamp(path)? != before { Err(ImportError::Changed(path.to_owned())) } else { Ok(data) }
}

/// The size of a file, and when it was last written.
fn stamp(path: &Path) -> Result<(u64, Option<SystemTime>), ImportError> {
    let refused = |source| ImportError::File { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(refused)?;
    if metadata.is_dir() {
        return Err(refused(io::ErrorKind::IsADirectory.into()));
    }
    Ok((metadata.len(), metadata.modified().ok()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[derive(Debug)]
enum ReadError {
    Sqlite(rusqlite::Error),
    Other(String),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn open(path: &Path, is_alone: bool) -> Result<Connection, ReadError> {
    let whole = std::path::absolute(path).map_err(|error| ReadError::Other(error.to_string()))?;
    let mut url = Url::from_file_path(&whole).map_err(|()| ReadError::Other("its path cannot be read".to_owned()))?;
    url.query_pairs_mut().append_pair("mode", "ro");
    if is_alone {
        url.query_pairs_mut().append_pair("immutable", "1");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(url.as_str(), flags)?;
    connection.busy_timeout(BUSY)?;
    // A view or trigger in the file may call nothing that has effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn read(connection: &Connection) -> Result<TemplateData, ReadError> {
    // All tables as of one moment.
    let tx = connection.unchecked_transaction()?;
    let mut tables = tx.prepare("select name from sqlite_schema where type in ('table', 'view')")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.filter_map(Result::ok).collect();
    let has = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    if !has(CONFIGS) && !has(POSTS) {
        return Err(ReadError::Other(format!("it has no table {POSTS} and no table {CONFIGS}; is it another file?")));
    }
    let mut data = TemplateData::default();
    if has(CONFIGS) {
        data.configs = rows(&tx, CONFIGS, &["bot_id"], "bot_id", &mut data.odd, config)?;
    }
    if has(POSTS) {
        data.posts = rows(&tx, POSTS, &["content", "bot_id", "used"], "id", &mut data.odd, post)?;
    }
    if has(STATS) {
        data.stats = rows(&tx, STATS, &["bot_id"], "bot_id", &mut data.odd, stats)?;
    }
    Ok(data)
}

/// The rows of a table; those that cannot be read go to `odd`.
fn rows<T>(
    connection: &Connection,
    table: &'static str,
    needed: &[&str],
    key: &'static str,
    odd: &mut Vec<OddRow>,
    read: impl Fn(Cells<'_>) -> Result<T, OddCell>,
) -> Result<Vec<T>, ReadError> {
    let mut statement = connection.prepare(&format!("select * from {table}"))?;
    let columns = Columns::of(&statement);
    if let Some(missing) = needed.iter().find(|name| !columns.has(name)) {
        return Err(ReadError::Other(format!("its table {table} has no column {missing}")));
    }
    let (mut found, mut place) = (Vec::new(), 0);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        place += 1;
        if place > MOST_ROWS {
            return Err(ReadError::Other(format!("its table {table} has more than {MOST_ROWS} rows")));
        }
        let cells = Cells::of(row, &columns);
        match read(cells) {
            Ok(row) => found.push(row),
            Err(OddCell { column, reason }) => {
                let number = || cells.count(key).ok().flatten().map(|id| id.to_string());
                let name = || cells.text(key).ok().flatten();
                let row = number().or_else(name).unwrap_or_else(|| format!("in place {place}"));
                odd.push(OddRow { table, row, column, reason });
            }
        }
    }
    Ok(found)
}

fn config(cells: Cells<'_>) -> Result<ConfigRow, OddCell> {
    Ok(ConfigRow {
        bot_id: cells.words("bot_id")?,
        personality_prompt: cells.text("personality_prompt")?,
        content_sources: cells.text("content_sources")?,
        posting_style: cells.text("posting_style")?,
        topics: cells.text("topics")?,
        tone: cells.text("tone")?,
        max_length: cells.count("max_length")?,
        schedule_cron: cells.text("schedule_cron")?,
        timezone: cells.text("timezone")?,
    })
}

fn post(cells: Cells<'_>) -> Result<PostRow, OddCell> {
    Ok(PostRow {
        bot_id: cells.words("bot_id")?,
        content: cells.words("content")?,
        category: cells.text("category")?.filter(|category| !category.trim().is_empty()),
        used: cells.flag("used")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        generation_cost: cells.amount("generation_cost")?,
        generation_tokens: cells.count("generation_tokens")?,
        generation_model: cells.text("generation_model")?,
    })
}

fn stats(cells: Cells<'_>) -> Result<StatsRow, OddCell> {
    Ok(StatsRow {
        bot_id: cells.words("bot_id")?,
        total_posts: cells.count("total_posts")?,
        last_replenishment_at: cells.time("last_replenishment_at")?,
    })
}
