//! Defects on purpose, to show that the oracle sees them.
//!
//! Promise: without the feature `planted` no run can choose one.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The log says that it is durable before it is.
    AnswerBeforeSync,
    /// The folder is never synced.
    FolderNotSynced,
    /// One sync in four does nothing.
    SyncSometimesSkipped,
    /// Each record of a batch is a frame of its own.
    BatchTorn,
    /// A stop in order leaves no mark that says so.
    CloseWithoutMark,
    /// Each start has the same epoch.
    EpochForgotten,
    /// A checkpoint misses an entity.
    CheckpointIncomplete,
    /// A defect inside the broker.
    #[cfg(feature = "planted")]
    Broker(driftq_engine::planted::Defect),
}

impl Bug {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let outside = [
            Self::AnswerBeforeSync,
            Self::FolderNotSynced,
            Self::SyncSometimesSkipped,
            Self::BatchTorn,
            Self::CloseWithoutMark,
            Self::EpochForgotten,
            Self::CheckpointIncomplete,
        ];
        #[cfg(feature = "planted")]
        let inside = driftq_engine::planted::Defect::ALL.iter().copied().map(Self::Broker);
        #[cfg(not(feature = "planted"))]
        let inside = std::iter::empty();
        outside.into_iter().chain(inside).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerBeforeSync => "answer-before-sync",
            Self::FolderNotSynced => "folder-not-synced",
            Self::SyncSometimesSkipped => "sync-sometimes-skipped",
            Self::BatchTorn => "batch-torn",
            Self::CloseWithoutMark => "close-without-mark",
            Self::EpochForgotten => "epoch-forgotten",
            Self::CheckpointIncomplete => "checkpoint-incomplete",
            #[cfg(feature = "planted")]
            Self::Broker(defect) => defect.name(),
        }
    }

    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if cfg!(feature = "planted") { Self::all().into_iter().find(|bug| bug.name() == name) } else { None }
    }

    /// Plants it in the broker, if that is its place; `None` removes what was planted.
    pub(crate) fn plant(bug: Option<Self>) {
        #[cfg(feature = "planted")]
        driftq_engine::planted::plant(match bug {
            Some(Self::Broker(defect)) => Some(defect),
            _ => None,
        });
        #[cfg(not(feature = "planted"))]
        let _nothing_to_plant = bug;
    }
}
