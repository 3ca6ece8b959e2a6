//! Which faults happen, when, and for how long: decided by the seed of the run.

use std::{sync::Arc, time::Duration};

use perch_sandbox::{Endpoint, Fault, FaultKind, SandboxState};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    dice::Dice,
    error::RigError,
    fleet::{Fleet, Role, Slot},
    incident::{Incident, schedule},
    journal::{Journal, Server, now_ms},
    operator::Operator,
    proxy::{Direction, LinkState, Proxy, ServerLinks},
    servers::{PostgresPair, RedisPair, Signal},
};

/// Injects the faults of a run.
#[derive(Debug)]
pub struct Breaker {
    /// The random numbers of this part.
    pub dice: Dice,
    /// The processes.
    pub fleet: Fleet,
    /// The links of this process.
    pub direct: Arc<ServerLinks>,
    /// The outside world.
    pub sandbox: SandboxState,
    /// Redis.
    pub redis: RedisPair,
    /// Postgres.
    pub postgres: PostgresPair,
    /// The journal of the run.
    pub journal: Arc<Journal>,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How long faults go on.
    pub time: Duration,
    /// The time between two faults, on average.
    pub pace: Duration,
    /// Recovers lost data.
    pub operator: Operator,
    /// The incidents that this run may play.
    pub incidents: Vec<Incident>,
}

#[derive(Debug, Clone, Copy)]
enum FaultClass {
    KillWorker,
    TerminateWorker,
    FreezeWorker,
    KillOther,
    TerminateOther,
    KillRedis,
    RestartRedis,
    StopPostgres,
    RestartPostgres,
    Network,
    Sandbox,
}

const KINDS: [(u64, FaultClass); 11] = [
    (16, FaultClass::KillWorker),
    (8, FaultClass::TerminateWorker),
    (8, FaultClass::FreezeWorker),
    (3, FaultClass::KillOther),
    (1, FaultClass::TerminateOther),
    (2, FaultClass::KillRedis),
    (2, FaultClass::RestartRedis),
    (2, FaultClass::StopPostgres),
    (1, FaultClass::RestartPostgres),
    (16, FaultClass::Network),
    (24, FaultClass::Sandbox),
];

/// The documentation of Redis says that an append-only file written every second may be two seconds behind.
const BEHIND_MS: i64 = 2_000;

const WORKERS: [Role; 2] = [Role::Worker, Role::PerchWorker];
const OTHERS: [Role; 2] = [Role::Api, Role::Scheduler];
const WRITES: [Endpoint; 2] = [Endpoint::CreatePost, Endpoint::Retweet];
const READS: [Endpoint; 5] = [Endpoint::Me, Endpoint::UserPosts, Endpoint::Posts, Endpoint::Chat, Endpoint::User];

impl Breaker {
    /// Injects faults, then waits until all of them are undone. All servers are up when this returns.
    pub async fn run(&mut self) -> Result<(), RigError> {
        let mut healing = JoinSet::new();
        let (start, end) = (Instant::now(), Instant::now() + self.time);
        let mut incidents = schedule(&mut self.dice, self.time, &self.incidents).into_iter().peekable();
        while Instant::now() < end || incidents.peek().is_some() {
            if let Some((_, incident)) = incidents.next_if(|(share, _)| start.elapsed() > self.time.mul_f64(*share)) {
                self.suffer(incident, &mut healing).await?;
            }
            // Times between independent events are exponential, capped so that no pause is long.
            let wait = self.pace.mul_f64((-(1.0 - self.dice.share()).ln()).min(4.0));
            tokio::time::sleep(wait).await;
            let kind = self.dice.weighed(&KINDS);
            self.inflict(kind, &mut healing).await?;
            while healing.try_join_next().is_some() {}
        }
        healing.join_all().await;
        Ok(())
    }

    async fn inflict(&mut self, kind: FaultClass, healing: &mut JoinSet<()>) -> Result<(), RigError> {
        match kind {
            FaultClass::KillWorker => self.kill_a_worker(),
            FaultClass::TerminateWorker => self.hit(&WORKERS, "SIGTERM of a worker", |slot, _| slot.terminate()),
            FaultClass::FreezeWorker => self.freeze(healing),
            FaultClass::KillOther => self.hit(&OTHERS, "SIGKILL of API or scheduler", Slot::kill),
            FaultClass::TerminateOther => self.hit(&OTHERS, "SIGTERM of API or scheduler", |slot, _| slot.terminate()),
            FaultClass::KillRedis => {
                let from = now_ms() - BEHIND_MS;
                let unseen = self.look_away();
                self.redis.kill();
                self.journal.loss(Server::Redis, from);
                self.journal.fault("kill -9 of Redis");
                self.pause(100, 2_500).await;
                self.redis.bring_up().await?;
                self.look_again(unseen).await?;
            }
            FaultClass::RestartRedis => {
                let unseen = self.look_away();
                self.redis.shut_down().await;
                self.journal.fault("restart of Redis");
                self.pause(100, 2_500).await;
                self.redis.bring_up().await?;
                self.look_again(unseen).await?;
            }
            FaultClass::StopPostgres => {
                self.postgres.stop(Signal::Quit).await;
                self.journal.fault("immediate stop of Postgres");
                self.pause(100, 3_000).await;
                self.postgres.bring_up().await?;
            }
            FaultClass::RestartPostgres => {
                self.postgres.stop(Signal::Interrupt).await;
                self.journal.fault("restart of Postgres");
                self.pause(100, 3_000).await;
                self.postgres.bring_up().await?;
            }
            FaultClass::Network => self.network(healing),
            FaultClass::Sandbox => self.sandbox(),
        }
        Ok(())
    }

    /// Before a failover or restart of Redis that must go unnoticed: the scheduler must not see it first.
    pub(crate) fn look_away(&mut self) -> Option<usize> {
        if !self.operator.hides_losses_of_redis() {
            return None;
        }
        let scheduler = self.one(&[Role::Scheduler]);
        self.fleet.slots()[scheduler].freeze(&self.journal);
        Some(scheduler)
    }

    /// Undoes `look_away`.
    pub(crate) async fn look_again(&self, unseen: Option<usize>) -> Result<(), RigError> {
        let Some(scheduler) = unseen else { return Ok(()) };
        self.operator.hide_loss_of_redis().await?;
        self.fleet.slots()[scheduler].thaw();
        Ok(())
    }

    pub(crate) async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.between(from_ms, to_ms))).await;
    }

    fn hit(&mut self, roles: &[Role], name: &'static str, strike: impl Fn(&Slot, &Journal) -> bool) {
        let slot = *self.dice.one_of(&self.fleet.of(roles));
        if strike(slot, &self.journal) {
            self.journal.fault(name);
        }
    }

    pub(crate) fn kill_a_worker(&mut self) {
        self.hit(&WORKERS, "SIGKILL of a worker", Slot::kill);
    }

    /// Freezes a worker for longer than its lease: when it wakes, its jobs belong to another.
    fn freeze(&mut self, healing: &mut JoinSet<()>) {
        let at = self.one(&WORKERS);
        let time = self.lease + Duration::from_millis(self.dice.between(0, 4_000));
        if self.fleet.slots()[at].freeze(&self.journal) {
            self.journal.fault("SIGSTOP beyond the lease, SIGCONT");
            let fleet = self.fleet.clone();
            healing.spawn(async move {
                tokio::time::sleep(time).await;
                fleet.slots()[at].thaw();
            });
        }
    }

    /// The index of a random process with one of these roles.
    pub(crate) fn one(&mut self, roles: &[Role]) -> usize {
        let places: Vec<usize> =
            (0..self.fleet.slots().len()).filter(|at| roles.contains(&self.fleet.slots()[*at].role)).collect();
        *self.dice.one_of(&places)
    }

    fn network(&mut self, healing: &mut JoinSet<()>) {
        let at = *self.dice.one_of(&(0..self.fleet.slots().len()).collect::<Vec<_>>());
        let way: fn(&Slot) -> &Proxy =
            if self.dice.chance(0.6) { |slot| &slot.lines.redis } else { |slot| &slot.lines.postgres };
        let slow = LinkState::Slow(Duration::from_millis(self.dice.between(20, 700)));
        let state = self.dice.weighed(&[
            (3, None),
            (2, Some((slow, "network: delay"))),
            (2, Some((LinkState::Held, "network: nothing passes"))),
            (2, Some((LinkState::Swallowed(Direction::Both), "network: half-open"))),
        ]);
        let time = Duration::from_millis(self.dice.between(300, 7_000));
        let Some((state, name)) = state else {
            way(&self.fleet.slots()[at]).reset();
            self.journal.fault("network: reset");
            return;
        };
        way(&self.fleet.slots()[at]).set(state);
        self.journal.fault(name);
        let fleet = self.fleet.clone();
        healing.spawn(async move {
            tokio::time::sleep(time).await;
            way(&fleet.slots()[at]).set(LinkState::Normal);
        });
    }

    fn sandbox(&mut self) {
        let (kind, name, delay) = self.dice.weighed(&[
            (3, (FaultKind::RateLimited, "X: 429", (500, 2_000))),
            (3, (FaultKind::Unavailable, "X: 503", (0, 0))),
            (2, (FaultKind::Timeout, "X: no answer", (1_500, 3_000))),
            (3, (FaultKind::DropBefore, "X: dropped before it acted", (0, 0))),
            (6, (FaultKind::DropAfter, "X: dropped after it acted", (0, 0))),
            (2, (FaultKind::Malformed, "X: acted, answer broken", (0, 0))),
            // Not longer than X may take to show a post (x.settle): nothing can stop a request that is read later than
            // that.
            (3, (FaultKind::Slow, "X: slow", (100, 1_800))),
        ]);
        let endpoint = *if self.dice.chance(0.7) { self.dice.one_of(&WRITES) } else { self.dice.one_of(&READS) };
        let times = u32::try_from(self.dice.between(1, 5)).unwrap_or(1);
        let mut fault = Fault::new(endpoint, kind).times(times);
        if delay.1 > 0 {
            fault = fault.delay_ms(self.dice.between(delay.0, delay.1));
        }
        self.sandbox.add_fault(fault);
        self.journal.faults(name, times.into());
    }
}
