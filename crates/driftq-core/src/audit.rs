//! The audit log: who did what to the broker, as a topic.
//!
//! Promise: an operator's act and its entry are one transition, so neither is there without the other; an act that
//! changed nothing leaves no entry. Nobody but the broker writes to a topic whose name begins with `driftq.`.

use crate::broker::decide_into;
use crate::draft::Draft;
use crate::{
    Body, Command, Content, MessageAppended, PartitionId, Record, Rejection, Reply, TopicKind, TopicName,
};
use alloc::{boxed::Box, format, vec::Vec};

/// The topic that holds the audit log; made with its first entry, with one partition.
pub const AUDIT_TOPIC: &str = "driftq.audit";

/// See [`Command::Audited`].
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    /// What is done; `None` when it is done elsewhere and only told here.
    pub act: Option<Command>,
    /// What is told of it.
    pub entry: AuditEntry,
}

/// What is told of an operator's act: a JSON object. The broker adds `at_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry(Vec<u8>);

impl AuditEntry {
    /// An entry of this minified JSON object; `None` for what is no object, or one without a member.
    #[must_use]
    pub fn of(json: Vec<u8>) -> Option<Self> {
        let is_object = json.len() > 2 && json.starts_with(b"{") && json.ends_with(b"}");
        is_object.then_some(Self(json))
    }

    /// Its bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an entry is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The object with the time added as its last member.
    fn at(mut self, ms: u64) -> Vec<u8> {
        self.0.pop();
        self.0.extend_from_slice(format!(",\"at_ms\":{ms}}}").as_bytes());
        self.0
    }
}

pub(crate) fn decide_audited(draft: &mut Draft<'_>, audited: Audited) -> Result<Reply, Rejection> {
    let before = draft.len();
    let reply = match audited.act {
        Some(act) => decide_into(draft, act)?,
        None => Reply::Told,
    };
    if draft.len() > before || reply == Reply::Told {
        tell(draft, audited.entry);
    }
    Ok(reply)
}

fn tell(draft: &mut Draft<'_>, entry: AuditEntry) {
    let name = TopicName::parse(AUDIT_TOPIC).expect("the audit log's name is a topic's name");
    let (topic, _) = draft.ensure_topic(&name, 1, TopicKind::Plain);
    let at = draft.next_message(topic, PartitionId(0));
    let wall = draft.state.wall;
    let content = Content { value: entry.at(wall.0), ..Content::default() }.encode();
    draft.push(Record::MessageAppended(Box::new(MessageAppended {
        at,
        wall,
        bytes: u32::try_from(content.len()).unwrap_or(u32::MAX),
        policy: None,
        due: None,
        deadline: None,
        key: None,
        only_group: None,
        run: None,
        priority: 0,
        tenant: None,
        body: Body::Inline(content),
    })));
}

/// Refuses a name that only the broker writes to.
pub(crate) fn admit_name(name: &TopicName) -> Result<(), Rejection> {
    if name.is_reserved() { Err(Rejection::Reserved(name.as_str().into())) } else { Ok(()) }
}
