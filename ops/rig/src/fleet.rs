//! The processes of a run: each behind proxies of its own, started again when it ends.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use perch_testkit::Machine;

use crate::{
    error::RigError,
    journal::Journal,
    proxy::{LinkState, ServerLinks},
    servers::{Signal, free_port, log_file, signal},
};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The worker of the rig, which also knows the chaos jobs.
    Worker,
    /// `perch worker`, on the queues that hold jobs of Perch alone.
    PerchWorker,
    /// `perch api`.
    Api,
    /// `perch scheduler`.
    Scheduler,
}

/// What processes are started with.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `perch` binary.
    pub perch: PathBuf,
    /// This binary.
    pub rig: PathBuf,
    /// Variables that all of them get, besides those that lead to Redis and Postgres.
    pub env: BTreeMap<String, String>,
    /// Where their logs go.
    pub logs: PathBuf,
}

/// What the rig wants a process to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProcessState {
    Runs,
    Frozen,
    /// It was told to stop.
    Ending,
    /// It must not be started again.
    Retired,
}

/// A process that is started again whenever it ends.
#[derive(Debug)]
pub struct Slot {
    /// Its name, for its log.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its links to Redis and Postgres.
    pub lines: ServerLinks,
    /// The machine that it sees: clock and disk.
    pub machine: Machine,
    /// Where it serves HTTP.
    pub http_port: u16,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    child: Option<Child>,
    state: ProcessState,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, programs: &Programs) -> Result<(), RigError> {
        let mut command = match self.role {
            Role::Worker => Command::new(&programs.rig),
            _ => Command::new(&programs.perch),
        };
        match self.role {
            Role::Worker => command.arg("worker"),
            Role::PerchWorker => command.args(["worker", "extraction", "pending_posts", "sync_to_store"]),
            Role::Api => command.arg("api"),
            Role::Scheduler => command.arg("scheduler"),
        };
        let log = programs.logs.join(format!("{}.log", self.name));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&programs.env)
            .env("REDIS_URL", self.lines.redis_url())
            .env("DATABASE_URL", self.lines.database_url())
            .envs(self.machine.variables())
            .env("PERCH__HTTP__BIND", format!("127.0.0.1:{}", self.http_port))
            .stdin(Stdio::piped())
            .stdout(log_file(&log)?)
            .stderr(log_file(&log)?);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|source| RigError::Program { program, source })?;
        let mut inner = self.lock();
        inner.child = Some(child);
        inner.state = ProcessState::Runs;
        Ok(())
    }

    /// Sends a signal, if the process runs as it should; answers its id.
    fn strike(&self, with: Signal, then: ProcessState) -> Option<u32> {
        let mut inner = self.lock();
        if inner.state != ProcessState::Runs {
            return None;
        }
        let pid = inner.child.as_ref()?.id();
        inner.state = then;
        signal(pid, with);
        Some(pid)
    }

    /// Kills it; it is started again.
    pub fn kill(&self, journal: &Journal) -> bool {
        let pid = self.strike(Signal::Kill, ProcessState::Ending);
        if let Some(pid) = pid {
            journal.hit(pid);
        }
        pid.is_some()
    }

    /// Asks it to end; it is started again.
    pub fn terminate(&self) -> bool {
        self.strike(Signal::Term, ProcessState::Ending).is_some()
    }

    /// Freezes it with SIGSTOP.
    pub fn freeze(&self, journal: &Journal) -> bool {
        let pid = self.strike(Signal::Stop, ProcessState::Frozen);
        if let Some(pid) = pid {
            journal.hit(pid);
        }
        pid.is_some()
    }

    /// Thaws it with SIGCONT.
    pub fn thaw(&self) {
        let mut inner = self.lock();
        if inner.state == ProcessState::Frozen
            && let Some(child) = &inner.child
        {
            signal(child.id(), Signal::Continue);
            inner.state = ProcessState::Runs;
        }
    }

    /// How it ended, if it has; and whether it had been told to.
    fn ended(&self) -> Option<(u32, ExitStatus, ProcessState)> {
        let mut inner = self.lock();
        let child = inner.child.as_mut()?;
        let pid = child.id();
        let status = child.try_wait().ok()??;
        inner.child = None;
        Some((pid, status, inner.state))
    }
}

/// All processes of a run.
#[derive(Debug, Clone)]
pub struct Fleet {
    slots: Arc<Vec<Slot>>,
    programs: Arc<Programs>,
    /// While true, no process is started.
    held: Arc<AtomicBool>,
}

/// How long a process may take to end after SIGTERM: its grace and what it still has to write.
const PATIENCE: Duration = Duration::from_secs(30);

impl Fleet {
    /// Starts `workers` workers, one `perch worker` if there is to be one, the API and the scheduler.
    pub async fn start(
        programs: Programs,
        workers: usize,
        perch_worker: bool,
        redis: u16,
        postgres: u16,
    ) -> Result<Self, RigError> {
        let mut roles: Vec<(String, Role)> = (1..=workers).map(|n| (format!("worker-{n}"), Role::Worker)).collect();
        if perch_worker {
            roles.push(("perch-worker".into(), Role::PerchWorker));
        }
        roles.extend([("api".into(), Role::Api), ("scheduler".into(), Role::Scheduler)]);
        let mut slots = Vec::new();
        for (name, role) in roles {
            let slot = Slot {
                name,
                role,
                lines: ServerLinks::start(redis, postgres).await?,
                machine: Machine::new(),
                http_port: free_port()?,
                inner: Mutex::new(Inner { child: None, state: ProcessState::Ending }),
            };
            slot.start(&programs)?;
            slots.push(slot);
        }
        Ok(Self { slots: Arc::new(slots), programs: Arc::new(programs), held: Arc::default() })
    }

    /// All slots.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slots with these roles.
    pub fn of(&self, roles: &[Role]) -> Vec<&Slot> {
        self.slots.iter().filter(|slot| roles.contains(&slot.role)).collect()
    }

    /// Where the API listens.
    pub fn api_url(&self) -> String {
        let port = self.of(&[Role::Api]).first().map_or(0, |slot| slot.http_port);
        format!("http://127.0.0.1:{port}")
    }

    /// Restarts processes that ended, for as long as it is polled. An unexpected end is reported as trouble, unless it is
    /// a worker that a job aborted.
    pub async fn supervise(self, journal: Arc<Journal>) {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            for slot in self.slots.iter() {
                let Some((pid, status, state)) = slot.ended() else { continue };
                if state == ProcessState::Retired {
                    if !status.success() {
                        journal.trouble(format!("{} ended with {status} after SIGTERM", slot.name));
                    }
                    continue;
                }
                if slot.role == Role::Worker && status.signal() == Some(SIGABRT) {
                    journal.fault("worker aborted by a job");
                    journal.hit(pid);
                } else if state == ProcessState::Runs || state == ProcessState::Frozen {
                    journal.trouble(format!("{} (process {pid}) ended by itself: {status}", slot.name));
                }
                self.wait_while_held().await;
                if let Err(error) = slot.start(&self.programs) {
                    journal.trouble(format!("{} was not started again: {error}", slot.name));
                }
            }
        }
    }

    /// Returns a guard that kills all remaining processes when it is dropped.
    #[must_use]
    pub fn kill_on_drop(&self) -> impl Drop + use<> {
        KillOnDrop(self.clone())
    }

    async fn wait_while_held(&self) {
        while self.held.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Freezes every process, and starts none.
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
        for slot in self.slots.iter() {
            slot.strike(Signal::Stop, ProcessState::Frozen);
        }
    }

    /// Lets every process go on.
    pub fn let_go(&self) {
        for slot in self.slots.iter() {
            slot.thaw();
        }
        self.held.store(false, Ordering::Release);
    }

    /// Undoes all faults: thaws frozen processes and sets every link to normal.
    pub fn heal(&self) {
        for slot in self.slots.iter() {
            slot.lines.redis.set(LinkState::Normal);
            slot.lines.postgres.set(LinkState::Normal);
            slot.thaw();
        }
    }

    /// Stops processes for good, as a deploy does. Returns one text for each that did not stop as it should.
    pub async fn retire(&self, roles: &[Role]) -> Vec<String> {
        let mut troubles = Vec::new();
        for slot in self.of(roles) {
            let mut inner = slot.lock();
            inner.state = ProcessState::Retired;
            if let Some(child) = &inner.child {
                signal(child.id(), Signal::Term);
            }
        }
        for slot in self.of(roles) {
            let gone = tokio::time::timeout(PATIENCE, async {
                while slot.lock().child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            if gone.await.is_err() {
                troubles.push(format!("{} does not end within {} s of SIGTERM", slot.name, PATIENCE.as_secs()));
            }
            let status = slot.lock().child.take().and_then(|mut child| {
                let _ = child.kill();
                child.wait().ok()
            });
            if let Some(status) = status.filter(|status| !status.success()) {
                troubles.push(format!("{} ended with {status} after SIGTERM", slot.name));
            }
        }
        troubles
    }
}

struct KillOnDrop(Fleet);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.held.store(true, Ordering::Release);
        for slot in self.0.slots.iter() {
            if let Some(mut child) = slot.lock().child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The number of SIGABRT on every system that Perch runs on.
const SIGABRT: i32 = 6;

/// The `perch` binary beside this one.
pub fn perch_beside(rig: &Path) -> Result<PathBuf, RigError> {
    let perch = rig.with_file_name("perch");
    if perch.is_file() {
        return Ok(perch);
    }
    let missing =
        format!("{} is not there: build it with 'cargo build -p perch-cli', or run ./ops/torture", perch.display());
    Err(RigError::Setup(missing))
}
