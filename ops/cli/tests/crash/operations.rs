//! The commands that change jobs, and what becomes of the jobs.

use perch_queue::EventKind;

pub const QUEUE: &str = "analytics_processing";

/// Where jobs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPlace {
    Waiting,
    /// Waiting in a queue that is paused.
    Paused,
    Delayed,
    Running,
    /// Running, and told to stop.
    Stopping,
    Dead,
    /// Dead for longer than the queue keeps them.
    Outdated,
    /// Waiting in Redis, though Postgres knows that they are done.
    Ended,
    /// In Postgres alone.
    Lost,
    Gone,
}

/// What an operator, or the scheduler, does to jobs.
#[derive(Debug)]
pub struct Operation {
    pub arguments: &'static [&'static str],
    /// Other settings than those of the repository.
    pub settings: &'static [(&'static str, &'static str)],
    /// Whether the ids of the jobs are given, too.
    pub names_jobs: bool,
    pub jobs: usize,
    pub from: JobPlace,
    pub to: JobPlace,
    /// Where it dies, and how many jobs it has moved by then.
    pub deaths: &'static [(&'static str, usize)],
    /// What is told of each job, once.
    pub told: Option<EventKind>,
    /// Its action in the audit log, and where in the details of a line the number of jobs stands.
    pub audited: Option<(&'static str, &'static str)>,
}

const A_LINE_FOR_EACH: &str = "1";

/// Those that work in batches have one job more than a batch.
pub static OPERATIONS: [Operation; 13] = [
    Operation {
        arguments: &["jobs", "cancel"],
        settings: &[],
        names_jobs: true,
        jobs: 2,
        from: JobPlace::Waiting,
        to: JobPlace::Gone,
        deaths: &[("cancel.before", 0), ("cancel.after", 1), ("cancel.before:2", 1)],
        told: Some(EventKind::Cancelled),
        audited: Some(("job.cancel", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["jobs", "cancel"],
        settings: &[],
        names_jobs: true,
        jobs: 1,
        from: JobPlace::Delayed,
        to: JobPlace::Gone,
        deaths: &[("cancel.after", 1)],
        told: Some(EventKind::Cancelled),
        audited: Some(("job.cancel", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["jobs", "cancel"],
        settings: &[],
        names_jobs: true,
        jobs: 2,
        from: JobPlace::Running,
        to: JobPlace::Stopping,
        deaths: &[("cancel.before", 0), ("cancel.after", 1)],
        told: Some(EventKind::Cancelled),
        audited: Some(("job.cancel", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["jobs", "run-now"],
        settings: &[],
        names_jobs: true,
        jobs: 2,
        from: JobPlace::Delayed,
        to: JobPlace::Waiting,
        deaths: &[("run_now.before", 0), ("run_now.after", 1), ("run_now.before:2", 1)],
        told: None,
        audited: Some(("job.run_now", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["pause", QUEUE],
        settings: &[],
        names_jobs: false,
        jobs: 1,
        from: JobPlace::Waiting,
        to: JobPlace::Paused,
        deaths: &[("pause.before", 0), ("pause.after", 1)],
        told: None,
        audited: Some(("queue.pause", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["resume", QUEUE],
        settings: &[],
        names_jobs: false,
        jobs: 1,
        from: JobPlace::Paused,
        to: JobPlace::Waiting,
        deaths: &[("pause.before", 0), ("pause.after", 1)],
        told: None,
        audited: Some(("queue.resume", A_LINE_FOR_EACH)),
    },
    Operation {
        arguments: &["purge", QUEUE, "--yes"],
        settings: &[],
        names_jobs: false,
        jobs: 501,
        from: JobPlace::Waiting,
        to: JobPlace::Gone,
        deaths: &[("purge.before", 0), ("purge.after", 500), ("purge.before:2", 500)],
        told: Some(EventKind::Cancelled),
        audited: Some(("queue.purge", "$.jobs")),
    },
    Operation {
        arguments: &["dead", "replay", "--queue", QUEUE],
        settings: &[],
        names_jobs: false,
        jobs: 101,
        from: JobPlace::Dead,
        to: JobPlace::Waiting,
        deaths: &[("replay.before", 0), ("replay.after", 100), ("replay.before:2", 100)],
        told: Some(EventKind::Replayed),
        audited: Some(("dead.replay", "$.outcomes.replayed")),
    },
    Operation {
        arguments: &["dead", "discard", "--queue", QUEUE, "--yes"],
        settings: &[],
        names_jobs: false,
        jobs: 101,
        from: JobPlace::Dead,
        to: JobPlace::Gone,
        deaths: &[("discard.before", 0), ("discard.after", 100), ("discard.before:2", 100)],
        told: Some(EventKind::Discarded),
        audited: Some(("dead.discard", "$.letters")),
    },
    Operation {
        arguments: &["scheduler"],
        settings: &[],
        names_jobs: false,
        jobs: 501,
        from: JobPlace::Outdated,
        to: JobPlace::Gone,
        deaths: &[("prune.before", 0), ("prune.after", 500), ("prune.before:2", 500)],
        told: Some(EventKind::Discarded),
        audited: None,
    },
    Operation {
        arguments: &["recover", "--yes"],
        settings: &[],
        names_jobs: false,
        jobs: 251,
        from: JobPlace::Ended,
        to: JobPlace::Gone,
        deaths: &[("drop.before", 0), ("drop.after", 250), ("drop.before:2", 250)],
        told: None,
        audited: Some(("recover", "$.*.removed")),
    },
    Operation {
        arguments: &["recover", "--yes"],
        settings: &[],
        names_jobs: false,
        jobs: 251,
        from: JobPlace::Lost,
        to: JobPlace::Waiting,
        deaths: &[("restore.before", 0), ("restore.after", 250), ("restore.before:2", 250)],
        told: Some(EventKind::Enqueued),
        audited: Some(("recover", "$.*.restored")),
    },
    // It asks for the run of Redis for each of the seven queues, and then notes it for each.
    Operation {
        arguments: &["scheduler"],
        settings: &[("PERCH__QUEUES__ANALYTICS_PROCESSING__LEDGER", "true")],
        names_jobs: false,
        jobs: 251,
        from: JobPlace::Lost,
        to: JobPlace::Waiting,
        deaths: &[
            ("run_id.before", 0),
            ("run_id.after", 0),
            ("restore.after", 250),
            ("run_id.before:8", 251),
            ("run_id.after:8", 251),
        ],
        told: Some(EventKind::Enqueued),
        audited: None,
    },
];

impl Operation {
    /// Those that it comes to when it is run again after it had moved `moved` jobs. One that is told to stop may be told twice.
    pub fn left(&self, moved: usize) -> usize {
        if self.to == JobPlace::Stopping { self.jobs } else { self.jobs - moved }
    }

    /// Whether it runs until it is killed.
    pub fn goes_on(&self) -> bool {
        self.arguments == ["scheduler"]
    }

    /// What Postgres says of the jobs when all work is done.
    pub fn ends_as(&self) -> &'static str {
        match (self.to, self.told) {
            (JobPlace::Gone | JobPlace::Stopping, Some(EventKind::Cancelled)) => "cancelled",
            (JobPlace::Gone, Some(EventKind::Discarded)) => "discarded",
            _ => "done",
        }
    }
}
