//! Invariants of a queue, which hold at every moment.

use std::collections::{BTreeMap, BTreeSet};

use perch_job::JobId;

use crate::state::{Answer, Lists, State};

pub type Checked = Result<(), String>;

pub fn ensure(holds: bool, promise: &str, found: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(format!("broken: {promise}: {}", found())) }
}

fn holder_of(member: &str) -> JobId {
    member.split('|').next().and_then(|id| id.parse().ok()).expect("a lease begins with the id of its job")
}

fn group_of(member: &str) -> &str {
    member.rsplit('|').next().unwrap_or_default()
}

/// Checks all of them.
pub fn all(state: &State, lists: &Lists) -> Checked {
    each_job_stands_in_exactly_one_place(state, lists)?;
    a_cancelled_mark_stands_for_an_id_in_a_list(state, lists)?;
    a_group_is_looked_at_while_it_has_jobs_parked(lists)?;
    nothing_is_kept_about_jobs_that_are_gone(state)?;
    the_dead_hold_no_key_and_every_key_held_is_locked(state)?;
    counts_agree_with_what_they_count(state)?;
    only_running_jobs_are_told_to_stop(state)
}

pub fn each_job_stands_in_exactly_one_place(state: &State, lists: &Lists) -> Checked {
    let mut places: BTreeMap<JobId, usize> = BTreeMap::new();
    let listed = lists.ids().filter(|id| !lists.cancelled.contains(id));
    let sets = state.delayed.keys().chain(state.dead.keys()).copied();
    let leased = state.leases.keys().map(|member| holder_of(member));
    for id in listed.chain(sets).chain(leased) {
        *places.entry(id).or_default() += 1;
    }
    let once = places.values().all(|n| *n == 1);
    let kept: BTreeSet<JobId> = state.jobs.keys().copied().collect();
    let found: BTreeSet<JobId> = places.keys().copied().collect();
    ensure(once && kept == found, "each job stands in exactly one place", || format!("{places:?}, jobs: {kept:?}"))
}

pub fn a_cancelled_mark_stands_for_an_id_in_a_list(state: &State, lists: &Lists) -> Checked {
    for id in &lists.cancelled {
        let standing = lists.ids().filter(|other| other == id).count();
        let kept = state.jobs.contains_key(id);
        ensure(standing == 1 && !kept, "a cancelled mark stands for one id in a list", || {
            format!("{id} stands {standing} times, kept: {kept}")
        })?;
    }
    Ok(())
}

pub fn a_group_is_looked_at_while_it_has_jobs_parked(lists: &Lists) -> Checked {
    let parked: BTreeSet<String> = lists.parked.iter().flat_map(BTreeMap::keys).cloned().collect();
    ensure(parked == lists.parked_groups, "a group is looked at while it has jobs parked", || {
        format!("{parked:?}, looked at: {:?}", lists.parked_groups)
    })
}

pub fn nothing_is_kept_about_jobs_that_are_gone(state: &State) -> Checked {
    let about = state
        .attempts
        .keys()
        .chain(state.dead_attempts.keys())
        .chain(state.errors.keys())
        .chain(state.priority.keys())
        .chain(state.group.keys())
        .chain(&state.cancelling)
        .chain(state.unknown_since.keys())
        .chain(state.held_until_start.keys())
        .chain(state.held_until_done.keys());
    for id in about {
        ensure(state.jobs.contains_key(id), "nothing is kept about jobs that are gone", || id.to_string())?;
    }
    Ok(())
}

pub fn the_dead_hold_no_key_and_every_key_held_is_locked(state: &State) -> Checked {
    for (id, key) in state.held_until_start.iter().chain(&state.held_until_done) {
        ensure(!state.dead.contains_key(id), "a dead job holds no unique key", || format!("{id} holds {key}"))?;
        ensure(state.locks.get(key) == Some(id), "a key that a job holds is locked by it", || format!("{id}: {key}"))?;
    }
    Ok(())
}

pub fn counts_agree_with_what_they_count(state: &State) -> Checked {
    let mut running: BTreeMap<String, usize> = BTreeMap::new();
    for group in state.leases.keys().map(|member| group_of(member)).filter(|group| !group.is_empty()) {
        *running.entry(group.to_owned()).or_default() += 1;
    }
    ensure(running == state.running, "a group's running count is that of its leases", || format!("{running:?}"))
}

pub fn only_running_jobs_are_told_to_stop(state: &State) -> Checked {
    let running: BTreeSet<JobId> = state.leases.keys().map(|member| holder_of(member)).collect();
    ensure(state.cancelling.is_subset(&running), "only running jobs are told to stop", || {
        format!("{:?}", state.cancelling)
    })
}

/// With equal leases, a worker could finish the attempt of another.
pub fn no_two_leases_are_the_same(answer: &Answer, known: &mut BTreeSet<String>) -> Checked {
    let Answer::Fetched { leases, .. } = answer else { return Ok(()) };
    let again: Vec<&String> = leases.iter().filter(|lease| !known.insert((*lease).clone())).collect();
    ensure(again.is_empty(), "no two leases are ever the same", || format!("{again:?}"))
}

/// After all jobs are done, only bookkeeping is left.
pub fn nothing_is_left_behind(lasting: &[String], base: &str) -> Checked {
    let bookkeeping = ["state", "events", "event_marks", "workers", "wake", "intake"];
    for key in lasting {
        let kept = key.strip_prefix(base).is_some_and(|name| bookkeeping.contains(&name));
        ensure(kept, "nothing is left behind once all work is done", || key.clone())?;
    }
    Ok(())
}
