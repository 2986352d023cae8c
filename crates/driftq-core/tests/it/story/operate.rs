//! The lines of a story in which somebody operates the broker.

use super::{Line, World, group, policy, run_id, small, topic};
use driftq_core::*;
use std::sync::Arc;

impl World {
    pub(super) fn operate(&mut self, word: &str, line: &Line<'_>) {
        match word {
            "patch" => self.patch(line),
            "pattern" => self.pattern(line),
            "effective" => self.effective(line),
            "deltopic" => self.delete_topic(line),
            "delgroup" => self.delete_group(line),
            "seek" => self.seek(line),
            "retrynow" => self.retry_now(line),
            "explain" => self.explain(line),
            other => panic!("no such line: {other}"),
        }
    }

    pub(super) fn empty(&self) -> State {
        State::new(self.state.limits).with_patterns(self.patterns.clone())
    }

    fn patch(&mut self, line: &Line<'_>) {
        let patch = PatchTopic {
            topic: topic(line.words[1]),
            settings: line.settings(),
            actor: Some("ops".into()),
            reason: line.text("why"),
        };
        if self.ask(Command::PatchTopic(Box::new(patch))).is_some() {
            self.tell("patched");
        }
    }

    /// A pattern is configuration: it is in force from the next start on.
    fn pattern(&mut self, line: &Line<'_>) {
        let settings = line.settings().over(&TopicSettings::default()).expect("a pattern that holds");
        self.patterns = Patterns::new(vec![TopicPattern { pattern: line.words[1].to_owned(), settings }]);
        self.state = self.empty();
        let log = std::mem::take(&mut self.log);
        self.commit(log);
    }

    fn effective(&mut self, line: &Line<'_>) {
        let found = self.state.topic(&topic(line.words[1])).expect("a topic");
        let effective = self.state.effective(found);
        let told = format!(
            "policy {:?} window {} messages {:?} routing {:?} by {:?}",
            effective.policy.map(|policy| policy.max_attempts),
            effective.key_window,
            effective.partition_messages_max,
            effective.routing.map(|routing| routing.label.as_str()),
            effective.pattern,
        );
        self.tell(&told);
    }

    fn delete_topic(&mut self, line: &Line<'_>) {
        let delete = DeleteTopic { topic: topic(line.words[1]), actor: None, reason: None };
        if self.ask(Command::DeleteTopic(delete)).is_some() {
            self.tell("deleted");
        }
    }

    fn delete_group(&mut self, line: &Line<'_>) {
        let delete = DeleteGroup {
            topic: topic(line.words[1]),
            group: group(line.words[2]),
            actor: Some("ops".into()),
            reason: None,
        };
        if self.ask(Command::DeleteGroup(delete)).is_some() {
            self.tell("deleted");
        }
    }

    fn seek(&mut self, line: &Line<'_>) {
        let to = match line.words[3] {
            "earliest" => SeekTo::Earliest,
            "latest" => SeekTo::Latest,
            offset => SeekTo::Offset {
                partition: PartitionId(line.number("partition").map_or(0, small)),
                offset: Offset(offset.parse().expect("an offset")),
            },
        };
        let seek = SeekGroup {
            topic: topic(line.words[1]),
            group: group(line.words[2]),
            to,
            actor: None,
            reason: None,
        };
        if let Some(Reply::Sought { partitions }) = self.ask(Command::SeekGroup(Box::new(seek))) {
            let at: Vec<_> = partitions.iter().map(|(p, offset)| format!("{p}/{offset}")).collect();
            self.tell(&format!("sought to {}", at.join(" ")));
        }
    }

    fn retry_now(&mut self, line: &Line<'_>) {
        let ask = RetryNow { target: target(line), actor: Some("ops".into()), reason: line.text("why") };
        if let Some(Reply::MadeDue { at, group, was, .. }) = self.ask(Command::RetryNow(Box::new(ask))) {
            let group = group.map_or("all".to_owned(), |group| group.to_string());
            self.tell(&format!("{}/{} is due for {group}, was {was:?}", at.partition, at.offset));
        }
    }

    fn explain(&mut self, line: &Line<'_>) {
        let told = match self.state.explain(&target(line)) {
            Err(rejection) => format!("refused: {rejection}"),
            Ok(explained) => {
                let why = match explained.why {
                    Why::Leased(lease) => format!("leased by {}", lease.owner),
                    Why::DeadLettered(at, dead) => format!("dead letter {}, {}", at.offset, dead.word()),
                    Why::Expired(dead) => {
                        format!("expired, dead letter {:?}", dead.map(|(at, _)| at.offset.0))
                    }
                    other => format!("{other:?}"),
                };
                let attempts = explained.attempts;
                format!("{}/{}: {why}, attempts {attempts}", explained.at.partition, explained.at.offset)
            }
        };
        self.tell(&told);
    }
}

impl Line<'_> {
    pub(super) fn settings(&self) -> SettingsPatch {
        let number = |name: &str| match self.options.get(name).copied() {
            None => Change::Keep,
            Some("null") => Change::Reset,
            Some(text) => Change::Set(text.parse().expect("a number")),
        };
        let window = match number("window") {
            Change::Keep => Change::Keep,
            Change::Reset => Change::Reset,
            Change::Set(ms) => Change::Set(Millis(ms)),
        };
        SettingsPatch {
            policy: match self.options.get("retry").copied() {
                None => Change::Keep,
                Some("null") => Change::Reset,
                Some(text) => {
                    let policy = policy(text);
                    Change::Set(PolicyPatch {
                        max_attempts: Change::Set(policy.max_attempts),
                        backoff: Change::Set(policy.backoff),
                        ..PolicyPatch::default()
                    })
                }
            },
            key_window: window,
            partition_messages_max: number("most"),
            partition_bytes_max: number("bytes"),
            retention: Change::Keep,
            routing: match self.options.get("label").copied() {
                None => Change::Keep,
                Some("null") => Change::Reset,
                Some(label) => Change::Set(RoutingPatch { label: Some(label.into()), meta: Change::Keep }),
            },
        }
    }
}

fn target(line: &Line<'_>) -> MessageTarget {
    match line.text("run") {
        Some(run) => MessageTarget::Run(run_id(&run)),
        None => MessageTarget::Message {
            topic: topic(line.words[1]),
            group: line.text("group").map(|name| group(&name)),
            partition: PartitionId(line.number("partition").map_or(0, small)),
            offset: Offset(line.words[2].parse().expect("an offset")),
        },
    }
}

#[test]
fn a_mark_is_handed_out_with_the_deliveries_of_its_topic() {
    let mut world = World::new();
    world.play("topic orders label=red");
    world.play("produce orders m0");
    world.play("lease orders workers ann max=0");
    let found = world.state.topic(&topic("orders")).expect("it was made");
    let ask = LeaseMessages {
        group: found.group(&group("workers")).expect("it reads"),
        owner: OwnerId::parse("ann").expect("an owner"),
        lease: Millis(1_000),
        max: 1,
        bytes_max: u64::MAX,
        worker_version: None,
    };
    let Ok((_, Reply::Leased(leased))) = decide(&world.state, Entropy(0), Command::Lease(ask)) else {
        panic!("a lease is answered with leases")
    };
    let red = Arc::new(Routing { label: "red".into(), ..Routing::default() });
    assert_eq!(leased[0].routing, Some(red));
}
