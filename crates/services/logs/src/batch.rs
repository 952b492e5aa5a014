//! What a stream consists of: batches of events, and the pages of an index that say which there are.

use coffer_core::table;
use coffer_shape::record;
use coffer_types::Secret;

record! {
    pub struct EventRecord {
        /// Milliseconds, as the sender says.
        pub at: i64,
        pub ingested_at: i64,
        /// The beginning of it, if there are pieces.
        pub message: Secret<String>,
        /// How many records have the rest of the message, and the number of the first among those of the batch.
        pub pieces: i64,
        pub first_piece: i64,
    }
}

record! {
    /// A batch, as its page knows it.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct EntryRecord {
        pub number: i64,
        /// The times of its first event and its last.
        pub from: i64,
        pub until: i64,
        pub events: i64,
        /// As AWS counts them.
        pub bytes: i64,
        pub pieces: i64,
    }
}

table! {
    0x52 "log-index", version 1, key (stream, page), part;

    /// A page of the index of a stream.
    #[derive(Clone)]
    pub struct IndexRecord {
        pub stream: String,
        pub page: String,
        pub batches: Vec<EntryRecord>,
    }
}

table! {
    0x53 "log-batch", version 1, key (stream, number), part;

    /// Events in the order in which they came.
    pub struct BatchRecord {
        pub stream: String,
        pub number: String,
        pub page: String,
        pub events: Vec<EventRecord>,
    }
}

table! {
    0x54 "log-piece", version 1, key (stream, batch, number), part;

    /// What of a message does not fit into its batch.
    pub struct PieceRecord {
        pub stream: String,
        pub batch: String,
        pub number: String,
        pub text: Secret<String>,
    }
}
