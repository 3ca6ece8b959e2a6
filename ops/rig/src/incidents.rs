//! Incidents of servers, clocks and networks. Every run plays all of them, in a random order that its seed decides.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use crate::{
    error::RigError,
    faults::Breaker,
    fleet::{Role, Slot},
    incident::Incident,
    journal::{Server, now_ms},
    proxy::{Direction, LinkState},
};

impl Breaker {
    /// Plays an incident, and lets the affected server recover.
    pub async fn suffer(&mut self, incident: Incident, healing: &mut JoinSet<()>) -> Result<(), RigError> {
        use clap::ValueEnum as _;
        println!("  {}", incident.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()));
        match incident {
            Incident::LossOfRedis => self.lose_redis(healing).await,
            Incident::FailoverOfRedis => self.fail_over_redis(true).await,
            Incident::SwitchoverOfRedis => self.fail_over_redis(false).await,
            Incident::FailoverOfPostgres => self.fail_over_postgres().await,
            Incident::RestoreOfPostgres => self.restore_postgres(healing).await,
            Incident::RedisAhead => self.step_clock_of_redis(1).await,
            Incident::RedisBehind => self.step_clock_of_redis(-1).await,
            Incident::SchedulerClock => self.step_clock_of(&[Role::Scheduler], "clock of the scheduler steps").await,
            Incident::WorkerClock => {
                self.step_clock_of(&[Role::Worker, Role::PerchWorker], "clock of a worker steps").await
            }
            Incident::FullRedis => self.fill_redis().await,
            Incident::FullPostgres => self.fill_postgres().await,
            Incident::FrozenRedis => self.freeze_redis().await,
            Incident::FrozenPostgres => self.freeze_postgres().await,
            Incident::OneWayPartition => {
                self.partition(healing);
                Ok(())
            }
            Incident::ReadOnlySessions => self.read_only().await,
        }
    }

    async fn lose_redis(&mut self, healing: &mut JoinSet<()>) -> Result<(), RigError> {
        // Frozen processes must not be thawed in the middle of it.
        std::mem::take(healing).join_all().await;
        let _still = self.operator.hold_still(&self.fleet).await;
        self.operator.empty_redis(&self.journal).await?;
        self.journal.fault("wipe of Redis, perch recover");
        Ok(())
    }

    async fn fail_over_redis(&mut self, dies: bool) -> Result<(), RigError> {
        self.redis.in_step().await?;
        self.redis.lag();
        let from = now_ms() - IN_FLIGHT_MS;
        self.pause(200, 4_000).await;
        let unseen = self.look_away();
        self.redis.promote(dies).await?;
        self.aim();
        self.look_again(unseen).await?;
        self.journal.loss(Server::Redis, from);
        self.journal.fault(if dies { "failover to a Redis that lagged" } else { "switchover to a Redis that lagged" });
        // Clients that are still connected to the former primary get READONLY errors.
        self.pause(500, 3_000).await;
        Ok(())
    }

    async fn fail_over_postgres(&mut self) -> Result<(), RigError> {
        self.postgres.lag();
        let from = now_ms() - IN_FLIGHT_MS;
        self.pause(200, 4_000).await;
        self.postgres.promote().await?;
        self.aim();
        self.journal.loss(Server::Postgres, from);
        self.journal.fault("failover to a Postgres that lagged, perch recover");
        self.operator.recover().await?;
        self.postgres.renew_standby().await
    }

    async fn restore_postgres(&mut self, healing: &mut JoinSet<()>) -> Result<(), RigError> {
        let from = now_ms() - IN_FLIGHT_MS;
        self.postgres.back_up().await?;
        self.pause(3_000, 12_000).await;
        std::mem::take(healing).join_all().await;
        let still = self.operator.hold_still(&self.fleet).await;
        self.postgres.restore().await?;
        self.journal.loss(Server::Postgres, from);
        self.journal.fault("restore of an older Postgres, perch recover");
        self.operator.recover().await?;
        drop(still);
        self.postgres.renew_standby().await
    }

    async fn step_clock_of_redis(&mut self, hours: i64) -> Result<(), RigError> {
        self.journal.notes().clocks_stepped = true;
        self.redis.machine().set_clock(TimeDelta::hours(hours));
        self.journal.fault("clock of Redis steps by an hour and back");
        self.pause(1_000, 4_000).await;
        // A worker that dies now leaves leases that end by the stepped clock.
        self.kill_a_worker();
        self.pause(1_000, 4_000).await;
        self.redis.machine().set_clock(TimeDelta::zero());
        Ok(())
    }

    async fn step_clock_of(&mut self, roles: &[Role], name: &'static str) -> Result<(), RigError> {
        self.journal.notes().clocks_stepped = true;
        let (at, hours) = (self.one(roles), if self.dice.chance(0.5) { 1 } else { -1 });
        let set = |fleet: &crate::fleet::Fleet, hours| fleet.slots()[at].machine.set_clock(TimeDelta::hours(hours));
        set(&self.fleet, hours);
        self.journal.fault(name);
        self.pause(2_000, 8_000).await;
        set(&self.fleet, 0);
        Ok(())
    }

    async fn fill_redis(&mut self) -> Result<(), RigError> {
        self.journal.fault("full disk of Redis");
        self.redis.machine().fill_disk(true);
        self.pause(1_000, 5_000).await;
        self.redis.machine().fill_disk(false);
        Ok(())
    }

    async fn fill_postgres(&mut self) -> Result<(), RigError> {
        self.journal.fault("full disk of Postgres");
        self.postgres.machine().fill_disk(true);
        self.pause(1_000, 5_000).await;
        self.postgres.machine().fill_disk(false);
        self.postgres.bring_up().await
    }

    async fn freeze_redis(&mut self) -> Result<(), RigError> {
        self.journal.fault("Redis frozen");
        self.redis.freeze();
        self.pause(1_000, 8_000).await;
        self.redis.thaw();
        Ok(())
    }

    async fn freeze_postgres(&mut self) -> Result<(), RigError> {
        self.journal.fault("Postgres frozen");
        self.postgres.freeze();
        self.pause(1_000, 8_000).await;
        self.postgres.thaw();
        Ok(())
    }

    fn partition(&mut self, healing: &mut JoinSet<()>) {
        let at = *self.dice.one_of(&(0..self.fleet.slots().len()).collect::<Vec<_>>());
        let way: fn(&Slot) -> &crate::proxy::Proxy =
            if self.dice.chance(0.6) { |slot| &slot.lines.redis } else { |slot| &slot.lines.postgres };
        let ways = if self.dice.chance(0.5) { Direction::ToServer } else { Direction::ToClient };
        let time = Duration::from_secs(60).min(self.time.mul_f64(0.1));
        way(&self.fleet.slots()[at]).set(LinkState::Swallowed(ways));
        self.journal.fault("network: one way only");
        let fleet = self.fleet.clone();
        healing.spawn(async move {
            tokio::time::sleep(time).await;
            way(&fleet.slots()[at]).set(LinkState::Normal);
        });
    }

    async fn read_only(&mut self) -> Result<(), RigError> {
        self.journal.fault("sessions of Postgres that may only read");
        self.postgres.read_only(true).await?;
        self.pause(500, 3_000).await;
        self.postgres.read_only(false).await
    }

    /// Points every link to the current primary servers.
    fn aim(&self) {
        let slots = self.fleet.slots().iter().map(|slot| &slot.lines);
        for lines in slots.chain([&*self.direct]) {
            lines.redis.aim(self.redis.port());
            lines.postgres.aim(self.postgres.port());
        }
    }
}

/// How long a request of a client may be in flight.
const IN_FLIGHT_MS: i64 = 500;
