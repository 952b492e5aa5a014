//! Lets in as many requests at once as can be answered soon, each in turn.
//!
//! As long as there is room nobody waits, and the gate costs a few atomic operations. When there is none, whoever comes stands in a
//! line ([`super::line`]) in which principals take turns, for 50 ms at most; whoever does not get in by then is told to come again.
//! What is left undone first when everybody asks for too much, the ladder says ([`super::ladder`]).
//!
//! There are two doors, because there are two things to wait for. A place behind the first is for as long as a processor is needed: whoever
//! goes on to wait for the disk, for a turn at length or for the world outside gives it back before. So more of these places than keep the
//! processors busy are of no use, and a line forms as soon as they have no time left. A place behind the second is for a change, until it
//! is durable. There are as many as go into two groups of the committer: while one is synced the next one fills.
//!
//! Whoever had to leave a full line is told so only when his 50 ms are over. A client that tries again at once would otherwise keep the
//! house busy with telling it no. For that long no request under the same key is read any further than its head, if the line is full:
//! a key that somebody names without having it can only lose a place by that, not take one.
//!
//! What this does not know: requests, and what is told to those who do not get in.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use coffer_types::{AccountId, Clock};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    debts::{BURST, Debts},
    ladder::{Ladder, Step},
    line::{Line, Place, Portion, Who},
};

/// The longest that somebody stands in the line.
const WAIT: Duration = Duration::from_millis(50);
/// Where nobody at all was let in meanwhile it is not the others who keep him waiting, but a machine that stands still; he waits so many
/// times as long.
const WAITS_MAX: u32 = 20;
/// How often the ladder is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For each processor. A read steps aside once, so that its event is written with those of others; with fewer places the processor would
/// have nothing to do meanwhile.
const PLACES_EACH: usize = 2;
/// Two groups of the committer.
const CHANGES_MAX: usize = 512;
/// Who is to take turns has to be in the line.
const LINE_MIN: usize = 128;
/// Whoever asks now and then is let in at least once in so many looks.
const SHARED_LOOKS: u8 = 3;
/// Keys that are remembered for the length of a wait.
const KEYS_MAX: usize = 4_096;
/// Those who were turned away and hear of it later; more hear of it at once. They are a quarter of what the house holds.
const HELD_MAX: usize = 1_024;

pub(crate) struct Gate {
    clock: Arc<dyn Clock>,
    processors: Door,
    changes: Door,
    ladder: Ladder,
    /// Hashes of keys whose requests had to leave a full line.
    greedy_keys: Debts<u64>,
    /// Those who have been turned away and have not heard of it yet.
    held: AtomicUsize,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("in_use", &self.in_use)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("load", &self.load()).finish_non_exhaustive()
    }
}

/// Where so many get in at once.
struct Door {
    places: usize,
    /// The line is as long as there are places, and at least this long.
    line_min: usize,
    in_use: AtomicUsize,
    /// So many were let in ever.
    entered: AtomicU64,
    /// The account of whoever was let in last, as a number, and for how many looks it is known that others are let in too.
    last_account: AtomicU64,
    shared_for: AtomicU8,
    /// As many as are in the line, to be read without its lock.
    waiting: AtomicUsize,
    line: Mutex<Line<Ticket>>,
}

/// What somebody in the line is called with.
#[derive(Debug)]
struct Ticket {
    grant: oneshot::Sender<()>,
    /// A hash of the key he came with.
    key: u64,
}

/// Why somebody did not get in; the word in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// He stood in the line for as long as one may.
    Waited,
    /// The line was full, and nobody had more in it.
    Full,
    /// The line is full, and he had to leave it a moment ago.
    Again,
    /// Calls of this kind are not done at the moment.
    LeftOut,
}

impl Shed {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::Full => "full",
            Self::Again => "again",
            Self::LeftOut => "left-out",
        }
    }
}

/// How it looks at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Of those who need a processor.
    pub(crate) limit: usize,
    pub(crate) in_use: usize,
    /// At both doors.
    pub(crate) waiting: usize,
    pub(crate) step: Step,
}

/// A place, given back when dropped.
#[must_use = "a place that is dropped is free again"]
#[derive(Debug)]
pub(crate) struct Pass<'g>(&'g Door);

impl Gate {
    /// With so many places at most.
    pub(crate) fn new(clock: Arc<dyn Clock>, places_max: usize) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let most = places_max.max(1);
        Self {
            clock,
            processors: Door::new((processors * PLACES_EACH).min(most)),
            changes: Door::new(CHANGES_MAX.min(most)),
            ladder: Ladder::default(),
            greedy_keys: Debts::new(KEYS_MAX),
            held: AtomicUsize::new(0),
        }
    }

    pub(crate) fn step(&self) -> Step {
        self.ladder.step()
    }

    pub(crate) fn load(&self) -> Load {
        let waiting = |door: &Door| door.waiting.load(Ordering::Relaxed);
        Load {
            limit: self.processors.places,
            in_use: self.processors.in_use.load(Ordering::Relaxed),
            waiting: waiting(&self.processors) + waiting(&self.changes),
            step: self.step(),
        }
    }

    /// Lets somebody in who needs a processor and comes with this key, or says why not.
    pub(crate) async fn enter(&self, who: Who, key: u64) -> Result<Pass<'_>, Shed> {
        self.enter_by(&self.processors, who, key).await
    }

    /// The same for a change that is going to wait for the disk. It is let in here before it asks for a processor.
    pub(crate) async fn enter_to_change(&self, who: Who, key: u64) -> Result<Pass<'_>, Shed> {
        self.enter_by(&self.changes, who, key).await
    }

    async fn enter_by<'g>(&'g self, door: &'g Door, who: Who, key: u64) -> Result<Pass<'g>, Shed> {
        if door.waiting.load(Ordering::SeqCst) == 0 && door.take() {
            door.note(who.account);
            return Ok(Pass(door));
        }
        let mut until = Instant::now() + WAIT;
        let mut waiting = self.join(door, who, key);
        for _ in 0..WAITS_MAX {
            let entered = door.entered.load(Ordering::Relaxed);
            match timeout_at(until, &mut waiting.granted).await {
                Ok(Ok(())) => {
                    waiting.is_over = true;
                    door.note(who.account);
                    return Ok(Pass(door));
                }
                Ok(Err(_)) => {
                    drop(waiting);
                    self.hold(until).await;
                    return Err(Shed::Full);
                }
                Err(_) if door.entered.load(Ordering::Relaxed) == entered => until = Instant::now() + WAIT,
                Err(_) => break,
            }
        }
        waiting.is_too_long = true;
        Err(Shed::Waited)
    }

    /// Keeps somebody waiting before he is even looked at, whose key had to leave a full line a moment ago.
    pub(crate) async fn refuse_again(&self, key: u64) -> Result<(), Shed> {
        // Most of the time nobody waits, and nothing else is looked at.
        if !self.processors.is_full() && !self.changes.is_full() {
            return Ok(());
        }
        // A debt of the whole burst leaves no room for the price of a wait until it has shrunk by that.
        if !self.greedy_keys.bars(&key, WAIT, self.clock.monotonic()) {
            return Ok(());
        }
        self.hold(Instant::now() + WAIT).await;
        Err(Shed::Again)
    }

    /// Ten times a second: sets the step by what was seen; the step if it changed.
    pub(crate) fn look(&self) -> Option<Step> {
        for door in [&self.processors, &self.changes] {
            let left = door.shared_for.load(Ordering::Relaxed).saturating_sub(1);
            door.shared_for.store(left, Ordering::Relaxed);
        }
        self.ladder.look()
    }

    fn join<'g>(&'g self, door: &'g Door, who: Who, key: u64) -> Waiting<'g> {
        let (grant, granted) = oneshot::channel();
        let mut line = door.line();
        let joined = line.join(who, Ticket { grant, key }, door.longest());
        let is_one_account = line.is_of_one_account();
        door.let_in(&mut line);
        drop(line);
        if let Some((left, portion)) = joined.left {
            self.greedy_keys.charge(left.key, BURST, self.clock.monotonic());
            self.strain(door, portion, is_one_account);
        }
        Waiting { gate: self, door, who, place: joined.place, granted, is_over: false, is_too_long: false }
    }

    /// Somebody had to go who asked for no more than his share. That it was of his own account's asking only the others know, who do not
    /// stand in line and are let in meanwhile.
    fn strain(&self, door: &Door, portion: Portion, is_one_account: bool) {
        if portion == Portion::Fair && !(is_one_account && door.shared_for.load(Ordering::Relaxed) > 0) {
            self.ladder.strain();
        }
    }

    async fn hold(&self, until: Instant) {
        let held = Held::begin(&self.held);
        if held.number <= HELD_MAX {
            sleep_until(until).await;
        }
    }
}

impl Door {
    fn new(places: usize) -> Self {
        Self {
            places,
            line_min: LINE_MIN,
            entered: AtomicU64::new(0),
            last_account: AtomicU64::new(0),
            shared_for: AtomicU8::new(0),
            in_use: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            line: Mutex::default(),
        }
    }

    /// Notes who was let in.
    fn note(&self, account: AccountId) {
        let number = account.as_str().parse().unwrap_or_default();
        let before = self.last_account.swap(number, Ordering::Relaxed);
        if before != number && before != 0 {
            self.shared_for.store(SHARED_LOOKS, Ordering::Relaxed);
        }
    }

    fn longest(&self) -> usize {
        self.places.max(self.line_min)
    }

    /// Whether the line is.
    fn is_full(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        waiting > 0 && waiting >= self.longest()
    }

    /// Gives free places to those who wait.
    fn let_in(&self, line: &mut Line<Ticket>) {
        // Said before places are counted: who gives one back counts first and then looks here, so that one of the two sees the other.
        self.waiting.store(line.len(), Ordering::SeqCst);
        while line.len() > 0 && self.take() {
            let is_taken = line.next().is_some_and(|ticket| ticket.grant.send(()).is_ok());
            if !is_taken {
                self.in_use.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.store(line.len(), Ordering::SeqCst);
    }

    fn take(&self) -> bool {
        let taken = self.in_use.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |in_use| {
            (in_use < self.places).then_some(in_use + 1)
        });
        if taken.is_ok() {
            self.entered.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn give_back(&self) {
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.let_in(&mut self.line());
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<Ticket>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Somebody in the line. When he goes, his place in it goes, or the one that he was just given.
struct Waiting<'g> {
    gate: &'g Gate,
    door: &'g Door,
    who: Who,
    place: Place,
    granted: oneshot::Receiver<()>,
    is_over: bool,
    /// He had to go because he waited too long, and not of his own will.
    is_too_long: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut line = self.door.line();
        if let Some(portion) = line.leave(self.who, self.place) {
            self.door.waiting.store(line.len(), Ordering::SeqCst);
            if self.is_too_long {
                self.gate.strain(self.door, portion, line.is_of_one_account());
            }
            return;
        }
        drop(line);
        if self.granted.try_recv().is_ok() {
            self.door.give_back();
        }
    }
}

/// Counted for as long as it lives.
struct Held<'g> {
    count: &'g AtomicUsize,
    number: usize,
}

impl<'g> Held<'g> {
    fn begin(count: &'g AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use coffer_types::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(0)
        }

        fn monotonic(&self) -> Duration {
            self.0.elapsed()
        }
    }

    fn gate(places: usize) -> Gate {
        Gate::new(Arc::new(Paused(Instant::now())), places)
    }

    fn who(principal: u64) -> Who {
        Who { account: "111122223333".parse().unwrap(), principal }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_room_does_not_wait_and_whoever_does_not_waits_50_ms() {
        let gate = gate(2);
        let begun = Instant::now();
        let first = gate.enter(who(1), 1).await.unwrap();
        let second = gate.enter(who(1), 1).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let mut before = Box::pin(gate.enter(who(2), 2));
        assert!(futures_poll(&mut before).is_pending());
        let mut waiting = Box::pin(gate.enter(who(2), 2));
        assert!(futures_poll(&mut waiting).is_pending());
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(first);
        let first = before.await.unwrap();
        assert_eq!(waiting.await.unwrap_err(), Shed::Waited);
        assert_eq!(begun.elapsed().as_millis(), 50);
        drop((first, second));
        drop(gate.enter(who(2), 2).await.unwrap());
        assert_eq!(gate.load(), Load { limit: 2, in_use: 0, waiting: 0, step: Step::Everything });
    }

    /// Fifty milliseconds pass on a machine whose processors are somebody else's; that is no reason to turn anybody away.
    #[tokio::test(start_paused = true)]
    async fn where_nobody_gets_in_it_is_not_the_others_who_keep_him_waiting() {
        let gate = gate(1);
        let begun = Instant::now();
        let held = gate.enter(who(1), 1).await.unwrap();
        let mut waiting = Box::pin(gate.enter(who(2), 2));
        assert!(futures_poll(&mut waiting).is_pending());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(futures_poll(&mut waiting).is_pending());
        drop(held);
        let held = waiting.await.unwrap();
        assert_eq!(begun.elapsed().as_millis(), 200);
        // But not for ever.
        assert_eq!(gate.enter(who(1), 1).await.unwrap_err(), Shed::Waited);
        assert_eq!(begun.elapsed().as_millis(), 1_200);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_goes_to_who_waits_and_to_nobody_who_has_gone() {
        let gate = gate(1);
        let first = gate.enter(who(1), 1).await.unwrap();
        let mut gone = Box::pin(gate.enter(who(2), 2));
        let mut next = Box::pin(gate.enter(who(3), 3));
        assert!(futures_poll(&mut gone).is_pending());
        assert_eq!(gate.load().waiting, 1);
        // He gets the place and goes before he notices.
        drop(first);
        assert_eq!((gate.load().in_use, gate.load().waiting), (1, 0));
        assert!(futures_poll(&mut next).is_pending());
        drop(gone);
        drop(next.await.unwrap());
        assert_eq!((gate.load().in_use, gate.load().waiting), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_had_to_leave_a_full_line_hears_of_it_when_his_time_is_over() {
        let mut gate = gate(1);
        gate.processors.line_min = 1;
        let begun = Instant::now();
        let held = gate.enter(who(1), 1).await.unwrap();
        let mut oldest = Box::pin(gate.enter(who(1), 7));
        assert!(futures_poll(&mut oldest).is_pending());
        let mut newest = Box::pin(gate.enter(who(1), 7));
        assert!(futures_poll(&mut newest).is_pending());
        assert_eq!(gate.load().waiting, 1);
        // His next request goes no further than its head; that of another key does.
        assert_eq!(gate.refuse_again(8).await, Ok(()));
        let mut again = Box::pin(gate.refuse_again(7));
        assert!(futures_poll(&mut again).is_pending());
        assert_eq!(oldest.await.unwrap_err(), Shed::Full);
        assert_eq!(begun.elapsed().as_millis(), 50);
        assert_eq!(again.await, Err(Shed::Again));
        drop(held);
        drop(newest.await);
        assert_eq!(gate.refuse_again(7).await, Ok(()), "the line is not full any more");
    }

    /// Two places, requests of 1 ms each: two thousand a second. One principal keeps 60 going all the time, nine others keep one.
    #[tokio::test(start_paused = true)]
    async fn nine_with_one_request_each_get_their_share_beside_one_with_sixty() {
        let gate = Arc::new(gate(2));
        let until = Instant::now() + Duration::from_secs(2);
        let ask = |principal: u64| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let mut served = 0_u32;
                while Instant::now() < until {
                    if let Ok(_pass) = gate.enter(who(principal), principal).await {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        served += 1;
                    }
                }
                served
            })
        };
        let greedy: Vec<_> = (0..60).map(|_| ask(0)).collect();
        let others: Vec<_> = (1..10).map(ask).collect();
        let mut served = Vec::new();
        for other in others {
            served.push(other.await.unwrap());
        }
        let mut of_greedy = 0;
        for request in greedy {
            of_greedy += request.await.unwrap();
        }
        let share = (served.iter().sum::<u32>() + of_greedy) / 10;
        assert!(served.iter().all(|got| got * 10 >= share * 8), "{served:?}, {of_greedy}");
        assert_eq!((gate.load().in_use, gate.load().waiting), (0, 0));
    }

    /// With the places that there are by default: work for two processors, of which each request takes 1 ms. One principal keeps nine
    /// tenths of all requests going.
    #[tokio::test(start_paused = true)]
    async fn a_line_forms_before_the_processors_are_shared_by_who_asks_most() {
        let gate = Arc::new(gate(4_096));
        let processors = Arc::new(tokio::sync::Semaphore::new(2));
        let until = Instant::now() + Duration::from_secs(2);
        let ask = |principal: u64| {
            let (gate, processors) = (Arc::clone(&gate), Arc::clone(&processors));
            tokio::spawn(async move {
                let mut served = 0_u32;
                while Instant::now() < until {
                    if let Ok(_pass) = gate.enter(who(principal), principal).await {
                        let _processor = processors.acquire().await.unwrap();
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        served += 1;
                    }
                }
                served
            })
        };
        let greedy: Vec<_> = (0..144).map(|_| ask(0)).collect();
        let others: Vec<_> = (0..16).map(|number| ask(1 + number / 2)).collect();
        let mut served = Vec::new();
        for other in others {
            served.push(other.await.unwrap());
        }
        let mut of_greedy = 0;
        for request in greedy {
            of_greedy += request.await.unwrap();
        }
        let share = (served.iter().sum::<u32>() + of_greedy) / 9;
        let each = served.chunks(2).map(|two| two.iter().sum::<u32>()).collect::<Vec<_>>();
        assert!(each.iter().all(|got| got * 10 >= share * 8), "{each:?}, {of_greedy}");
    }

    /// Two of one account ask for all there is, as much as each other; somebody of another account is let in by turns and stands in line
    /// hardly ever. That is no reason to leave anything of his undone.
    #[tokio::test(start_paused = true)]
    async fn what_one_account_asks_too_much_costs_no_other_account_a_step() {
        let gate = Arc::new(gate(2));
        let until = Instant::now() + Duration::from_secs(3);
        let ask = |account: &'static str, principal: u64, pause: u64| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let who = Who { account: account.parse().unwrap(), principal };
                let mut served = 0_u32;
                while Instant::now() < until {
                    if let Ok(_pass) = gate.enter(who, principal).await {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        served += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                served
            })
        };
        for number in 0..400 {
            drop(ask("111122223333", 1 + number % 2, 0));
        }
        let other = ask("222233334444", 9, 5);
        while Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            gate.look();
            assert_eq!(gate.step(), Step::Everything, "{:?}", gate.load());
        }
        assert!(other.await.unwrap() > 200);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_disk_takes_no_place_of_who_needs_a_processor() {
        let gate = gate(4_096);
        let mut changes = Vec::new();
        for number in 0..CHANGES_MAX as u64 {
            changes.push(gate.enter_to_change(who(number), number).await.unwrap());
        }
        let begun = Instant::now();
        drop(gate.enter(who(1), 1).await.unwrap());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let mut waiting = Box::pin(gate.enter_to_change(who(1), 1));
        assert!(futures_poll(&mut waiting).is_pending());
        changes.pop();
        drop(waiting.await.unwrap());
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut cx)
    }
}
