//! The audit log: an act and its entry are one transition.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]

use driftq_core::*;

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn entry(kind: &str) -> AuditEntry {
    AuditEntry::of(format!("{{\"type\":\"{kind}\"}}").into_bytes()).unwrap()
}

fn audited(act: Option<Command>, kind: &str) -> Command {
    Command::Audited(Box::new(Audited { act, entry: entry(kind) }))
}

fn create(topic: &str) -> Command {
    Command::CreateTopic(CreateTopic::plain(name(topic), None))
}

/// Carries a command out; answers its facts.
fn carry_out(state: &mut State, command: Command) -> Result<Vec<Record>, Rejection> {
    let (records, _) = decide(state, Entropy(1), command)?;
    for record in &records {
        let position = state.applied.next();
        apply(state, position, record);
    }
    assert_eq!(check(state), Ok(()));
    Ok(records)
}

/// The values of the audit log's entries among these facts.
fn told(records: &[Record]) -> Vec<String> {
    let value = |record: &Record| match record {
        Record::MessageAppended(message) => match &message.body {
            Body::Inline(bytes) => String::from_utf8(Content::decode(bytes).unwrap().value).ok(),
            _ => None,
        },
        _ => None,
    };
    records.iter().filter_map(value).collect()
}

#[test]
fn an_act_and_its_entry_are_one_transition() {
    let mut state = State::new(Limits::default());
    apply(
        &mut state,
        Position(1),
        &Record::TimeAdvanced(TimeAdvanced { now: Instant(5), wall: WallTime(77) }),
    );
    let records = carry_out(&mut state, audited(Some(create("orders")), "topic.created")).unwrap();
    assert_eq!(told(&records), ["{\"type\":\"topic.created\",\"at_ms\":77}"]);
    assert!(state.topic(&name("orders")).is_some());
    let records = carry_out(&mut state, audited(Some(create("orders")), "topic.created")).unwrap();
    assert_eq!(records, [], "an act that changes nothing is not told");
    let refused = CancelRun { run_id: RunId::parse("r").unwrap(), actor: None };
    let refused = carry_out(&mut state, audited(Some(Command::CancelRun(refused)), "run.cancelled"));
    assert_eq!(refused, Err(Rejection::UnknownRun("r".to_owned())), "nor is one that is refused");
    let records = carry_out(&mut state, audited(None, "tokens.reloaded")).unwrap();
    assert_eq!(told(&records), ["{\"type\":\"tokens.reloaded\",\"at_ms\":77}"]);
    let log = state.topic(&name(AUDIT_TOPIC)).unwrap();
    assert_eq!((log.partition_count(), log.partitions[0].next_offset()), (1, Offset(2)));
}

#[test]
fn only_the_broker_writes_to_its_topics() {
    let mut state = State::new(Limits { auto_create_topics: true, ..Limits::default() });
    carry_out(&mut state, audited(Some(create("orders")), "topic.created")).unwrap();
    let produce = |topic: &str, target: Option<&str>| {
        Command::Produce(vec![Produce {
            topic: name(topic),
            target_topic: target.map(name),
            key: String::new(),
            partition: None,
            content: Content { value: b"1".to_vec(), ..Content::default() }.encode(),
            policy: None,
            due: Due::Now,
            deadline: None,
            idempotency: None,
            tenant: None,
        }])
    };
    let refused = |topic: &str| Err(Rejection::Reserved(topic.to_owned()));
    for command in [produce(AUDIT_TOPIC, None), produce("orders", Some(AUDIT_TOPIC)), create(AUDIT_TOPIC)] {
        assert_eq!(carry_out(&mut state, command), refused(AUDIT_TOPIC));
    }
    assert_eq!(carry_out(&mut state, create("driftq.mine")), refused("driftq.mine"));
    assert_eq!(carry_out(&mut state, create("dlq.driftq.audit")), refused("dlq.driftq.audit"));
    assert!(carry_out(&mut state, create("driftq")).is_ok());
}

#[test]
fn the_broker_s_own_topic_takes_nobody_s_place() {
    let mut state = State::new(Limits { topics_max: 2, ..Limits::default() });
    for topic in ["a", "b"] {
        carry_out(&mut state, audited(Some(create(topic)), "topic.created")).unwrap();
    }
    assert_eq!(carry_out(&mut state, create("c")), Err(Rejection::TooManyTopics(2)));
}

#[test]
fn an_entry_is_an_object() {
    for text in ["", "{}", "[1]", "7", "{\"a\":1"] {
        assert_eq!(AuditEntry::of(text.into()), None, "{text}");
    }
}
