use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Lease;

/// A lease that this process holds.
#[derive(Debug)]
pub(super) struct HeldLease {
    pub lease: Lease,
    /// Created on first use: most jobs end without it.
    cancel: OnceLock<CancellationToken>,
    why: Mutex<Option<StopReason>>,
    renewed: Mutex<Instant>,
}

/// Why a running job must stop.
#[derive(Debug, Clone)]
pub(super) enum StopReason {
    /// An operator cancelled it; the reason.
    Cancelled(String),
    /// Its lease was lost; another worker may have it.
    LeaseLost,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HeldLease {
    pub fn new(lease: Lease, asked_at: Instant) -> Self {
        Self { lease, cancel: OnceLock::new(), why: Mutex::new(None), renewed: Mutex::new(asked_at) }
    }

    /// True if the last renewal was sent less than `lease` ago, so that the lease cannot have run out.
    pub fn renewed_within(&self, lease: Duration) -> bool {
        lock(&self.renewed).elapsed() < lease
    }

    pub fn renewed(&self, asked_at: Instant) {
        *lock(&self.renewed) = asked_at;
    }

    pub fn stop(&self, why: StopReason) {
        lock(&self.why).get_or_insert(why);
        self.cancellation().cancel();
    }

    /// Cancelled by [`HeldLease::stop`].
    pub fn cancellation(&self) -> &CancellationToken {
        self.cancel.get_or_init(CancellationToken::new)
    }

    pub fn is_stopped(&self) -> bool {
        self.cancel.get().is_some_and(CancellationToken::is_cancelled)
    }

    pub fn stop_reason(&self) -> Option<StopReason> {
        lock(&self.why).clone()
    }
}

/// A job handed to the pool.
#[derive(Debug)]
pub(super) struct Delivery {
    pub held: Arc<HeldLease>,
    pub envelope: Vec<u8>,
}

/// The jobs of a pool that are fetched but not started, and all its leases.
#[derive(Debug)]
pub(super) struct Buffer {
    waiting: Mutex<VecDeque<Delivery>>,
    /// Keyed by lease member, because a process may briefly hold two attempts of a job if the first was lost.
    held: Mutex<HashMap<Arc<str>, Arc<HeldLease>, foldhash::fast::RandomState>>,
    /// Fetched jobs whose handler has not ended.
    outstanding: AtomicUsize,
    capacity: usize,
    closed: AtomicBool,
    reader: AtomicWaker,
    freed: Notify,
}

impl Buffer {
    pub fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            held: Mutex::default(),
            outstanding: AtomicUsize::new(0),
            capacity,
            closed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            freed: Notify::new(),
        }
    }

    /// How many more jobs to fetch now. None while fetched jobs wait to start and few slots are free, because a fetch costs the
    /// same for one job as for many.
    pub fn wanted(&self) -> usize {
        let waiting = !lock(&self.waiting).is_empty();
        let free = self.free();
        if waiting && free < self.capacity.div_ceil(4) { 0 } else { free }
    }

    /// Free slots.
    pub fn free(&self) -> usize {
        self.capacity.saturating_sub(self.outstanding.load(Ordering::Acquire))
    }

    /// Waits until more jobs may be wanted.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn tell_if_wanted(&self) {
        if self.wanted() > 0 {
            self.freed.notify_one();
        }
    }

    /// Adds jobs. If the buffer was closed meanwhile, returns them; the caller must release them.
    pub fn add(&self, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        lock(&self.held).extend(deliveries.iter().map(|d| (d.held.lease.shared_member(), d.held.clone())));
        let mut waiting = lock(&self.waiting);
        if self.closed.load(Ordering::Acquire) {
            return deliveries;
        }
        self.outstanding.fetch_add(deliveries.len(), Ordering::AcqRel);
        waiting.extend(deliveries);
        drop(waiting);
        self.reader.wake();
        Vec::new()
    }

    /// The next job to start. `None` once the buffer is closed and empty.
    pub fn poll_next(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Delivery>> {
        use std::task::Poll;
        self.reader.register(cx.waker());
        let next = lock(&self.waiting).pop_front();
        match next {
            Some(delivery) => {
                self.tell_if_wanted();
                Poll::Ready(Some(delivery))
            }
            None if self.closed.load(Ordering::Acquire) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Frees the slot of a job whose handler has ended. The lease is held until the ack is written to Redis.
    pub fn ended(&self) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
        self.tell_if_wanted();
    }

    /// Drops leases whose acks are written to Redis.
    pub fn forget<'a>(&self, leases: impl Iterator<Item = &'a Lease>) {
        let mut held = lock(&self.held);
        for lease in leases {
            held.remove(lease.member());
        }
    }

    pub fn leases(&self) -> Vec<Lease> {
        lock(&self.held).values().map(|h| h.lease.clone()).collect()
    }

    pub fn get(&self, member: &str) -> Option<Arc<HeldLease>> {
        lock(&self.held).get(member).cloned()
    }

    /// Closes the buffer: returns the fetched jobs that were not started, and delivers no more.
    pub fn close(&self) -> Vec<Delivery> {
        let mut waiting = lock(&self.waiting);
        self.closed.store(true, Ordering::Release);
        let rest: Vec<Delivery> = waiting.drain(..).collect();
        drop(waiting);
        self.outstanding.fetch_sub(rest.len(), Ordering::AcqRel);
        self.reader.wake();
        rest
    }
}
