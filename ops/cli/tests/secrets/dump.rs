//! All that Redis and Postgres hold, as bytes to search in.

use std::path::Path;

use perch_testkit::TestDatabase;
use sqlx::{AssertSqlSafe, Row as _};

use crate::marks::Written;

/// Every key of every database of a Redis, and its append-only file, which holds what was deleted since too.
///
/// The server must have been started without `rdbcompression`.
pub async fn redis(url: &str, written: &mut Written) {
    let mut conn = perch_testkit::TestRedis::at(url).raw().await;
    for number in 0..16 {
        redis::cmd("SELECT").arg(number).exec_async(&mut conn).await.expect("SELECT");
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut conn).await.expect("KEYS");
        for key in keys {
            let value: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut conn).await.unwrap_or_default();
            written.add(format!("redis/{}", String::from_utf8_lossy(&key)), [key, value].concat());
        }
    }
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut conn).await.expect("CONFIG");
    written.add_folder("redis-files", Path::new(&folder));
}

/// Every row of every table of a database as text; `bytea` columns stand there in hexadecimal.
pub async fn postgres(database: &TestDatabase, written: &mut Written) {
    let pool = database.raw();
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
                  where schemaname not in ('pg_catalog', 'information_schema')";
    for table in sqlx::query(tables).fetch_all(&pool).await.expect("the list of tables") {
        let table: String = table.get(0);
        let rows = AssertSqlSafe(format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t"));
        let text: String = sqlx::query(rows).fetch_one(&pool).await.expect("the table can be read").get(0);
        written.add(format!("postgres/{table}"), text);
    }
}
