//! Records as bytes: what was written once is read for ever.

use driftq_core::*;
use proptest::prelude::*;
use std::fmt::Write as _;

/// One record of each kind, in the order of their numbers.
fn samples() -> Vec<Record> {
    let at = MessageAt { topic: TopicId(4), partition: PartitionId(1), offset: Offset(300) };
    let of = MessageOf { group: GroupId(3), partition: PartitionId(1), offset: Offset(300) };
    let owner = OwnerId::parse("ann").expect("an owner");
    let lease = LeaseId { epoch: 2, serial: 9 };
    let policy = RetryPolicy {
        max_attempts: 3,
        backoff: Millis(1_000),
        max_backoff: Millis(60_000),
        jitter: Millis(5),
    };
    let key = KeyMark { digest: KeyDigest([7; 16]), fingerprint: 8 };
    let run = RunOf { run: RunNo(5), replay_seq: ReplaySeq(1) };
    let tenant = Some(TenantId::parse("acme").expect("a tenant"));
    let group = GroupName::parse("workers").expect("a group");
    let history = vec![AttemptRef { delivered: Position(10), failed: Some(Position(11)) }];
    let error = ErrorInfo { message: "boom".into(), kind: Some("E".into()), stack: Some("s".into()) };
    let mut samples = vec![
        Record::Started(Started { epoch: 2, release: "0.1.0".into() }),
        Record::TimeAdvanced(TimeAdvanced { now: Instant(1_000), wall: WallTime(1_700_000_000_000) }),
        Record::TopicCreated(TopicCreated {
            topic: TopicId(4),
            name: TopicName::parse("orders").expect("a topic"),
            partitions: 2,
            kind: TopicKind::Timeline(RunNo(5)),
        }),
        Record::MessageAppended(Box::new(MessageAppended {
            at,
            wall: WallTime(1_700_000_000_000),
            bytes: 17,
            policy: Some(policy),
            due: Some(WallTime(1_700_000_000_100)),
            deadline: Some(WallTime(1_700_000_000_200)),
            key: Some(key),
            only_group: Some(group.clone()),
            run: Some(run),
            priority: 1,
            tenant: tenant.clone(),
            body: Body::Inline(content().encode()),
        })),
        Record::MessageDue(at),
        Record::GroupCreated(GroupCreated {
            group: GroupId(3),
            topic: TopicId(4),
            name: group.clone(),
            on_timeline: false,
            at: Instant(1_000),
            starts: vec![GroupStart {
                next: 1,
                floor: Offset(2),
                bytes: 3,
                settled: vec![(Offset(4), Offset(6))],
            }],
        }),
        Record::GroupTouched(GroupTouched { group: GroupId(3), at: Instant(1_000) }),
        Record::GroupForgotten(GroupId(3)),
        Record::Delivered(Box::new(Delivered {
            of,
            lease,
            owner: owner.clone(),
            until: Instant(3_000),
            at: Instant(1_000),
            wall: WallTime(1_700_000_000_000),
            attempt: Attempt(1),
            next: Some(301),
            worker_version: Some("1.2".into()),
        })),
        Record::Extended(Extended { of, until: Instant(4_000) }),
        Record::Acked(Acked {
            of,
            owner: owner.clone(),
            lease,
            at: Instant(1_000),
            bytes: 17,
            key: Some(key.digest),
            forget_acks: 1,
            forget_keys: 2,
        }),
        Record::Failed(Box::new(Failed {
            of,
            lease,
            owner,
            attempt: Attempt(1),
            cause: FailureCause::LeaseExpired,
            error,
            at: Instant(1_000),
            wall: WallTime(1_700_000_000_000),
            then: AfterFailure::Retry { due: Instant(2_000) },
            bytes: 17,
            forget_acks: 0,
        })),
        Record::GivenBack(of),
        Record::Skipped(Skipped { of, why: SkipReason::RunOver, bytes: 17, next: Some(301) }),
        Record::DeadLettered(Box::new(DeadLettered {
            at,
            original: at,
            content: Position(9),
            group: Some(group.clone()),
            reason: DeadLetterReason::NonRetryable,
            attempts: Attempt(2),
            history,
            run: Some(run),
            tenant: tenant.clone(),
            policy: Some(policy),
            wall: WallTime(1_700_000_000_000),
            bytes: 17,
        })),
        Record::DeadLetterClosed(DeadLetterClosed {
            at,
            how: Closing::Discarded { reason: "no".into() },
            actor: Some("ops".into()),
        }),
        Record::DeadlinePassed(at),
        Record::KeysForgotten(3),
        Record::RunCreated(Box::new(RunCreated {
            run: RunNo(5),
            run_id: RunId::parse("run_1").expect("a run id"),
            workflow: WorkflowName::parse("demo").expect("a workflow"),
            tenant,
            tags: vec!["blue".into()],
            topic: TopicId(4),
            command: at,
            group,
            timeline: TopicId(6),
            policy,
            wall: WallTime(1_700_000_000_000),
            key: Some(key),
            input: b"{}".to_vec(),
        })),
    ];
    samples.extend(events().into_iter().map(|event| {
        Record::EventAppended(Box::new(EventAppended {
            topic: TopicId(6),
            offset: Offset(2),
            of: run,
            attempt: Attempt(1),
            wall: WallTime(1_700_000_000_000),
            bytes: 96,
            key: None,
            event,
        }))
    }));
    samples.extend([
        Record::RunReplayed(Box::new(RunReplayed {
            of: run,
            input: Some(RunInput(b"{}".to_vec())),
            forget_from: Some(Position(9)),
            command: at,
            wall: WallTime(1_700_000_000_000),
            key: Some(key),
        })),
        Record::StepStored(Box::new(StepStored {
            of: run,
            attempt: Attempt(1),
            step: StepName::parse("fetch").expect("a step"),
            duration: Some(Millis(5)),
            wall: WallTime(1_700_000_000_000),
            output: b"1".to_vec(),
        })),
        Record::Carried(Carried { from: Position(9), record: vec![17, 3] }),
    ]);
    samples.extend(redrives(at));
    samples.extend(operators_acts(at, of, policy));
    samples
}

fn redrives(at: MessageAt) -> Vec<Record> {
    let (actor, reason) = (Some("ops".to_owned()), Some("mended".to_owned()));
    let moved = JobMove { job: JobNo(1), tracked: Tracked::Message(at) };
    vec![
        Record::DeadLetterMarked(DeadLetterMarked { at, fingerprint: Fingerprint(0x0123_4567_89ab_cdef) }),
        Record::ClosingNoted(Box::new(ClosingNoted {
            at,
            wall: WallTime(1_700_000_000_000),
            actor: actor.clone(),
            reason: reason.clone(),
            edited: true,
            moved: Some(moved),
        })),
        Record::RedriveJobStarted(Box::new(RedriveJobStarted {
            job: JobNo(1),
            spec: RedriveSpec {
                filter: DeadLetterFilter {
                    topic: Some(TopicName::parse("orders").expect("a topic")),
                    group: Some(GroupName::parse("workers").expect("a group")),
                    run: Some(RunNo(5)),
                    reason: Some(DeadLetterReason::MaxAttempts),
                    fingerprint: Some(Fingerprint(7)),
                    tenant: Some(TenantId::parse("acme").expect("a tenant")),
                    since: Some(WallTime(1)),
                    until: Some(WallTime(2)),
                    scope: Scope { prefixes: Some(vec!["orders.".into()]), tenant: None, run: None },
                },
                rate_milli: 50_000,
                canary: Some(10),
                stop_share: Some(50_000),
            },
            matched: 300,
            spans: vec![JobSpan {
                topic: TopicId(4),
                partition: PartitionId(0),
                from: Offset(1),
                until: Offset(301),
            }],
            at: Instant(1_000),
            wall: WallTime(1_700_000_000_000),
            actor: actor.clone(),
            reason: reason.clone(),
            key: Some(KeyMark { digest: KeyDigest([7; 16]), fingerprint: 0 }),
            forget: Some(JobNo(0)),
        })),
        Record::RedriveJobAdvanced(Box::new(RedriveJobAdvanced {
            job: JobNo(1),
            span: 0,
            from: Offset(2),
            due_ns: 1_020_000_000,
            not_before: Instant(1_010),
            problems: vec![(at, "unknown topic".into())],
        })),
        Record::RedriveJobChanged(Box::new(RedriveJobChanged {
            job: JobNo(1),
            to: JobStatus::Halted,
            is_past_canary: true,
            at: Instant(2_000),
            wall: WallTime(1_700_000_000_000),
            actor,
            reason,
        })),
        Record::RedriveEnded(RedriveEnded {
            job: JobNo(1),
            tracked: Tracked::Run(RunNo(5)),
            outcome: RedriveOutcome::DeadAgain,
        }),
    ]
}

fn operators_acts(at: MessageAt, of: MessageOf, policy: RetryPolicy) -> Vec<Record> {
    let actor = Some("ops".to_owned());
    let reason = Some("why".to_owned());
    let now = Instant(1_000);
    let settings = TopicSettings {
        policy: Some(policy),
        key_window: Some(Millis(5)),
        partition_messages_max: Some(6),
        partition_bytes_max: Some(7),
        retention: Some(Retention { age: Some(Millis(8)), bytes: Some(9), dead_letter_age: None }),
        routing: Some(std::sync::Arc::new(Routing {
            label: "red".into(),
            meta: [("a".to_owned(), "b".to_owned())].into(),
        })),
    };
    let place = SoughtPlace {
        partition: PartitionId(1),
        next: 1,
        floor: Offset(2),
        bytes: 3,
        seen: Offset(9),
        settled: vec![(Offset(4), Offset(6))],
    };
    let made_due = |what| {
        Record::MadeDue(Box::new(MadeDue { what, at: now, actor: actor.clone(), reason: reason.clone() }))
    };
    vec![
        Record::TopicSet(Box::new(TopicSet {
            topic: TopicId(4),
            settings,
            at: now,
            actor: actor.clone(),
            reason: reason.clone(),
        })),
        Record::TopicDeleted(Box::new(TopicDeleted {
            topic: TopicId(4),
            at: now,
            actor: actor.clone(),
            reason: reason.clone(),
        })),
        Record::GroupSought(Box::new(GroupSought {
            group: GroupId(3),
            at: now,
            places: vec![place],
            actor: actor.clone(),
            reason: reason.clone(),
        })),
        Record::GroupDeleted(Box::new(GroupDeleted {
            group: GroupId(3),
            at: now,
            actor: actor.clone(),
            reason: reason.clone(),
        })),
        made_due(WasWaiting::Backoff(of)),
        made_due(WasWaiting::Delay(at)),
    ]
}

fn content() -> Content {
    Content {
        key: "k".into(),
        value: b"{\"a\":1}".to_vec(),
        headers: vec![("traceparent".into(), "00-1".into())],
        envelope: Envelope { tenant_id: Some("acme".into()), ..Envelope::default() },
    }
}

fn events() -> Vec<Event> {
    let at = MessageAt { topic: TopicId(4), partition: PartitionId(0), offset: Offset(1) };
    let failure = Position(11);
    vec![
        Event::Created { workflow: WorkflowName::parse("demo").expect("a workflow") },
        Event::Received {
            owner: OwnerId::parse("ann").expect("an owner"),
            lease_until: WallTime(1_700_000_000_000),
        },
        Event::AttemptFailed { cause: FailureCause::Nack, failure, max_attempts: 3 },
        Event::RetryScheduled {
            at: WallTime(1_700_000_000_000),
            delay: Millis(1_000),
            next_attempt: Attempt(2),
            max_attempts: 3,
        },
        Event::DeadLettered { reason: DeadLetterReason::MaxAttempts, at, failure: Some(failure) },
        Event::Failed { failure: None },
        Event::Succeeded { result: b"null".to_vec() },
        Event::Cancelled { actor: None },
        Event::ReplayRequested(Box::new(ReplayRequested {
            actor: Some("ops".into()),
            from_step: None,
            changed: vec!["fail_at".into()],
            replay_seq: ReplaySeq(1),
            at: Instant(1_000),
        })),
        Event::StepCompleted { step: StepName::parse("fetch").expect("a step"), duration: None },
        Event::Worker { json: b"{\"type\":\"x\"}".to_vec() },
        Event::Produced { content: content().encode() },
    ]
}

/// A change of a line is a change of the format of logs that exist: never do that, add a kind of record instead.
#[test]
fn p21_records_keep_their_bytes() {
    let mut text = String::new();
    for record in samples() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let debug = format!("{record:?}");
        let name = debug.split(['(', ' ']).next().unwrap_or_default();
        writeln!(text, "{name} {hex}").expect("a string takes it");
    }
    expect_test::expect_file!["../../../../spec/formats/records.golden"].assert_eq(&text);
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(&mut again);
            prop_assert_eq!(Record::decode(&again), Ok(record));
        }
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,300}") {
        if let Ok(name) = TopicName::parse(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
        }
        let _checked = RunId::parse(&text);
    }
}
