//! The other processes of a scenario: this program again, with a role, so that the cost of each process can be measured.

mod apalis;
mod bare;
mod deployment;
mod worker;

use std::{
    io::{BufRead as _, Write as _},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
};

use crate::{
    error::{BenchError, Outcome},
    jobs::Pool,
    process,
};

pub use apalis::{done as apalis_done, push as push_apalis};
pub use bare::{hand_over, push, push_one};
pub use deployment::production_schedule;

/// The role of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Role {
    /// Works on the queues of a pool.
    Worker {
        /// Where.
        redis: String,
        /// How.
        pool: Pool,
        /// What its handlers do.
        work: HandlerBehaviour,
    },
    /// Takes and acknowledges jobs with the smallest scripts that lease them.
    BareDrain {
        /// Where.
        redis: String,
    },
    /// Waits in a blocking read for the time at which something was pushed.
    BarePop {
        /// Where.
        redis: String,
    },
    /// A worker of apalis-redis.
    Apalis {
        /// Where.
        redis: String,
    },
    /// A part of a deployment: the same as that of `perch`, with the queues of `pool` beside the configured ones.
    Deployment {
        /// Which.
        duty: DeploymentRole,
        /// Where Redis is.
        redis: String,
        /// Where Postgres is.
        database: String,
        /// The queues added.
        pool: Pool,
    },
}

/// What the handlers of the bench do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum HandlerBehaviour {
    /// Nothing.
    Nothing,
    /// Wait for so many milliseconds.
    Wait(u64),
    /// Print how many microseconds ago their job was sent.
    Tell,
    /// Print that they run, and go on for an hour.
    Hold,
}

/// A role within a deployment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum DeploymentRole {
    /// All pools.
    Pools,
    /// The scheduler.
    Scheduler,
    /// The HTTP API; it prints its address.
    Api,
}

/// The line that tells a process to begin.
const GO: &str = "go";
const READY_LINE: &str = "ready";
const PATIENCE: Duration = Duration::from_secs(120);

/// A process with a role. It is killed when this is dropped.
#[derive(Debug)]
pub struct Part {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts one and waits until it has connected.
    pub async fn start(role: &Role) -> Outcome<Self> {
        let mut part = Self::spawn(role)?;
        part.expect(READY_LINE).await?;
        Ok(part)
    }

    /// Starts one.
    pub fn spawn(role: &Role) -> Outcome<Self> {
        let mut program = Command::new(std::env::current_exe().map_err(BenchError::io("find this program"))?);
        program.args(["part", &serde_json::to_string(role)?]);
        Self::of(program)
    }

    /// Starts a program with the same protocol, and waits until it is ready.
    pub async fn foreign(program: Command) -> Outcome<Self> {
        let mut part = Self::of(program)?;
        part.expect(READY_LINE).await?;
        Ok(part)
    }

    fn of(mut program: Command) -> Outcome<Self> {
        let stderr = if std::env::var_os("PERCH_BENCH_LOGS").is_some() { Stdio::inherit() } else { Stdio::null() };
        let mut child =
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true).spawn().map_err(
                |source| {
                    let program = program.as_std().get_program().to_string_lossy().into_owned();
                    BenchError::Program { program, source }
                },
            )?;
        let missing = || BenchError::Setup("a process has no pipes".into());
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        Ok(Self { child, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// Starts one that begins at once.
    pub async fn begun(role: &Role) -> Outcome<Self> {
        let mut part = Self::start(role).await?;
        part.go().await?;
        Ok(part)
    }

    /// Lets it begin.
    pub async fn go(&mut self) -> Outcome {
        self.stdin.write_all(format!("{GO}\n").as_bytes()).await.map_err(BenchError::io("write to a process"))
    }

    /// The next line that it prints.
    pub async fn line(&mut self) -> Outcome<String> {
        match tokio::time::timeout(PATIENCE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => Err(BenchError::Setup(
                "a process of the bench ended early; PERCH_BENCH_LOGS=1 shows what it says".into(),
            )),
            Ok(Err(source)) => Err(BenchError::Io { doing: "read from a process".into(), source }),
            Err(_) => Err(BenchError::Silent { what: "a line of a process".into(), after: PATIENCE }),
        }
    }

    /// Waits until it prints `line`; earlier lines are ignored.
    pub async fn expect(&mut self, line: &str) -> Outcome {
        while self.line().await? != line {}
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// CPU it has taken, in microseconds.
    pub fn cpu(&self) -> Option<f64> {
        process::cpu(self.pid())
    }

    /// Its resident memory, in millions of bytes.
    pub fn resident(&self) -> Option<f64> {
        process::resident(self.pid())
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(mut self) -> Outcome {
        self.child.kill().await.map_err(BenchError::io("kill a process"))
    }
}

/// Runs a role, in the process that was started for it.
pub async fn play(role: &str) -> Outcome {
    let orders = Orders::read();
    match serde_json::from_str(role)? {
        Role::Worker { redis, pool, work } => worker::run(orders, &redis, &pool, work).await,
        Role::BareDrain { redis } => bare::drain(orders, &redis).await,
        Role::BarePop { redis } => bare::pop(orders, &redis).await,
        Role::Apalis { redis } => apalis::run(orders, &redis).await,
        Role::Deployment { duty, redis, database, pool } => {
            deployment::run(orders, duty, &redis, &database, &pool).await
        }
    }
}

/// The lines on standard input. The process ends when standard input closes.
struct Orders(mpsc::Receiver<String>);

impl Orders {
    fn read() -> Self {
        let (sender, orders) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let _ = sender.blocking_send(line);
            }
            std::process::exit(0);
        });
        Self(orders)
    }

    /// Prints that it is ready, and waits for `go`.
    async fn wait(&mut self) {
        say(READY_LINE);
        while self.0.recv().await.is_some_and(|order| order != GO) {}
    }
}

/// Prints a line for the parent process.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
