//! A process with a hundred bots: what it takes while they post, and how soon it says that it is well.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};

use super::Bench;
use crate::{
    database::Database,
    deployed::{Perch, perch},
    error::{BenchError, Outcome, until},
    http::Http,
    numbers::{float, millis, quantile},
    report::{Bound, Field, Report, Unit},
    servers::RedisServer,
};

const BOTS: usize = 100;
const CPU: &str = "CPU of a process with a hundred bots";
const RESIDENT: &str = "its resident memory";
const HEALTH: &str = "99th percentile of /health meanwhile";
const POSTS: &str = "posts a day at that pace";
/// Between two questions to `/health`.
const ASKED_EVERY: Duration = Duration::from_millis(20);

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let window = if bench.quick { Duration::from_secs(15) } else { Duration::from_secs(125) };
    let redis = RedisServer::start().await?;
    let database = Database::empty(bench.database.as_deref()).await?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let vars = variables(&redis.url(), &database.url, &address)?;
    let process = Perch::start(&["up", "--no-tui"], &vars)?;
    until("the API", Duration::from_secs(60), Duration::from_millis(200), || async {
        Ok(tokio::net::TcpStream::connect(&address).await.is_ok())
    })
    .await?;
    add_bots(&vars).await?;
    until("posts of the bots", Duration::from_secs(300), Duration::from_secs(1), || async {
        Ok(posts(&database.url).await? > 0)
    })
    .await?;
    for _ in bench.rounds() {
        let (cpu, before, began) = (process.cpu(), posts(&database.url).await?, Instant::now());
        let health = ask(&address, window).await?;
        let seconds = began.elapsed().as_secs_f64();
        if let Some((after, before)) = process.cpu().zip(cpu) {
            report.add(CPU, Unit::Percent, (after - before) / 1e6 / seconds * 100.0);
        }
        if let Some(resident) = process.resident() {
            report.add(RESIDENT, Unit::Megabytes, resident);
        }
        report.add(HEALTH, Unit::Ms, quantile(&health, 0.99));
        report.add(POSTS, Unit::Count, float(posts(&database.url).await? - before) / seconds * 86_400.0);
    }
    report.goal("CPU of a hundred bots, in percent of one processor", CPU, Field::Value, Bound::AtMost(50.0));
    report.goal("memory of a hundred bots in MB", RESIDENT, Field::Value, Bound::AtMost(512.0));
    report.goal("99th percentile of /health in ms", HEALTH, Field::Value, Bound::AtMost(500.0));
    report.goal("posts a day while this was measured", POSTS, Field::Value, Bound::AtLeast(1_000.0));
    report.remark("the process is `perch up` with every role and the sandbox in it; each bot is a persona with a schedule that learns too");
    Ok(())
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(BenchError::io("find a free port"))?;
    Ok(listener.local_addr().map_err(BenchError::io("find a free port"))?.port())
}

/// Environment variables of a process of this release.
type Variables = Vec<(String, String)>;

/// An account for each bot, and the schedules of production.
fn variables(redis: &str, database: &str, address: &str) -> Outcome<Variables> {
    let mut vars: Variables = [
        ("APP_ENV", "staging"),
        ("REDIS_URL", redis),
        ("DATABASE_URL", database),
        ("PERCH__HTTP__BIND", address),
        ("PERCH__SANDBOX__BIND", &format!("127.0.0.1:{}", free_port()?)),
        ("PERCH__CRON__RUN_LEARNER__SCHEDULE", "* * * * *"),
        ("PERCH__CRON__RUN_PERSONAS__SCHEDULE", "* * * * *"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    vars.extend((0..BOTS).map(|n| (format!("PERCH__X__ACCOUNTS__BOT{n}__USERNAME"), format!("bench_bot_{n}"))));
    Ok(vars)
}

async fn add_bots(vars: &Variables) -> Outcome {
    let folder = tempfile::tempdir().map_err(BenchError::io("make a folder"))?;
    let file = folder.path().join("bots.toml");
    let mut text = String::new();
    for n in 0..BOTS {
        let minute = n % 5;
        writeln!(
            text,
            "[personas.bench{n}]\naccount = \"bot{n}\"\nprompt = \"You are baker {n}.\"\n\
             topics = [{{ name = \"rye {n}\" }}, {{ name = \"ovens {n}\" }}]\nschedule = [\"{minute}-59/5 * * * *\"]"
        )
        .map_err(BenchError::setup)?;
    }
    std::fs::write(&file, text).map_err(BenchError::io("write the bots"))?;
    perch(&["personas", "import", &file.display().to_string()], vars).await?;
    for n in 0..BOTS {
        perch(&["learn", "add", &format!("bench{n}"), "--posts-per-day", "10", "--hours", "0-23"], vars).await?;
    }
    Ok(())
}

async fn posts(database: &str) -> Outcome<usize> {
    let mut conn = PgConnection::connect(database).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from published_posts").fetch_one(&mut conn).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// How long each question to `/health` took, in milliseconds.
async fn ask(address: &str, window: Duration) -> Outcome<Vec<f64>> {
    let mut connection = Http::connect(address, "none").await?;
    let (mut took, began) = (Vec::new(), Instant::now());
    while began.elapsed() < window {
        let asked = Instant::now();
        let status = connection.get("/health").await?;
        if status != 200 {
            return Err(BenchError::Setup(format!("/health answered {status}")));
        }
        took.push(millis(asked.elapsed()));
        tokio::time::sleep(ASKED_EVERY).await;
    }
    Ok(took)
}
