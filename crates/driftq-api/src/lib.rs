//! The wire types of DriftQ's HTTP v1, for both ends of the wire.
//!
//! Promise: a type here is a shape and nothing else. It validates no name, knows no state and opens
//! no socket. Requests refuse a JSON field they do not know; answers ignore one, so an old client
//! reads a newer server. JSON that belongs to the user (`value`, `input`, `result`, `output`,
//! `patch`) is kept as its own text, so no number in it is ever changed.

pub mod attempts;
pub mod consume;
pub mod dead_letters;
pub mod dev;
pub mod error;
pub mod events;
pub mod groups;
pub mod health;
pub mod messages;
pub mod produce;
pub mod redrive_jobs;
pub mod runs;
pub mod settle;
pub mod stats;
pub mod topic_settings;
pub mod topics;

mod absent;
mod envelope;

pub use attempts::{
    AttemptOutcome, DeadLetterDiff, DeadLetterDiffQuery, Difference, RunAttempt, RunAttemptPage,
    RunAttemptQuery, RunDiff, RunDiffQuery,
};
pub use consume::{
    ConsumeItem, ConsumeMode, ConsumeQuery, ConsumeRequest, ConsumeStart, RunContext, ValueFormat,
};
pub use dead_letters::{
    AttemptRecord, DeadLetter, DeadLetterClosing, DeadLetterDetail, DeadLetterPage, DeadLetterQuery,
    DeadLetterState, DiscardRequest, DiscardResponse, Fingerprint, FingerprintPage, FingerprintQuery,
    RedriveRequest, RedriveResponse, RunDeadLetter, RunDeadLetterQuery,
};
pub use dev::{Clock, MoveClockQuery, MoveClockRequest};
pub use envelope::{
    DeadLetterMark, Envelope, EnvelopeRequest, Failure, FailureRequest, RetryPolicy, RetryPolicyRequest,
    Routing,
};
pub use error::{ErrorBody, ErrorCode};
pub use events::{
    BrokerEvent, DeadLetterAddress, EventPage, EventQuery, EventUntil, Fields, NewEvent, PostEventsRequest,
    PostEventsResponse, RunEvent, TimelineReset, TimelineResetReason,
};
pub use groups::{
    DeleteGroupQuery, GroupListQuery, GroupPage, GroupSummary, SeekPartition, SeekQuery, SeekRequest,
    SeekResponse, SeekTo,
};
pub use health::{Health, Readiness, ReadyState, Recovery, Version};
pub use messages::{
    ExplainCode, ExplainQuery, ExplainState, ExplainedDeadLetter, ExplainedLease, Explanation, RetryNowQuery,
    RetryNowRequest, RetryNowResponse, RetryNowWas,
};
pub use produce::{BatchRequest, BatchResponse, ProduceQuery, ProduceRequest, ProduceResponse};
pub use redrive_jobs::{
    RedriveDryRun, RedriveJob, RedriveJobAct, RedriveJobFilter, RedriveJobListQuery, RedriveJobPage,
    RedriveJobPhase, RedriveJobQuery, RedriveJobStatus, RedriveProblem, RedriveSample,
    StartRedriveJobRequest,
};
pub use runs::{
    CancelRunRequest, CancelRunResponse, ReplayRequest, ReplayResponse, ReplaySummary, Run, RunListQuery,
    RunPage, RunQuery, RunStatus, RunSummary, RunTokenRequest, RunTokenResponse, StartRunRequest,
    StartRunResponse, Step, StepPage, StepRequest, StepResponse,
};
pub use serde_json::value::RawValue;
pub use settle::{
    AckQuery, AckRequest, ExtendQuery, ExtendRequest, ExtendResponse, NackQuery, NackRequest, WholeMessage,
};
pub use stats::{LogStats, RunCounts, Stats};
pub use topic_settings::{
    DeleteTopicQuery, PatchTopicRequest, Retention, RetentionPatch, RetryPolicyPatch, RoutingPatch,
    TopicSettings,
};
pub use topics::{
    BrowsePage, BrowseQuery, BrowsedMessage, CreateTopicQuery, CreateTopicRequest, CreateTopicResponse,
    GroupPartition, Topic, TopicDetailPage, TopicGroup, TopicList, TopicListQuery, TopicPartition,
    TopicSummary,
};

#[cfg(feature = "openapi")]
mod openapi;
