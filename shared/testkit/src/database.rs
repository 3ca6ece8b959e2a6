use std::{
    str::FromStr,
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use perch_base::{Environment, settings::PostgresSettings};
use perch_store::{Store, schema_version};
use secrecy::SecretString;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A separate, migrated Postgres database on the server of the tests. It is dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    server: PgConnectOptions,
    url: String,
    name: String,
    raw: PgPool,
    roles: Mutex<Vec<String>>,
    with: WithTables,
}

/// The databases of this process.
struct Databases {
    /// How many tests have one.
    living: usize,
    /// The threads that drop the others.
    dropping: Vec<JoinHandle<Option<()>>>,
}

static DATABASES: Mutex<Databases> = Mutex::new(Databases { living: 0, dropping: Vec::new() });

impl Databases {
    /// Notes that a test is done with its database. The last one gets all that have to be waited for, so that no database is left
    /// behind. Postgres drops a database only after the logins in progress, on whatever database: a test that waited while another
    /// world of the same task logs in would wait for itself.
    fn leave(dropping: JoinHandle<Option<()>>) -> Vec<JoinHandle<Option<()>>> {
        let mut databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
        databases.living -= 1;
        databases.dropping.push(dropping);
        if databases.living == 0 { std::mem::take(&mut databases.dropping) } else { Vec::new() }
    }
}

/// Gives a store the tables of bots.
type WithTables = fn(Store) -> Store;

/// A separate Postgres role, which may log in and nothing else.
#[derive(Debug, Clone)]
pub struct TestRole {
    /// Its name.
    pub name: String,
    /// The URL of the database as this role.
    pub url: String,
}

impl TestRole {
    /// A store on the database as this role.
    pub fn store(&self, env: Environment) -> Store {
        let url = SecretString::from(self.url.clone());
        Store::connect_lazy(&url, env, &postgres_settings()).expect("the URL of a test database")
    }

    /// A plain pool as this role.
    pub fn raw(&self) -> PgPool {
        let options = PgConnectOptions::from_str(&self.url).expect("the URL of a test database");
        PgPoolOptions::new().max_connections(2).connect_lazy_with(options)
    }
}

impl TestDatabase {
    /// Creates a database with the schema of this release and nothing in it.
    ///
    /// It is copied from a template, which the first test on a server migrates while the others wait.
    ///
    /// # Panics
    /// When `PERCH_TEST_DATABASE_URL` is missing or the server does not answer.
    pub async fn create() -> Self {
        Self::of(|store| store).await
    }

    /// The same with the tables of the bots that `with` gives to a store.
    ///
    /// # Panics
    /// As [`TestDatabase::create`].
    pub async fn of(with: WithTables) -> Self {
        let server = server();
        let mut conn = connect(&server).await;
        let template = template(&mut conn, with).await;
        let database = Self::named(server, with);
        run(&mut conn, &format!("create database {} template {template}", database.name)).await;
        let _ = conn.close().await;
        database
    }

    /// Creates a database without any table.
    ///
    /// # Panics
    /// As [`TestDatabase::create`].
    pub async fn empty() -> Self {
        let server = server();
        let mut conn = connect(&server).await;
        let database = Self::named(server, |store| store);
        run(&mut conn, &format!("create database {}", database.name)).await;
        let _ = conn.close().await;
        database
    }

    fn named(server: PgConnectOptions, with: WithTables) -> Self {
        let name = format!("perch_test_{}", uuid::Uuid::new_v4().simple());
        let url = url_of(&name);
        let raw = PgPoolOptions::new().max_connections(4).connect_lazy_with(server.clone().database(&name));
        DATABASES.lock().unwrap_or_else(PoisonError::into_inner).living += 1;
        Self { server, url, name, raw, roles: Mutex::default(), with }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL as in the configuration.
    pub fn secret_url(&self) -> SecretString {
        SecretString::from(self.url.clone())
    }

    /// A store on it for one environment.
    pub fn store(&self, env: Environment) -> Store {
        let store = Store::connect_lazy(&self.secret_url(), env, &postgres_settings());
        (self.with)(store.expect("the URL of a test database"))
    }

    /// Its URL through a gate, which the caller may shut.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn gated(&self) -> (crate::Gate, SecretString) {
        let mut url = url::Url::parse(&self.url).expect("the URL of a test database");
        let gate = crate::Gate::before(url.port().unwrap_or(5432)).await;
        url.set_port(Some(gate.port())).expect("a URL with a host");
        (gate, SecretString::from(url.to_string()))
    }

    /// A role that may log in to it. It is dropped with the database.
    ///
    /// # Panics
    /// When Postgres does not answer.
    pub async fn role(&self) -> TestRole {
        let name = format!("perch_test_{}", uuid::Uuid::new_v4().simple());
        self.roles.lock().expect("nobody panicked with it").push(name.clone());
        let mut conn = connect(&self.server).await;
        run(&mut conn, &format!("create role {name} login password 'hunter2'")).await;
        let _ = conn.close().await;
        let mut url = url::Url::parse(&self.url).expect("the URL of a test database");
        url.set_username(&name).and_then(|()| url.set_password(Some("hunter2"))).expect("a URL with a host");
        TestRole { name, url: url.to_string() }
    }

    /// Makes a role the owner of the database, so that it may create objects. Existing objects keep their owners.
    ///
    /// # Panics
    /// When Postgres does not answer.
    pub async fn give_to(&self, role: &TestRole) {
        let mut conn = connect(&self.server).await;
        run(&mut conn, &format!("alter database {} owner to {}", self.name, role.name)).await;
        let _ = conn.close().await;
    }

    /// A plain pool, for queries without the store. Every call answers the same one.
    pub fn raw(&self) -> PgPool {
        self.raw.clone()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let roles = std::mem::take(self.roles.get_mut().unwrap_or_else(PoisonError::into_inner));
        // The runtime of the test may be shutting down, so this uses its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut conn = PgConnection::connect_with(&server).await.ok()?;
                let drop = AssertSqlSafe(format!("drop database if exists {name} with (force)"));
                sqlx::raw_sql(drop).execute(&mut conn).await.ok()?;
                for role in roles {
                    let drop = AssertSqlSafe(format!("drop role if exists {role}"));
                    sqlx::raw_sql(drop).execute(&mut conn).await.ok()?;
                }
                Some(())
            })
        });
        let left = Databases::leave(dropping);
        if left.is_empty() {
            return;
        }
        let wait = || {
            for dropping in left {
                let _ = dropping.join();
            }
        };
        // The server waits for logins in progress, perhaps on this very runtime.
        match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

/// Settings with few connections and short timeouts.
pub fn postgres_settings() -> PostgresSettings {
    let (acquire_timeout, statement_timeout) = (Duration::from_secs(10), Duration::from_secs(30));
    PostgresSettings { max_connections: 6, acquire_timeout, statement_timeout }
}

pub(crate) fn server_url() -> String {
    std::env::var("PERCH_TEST_DATABASE_URL")
        .expect("PERCH_TEST_DATABASE_URL is not set; run the tests through ./ops/test, which starts the servers")
}

fn server() -> PgConnectOptions {
    PgConnectOptions::from_str(&server_url()).expect("PERCH_TEST_DATABASE_URL is a Postgres URL")
}

/// The URL of the server with another database.
fn url_of(name: &str) -> String {
    let server = server_url();
    let (address, parameters) = server.split_once('?').map_or((server.as_str(), None), |(a, p)| (a, Some(p)));
    let host_at = address.find("://").map_or(0, |at| at + 3);
    let end = address[host_at..].find('/').map_or(address.len(), |at| host_at + at);
    let parameters = parameters.map(|text| format!("?{text}")).unwrap_or_default();
    format!("{}/{name}{parameters}", &address[..end])
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.expect("the Postgres of the tests answers")
}

async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The name of the migrated template, which is created if this is the first test on the server.
async fn template(conn: &mut PgConnection, with: WithTables) -> String {
    const LOCK: i64 = 7_037_042_161_995;
    let nowhere = Store::connect_lazy(&server_url().into(), Environment::Staging, &postgres_settings());
    let fingerprint = with(nowhere.expect("a Postgres URL")).schema_fingerprint();
    let name = format!("perch_template_{}_{fingerprint}", schema_version());
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *conn).await.expect("the lock of the template");
    let exists: bool = sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
        .bind(&name)
        .fetch_one(&mut *conn)
        .await
        .expect("the list of databases");
    if !exists {
        // An unfinished template never has the name that tests look for.
        let draft = format!("{name}_draft");
        run(conn, &format!("drop database if exists {draft} with (force)")).await;
        run(conn, &format!("create database {draft}")).await;
        let url = SecretString::from(url_of(&draft));
        let store = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).expect("a Postgres URL");
        let store = with(store);
        store.migrate(|_| ()).await.expect("the migrations run");
        store.close().await;
        run(conn, &format!("alter database {draft} rename to {name}")).await;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(&mut *conn).await.expect("the lock is held");
    name
}
