//! Packages: stored once before the call that brings them, kept while they are used, gone an hour after.

use std::{sync::Arc, time::Duration};

use coffer_core::{BlobRef, Cx, Registry};
use coffer_types::Secret;

use crate::house::{House, here};

const HEADERS: u16 = 0x0004;
const CHUNKS: u16 = 0x0005;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_stored_once_and_kept_while_it_is_used() {
    let house = House::with(1, Registry::keep_packages);
    // Four chunks, and none is like another.
    let content: Vec<u8> =
        (0..300_000_u32).flat_map(|number| (number / 7).to_be_bytes()).take(300_000).collect();
    let bytes = Arc::new(Secret::new(content.clone()));
    let blob = BlobRef::of(&content);
    let attach = |cx: &mut Cx<'_>, bytes: &Arc<Secret<Vec<u8>>>| {
        cx.needs_no_permission("this test is about something else");
        let blob = cx.stage(bytes)?;
        cx.attach(&blob)?;
        Ok(blob.length)
    };
    for _ in 0..2 {
        let bytes = Arc::clone(&bytes);
        assert_eq!(house.change(move |cx| attach(cx, &bytes)).await.unwrap(), 300_000);
    }
    assert_eq!((house.stored(HEADERS).len(), house.stored(CHUNKS).len()), (1, 4));
    let read = house.core.inside().blob(&here(), &blob).await.unwrap();
    assert_eq!(read.expose(), &content);
    assert!(
        house
            .stored(CHUNKS)
            .iter()
            .all(|entry| !entry.value.windows(64).any(|part| content.starts_with(part)))
    );

    let detach = || {
        let blob = blob.clone();
        house.change(move |cx| {
            cx.needs_no_permission("this test is about something else");
            cx.detach(&blob).map(|()| 0)
        })
    };
    detach().await.unwrap();
    house.clock.advance(Duration::from_hours(2));
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(house.stored(CHUNKS).len(), 4, "one use is left");
    detach().await.unwrap();
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(house.stored(CHUNKS).len(), 4, "an hour has not gone by");
    house.clock.advance(Duration::from_hours(2));
    house.core.run_due_tasks().await.unwrap();
    assert_eq!((house.stored(HEADERS).len(), house.stored(CHUNKS).len()), (0, 0));
    assert!(house.core.inside().blob(&here(), &blob).await.is_err());
}
