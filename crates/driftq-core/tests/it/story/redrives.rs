//! Lines of a story about kinds of failure, closings and bulk redrives.

use super::{Line, World, dead_letter, group, small, topic};
use driftq_core::*;

impl World {
    pub(super) fn kinds(&mut self) {
        let page = self.state.dead_letter_kinds(&DeadLetterFilter::default(), None, 100);
        let told: Vec<_> = page
            .items
            .iter()
            .map(|kind| {
                let groups: Vec<_> = kind.groups.iter().map(GroupName::as_str).collect();
                let (first, last) = (kind.first, kind.last);
                format!("{} from {first} to {last} of [{}]", kind.count, groups.join(" "))
            })
            .collect();
        self.tell(&if told.is_empty() { "no kinds".to_owned() } else { told.join("\n") });
    }

    pub(super) fn start_job(&mut self, line: &Line<'_>) {
        let start = StartRedriveJob {
            spec: RedriveSpec {
                filter: DeadLetterFilter {
                    topic: line.text("topic").map(|name| topic(&name)),
                    group: line.text("group").map(|name| group(&name)),
                    ..DeadLetterFilter::default()
                },
                rate_milli: line.number("rate").map_or(1_000_000, |rate| small(rate * 1_000)),
                canary: line.number("canary"),
                stop_share: line.number("percent").map(|percent| small(percent) * SHARE_ONE / 100),
            },
            idempotency: line.text("idem").map(|key| IdempotencyKey {
                tenant: String::new(),
                key,
                fingerprint: None,
            }),
            actor: line.text("by"),
            reason: line.text("why"),
        };
        if let Some(Reply::RedriveJob { job, duplicate }) =
            self.ask(Command::StartRedriveJob(Box::new(start)))
        {
            self.tell(&format!("job {job} {}", if duplicate { "known" } else { "started" }));
        }
    }

    pub(super) fn control_job(&mut self, line: &Line<'_>) {
        let control = ControlRedriveJob {
            job: JobNo(line.words[1].parse().expect("a job")),
            act: match line.words[0] {
                "pause" => JobAct::Pause,
                "resume" => JobAct::Resume,
                _ => JobAct::Stop,
            },
            actor: None,
            reason: line.text("why"),
        };
        if self.ask(Command::ControlRedriveJob(control)).is_some() {
            self.jobs();
        }
    }

    pub(super) fn jobs(&mut self) {
        let page = self.state.redrive_jobs_page(&Scope::default(), None, None, 100);
        let told: Vec<_> = page
            .items
            .iter()
            .map(|job| {
                let (matched, moved, waiting) = (job.matched, job.moved, job.waiting());
                format!(
                    "job {} {}: {moved} of {matched} moved, {} ok, {} dead, {} gone, {waiting} waiting, {} skipped",
                    job.no,
                    job.status.as_str(),
                    job.succeeded,
                    job.failed,
                    job.withdrawn,
                    job.skipped(),
                )
            })
            .collect();
        self.tell(&if told.is_empty() { "no jobs".to_owned() } else { told.join("\n") });
    }

    /// How a dead letter left the list, as its note tells.
    pub(super) fn closing(&mut self, line: &Line<'_>) {
        let named = dead_letter(line);
        let id = self.state.topic(&named.topic).expect("a topic").id;
        let at = MessageAt { topic: id, partition: named.partition, offset: named.offset };
        let dead = self.state.dead_letter(at).expect("a dead letter").clone();
        let noted = dead.noted.map(|at| &self.log[usize::try_from(at.0).expect("a short log") - 1]);
        let told = match noted {
            Some(Record::ClosingNoted(note)) => format!(
                "{} by {} because {}{}{}",
                dead.word(),
                note.actor.as_deref().unwrap_or("-"),
                note.reason.as_deref().unwrap_or("-"),
                if note.edited { ", edited" } else { "" },
                note.moved.map_or(String::new(), |moved| format!(", job {}", moved.job)),
            ),
            Some(other) => panic!("a closing is noted by {other:?}"),
            None => dead.word().to_owned(),
        };
        self.tell(&told);
    }
}
