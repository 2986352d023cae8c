//! What is out of scope is refused as if it were not there.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]

use driftq_core::*;

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn carry_out(state: &mut State, command: Command) -> Reply {
    let (records, reply) = decide(state, Entropy(1), command).unwrap();
    for record in records {
        let position = state.applied.next();
        apply(state, position, &record);
    }
    reply
}

fn create_run(id: &str, topic: &str, tenant: &str) -> CreateRun {
    CreateRun {
        run_id: RunId::parse(id).unwrap(),
        workflow: WorkflowName::parse("w").unwrap(),
        input: b"null".to_vec(),
        idempotency: None,
        tenant: Some(TenantId::parse(tenant).unwrap()),
        topic: name(topic),
        group: GroupName::parse("workers").unwrap(),
        policy: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
        due: Due::Now,
        tags: Vec::new(),
    }
}

fn scope(prefixes: Option<&[&str]>, tenant: Option<&str>) -> Scope {
    Scope {
        prefixes: prefixes.map(|prefixes| prefixes.iter().map(|text| (*text).to_owned()).collect()),
        tenant: tenant.map(|text| TenantId::parse(text).unwrap()),
        run: None,
    }
}

#[test]
fn a_run_is_seen_by_its_tenant_and_the_topic_of_its_commands() {
    let mut state = State::new(Limits::default());
    carry_out(&mut state, Command::CreateRun(Box::new(create_run("r", "acme.commands", "acme"))));
    let run = state.run(&RunId::parse("r").unwrap()).unwrap();
    let timeline = state.topic(&name("runs.events.r")).unwrap();
    for (sees, scope) in [
        (true, Scope::default()),
        (true, scope(Some(&["x", "acme."]), Some("acme"))),
        (false, scope(Some(&["runs."]), None)),
        (false, scope(Some(&["acme."]), Some("other"))),
        (false, scope(None, Some("other"))),
        (true, Scope { run: Some(run.no), ..Scope::default() }),
        (false, Scope { run: Some(RunNo(run.no.0 + 1)), ..Scope::default() }),
    ] {
        assert_eq!(scope.sees_run(&state, &run), sees, "{scope:?}");
        assert_eq!(scope.sees_topic(&state, timeline), sees, "a timeline is seen like its run: {scope:?}");
    }
}

#[test]
fn dead_letters_are_seen_like_their_original() {
    let scope = scope(Some(&["acme."]), None);
    assert!(scope.sees_name(&name("dlq.acme.orders")) && scope.sees_name(&name("dlq.dlq.acme.orders")));
    assert!(!scope.sees_name(&name("dlq.other")) && !scope.sees_name(&name("acme")));
}

#[test]
fn what_is_hidden_is_refused_in_the_words_for_what_is_absent() {
    let mut state = State::new(Limits::default());
    carry_out(&mut state, Command::CreateRun(Box::new(create_run("r", "acme.commands", "acme"))));
    let empty = State::new(Limits::default());
    let run_id = RunId::parse("r").unwrap();
    let claim = Claim {
        topic: name("acme.commands"),
        group: GroupName::parse("workers").unwrap(),
        partition: PartitionId(0),
        offset: Offset(0),
        owner: OwnerId::parse("ann").unwrap(),
        lease: None,
    };
    let commands = [
        Command::Ack(Ack { claim: claim.clone(), result: None }),
        Command::Extend(Extend { claim, lease: Millis(1) }),
        Command::CancelRun(CancelRun { run_id: run_id.clone(), actor: None }),
        Command::AppendEvents(AppendEvents { run_id, events: Vec::new(), lease: None }),
        Command::OpenGroup(OpenGroup {
            topic: name("acme.commands"),
            group: GroupName::parse("g").unwrap(),
            start: Start::Earliest,
        }),
    ];
    for command in commands {
        let hidden = scope(Some(&["other."]), None).admit(&state, &command).unwrap_err();
        let absent = decide(&empty, Entropy(1), command.clone()).unwrap_err();
        assert_eq!(hidden.to_string(), absent.to_string());
        assert_eq!(scope(Some(&["acme."]), Some("acme")).admit(&state, &command), Ok(()));
    }
}

#[test]
fn what_would_be_made_elsewhere_is_refused_by_its_name() {
    let state = State::new(Limits::default());
    let narrow = scope(Some(&["acme."]), Some("acme"));
    let create = |topic: &str| Command::CreateTopic(CreateTopic::plain(name(topic), None));
    assert_eq!(narrow.admit(&state, &create("acme.a")), Ok(()));
    assert_eq!(narrow.admit(&state, &create("other.a")), Err(Rejection::OutOfScope("name")));
    let run = |topic: &str, tenant: &str| Command::CreateRun(Box::new(create_run("r", topic, tenant)));
    assert_eq!(narrow.admit(&state, &run("acme.a", "acme")), Ok(()));
    assert_eq!(narrow.admit(&state, &run("other.a", "acme")), Err(Rejection::OutOfScope("topic")));
    assert_eq!(narrow.admit(&state, &run("acme.a", "other")), Err(Rejection::OutOfScope("tenant_id")));
}

#[test]
fn a_tenant_reads_messages_only_under_topics_of_its_own() {
    assert!(Scope::default().reads_messages() && scope(Some(&["acme."]), Some("acme")).reads_messages());
    assert!(!scope(None, Some("acme")).reads_messages());
}
