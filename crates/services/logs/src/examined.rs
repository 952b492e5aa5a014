//! What has to be true of the records of this service.

use coffer_core::{Examined, Need, Record};

use crate::{
    batch::{BatchRecord, IndexRecord, PieceRecord},
    group::GroupRecord,
    janitor::LeavingRecord,
    stream::StreamRecord,
};

impl Examined for GroupRecord {
    fn shown(&self) -> &str {
        &self.name
    }
}

impl Examined for StreamRecord {
    fn shown(&self) -> &str {
        &self.name
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        // Pages between may have gone with what was too old; the last one stays.
        if self.first_page < self.pages {
            let page = self.pages.saturating_sub(1).to_string();
            let missing = "a log stream whose last events are nowhere";
            need(Need { table: IndexRecord::TABLE, key: &[&self.id, &page], missing });
        }
    }
}

impl Examined for IndexRecord {
    fn shown(&self) -> &str {
        &self.stream
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for entry in &self.batches {
            let missing = "a batch of log events that is nowhere";
            need(Need {
                table: BatchRecord::TABLE,
                key: &[&self.stream, &entry.number.to_string()],
                missing,
            });
        }
    }
}

impl Examined for BatchRecord {
    fn shown(&self) -> &str {
        &self.stream
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "log events that no stream knows";
        need(Need { table: IndexRecord::TABLE, key: &[&self.stream, &self.page], missing });
        for event in &self.events {
            for piece in event.first_piece..event.first_piece.saturating_add(event.pieces) {
                let missing = "a log event without a piece of it";
                let key = [self.stream.as_str(), &self.number, &piece.to_string()];
                need(Need { table: PieceRecord::TABLE, key: &key, missing });
            }
        }
    }
}

impl Examined for PieceRecord {
    fn shown(&self) -> &str {
        &self.stream
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "a piece of a log event that does not exist";
        need(Need { table: BatchRecord::TABLE, key: &[&self.stream, &self.batch], missing });
    }
}

impl Examined for LeavingRecord {
    fn shown(&self) -> &str {
        &self.id
    }
}
