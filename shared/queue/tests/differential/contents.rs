//! The contents of a Redis database in a comparable form.

use std::collections::BTreeMap;

use perch_queue::Envelope;
use redis::{FromRedisValue, aio::MultiplexedConnection};
use serde_json::value::RawValue;

/// The contents of each key in rows: in order for lists and streams, else sorted. Ids of stream entries, which are times, are
/// left out, and an entry counts as its events.
pub type Contents = BTreeMap<String, Vec<String>>;

async fn ask<T: FromRedisValue>(conn: &mut MultiplexedConnection, command: &str, arguments: &[&str]) -> T {
    redis::cmd(command).arg(arguments).query_async(conn).await.expect("Redis answers")
}

/// Everything in the database.
pub async fn contents(conn: &mut MultiplexedConnection) -> Contents {
    let mut contents = Contents::new();
    for key in ask::<Vec<String>>(conn, "KEYS", &["*"]).await {
        let rows = rows(conn, &key).await;
        contents.insert(key, rows);
    }
    contents
}

async fn rows(conn: &mut MultiplexedConnection, key: &str) -> Vec<String> {
    type Pairs = Vec<(String, String)>;
    let joined = |pairs: Pairs| pairs.into_iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    let mut rows: Vec<String> = match ask::<String>(conn, "TYPE", &[key]).await.as_str() {
        "string" => {
            let ends = ask::<i64>(conn, "PTTL", &[key]).await >= 0;
            vec![format!("{}{}", ask::<String>(conn, "GET", &[key]).await, if ends { " for a while" } else { "" })]
        }
        "list" => return ask(conn, "LRANGE", &[key, "0", "-1"]).await,
        "set" => ask(conn, "SMEMBERS", &[key]).await,
        "zset" => joined(ask(conn, "ZRANGE", &[key, "0", "-1", "WITHSCORES"]).await),
        "hash" => joined(ask(conn, "HGETALL", &[key]).await),
        "stream" => {
            let entries: Vec<(String, Pairs)> = ask(conn, "XRANGE", &[key, "-", "+"]).await;
            return joined(entries.into_iter().flat_map(|(_, events)| events).collect());
        }
        other => panic!("{key} holds a {other}, which the engine never writes"),
    };
    rows.sort();
    rows
}

/// An envelope with its fields sorted by name, because a client may write them in any order. Its checksum is checked and removed.
fn plain(value: String) -> String {
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&value) else { return value };
    if fields.contains_key("kind") {
        Envelope::decode(value.as_bytes()).expect("an envelope that a worker can read");
        fields.remove("sum").expect("a checksum");
    }
    serde_json::to_string(&fields).expect("it was JSON")
}

/// The same contents with some words replaced: ids that were generated in the call.
pub fn renamed(contents: Contents, names: &[(String, String)]) -> Contents {
    let name = |row: String| rename(row, names);
    contents
        .into_iter()
        .map(|(key, rows)| {
            let ordered = rows.is_sorted();
            let mut rows: Vec<String> = rows.into_iter().map(name).collect();
            if ordered {
                rows.sort();
            }
            (key, rows)
        })
        .collect()
}

/// A text with some words replaced.
pub fn rename(text: String, names: &[(String, String)]) -> String {
    names.iter().fold(text, |text, (id, name)| text.replace(id, name))
}
