//! The trail read back: the newest event first, page after page, and nothing twice or left out, whatever the index holds.

use std::ops::ControlFlow;

use coffer_core::{AuditFacts, Cx, Files, LooksBack, Span, TrailPlace, Wanted, stream_audit};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{
    house::{House, admin, number},
    service::{LOOK, script},
};

/// Takes so many events, and is late after so many questions.
struct Taking {
    ids: Vec<String>,
    count: usize,
    late_after: usize,
    asked: std::cell::Cell<usize>,
    from: Timestamp,
}

impl LooksBack for Taking {
    fn wants(&self, span: Span) -> Wanted {
        if span.until < self.from { Wanted::NothingOlder } else { Wanted::Yes }
    }

    fn see(&mut self, event: &str) -> ControlFlow<()> {
        if self.ids.len() >= self.count {
            return ControlFlow::Break(());
        }
        self.ids.push(AuditFacts::read(event).unwrap().event_id.into_owned());
        ControlFlow::Continue(())
    }

    fn is_late(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() > self.late_after
    }
}

fn taking(count: usize, late_after: usize) -> Taking {
    Taking { ids: Vec::new(), count, late_after, asked: 0.into(), from: Timestamp::EPOCH }
}

/// One look, as a local command makes it.
async fn look(house: &House, from: Option<TrailPlace>, who: Taking) -> (Taking, Option<TrailPlace>) {
    let who = std::sync::Mutex::new(who);
    let run = |cx: &mut Cx<'_>| -> Result<_, ApiError> {
        let permit = cx.needs_no_permission("a test");
        cx.look_back(permit, from, &mut *who.lock().unwrap())
    };
    let next = house.core.run_local(&admin(), run).await.unwrap();
    (who.into_inner().unwrap(), next)
}

async fn all(house: &House, count: usize, late_after: usize) -> Vec<String> {
    let (mut ids, mut from) = (Vec::new(), None);
    for _ in 0..10_000 {
        let (who, next) = look(house, from, taking(count, late_after)).await;
        ids.extend(who.ids);
        let Some(next) = next else { return ids };
        from = Some(next);
    }
    assert_eq!(from, None, "no end");
    ids
}

/// Every event in the order of the log, the newest first, by another way.
fn backwards(house: &House) -> Vec<String> {
    let mut ids = Vec::new();
    let troubles = stream_audit(&house.files, &house.barrier, None, &mut |event| {
        ids.push(AuditFacts::read(event).unwrap().event_id.into_owned());
        ControlFlow::Continue(())
    });
    assert_eq!(troubles.unwrap(), []);
    ids.reverse();
    ids
}

/// Three segments, of which one has several blocks, and a change whose event is still in the engine.
async fn busy() -> House {
    let house = House::seeded(51).with_segments_of(4096);
    for _ in 0..7 {
        house.get("a").await.unwrap();
    }
    let house = house.restarted();
    for _ in 0..1100 {
        house.get("a").await.unwrap();
    }
    let newest = house.files.list().unwrap().pop().unwrap();
    assert!(house.files.bytes(&newest).len() > 3 * (256 << 10));
    let house = house.restarted();
    house.get("a").await.unwrap();
    house.set("a", 1).await;
    house
}

#[tokio::test]
async fn every_event_is_seen_once_and_the_newest_first_whatever_a_page_holds() {
    let house = busy().await;
    for (count, late_after) in
        [(usize::MAX, usize::MAX), (1, usize::MAX), (50, usize::MAX), (7, 1), (1000, 2)]
    {
        if count == 1 {
            let (who, next) = look(&house, None, taking(1, usize::MAX)).await;
            assert_eq!((who.ids.len(), next.is_some()), (1, true));
            continue;
        }
        let seen = all(&house, count, late_after).await;
        assert_eq!(seen, backwards(&house), "{count} {late_after}");
        // The change that was still in the engine came first.
        assert_eq!(seen.len(), 7 + 1100 + 1 + 1);
    }
    // A process that has indexed nothing sees the same.
    let again = house.restarted();
    assert_eq!(all(&again, 50, 3).await, backwards(&again));
}

#[tokio::test]
async fn pages_go_on_where_they_ended_while_more_is_written() {
    let house = busy().await;
    let before = backwards(&house);
    let (first, next) = look(&house, None, taking(30, usize::MAX)).await;
    for _ in 0..5 {
        house.get("a").await.unwrap();
    }
    let (second, _) = look(&house, next, taking(30, usize::MAX)).await;
    assert_eq!([first.ids, second.ids].concat()[1..], before[..59]);
}

#[tokio::test]
async fn what_is_older_than_anybody_wants_is_not_opened() {
    let house = House::seeded(52);
    house.get("a").await.unwrap();
    let house = house.restarted();
    house.clock.advance(std::time::Duration::from_secs(3600));
    house.get("a").await.unwrap();
    let from = house.core.world().clock.now().minus(std::time::Duration::from_secs(60));
    let (who, next) = look(&house, None, Taking { from, ..taking(usize::MAX, usize::MAX) }).await;
    assert_eq!((who.ids.len(), next), (1, None));
}

#[tokio::test]
async fn a_damaged_frame_hides_what_follows_it_in_its_file_and_nothing_else() {
    let house = House::seeded(53).with_segments_of(2048);
    for _ in 0..9 {
        house.get("a").await.unwrap();
    }
    let names = house.files.list().unwrap();
    assert!(names.len() > 2);
    let mut bytes = house.files.bytes(&names[1]);
    bytes[64 + 100] ^= 1;
    house.files.put(&names[1], bytes);
    let seen = all(&house, 2, usize::MAX).await;
    assert!((4..9).contains(&seen.len()), "{}", seen.len());
    let mut streamed = 0;
    let troubles = stream_audit(&house.files, &house.barrier, None, &mut |_| {
        streamed += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(streamed, seen.len());
    assert_eq!(troubles.unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_looks_back_too_and_finds_its_own_past() {
    fn newest(cx: &mut Cx<'_>) -> Result<i64, ApiError> {
        let permit = cx.needs_no_permission("a test");
        let mut who = taking(usize::MAX, usize::MAX);
        cx.look_back(permit, None, &mut who)?;
        Ok(i64::try_from(who.ids.len()).unwrap())
    }
    let house = House::seeded(54);
    house.set("a", 1).await;
    let answer = house.call(&admin(), &LOOK, script(newest)).await.unwrap();
    assert_eq!(number(answer).unwrap(), 1);
}
