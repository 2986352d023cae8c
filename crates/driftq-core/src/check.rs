//! Every invariant of the state, one function each, named as a sentence.
//!
//! Promise: a state that passes loses and doubles nothing that it knows of. It costs a walk over everything, so it runs
//! in tests and in the simulation, after every fact.

use crate::{AUDIT_TOPIC, Pending, RunStatus, State, TopicKind, Tracked};
use alloc::collections::BTreeMap;

/// A sentence, and whether it holds.
type Rule = (&'static str, fn(&State) -> bool);

/// The first invariant that does not hold, as a sentence.
///
/// # Errors
///
/// The sentence.
pub fn check(state: &State) -> Result<(), &'static str> {
    let rules: [Rule; 21] = [
        ("each topic is found by its name", each_topic_is_found_by_its_name),
        ("each group is found by its topic", each_group_is_found_by_its_topic),
        ("each run is found by its id", each_run_is_found_by_its_id),
        ("a floor passes only what is settled", a_floor_passes_only_what_is_settled),
        ("what is pending exists and is not settled", what_is_pending_exists),
        ("each lease has its timer", each_lease_has_its_timer),
        ("each retry has its timer", each_retry_has_its_timer),
        ("each delay and deadline has its timer", each_delay_has_its_timer),
        ("visible and delayed make up a partition", visible_and_delayed_make_up_a_partition),
        ("an ended run holds no lease", an_ended_run_holds_no_lease),
        ("the audit log is one plain order of messages", the_audit_log_is_one_order),
        ("every key is in the order of keys", |state| state.keys.check()),
        ("a key belongs to a topic that exists", |state| {
            state.keys.topics().all(|topic| state.topics.contains_key(&topic))
        }),
        ("what is visible and unseen is still to come", what_is_visible_and_unseen_is_still_to_come),
        ("a timer belongs to a topic or group that exists", a_timer_belongs_to_what_exists),
        ("the figures are those of a count", the_figures_are_those_of_a_count),
        ("an open run has its commands' topic", |state| {
            let mut open = state.runs.values().filter(|run| !run.status.is_terminal());
            open.all(|run| state.topics.contains_key(&run.command.topic))
        }),
        ("every acked key is in its group's order", every_acked_key_is_in_its_groups_order),
        ("each open dead letter is found by its fingerprint", each_open_dead_letter_is_found),
        ("a bulk redrive waits for what it moved and has not ended", a_job_waits_for_what_it_moved),
        ("a bulk redrive is active until it is over", a_job_is_active_until_it_is_over),
    ];
    match rules.iter().find(|(_, holds)| !holds(state)) {
        Some((sentence, _)) => Err(sentence),
        None => Ok(()),
    }
}

fn each_topic_is_found_by_its_name(state: &State) -> bool {
    state.topics.len() == state.topic_names.len()
        && state.topics.values().all(|topic| state.topic_names.get(&topic.name) == Some(&topic.id))
        && state.topics.keys().all(|id| *id < state.ids.topic)
}

fn each_group_is_found_by_its_topic(state: &State) -> bool {
    state.groups.values().all(|group| {
        let topic = state.topics.get(&group.topic);
        topic.is_some_and(|topic| {
            topic.group(&group.name) == Some(group.id) && topic.partitions.len() == group.partitions.len()
        })
    }) && state.topics.values().all(|topic| topic.groups().all(|(_, id)| state.groups.contains_key(&id)))
}

fn each_run_is_found_by_its_id(state: &State) -> bool {
    state.runs.values().all(|run| {
        let timeline = state.topics.get(&run.timeline);
        state.run(&run.id).is_some_and(|found| found.no == run.no)
            && timeline.is_some_and(|topic| topic.kind == TopicKind::Timeline(run.no))
    })
}

fn a_floor_passes_only_what_is_settled(state: &State) -> bool {
    state.groups.values().all(|group| group.partitions.iter().all(crate::Progress::check))
}

fn what_is_pending_exists(state: &State) -> bool {
    state.groups.values().all(|group| {
        let Some(topic) = state.topics.get(&group.topic) else { return false };
        group.partitions.iter().zip(&topic.partitions).all(|(progress, partition)| {
            progress.next <= partition.visible_end()
                && progress.floor <= partition.next_offset()
                && progress.pending().all(|(offset, _)| partition.entry(offset).is_some())
        })
    })
}

fn each_lease_has_its_timer(state: &State) -> bool {
    let leases = pendings(state).filter(|(_, pending)| matches!(pending, Pending::Leased(_))).count();
    leases == state.timers.leases.len()
        && pendings(state).all(|(of, pending)| match pending {
            Pending::Leased(lease) => state.timers.leases.contains(&(lease.until, of)),
            Pending::Waiting(_) => true,
        })
}

fn each_retry_has_its_timer(state: &State) -> bool {
    let waiting = pendings(state).filter(|(_, pending)| matches!(pending, Pending::Waiting(_))).count();
    waiting == state.timers.retries.len()
        && pendings(state).all(|(of, pending)| match pending {
            Pending::Waiting(waiting) => state.timers.retries.contains(&(waiting.due, of)),
            Pending::Leased(_) => true,
        })
}

fn pendings(state: &State) -> impl Iterator<Item = (crate::MessageOf, Pending)> {
    state.groups.values().flat_map(|group| {
        group.partitions.iter().zip(0_u32..).flat_map(move |(progress, index)| {
            let of = move |offset| crate::MessageOf {
                group: group.id,
                partition: crate::PartitionId(index),
                offset,
            };
            progress.pending().map(move |(offset, pending)| (of(offset), pending))
        })
    })
}

fn each_delay_has_its_timer(state: &State) -> bool {
    let partitions = || state.topics.values().flat_map(|topic| topic.partitions.iter());
    let delayed: usize = partitions().map(|partition| partition.rare().delayed.len()).sum();
    let is_waiting = |note: &crate::Note| note.deadline.is_some() && !note.expired;
    let deadlines: usize =
        partitions().map(|p| p.rare().notes.values().filter(|note| is_waiting(note)).count()).sum();
    delayed == state.timers.due.len() && deadlines == state.timers.deadlines.len()
}

fn visible_and_delayed_make_up_a_partition(state: &State) -> bool {
    state.topics.values().flat_map(|topic| topic.partitions.iter()).all(crate::Partition::check)
}

fn the_audit_log_is_one_order(state: &State) -> bool {
    let mut logs = state.topics.values().filter(|topic| topic.name.as_str() == AUDIT_TOPIC);
    logs.all(|topic| {
        let is_plain = topic.kind == TopicKind::Plain && topic.partition_count() == 1;
        is_plain && topic.partitions.iter().all(|partition| partition.rare().delayed.is_empty())
    })
}

fn an_ended_run_holds_no_lease(state: &State) -> bool {
    state.runs.values().filter(|run| run.status.is_terminal()).all(|run| {
        let progress = state.group_of(&run).and_then(|group| group.progress(run.command.partition));
        progress.is_none_or(|progress| progress.pending_at(run.command.offset).is_none())
    })
}

fn every_acked_key_is_in_its_groups_order(state: &State) -> bool {
    state.groups.values().all(|group| group.consumed.check())
}

fn each_open_dead_letter_is_found(state: &State) -> bool {
    let mut again = crate::dead_index::DeadIndex::default();
    for topic in state.topics.values().filter(|topic| topic.name.is_dead_letters()) {
        for (partition, index) in topic.partitions.iter().zip(0..) {
            for offset in partition.open_dead_letters() {
                let partition = crate::PartitionId(index);
                again.file(state, crate::MessageAt { topic: topic.id, partition, offset });
            }
        }
    }
    again == state.dead
}

fn a_job_waits_for_what_it_moved(state: &State) -> bool {
    let jobs = &state.jobs;
    let has_not_ended = |tracked: &Tracked| match tracked {
        Tracked::Message(_) => true,
        Tracked::Run(no) => state.runs.get(no).is_some_and(|run| !run.status.is_terminal()),
    };
    jobs.tracked.iter().all(|(tracked, job)| jobs.all.contains_key(job) && has_not_ended(tracked))
        && jobs.all.values().all(|job| {
            let waiting = jobs.tracked.values().filter(|no| **no == job.no).count() as u64;
            job.waiting() == waiting && job.moved + job.refused <= job.matched
        })
}

fn a_job_is_active_until_it_is_over(state: &State) -> bool {
    let jobs = &state.jobs;
    jobs.active.iter().all(|no| jobs.all.contains_key(no))
        && jobs.all.values().all(|job| jobs.active.contains(&job.no) != job.status.is_over())
}

fn what_is_visible_and_unseen_is_still_to_come(state: &State) -> bool {
    state.groups.values().all(|group| {
        let Some(topic) = state.topics.get(&group.topic) else { return false };
        topic.partitions.iter().zip(&group.partitions).all(|(kept, progress)| {
            let passed = (0..progress.next).filter_map(|index| kept.visible_at(index));
            let mut passed = passed.filter(|offset| kept.entry(*offset).is_some());
            passed.all(|offset| progress.is_settled(offset) || progress.is_pending(offset))
        })
    })
}

fn a_timer_belongs_to_what_exists(state: &State) -> bool {
    let timers = &state.timers;
    timers.due.keys().chain(timers.deadlines.keys()).all(|(_, at)| state.topics.contains_key(&at.topic))
        && timers
            .leases
            .keys()
            .chain(timers.retries.keys())
            .all(|(_, of)| state.groups.contains_key(&of.group))
        && timers.idle.keys().all(|(_, group)| state.groups.contains_key(group))
        && state.dlq_topics.iter().all(|topic| state.topics.contains_key(topic))
}

fn the_figures_are_those_of_a_count(state: &State) -> bool {
    let mut runs: BTreeMap<RunStatus, u64> = BTreeMap::new();
    let mut open: BTreeMap<_, u64> = BTreeMap::new();
    for run in state.runs.values() {
        *runs.entry(run.status).or_default() += 1;
        if !run.status.is_terminal() {
            *open.entry((run.command.topic, run.group.clone())).or_default() += 1;
        }
    }
    let mut windows: BTreeMap<_, u32> = BTreeMap::new();
    for window in state.topics.values().filter_map(|topic| topic.settings()?.key_window) {
        *windows.entry(window).or_default() += 1;
    }
    let dead: u64 = state.topics.values().map(crate::Topic::open_dead_letters).sum();
    let notes = state.topics.values().flat_map(|topic| &topic.partitions);
    let notes = notes.flat_map(|partition| partition.rare().notes.values());
    let letters = notes.filter(|note| note.dead.is_some()).count();
    runs == state.tally.runs
        && open == state.tally.open_runs
        && windows == state.own_windows
        && dead == state.dead.open
        && letters == state.tally.dead_of.len()
}
