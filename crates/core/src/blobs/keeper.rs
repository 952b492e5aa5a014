//! Removes packages that nobody uses.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use coffer_shape::ApiError;

use super::{BlobRecord, ChunkRecord, pieces};
use crate::{Cx, Next, Permit, Task, Walk};

pub(super) const NAME: &str = "blob-keeper";
/// Our choice: whoever has staged a package attaches it within seconds, or begins anew.
const KEPT_UNUSED: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(super) struct BlobKeeper;

impl Task for BlobKeeper {
    const NAME: &'static str = NAME;

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let mut first: Option<Arc<BlobRecord>> = None;
        cx.walk::<BlobRecord>(Permit::granted(), Walk::default(), &mut |blob| {
            first = Some(Arc::clone(blob));
            ControlFlow::Break(())
        })?;
        let Some(listed) = first.filter(|blob| blob.uses == 0) else { return Ok(Next::Idle) };
        // A listing is no check of the commit.
        let Some(blob) = cx.part::<BlobRecord>(&[&listed.digest])? else { return Ok(Next::Now) };
        let due = blob.staged_at.plus(KEPT_UNUSED);
        if blob.uses > 0 {
            return Ok(Next::Now);
        }
        if due > cx.now() {
            return Ok(Next::At(due));
        }
        for chunk in 0..blob.chunks() {
            cx.erase::<ChunkRecord>(&[&blob.digest, &pieces::number(chunk)])?;
        }
        cx.erase::<BlobRecord>(&[&blob.digest])?;
        Ok(Next::Now)
    }
}
