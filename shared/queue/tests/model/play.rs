//! Plays a sequence on the engine and on the model, and compares them after every step.

use std::collections::BTreeSet;

use perch_base::Clock;
use perch_job::{JobId, JobTypes};
use perch_queue::{DeadLetter, Lease, Redis};

use crate::{
    engine::{Engine, Holding},
    invariants::{self, Checked},
    model::{Letter, Model},
    ops::{Ending, HOLDERS, Op, Pick, Rules, Seconds, Wish},
    rates::{self, Starts},
    recovery::Copy,
    state::Answer,
};

pub struct Play {
    engine: Engine,
    model: Model,
    rules: Rules,
    /// The leases that each worker believes it holds.
    held: [Vec<Holding>; HOLDERS.len()],
    /// Every lease that a worker ever got.
    ever: Vec<Holding>,
    letters: Vec<(DeadLetter, Letter)>,
    enqueued: u64,
    asked: Vec<(JobId, Wish)>,
    /// False from a change of the limits until a worker has fetched; workers fetch when they start.
    looked: bool,
    /// Every lease that was ever given.
    given: BTreeSet<String>,
    /// Starts under these limits.
    starts: Starts,
    /// The last copy of Redis.
    copy: Option<(Copy, Model)>,
}

/// The results of the engine and the model.
type Both = (Answer, Answer);

fn pick<T: Clone>(of: &[T], pick: Pick) -> Option<T> {
    (!of.is_empty()).then(|| of[usize::from(pick) % of.len()].clone())
}

fn leases(holdings: &[Holding]) -> Vec<Lease> {
    holdings.iter().map(|(lease, _)| lease.clone()).collect()
}

fn members(holdings: &[Holding]) -> Vec<String> {
    holdings.iter().map(|(lease, _)| lease.member().to_owned()).collect()
}

fn agreed(engine: &Answer, model: &Answer) -> Checked {
    if engine == model { Ok(()) } else { Err(format!("the answer differs\n engine: {engine:?}\n model:  {model:?}")) }
}

const NOTHING: Both = (Answer::None, Answer::None);

impl Play {
    pub async fn start(door: &Redis, types: &JobTypes, rules: Rules) -> Self {
        let begins = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time");
        Self {
            engine: Engine::start(door, types, Clock::manual(begins), rules).await,
            model: Model::new(begins.timestamp_millis(), rules),
            rules,
            held: Default::default(),
            ever: Vec::new(),
            letters: Vec::new(),
            enqueued: 0,
            asked: Vec::new(),
            looked: true,
            given: BTreeSet::new(),
            starts: Starts::default(),
            copy: None,
        }
    }

    /// Plays the whole sequence, then runs all remaining jobs.
    pub async fn all(mut self, ops: &[Op]) -> Checked {
        for (place, op) in ops.iter().enumerate() {
            let answers = self.step(op).await;
            self.compare(answers).await.map_err(|error| format!("step {}, {op:?}: {error}", place + 1))?;
        }
        self.come_to_rest().await
    }

    async fn compare(&mut self, (engine, model): Both) -> Checked {
        agreed(&engine, &model)?;
        let (state, lists, token) = self.engine.state().await;
        self.model.remember();
        let expected = self.model.state();
        if state != expected {
            return Err(format!("the state differs\n engine: {state:#?}\n model:  {expected:#?}"));
        }
        self.model.agrees_with(&lists, matches!(engine, Answer::Fetched { .. }))?;
        invariants::all(&state, &lists)?;
        self.work_that_may_start_leaves_a_token(token)?;
        self.rates_are_kept(&engine)?;
        invariants::no_two_leases_are_the_same(&engine, &mut self.given)
    }

    /// Otherwise idle workers would not notice the job. A job that waits for a rate is started by workers that were told when to
    /// fetch.
    fn work_that_may_start_leaves_a_token(&self, token: bool) -> Checked {
        let limits = self.rules.limits;
        let rated = limits.rate.is_some() || limits.group_rate.is_some();
        if token || !self.looked || rated || self.model.paused {
            return Ok(());
        }
        let startable = self.model.startable();
        invariants::ensure(startable.is_none(), "work that may start leaves a token", || format!("{startable:?}"))
    }

    fn rates_are_kept(&mut self, answer: &Answer) -> Checked {
        let Answer::Fetched { leases, .. } = answer else { return Ok(()) };
        let limits = self.rules.limits;
        for member in leases {
            let id: JobId = member.split('|').next().and_then(|id| id.parse().ok()).expect("a lease begins with an id");
            self.starts.record(rates::QUEUE, self.model.now);
            self.starts.keep_to(rates::QUEUE, limits.rate)?;
            if let Some(group) = self.model.known[&id].group {
                self.starts.record(group, self.model.now);
                self.starts.keep_to(group, limits.group_rate)?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, op: &Op) -> Both {
        match op {
            Op::Enqueue(wish) => {
                self.enqueued += 1;
                let id = self.new_id();
                self.asked.push((id, wish.clone()));
                self.enqueue(id, wish).await
            }
            Op::EnqueueAgain(n) => match pick(&self.asked, *n) {
                Some((id, wish)) => self.enqueue(id, &wish).await,
                None => NOTHING,
            },
            Op::Fetch { holder, slots, reaped, lost } => self.fetch(*holder, *slots, *reaped, *lost).await,
            Op::Begin(n) => match pick(&self.believed(), *n) {
                Some((lease, _)) => (self.engine.begin(&lease).await, self.model.begin(lease.member())),
                None => NOTHING,
            },
            Op::Ack(n, ending) => match pick(&self.believed(), *n) {
                Some(holding) => self.finish(&holding, *ending).await,
                None => NOTHING,
            },
            Op::StaleAck(n, ending) => match pick(&self.ever, *n) {
                Some(holding) => self.finish(&holding, *ending).await,
                None => NOTHING,
            },
            Op::Heartbeat { holder, reaped } => {
                let held = &self.held[*holder];
                let engine = self.engine.heartbeat(*holder, &leases(held), *reaped).await;
                (engine, self.model.heartbeat(&members(held), *reaped))
            }
            Op::Reclaim(holder) => {
                let known = &self.held[*holder];
                (self.engine.reclaim(*holder, &leases(known)).await, self.model.reclaim(*holder, &members(known)))
            }
            Op::Pass(time) => {
                let ended = self.model.pass(*time);
                self.engine.pass(*time, &ended).await;
                NOTHING
            }
            Op::Deploy(limits) => {
                self.rules.limits = *limits;
                self.engine.deploy(self.rules);
                self.model.rules = self.rules;
                self.model.regrouped = true;
                self.model.grouped |= limits.group > 0 || limits.group_rate.is_some();
                self.looked = false;
                self.starts = Starts::default();
                NOTHING
            }
            Op::Copy => {
                self.copy = Some((self.engine.copy().await, self.model.clone()));
                NOTHING
            }
            Op::ComeBack => {
                self.come_back().await;
                NOTHING
            }
            other => self.operate(other).await,
        }
    }

    async fn operate(&mut self, op: &Op) -> Both {
        let dead: Vec<JobId> = self.model.letters().iter().map(|letter| letter.id).collect();
        match op {
            Op::Cancel(n) => match pick(&self.model.ids(), *n) {
                Some(id) => (self.engine.cancel(id).await, self.model.cancel(id)),
                None => NOTHING,
            },
            Op::RunNow(n) => match pick(&self.model.ids(), *n) {
                Some(id) => (self.engine.run_now(id).await, self.model.run_now(id)),
                None => NOTHING,
            },
            Op::Discard(n) => match pick(&dead, *n).or_else(|| pick(&self.model.ids(), *n)) {
                Some(id) => (self.engine.discard(id).await, self.model.discard(id)),
                None => NOTHING,
            },
            Op::Replay { pick: n, edit, delay } => match pick(&self.model.letters(), *n) {
                Some(letter) => {
                    let read = self.engine.letter(letter.id).await.expect("the model says that it is dead");
                    self.letters.push((read, letter));
                    self.replay(self.letters.len() - 1, *edit, *delay).await
                }
                None => NOTHING,
            },
            Op::ReplayStale { pick: n, delay } => match self.letters.len() {
                0 => NOTHING,
                len => self.replay(usize::from(*n) % len, None, *delay).await,
            },
            Op::Pause => (self.engine.pause(true).await, self.model.pause(true)),
            Op::Resume => (self.engine.pause(false).await, self.model.pause(false)),
            Op::Purge => (self.engine.purge().await, self.model.purge()),
            Op::Prune => (self.engine.prune().await, self.model.prune()),
            Op::Restore(jobs) => {
                let known = self.model.ids();
                let lost: Vec<_> = jobs.iter().filter_map(|(n, lost)| Some((pick(&known, *n)?, *lost))).collect();
                (self.engine.restore(&lost).await, self.model.restore(&lost))
            }
            Op::Drop(chosen) => {
                let known = self.model.ids();
                let ids: Vec<JobId> = chosen.iter().filter_map(|n| pick(&known, *n)).collect();
                (self.engine.drop_ended(&ids).await, self.model.drop_ended(&ids))
            }
            other => unreachable!("{other:?} is none of an operator"),
        }
    }

    /// It takes a second. Workers then fetch at once, whatever they waited for, and still believe that they hold their leases.
    async fn come_back(&mut self) {
        let nothing = (Copy::default(), self.model.lost());
        let (copy, model) = self.copy.as_ref().unwrap_or(&nothing);
        self.engine.come_back(copy).await;
        self.model.come_back(model);
        let ended = self.model.pass(1);
        self.engine.pass(1, &ended).await;
        self.looked = false;
        self.starts = Starts::default();
    }

    /// Ids of one millisecond are in no particular order.
    fn new_id(&self) -> JobId {
        let mixed = self.enqueued.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        JobId::from_parts(self.engine.queue.now(), mixed.into())
    }

    fn believed(&self) -> Vec<Holding> {
        self.held.iter().flatten().cloned().collect()
    }

    async fn enqueue(&mut self, id: JobId, wish: &Wish) -> Both {
        let n = self.enqueued;
        (self.engine.enqueue(id, n, wish).await, self.model.enqueue(id, n, wish))
    }

    async fn fetch(&mut self, holder: usize, slots: usize, reaped: usize, lost: bool) -> Both {
        let (engine, got) = self.engine.fetch(holder, slots, reaped).await;
        self.looked = true;
        if !lost {
            self.ever.extend(got.iter().cloned());
            self.held[holder].extend(got);
        }
        let model = self.model.fetch(holder, HOLDERS[holder], slots, reaped, &engine);
        (engine, model)
    }

    async fn finish(&mut self, holding: &Holding, ending: Ending) -> Both {
        let member = holding.0.member();
        for held in &mut self.held {
            held.retain(|(lease, _)| lease.member() != member);
        }
        (self.engine.finish(holding, ending).await, self.model.finish(member, ending))
    }

    async fn replay(&mut self, place: usize, edit: Option<u64>, delay: Seconds) -> Both {
        let (read, letter) = &self.letters[place];
        (self.engine.replay(read, edit, delay).await, self.model.replay(letter, edit, delay))
    }

    /// In all cases workers finish the remaining jobs, and an operator empties the dead letters.
    async fn come_to_rest(&mut self) -> Checked {
        let told = |error| format!("while it comes to rest: {error}");
        let resumed = self.step(&Op::Resume).await;
        self.compare(resumed).await.map_err(told)?;
        for _ in 0..1_000 {
            let answers = self.fetch(0, 10, 100, false).await;
            self.compare(answers).await.map_err(told)?;
            for holding in self.believed() {
                let (engine, model) = self.finish(&holding, Ending::Done).await;
                agreed(&engine, &model).map_err(told)?;
            }
            let state = self.model.state();
            if state.jobs.len() == state.dead.len() && self.model.cancelled.is_empty() {
                for id in state.dead.keys() {
                    agreed(&self.engine.discard(*id).await, &self.model.discard(*id)).map_err(told)?;
                }
                let history = self.engine.history().await;
                if history != self.model.history {
                    return Err(format!("histories differ\n engine: {history:?}\n model:  {:?}", self.model.history));
                }
                let base = self.engine.queue.keys().base().to_owned();
                return invariants::nothing_is_left_behind(&self.engine.lasting_keys().await, &base);
            }
            self.step(&Op::Pass(61)).await;
        }
        Err("the work did not come to an end".to_owned())
    }
}
