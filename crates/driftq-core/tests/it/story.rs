//! A story: one command a line, its outcome as text. Every invariant is checked after every fact, and a `restart`
//! rebuilds the state twice, from the whole log and from a checkpoint, and compares.

mod redrives;

mod operate;

use crate::checkpoints::from_fuzzy_checkpoint;
use driftq_core::*;
use expect_test::Expect;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Plays a story and compares what happened.
pub(crate) fn check(story: &str, expected: Expect) {
    let mut world = World::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        world.play(line);
    }
    world.restart();
    expected.assert_eq(&world.told);
}

struct World {
    state: State,
    log: Vec<Record>,
    told: String,
    epoch: u32,
    patterns: Patterns,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::new(Limits::default()),
            log: Vec::new(),
            told: String::new(),
            epoch: 0,
            patterns: Patterns::default(),
        };
        world.start();
        world.pass(1_000);
        world
    }

    fn start(&mut self) {
        self.epoch += 1;
        self.commit(vec![Record::Started(Started { epoch: self.epoch, release: "test".into() })]);
    }

    fn commit(&mut self, records: Vec<Record>) {
        for record in records {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record), "a record survives its encoding");
            self.log.push(record);
            let position = Position(self.log.len() as u64);
            apply(&mut self.state, position, &self.log[self.log.len() - 1]);
            // Facts of one transition may pass through states that only their end makes whole.
        }
        assert_eq!(driftq_core::check(&self.state), Ok(()), "{}", self.told);
        assert_eq!(check_explained(&self.state), Ok(()), "{}", self.told);
    }

    fn pass(&mut self, ms: u64) {
        let now = Instant(self.state.now.0 + ms);
        let wall = WallTime(self.state.wall.0 + ms);
        self.commit(vec![Record::TimeAdvanced(TimeAdvanced { now, wall })]);
        loop {
            let mut records = decide_due(&self.state, Entropy(7), 3, &|_| false);
            if records.is_empty() {
                records = decide_jobs(&self.state, Entropy(7), 16);
            }
            if records.is_empty() {
                return;
            }
            for record in &records {
                self.tell_due(record);
            }
            self.commit(records);
        }
    }

    fn tell_due(&mut self, record: &Record) {
        match record {
            Record::Failed(fact) => {
                self.tell(&format!("expired {} attempt {}", fact.of.offset, fact.attempt))
            }
            Record::DeadLettered(fact) => {
                let group = fact.group.as_ref().map_or("-", GroupName::as_str);
                self.tell(&format!(
                    "dead letter {} of {group}: {}",
                    fact.original.offset,
                    fact.reason.as_str()
                ));
            }
            Record::RedriveJobChanged(fact) => {
                let why = fact.reason.as_ref().map_or(String::new(), |why| format!(": {why}"));
                self.tell(&format!("job {} {}{why}", fact.job, fact.to.as_str()));
            }
            Record::GroupForgotten(_) => self.tell("group forgotten"),
            Record::KeysForgotten(count) => self.tell(&format!("{count} keys forgotten")),
            _ => {}
        }
    }

    /// Rebuilds the state from the whole log, and from a checkpoint taken piece by piece while the log was applied.
    fn restart(&mut self) {
        let mut whole = self.empty();
        for (index, record) in self.log.iter().enumerate() {
            apply(&mut whole, Position(index as u64 + 1), record);
        }
        assert!(whole == self.state, "the log makes the same state again");
        let fuzzy = from_fuzzy_checkpoint(&self.log, &self.empty());
        assert!(fuzzy == self.state, "a checkpoint and the log behind it make the same state");
        self.state = whole;
        self.start();
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.told, "{line}").expect("a string takes every line");
    }

    fn ask(&mut self, command: Command) -> Option<Reply> {
        match decide(&self.state, Entropy(42), command) {
            Ok((records, reply)) => {
                for record in &records {
                    if let Record::DeadLettered(_) = record {
                        self.tell_due(record);
                    }
                }
                self.commit(records);
                Some(reply)
            }
            Err(rejection) => {
                self.tell(&format!("refused: {rejection}"));
                None
            }
        }
    }

    fn play(&mut self, line: &str) {
        let mut words = Vec::new();
        let mut options = BTreeMap::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => drop(options.insert(name, value)),
                None => words.push(word),
            }
        }
        let line = Line { words, options };
        match line.words[0] {
            "topic" => self.topic(&line),
            "produce" => self.produce(&line),
            "lease" => self.lease(&line),
            "ack" | "nack" | "extend" => self.settle(&line),
            "giveback" => self.give_back(&line),
            "wait" => self.pass(line.words[1].parse().expect("milliseconds")),
            "restart" => self.restart(),
            "run" => self.run(&line),
            "emit" => self.emit(&line),
            "step" => self.step(&line),
            "replay" => self.replay(&line),
            "cancel" => self.cancel(&line),
            "show" => self.show(&line),
            "timeline" => self.timeline(&line),
            "dlq" => self.dlq(),
            "redrive" => self.redrive(&line),
            "discard" => self.discard(&line),
            "kinds" => self.kinds(),
            "job" => self.start_job(&line),
            "pause" | "resume" | "stop" => self.control_job(&line),
            "jobs" => self.jobs(),
            "closing" => self.closing(&line),
            "lag" => self.lag(&line),
            "unread" => self.unread(&line),
            "limit" => self.limit(&line),
            other => self.operate(other, &line),
        }
    }

    fn topic(&mut self, line: &Line<'_>) {
        let create = CreateTopic {
            settings: Some(Box::new(line.settings())),
            ..CreateTopic::plain(topic(line.words[1]), line.number("p").map(small))
        };
        if let Some(Reply::Topic { partitions, created }) = self.ask(Command::CreateTopic(create)) {
            self.tell(&format!("{} {partitions}", if created { "created" } else { "exists" }));
        }
    }

    fn produce(&mut self, line: &Line<'_>) {
        let messages = line.words[2..].iter().map(|value| self.message(line, value)).collect();
        if let Some(Reply::Produced(produced)) = self.ask(Command::Produce(messages)) {
            let is_known = produced.iter().any(|produced| produced.duplicate);
            let at: Vec<_> = produced.iter().map(|p| format!("{}/{}", p.at.partition, p.at.offset)).collect();
            self.tell(&format!("{} {}", if is_known { "known" } else { "stored" }, at.join(" ")));
        }
    }

    fn message(&self, line: &Line<'_>, value: &str) -> Produce {
        let key = line.text("key").unwrap_or_default();
        let content =
            Content { key: key.clone(), value: format!("\"{value}\"").into_bytes(), ..Content::default() };
        Produce {
            topic: topic(line.words[1]),
            target_topic: line.text("target").map(|name| topic(&name)),
            key,
            partition: line.number("partition").map(small),
            content: content.encode(),
            policy: line.text("policy").map(|text| policy(&text)),
            due: line.number("delay").map_or(Due::Now, |ms| Due::After(Millis(ms))),
            deadline: line.number("deadline").map(|ms| self.state.wall.after(Millis(ms))),
            idempotency: line.text("idem").map(|key| IdempotencyKey {
                tenant: line.text("tenant").unwrap_or_default(),
                key,
                fingerprint: line.text("print"),
            }),
            tenant: line.text("tenant").map(|name| TenantId::parse(&name).expect("a tenant")),
        }
    }

    fn lease(&mut self, line: &Line<'_>) {
        let open =
            OpenGroup { topic: topic(line.words[1]), group: group(line.words[2]), start: line.start() };
        let Some(Reply::Group { group, .. }) = self.ask(Command::OpenGroup(open)) else { return };
        let ask = LeaseMessages {
            group,
            owner: owner(line.words[3]),
            lease: Millis(line.number("ms").unwrap_or(2_000)),
            max: line.number("max").map_or(1, small),
            bytes_max: u64::MAX,
            worker_version: None,
        };
        let Some(Reply::Leased(leased)) = self.ask(Command::Lease(ask)) else { return };
        let texts: Vec<_> = leased.iter().map(|delivery| self.delivery(delivery)).collect();
        let what = if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") };
        self.tell(&format!("{} holds {what}", line.words[3]));
    }

    fn delivery(&self, delivery: &Delivery) -> String {
        let errors: Vec<_> = delivery.history.iter().filter_map(|attempt| self.error(attempt)).collect();
        let steps =
            delivery.run.as_ref().map(|run| run.steps.iter().map(|(s, _)| s.as_str()).collect::<Vec<_>>());
        let mut text =
            format!("{}/{} (attempt {}", delivery.at.partition, delivery.at.offset, delivery.attempt);
        if !errors.is_empty() {
            write!(text, ": {}", errors.join(" | ")).expect("a string takes it");
        }
        if let Some(steps) = steps.filter(|steps| !steps.is_empty()) {
            write!(text, "; kept {}", steps.join(" ")).expect("a string takes it");
        }
        text + ")"
    }

    fn error(&self, attempt: &AttemptRef) -> Option<String> {
        let failed = usize::try_from(attempt.failed?.0).expect("a test's log is short");
        match &self.log[failed - 1] {
            Record::Failed(failed) => Some(failed.error.message.clone()),
            other => panic!("an attempt refers to {other:?}"),
        }
    }

    fn settle(&mut self, line: &Line<'_>) {
        let offset = Offset(line.words[4].parse().expect("an offset"));
        let claim = Claim {
            topic: topic(line.words[1]),
            group: group(line.words[2]),
            partition: PartitionId(line.number("partition").map_or(0, small)),
            offset,
            owner: owner(line.words[3]),
            lease: line.number("lease").map(|serial| LeaseId { epoch: self.epoch, serial }),
        };
        let command = match line.words[0] {
            "ack" => Command::Ack(Ack { claim, result: line.text("result").map(String::into_bytes) }),
            "extend" => Command::Extend(Extend { claim, lease: Millis(line.number("ms").unwrap_or(2_000)) }),
            _ => Command::Nack(Box::new(Nack {
                claim,
                error: ErrorInfo {
                    message: line.text("why").unwrap_or("nack".into()),
                    kind: None,
                    stack: None,
                },
                retry_after: line.number("after").map(Millis),
                retryable: !line.words.contains(&"final"),
            })),
        };
        match self.ask(command) {
            Some(Reply::Acked) => self.tell("acked"),
            Some(Reply::Nacked) => self.tell("nacked"),
            Some(Reply::Extended { until }) => self.tell(&format!("until {until}")),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn give_back(&mut self, line: &Line<'_>) {
        let group = self.state.group(&topic(line.words[1]), &group(line.words[2])).expect("a group");
        let held = group
            .partitions
            .iter()
            .zip(0..)
            .flat_map(|(progress, index)| {
                progress.pending().filter_map(move |(offset, pending)| match pending {
                    Pending::Leased(lease) => Some(Held {
                        of: MessageOf { group: group.id, partition: PartitionId(index), offset },
                        lease: lease.id,
                    }),
                    Pending::Waiting(_) => None,
                })
            })
            .collect();
        self.ask(Command::GiveBack(held));
        self.tell("given back");
    }

    fn run(&mut self, line: &Line<'_>) {
        let create = CreateRun {
            run_id: run_id(line.words[1]),
            workflow: WorkflowName::parse("demo").expect("a workflow"),
            input: line.text("input").unwrap_or("{}".into()).into_bytes(),
            idempotency: line.text("idem").map(|key| IdempotencyKey {
                tenant: String::new(),
                key,
                fingerprint: None,
            }),
            tenant: None,
            topic: topic(&line.text("topic").unwrap_or("runs.commands".into())),
            group: group("workers"),
            policy: line.text("policy").map_or(policy("3,1000"), |text| policy(&text)),
            due: line.number("delay").map_or(Due::Now, |ms| Due::After(Millis(ms))),
            tags: Vec::new(),
        };
        if let Some(Reply::RunCreated { run, duplicate }) = self.ask(Command::CreateRun(Box::new(create))) {
            let id = self.state.runs.get(&run).expect("it was created").id.clone();
            let line = format!("{} {id}", if duplicate { "known" } else { "created" });
            self.tell(&line);
        }
    }

    fn live_lease(&self, line: &Line<'_>) -> LeaseId {
        let serial = line.number("lease");
        let run = self.state.run(&run_id(line.words[1]));
        let live = run.and_then(|run| {
            let progress = self.state.group_of(&run)?.progress(run.command.partition)?;
            match progress.pending_at(run.command.offset)? {
                Pending::Leased(lease) => Some(lease.id),
                Pending::Waiting(_) => None,
            }
        });
        serial.map(|serial| LeaseId { epoch: self.epoch, serial }).or(live).unwrap_or_default()
    }

    fn emit(&mut self, line: &Line<'_>) {
        let events = line.words[2..]
            .iter()
            .map(|kind| WorkerEvent { json: format!("{{\"type\":\"{kind}\"}}").into_bytes(), ts: None })
            .collect();
        let lease = line.number("lease").map(|serial| LeaseId { epoch: self.epoch, serial });
        let append = AppendEvents { run_id: run_id(line.words[1]), events, lease };
        if let Some(Reply::EventsAppended { first_seq, count }) = self.ask(Command::AppendEvents(append)) {
            self.tell(&format!("seq {first_seq}, {count}"));
        }
    }

    fn step(&mut self, line: &Line<'_>) {
        let store = StoreStep {
            run_id: run_id(line.words[1]),
            step: step(line.words[2]),
            lease: self.live_lease(line),
            output: b"1".to_vec(),
            duration: Some(Millis(5)),
        };
        if let Some(Reply::StepStored { stored, .. }) = self.ask(Command::StoreStep(Box::new(store))) {
            self.tell(if stored { "step stored" } else { "step known" });
        }
    }

    fn replay(&mut self, line: &Line<'_>) {
        let id = run_id(line.words[1]);
        let input = self.state.run(&id).map(|run| run.input).unwrap_or_default();
        let replay = ReplayRun {
            run_id: id,
            input: match (line.text("input"), line.text("patch")) {
                (Some(input), _) => NewInput::Whole(input.into_bytes()),
                (None, Some(patch)) => {
                    NewInput::Patched { of: input, input: b"{}".to_vec(), changed: vec![patch] }
                }
                (None, None) => NewInput::Same,
            },
            from_step: line.text("from").map(|name| step(&name)),
            fresh: line.words.contains(&"fresh"),
            actor: None,
            reason: None,
        };
        if let Some(Reply::RunReplayed { replay_seq, .. }) = self.ask(Command::ReplayRun(Box::new(replay))) {
            self.tell(&format!("replay {replay_seq}"));
        }
    }

    fn cancel(&mut self, line: &Line<'_>) {
        let cancel = CancelRun { run_id: run_id(line.words[1]), actor: None };
        if self.ask(Command::CancelRun(cancel)).is_some() {
            self.tell("cancelled");
        }
    }

    fn show(&mut self, line: &Line<'_>) {
        let run = self.state.run(&run_id(line.words[1])).expect("a run").clone();
        let steps: Vec<_> = run.steps.keys().map(StepName::as_str).collect();
        self.tell(&format!(
            "{} is {}, replay {}, attempt {}, steps [{}]",
            run.id,
            run.status.as_str(),
            run.replay_seq,
            run.attempt,
            steps.join(" ")
        ));
    }

    fn timeline(&mut self, line: &Line<'_>) {
        let run = self.state.run(&run_id(line.words[1])).expect("a run");
        let partition = &self.state.topics[&run.timeline].partitions[0];
        let mut told = Vec::new();
        for offset in 0..partition.next_offset().0 {
            let position = partition.entry(Offset(offset)).expect("no gap").position;
            let Record::EventAppended(event) = &self.log[usize::try_from(position.0).expect("short") - 1]
            else {
                panic!("a timeline holds events")
            };
            assert_eq!(event.offset, Offset(offset));
            told.push(format!(
                "{} {}.{} {}",
                offset + 1,
                event.of.replay_seq,
                event.attempt,
                kind(&event.event)
            ));
        }
        self.tell(&told.join("\n"));
    }

    fn dlq(&mut self) {
        let page = self.state.dead_letters_page(&DeadLetterFilter::default(), None, 100);
        let told: Vec<_> = page
            .items
            .iter()
            .map(|(at, dead)| {
                let topic = &self.state.topics[&at.topic].name;
                let group = dead.group.as_ref().map_or("-", GroupName::as_str);
                format!(
                    "{topic}/{} of {group}, {} attempts, {}",
                    at.offset,
                    dead.attempts,
                    dead.reason.as_str()
                )
            })
            .collect();
        self.tell(&if told.is_empty() { "no dead letters".to_owned() } else { told.join("\n") });
    }

    fn redrive(&mut self, line: &Line<'_>) {
        let redrive = Redrive {
            dead_letter: dead_letter(line),
            value: line.text("value").map(|text| format!("\"{text}\"").into_bytes()),
            target_topic: line.text("target").map(|name| topic(&name)),
            all_groups: line.words.contains(&"all"),
            idempotency: line.text("idem").map(|key| IdempotencyKey {
                tenant: String::new(),
                key,
                fingerprint: None,
            }),
            actor: line.text("by"),
            reason: line.text("why"),
            key: line.text("key").unwrap_or_default(),
        };
        match self.ask(Command::Redrive(Box::new(redrive))) {
            Some(Reply::Redriven { to, topic }) => {
                self.tell(&format!("redriven to {topic} {}/{}", to.partition, to.offset))
            }
            Some(Reply::RunReplayed { replay_seq, .. }) => self.tell(&format!("replay {replay_seq}")),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn discard(&mut self, line: &Line<'_>) {
        let discard = Discard { dead_letter: dead_letter(line), reason: "no".into(), actor: None };
        if self.ask(Command::Discard(discard)).is_some() {
            self.tell("discarded");
        }
    }

    fn lag(&mut self, line: &Line<'_>) {
        let found = self.state.topic(&topic(line.words[1])).expect("a topic");
        let group = self.state.group(&found.name, &group(line.words[2])).expect("a group");
        let lags: Vec<_> = found
            .partitions
            .iter()
            .zip(&group.partitions)
            .map(|(p, g)| g.lag(p.next_offset()).to_string())
            .collect();
        let lags = lags.join(" ");
        self.tell(&format!("lag {lags}"));
    }
}

impl World {
    /// Places of the visible sequence that a group has not read past.
    fn unread(&mut self, line: &Line<'_>) {
        let found = self.state.topic(&topic(line.words[1])).expect("a topic");
        let group = self.state.group(&found.name, &group(line.words[2])).expect("a group");
        let left: Vec<_> = found
            .partitions
            .iter()
            .zip(&group.partitions)
            .map(|(p, g)| (p.visible_end() - g.next).to_string())
            .collect();
        let left = left.join(" ");
        self.tell(&format!("unread {left}"));
    }

    /// Sets a bound; it is configuration, so a restart keeps it.
    fn limit(&mut self, line: &Line<'_>) {
        let limits = &mut self.state.limits;
        limits.partition_messages_max = line.number("messages").or(limits.partition_messages_max);
    }
}

struct Line<'a> {
    words: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl Line<'_> {
    fn start(&self) -> Start {
        match self.options.get("start").copied() {
            Some("latest") => Start::Latest,
            Some(other) => panic!("no such start: {other}"),
            None => Start::Earliest,
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.options.get(name).map(|text| (*text).to_owned())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.options.get(name).map(|text| text.parse().expect("a number"))
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("a small number")
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).expect("a group")
}

fn owner(name: &str) -> OwnerId {
    OwnerId::parse(name).expect("an owner")
}

fn run_id(name: &str) -> RunId {
    RunId::parse(name).expect("a run id")
}

fn step(name: &str) -> StepName {
    StepName::parse(name).expect("a step")
}

fn dead_letter(line: &Line<'_>) -> DeadLetterAt {
    DeadLetterAt {
        topic: topic(line.words[1]),
        partition: PartitionId(line.number("partition").map_or(0, small)),
        offset: Offset(line.words[2].parse().expect("an offset")),
    }
}

/// `max_attempts,backoff[,max_backoff[,jitter]]`.
fn policy(text: &str) -> RetryPolicy {
    let mut numbers = text.split(',').map(|number| number.parse::<u64>().expect("a number"));
    let mut next = || numbers.next().unwrap_or(0);
    RetryPolicy {
        max_attempts: small(next()),
        backoff: Millis(next()),
        max_backoff: Millis(next()),
        jitter: Millis(next()),
    }
}

fn kind(event: &Event) -> String {
    match event {
        Event::Created { .. } => "run.created".into(),
        Event::Received { owner, .. } => format!("worker.received by {owner}"),
        Event::AttemptFailed { cause, .. } => format!("run.attempt_failed: {}", cause.as_str()),
        Event::RetryScheduled { delay, next_attempt, .. } => {
            format!("run.retry_scheduled {next_attempt} in {delay}")
        }
        Event::DeadLettered { reason, .. } => format!("run.dlq: {}", reason.as_str()),
        Event::Failed { .. } => "run.failed".into(),
        Event::Succeeded { result } => format!("run.succeeded {}", String::from_utf8_lossy(result)),
        Event::Cancelled { .. } => "run.cancelled".into(),
        Event::ReplayRequested(asked) => format!("run.replay_requested {:?}", asked.changed),
        Event::StepCompleted { step, .. } => format!("step.completed {step}"),
        Event::Worker { json } => String::from_utf8_lossy(json).into_owned(),
        Event::Produced { .. } => "produced".into(),
    }
}
