//! A whole run, from starting the servers to checking the results.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum as _;
use perch_base::Settings;
use perch_queue::{Client, Queues, Redis};
use perch_sandbox::{Sandbox, SandboxOptions};
use perch_store::{Scope, Store, Syncer};
use perch_workers::bots;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::{sync::RwLock, time::Instant};

use crate::{
    Outcome, books,
    dice::Dice,
    error::RigError,
    faults::Breaker,
    fleet::{Fleet, Programs, Role, perch_beside},
    incident::Incident,
    journal::Journal,
    operator::Operator,
    plan::{ACCOUNTS, plan},
    producers::Producers,
    proxy::ServerLinks,
    quiet, report,
    sabotage::{self, Sabotage},
    servers::{PostgresPair, RedisPair},
    targets::targets,
    worker::job_types,
};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How long load and faults last
    #[arg(long, default_value_t = 15.0, value_name = "N")]
    minutes: f64,
    /// The seed of all random decisions; drawn when it is left out
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Jobs to offer, besides those that follow from them; 1,600 for each minute and at most 26,000 when it is left out
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Worker processes
    #[arg(long, default_value_t = 4, value_name = "N")]
    workers: usize,
    /// Seconds between two faults, on average
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pace: f64,
    /// No faults: shows that the load alone passes
    #[arg(long)]
    calm: bool,
    /// Only this incident of servers, clocks and networks; may be given more than once
    #[arg(long, value_enum, value_name = "INCIDENT")]
    only: Vec<Incident>,
    /// Switches one safeguard off: the run must fail
    #[arg(long, value_enum, value_name = "PART")]
    without: Option<Sabotage>,
    /// Switches off each safeguard in turn, half a minute or more for each: every one of these runs must fail, and the same
    /// run with nothing switched off must pass
    #[arg(long, conflicts_with_all = ["minutes", "jobs", "calm", "only", "without"])]
    prove: bool,
    /// Keeps the folder with logs and data also when all is well
    #[arg(long)]
    keep: bool,
}

/// How long a lease lasts in a run.
const LEASE: Duration = Duration::from_secs(4);
/// How long the queues may take to empty after the last fault.
const REST: Duration = Duration::from_secs(240);
/// The share of the time after which the load ends; faults go on to the end.
const LOADED: f64 = 0.9;

/// Runs; true when all checks pass, or, with `--prove`, when each run ended as it must.
pub async fn run(args: Args) -> Outcome {
    if args.prove { prove(&args).await } else { once(args).await }
}

/// Makes a run without each safeguard in turn.
async fn prove(args: &Args) -> Outcome {
    let mut unnoticed = Vec::new();
    for part in Sabotage::value_variants() {
        let (minutes, only) = part.shown_by();
        let jobs = if only.is_empty() { args.jobs } else { Some(500) };
        let seed = args.seed.or(Some(11));
        let run = Args { minutes, only: only.to_vec(), jobs, seed, without: Some(*part), prove: false, ..args.clone() };
        println!("without {}:", part.as_str());
        if once(run).await? != (*part == Sabotage::Nothing) {
            unnoticed.push(part.as_str());
        }
    }
    match unnoticed.as_slice() {
        [] => println!("Each part of the protection is missed when it is off."),
        some => println!("These runs came out as they must not: without {}.", some.join(", ")),
    }
    Ok(unnoticed.is_empty())
}

async fn once(args: Args) -> Outcome {
    let seed = args.seed.unwrap_or_else(|| rand::random_range(1..1_000_000));
    let folder =
        tempfile::Builder::new().prefix("perch-torture.").tempdir().map_err(RigError::io("make a temporary folder"))?;
    open_to_others(folder.path())?;
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    println!("seed {seed}, {} s, in {}", time.as_secs(), folder.path().display());
    let outcome = tokio::select! {
        outcome = in_folder(&args, seed, time, folder.path()) => outcome,
        () = told_to_stop() => Err(RigError::Setup("stopped by a signal".into())),
    };
    if args.keep || !matches!(outcome, Ok(true)) {
        println!("logs and data are kept in {}", folder.keep().display());
    }
    match &outcome {
        Ok(true) => println!("The books are in order (seed {seed})."),
        Ok(false) => println!("The books are NOT in order (seed {seed})."),
        Err(_) => {}
    }
    outcome
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Postgres runs as another user when root runs this, and must reach its folder.
fn open_to_others(folder: &Path) -> Result<(), RigError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))
        .map_err(RigError::io(format!("open {} to the user of Postgres", folder.display())))
}

async fn in_folder(args: &Args, seed: u64, time: Duration, folder: &Path) -> Outcome {
    let redis = RedisPair::start(&folder.join("redis")).await?;
    let postgres = PostgresPair::start(&folder.join("postgres")).await?;
    let sandbox = sandbox(seed).await?;
    let programs = programs(args, &sandbox, folder)?;
    let lines = Arc::new(ServerLinks::start(redis.port(), postgres.port()).await?);
    let direct = DirectClients::connect(programs, &lines).await?;
    let jobs = args.jobs.unwrap_or_else(|| jobs_for(time));
    if jobs > MOST_JOBS {
        return Err(RigError::Setup(format!(
            "--jobs is {jobs}; the sandbox remembers the posts of {MOST_JOBS} at most"
        )));
    }
    let targets = targets(seed, jobs, &sandbox.state());
    let offers = plan(seed, jobs, time.mul_f64(LOADED), targets, &job_types());
    let planned: usize = offers.iter().map(|offer| offer.jobs.len()).sum();

    let journal = Arc::new(Journal::default());
    let perch_worker = args.without.is_none();
    let fleet =
        Fleet::start(direct.programs.clone(), args.workers, perch_worker, redis.port(), postgres.port()).await?;
    let _kill_on_drop = fleet.kill_on_drop();
    let supervisor = tokio::spawn(fleet.clone().supervise(journal.clone()));
    let gate = Arc::new(RwLock::new(()));
    let producers = Producers {
        client: direct.client.clone(),
        http: reqwest::Client::builder().timeout(Duration::from_secs(8)).build().map_err(RigError::setup)?,
        api: fleet.api_url(),
        token: direct.token().await?,
        pool: direct.pool.clone(),
        journal: journal.clone(),
        gate: gate.clone(),
    };
    let offering = tokio::spawn(producers.offer_all(offers));
    let progress = tokio::spawn(tell(direct.queues.clone(), journal.clone(), planned));

    let mut breaker = Breaker {
        dice: Dice::new(seed, "faults"),
        fleet: fleet.clone(),
        direct: lines,
        sandbox: sandbox.state(),
        redis,
        postgres,
        journal: journal.clone(),
        lease: LEASE,
        time,
        pace: Duration::from_secs_f64(args.pace),
        operator: direct.operator(gate, args.without),
        incidents: if args.only.is_empty() { Incident::value_variants().to_vec() } else { args.only.clone() },
    };
    if args.calm {
        tokio::time::sleep(time).await;
    } else {
        breaker.run().await?;
    }
    sandbox.state().clear_faults();
    fleet.heal();
    if tokio::time::timeout(REST, offering).await.is_err() {
        journal.trouble("some jobs were never accepted, though everything is well");
    }
    progress.abort();
    rest(&fleet, &direct, &journal).await?;
    supervisor.abort();

    let notes = std::mem::take(&mut *journal.notes());
    let books = books::read(&direct.pool, &direct.queues, &notes, &sandbox.state()).await?;
    print!("\n{}", report::told(&books, &notes));
    Ok(books.breaches.is_empty())
}

/// Waits until the queues are empty, stops the processes as a deploy does, and syncs the last events into Postgres.
async fn rest(fleet: &Fleet, direct: &DirectClients, journal: &Journal) -> Result<(), RigError> {
    println!("the faults are over; waiting for quiet");
    let deadline = Instant::now() + REST;
    let say = |load: &quiet::Load| {
        println!("  {} waiting, {} delayed, {} running, {} dead", load.waiting, load.delayed, load.running, load.dead);
    };
    // The scheduler still has to relay what is in the outbox.
    while quiet::wait(&direct.queues, true, deadline, say).await && direct.store.outbox().backlog().await?.waiting > 0 {
    }
    let mut troubles = fleet.retire(&[Role::Scheduler]).await;
    if !quiet::wait(&direct.queues, false, deadline, say).await {
        troubles.push(format!("the queues did not come to rest within {} s", REST.as_secs()));
    }
    troubles.extend(fleet.retire(&[Role::Worker, Role::PerchWorker, Role::Api]).await);
    for trouble in troubles {
        journal.trouble(trouble);
    }
    while !direct.syncer.run_once().await?.complete {}
    Ok(())
}

/// Prints progress every few seconds.
async fn tell(queues: Queues, journal: Arc<Journal>, planned: usize) {
    let start = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_secs(5));
    pace.tick().await;
    loop {
        pace.tick().await;
        let at = start.elapsed().as_secs();
        let (accepted, faults) = {
            let notes = journal.notes();
            let kept = notes.kept + notes.refused;
            (notes.accepted.len() as u64 + kept, notes.faults.values().sum::<u64>())
        };
        let load = match quiet::load(&queues).await {
            Ok(load) => format!(
                "{} waiting, {} delayed, {} running, {} dead",
                load.waiting, load.delayed, load.running, load.dead
            ),
            Err(_) => "Redis is away".to_owned(),
        };
        println!("[{}:{:02}] {accepted} of {planned} accepted; {load}; {faults} faults", at / 60, at % 60);
    }
}

/// Clients with direct connections to the servers, for the load and the checks.
struct DirectClients {
    programs: Programs,
    env: BTreeMap<String, String>,
    queues: Queues,
    client: Client,
    store: Store,
    syncer: Syncer,
    pool: PgPool,
}

impl DirectClients {
    async fn connect(programs: Programs, lines: &ServerLinks) -> Result<Self, RigError> {
        let mut env = programs.env.clone();
        env.insert("REDIS_URL".into(), lines.redis_url());
        env.insert("DATABASE_URL".into(), lines.database_url());
        let dir = PathBuf::from(&programs.env["PERCH_CONFIG_DIR"]);
        let settings =
            Settings::load_from(&dir, perch_workers::bots().config_schema(), env.clone()).map_err(RigError::setup)?;
        let door = Redis::new(settings.redis_url().map_err(RigError::setup)?, &settings.redis)?;
        let url = settings.database_url().map_err(RigError::setup)?;
        let store = bots().store(Store::connect_lazy(url, settings.env, &settings.postgres)?);
        store.migrate(|_| ()).await?;
        let queues = Queues::new(door.clone(), &settings, job_types()).with_ledger(Arc::new(store.clone()));
        let syncer = Syncer::new(door, store.clone(), settings.env, &queues.names(), settings.sync.batch);
        let pool = PgPool::connect_lazy(url.expose_secret())?;
        Ok(Self { programs, env, client: Client::new(queues.clone()), queues, store, syncer, pool })
    }

    fn operator(&self, gate: Arc<RwLock<()>>, without: Option<Sabotage>) -> Operator {
        Operator {
            perch: self.programs.perch.clone(),
            env: self.env.clone(),
            queues: self.queues.clone(),
            syncer: self.syncer.clone(),
            gate,
            without,
        }
    }

    /// A key for the HTTP API.
    async fn token(&self) -> Result<String, RigError> {
        let made = self.store.api_keys().create("torture", &[Scope::Enqueue, Scope::Read]).await?;
        Ok(made.token.expose_secret().to_owned())
    }
}

/// The sandbox remembers 20,000 posts. This many jobs need and make fewer.
const MOST_JOBS: usize = 26_000;

fn jobs_for(time: Duration) -> usize {
    usize::try_from(time.as_secs().max(10) * 1_600 / 60).unwrap_or(usize::MAX).min(MOST_JOBS)
}

async fn sandbox(seed: u64) -> Result<Sandbox, RigError> {
    let options = SandboxOptions {
        bot_accounts: ACCOUNTS.iter().map(|account| username(account)).collect(),
        watched: ["sharp_sally", "line_hunter", "parlay_pete"].map(str::to_owned).into(),
        post_every: None,
        seed,
        rate_limits: false,
        actors: perch_actors::actors(),
        ..SandboxOptions::default()
    };
    Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.map_err(RigError::setup)
}

fn username(account: &str) -> String {
    format!("rig_{account}")
}

/// The environment of the processes: the shipped configuration, the sandbox in place of the outside world, and times
/// short enough that everything happens within minutes.
fn programs(args: &Args, sandbox: &Sandbox, folder: &Path) -> Result<Programs, RigError> {
    let rig = std::env::current_exe().map_err(RigError::io("find this program"))?;
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).map_err(RigError::io("make the folder of the logs"))?;
    let config = perch_base::config_dir();
    let config =
        config.canonicalize().map_err(RigError::io(format!("find the configuration in {}", config.display())))?;
    let base = sandbox.base_url();
    let lease = if args.without == Some(Sabotage::Reaper) { "10m".to_owned() } else { format!("{}s", LEASE.as_secs()) };
    let mut env: BTreeMap<String, String> = [
        ("APP_ENV", "staging"),
        ("RUST_LOG", "info"),
        ("PERCH__TELEMETRY__LOG_FORMAT", "text"),
        // Its texts differ by numbers alone.
        ("PERCH__POSTING__SIMILAR", "allow"),
        ("PERCH__REDIS__CONNECT_TIMEOUT", "1s"),
        ("PERCH__REDIS__COMMAND_TIMEOUT", "1s"),
        ("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "2s"),
        ("PERCH__ENGINE__HEARTBEAT", "1s"),
        ("PERCH__ENGINE__SHUTDOWN_GRACE", "3s"),
        ("PERCH__ENGINE__IDLE_BLOCK", "2s"),
        ("PERCH__HTTP__RATE_PER_SECOND", "10000"),
        ("PERCH__HTTP__RATE_BURST", "10000"),
        ("PERCH__QUEUES__ANALYTICS_PROCESSING__CONCURRENCY", "12"),
        ("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "4"),
        ("PERCH__QUEUES__EXTRACTION__RATE", r#"{ count = 20, per = "1s" }"#),
        ("PERCH__QUEUES__SYNC_TO_STORE__HISTORY", "full"),
        ("PERCH__CRON__POLL_MENTIONS__ENABLED", "false"),
        ("PERCH__CRON__POLL_DUE_ACCOUNTS__ENABLED", "false"),
        ("PERCH__CRON__FETCH_RESULTS__ENABLED", "false"),
        ("PERCH__CRON__SUMMARISE_DAY__ENABLED", "false"),
        // No job waits for a budget, each pick gets one comment, and a post that no model has read waits for a model.
        ("PERCH__X__BUDGET", "{ daily = 0.0, monthly = 0.0 }"),
        ("PERCH__X__PLAN", "enterprise"),
        ("PERCH__PICKS__RETWEET", "false"),
        ("PERCH__PICKS__PREFILTER", "false"),
        ("PERCH__MODELS__PROVIDERS__GROK__BUDGET", "{ daily = 0.0, monthly = 0.0 }"),
        ("PERCH__PICKS__RULES_AFTER", "0"),
        ("PERCH__X__TIMEOUT", "1s"),
        ("PERCH__X__SETTLE", "2s"),
        ("PERCH__MODELS__PROVIDERS__GROK__TIMEOUT", "2s"),
        ("PERCH__ANALYTICS__COLLECT_AFTER", r#"["2s", "9s"]"#),
        ("X_API_BEARER_TOKEN", "sandbox-bearer"),
        ("X_API_KEY", "sandbox-consumer-key"),
        ("X_API_SECRET", "sandbox-consumer-secret"),
        ("GROK_API_KEY", "sandbox-model-key"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    env.insert("PERCH_CONFIG_DIR".into(), config.display().to_string());
    env.insert("PERCH__ENGINE__LEASE".into(), lease);
    env.insert("PERCH__X__BASE_URL".into(), base.clone());
    env.insert("PERCH__MODELS__PROVIDERS__GROK__BASE_URL".into(), format!("{base}/v1"));
    for queue in ["EXTRACTION", "PENDING_POSTS", "ANALYTICS_PROCESSING", "SYNC_TO_STORE"] {
        env.insert(format!("PERCH__QUEUES__{queue}__EVENTS_KEPT"), "1000000".into());
    }
    for account in ACCOUNTS {
        let (name, upper) = (username(account), account.to_uppercase());
        env.insert(format!("PERCH__X__ACCOUNTS__{upper}__USERNAME"), name.clone());
        env.insert(format!("X_{upper}_ACCESS_TOKEN"), format!("sandbox-{name}-token"));
        env.insert(format!("X_{upper}_ACCESS_SECRET"), format!("sandbox-{name}-secret"));
    }
    if let Some(part) = args.without {
        env.insert(sabotage::VARIABLE.into(), part.as_str().into());
    }
    Ok(Programs { perch: perch_beside(&rig)?, rig, env, logs })
}
