//! The server is killed, again and again, and nothing that it acknowledged is lost.
//!
//! Writers and readers talk to the real program over HTTP. It is killed with SIGKILL at a moment that chance chooses, looked at
//! while it is dead, started on the same directory, and compared with the journal of the clients. The same store is killed many
//! times: damage that one crash hides, a later one shows. Meanwhile somebody changes epochs, root key and seal slots, and
//! secrets are copied to another region and to another account.
//!
//! After each kill: `coffer verify` finds nothing, the audit log has exactly one event for each call that was answered, every
//! secret is what its writer was told, every replica comes to equal its primary, and a request without an answer has happened in
//! full or not at all. Every second store is first looked at in a copy, so that it is the server that meets the crash and not the tool.
//!
//! What a kill does not show is the loss of power: the kernel keeps what was written. That is the business of the engine's own
//! tests.

mod dice;
mod evidence;
mod followed;
mod full_disk;
mod journal;
mod load;
mod node;
mod smith;
mod twin;

use std::{sync::Arc, time::Duration};

use evidence::Evidence;
use followed::Followed;
use journal::{Asker, Journal};
use load::{Checked, Decided, Finding, Writer, check_square, create_square, read};
pub(crate) use {
    dice::{Dice, is_long_campaign},
    evidence::every_event,
    node::{Ground, Node, QUICK_END},
};

const WRITERS: usize = 8;
const READERS: usize = 4;
const ROUNDS: usize = 100;
const ROUNDS_LONG: usize = 2000;
const ROUNDS_PER_STORE: usize = 25;
/// The kill falls within this time from the start of the load.
const LOAD_MS_MAX: usize = 500;
/// Now and then the server is killed while it starts, within this time.
const START_MS_MAX: usize = 60;
const START_KILL_PERCENT: usize = 12;
const TOLD_MAX: usize = 40;
const SWEEP_PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let (mut dice, seed) = Dice::of_this_run();
    let rounds = if is_long_campaign() { ROUNDS_LONG } else { ROUNDS };
    let runtime = runtime();
    let (mut told, mut decided, mut done) = (0, Decided::default(), smith::Done::default());
    for first in (0..rounds).step_by(ROUNDS_PER_STORE) {
        let mut store = Victim::new(&mut dice);
        for round in first..rounds.min(first + ROUNDS_PER_STORE) {
            if let Err(found) = runtime.block_on(store.round(round, &mut dice)) {
                panic!(
                    "COFFER_SEED={seed}, round {round}, secret {}: {}\nthe journal:\n{}\nthe log:\n{}",
                    found.secret,
                    found.says,
                    store.journal.last_of(&found.secret, TOLD_MAX),
                    store.ground.log_tail(),
                );
            }
        }
        runtime.block_on(store.wait_for_sweep());
        let log = store.ground.log();
        assert!(!log.contains("ERROR"), "COFFER_SEED={seed}: {log}");
        told += store.journal.entries().len();
        done.epochs += store.done.epochs;
        done.roots += store.done.roots;
        done.slots += store.done.slots;
        decided.happened += store.decided.happened;
        decided.not_happened += store.decided.not_happened;
    }
    eprintln!("{rounds} kills, {told} requests, of those without an answer: {decided:?}; keys: {done:?}");
    assert!(done.epochs > rounds / 4 && done.roots > 0 && done.slots > 0, "COFFER_SEED={seed}: {done:?}");
    // A campaign that asks for next to nothing, or never hits a commit, proves next to nothing.
    assert!(told > rounds * 30, "only {told} requests in {rounds} rounds");
    assert!(decided.happened > 0 && decided.not_happened > 0, "COFFER_SEED={seed}: {decided:?}");
}

/// The judge can say no: a change or an answer that never was is missed.
#[test]
fn what_was_acknowledged_and_is_not_there_is_found() {
    let (mut dice, _) = Dice::of_this_run();
    runtime().block_on(async {
        let mut store = Victim::new(&mut dice);
        store.round(0, &mut dice).await.unwrap();
        store.writers[0].deceive();
        let missed = store.round(1, &mut dice).await.unwrap_err();
        assert!(missed.secret == "writer-0/0" && missed.says.contains("expected"), "{missed:?}");

        let mut store = Victim::new(&mut dice);
        store.round(0, &mut dice).await.unwrap();
        store.journal.deceive();
        let missed = store.round(1, &mut dice).await.unwrap_err();
        assert!(missed.says.contains("has these events: None"), "{missed:?}");
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A store, those who use it, and what they know.
struct Victim {
    ground: Ground,
    journal: Arc<Journal>,
    evidence: Evidence,
    writers: Vec<Writer>,
    square: Option<String>,
    /// The KMS key of the replicas in another account.
    key: Option<String>,
    /// Of every round; the last one was met by the kill.
    followed: Vec<Followed>,
    decided: Decided,
    done: smith::Done,
}

impl Victim {
    fn new(dice: &mut Dice) -> Self {
        let ground = Ground::new(QUICK_END);
        // The first start is not killed here: without an administrator there is nobody to ask.
        drop(ground.start().stop());
        followed::make_partner(&ground);
        let writers = (0..WRITERS).map(|number| Writer::new(number, dice.split())).collect();
        Self {
            ground,
            journal: Arc::default(),
            evidence: Evidence::default(),
            writers,
            square: None,
            key: None,
            followed: Vec::new(),
            decided: Decided::default(),
            done: smith::Done::default(),
        }
    }

    /// Nothing is lost by what the sweep does, and it comes to an end: of the older epochs no key is left. And every replica of all rounds
    /// equals its primary.
    async fn wait_for_sweep(&mut self) {
        let node = self.ground.start();
        let asker = self.asker(&node, 0);
        for followed in &self.followed {
            followed.compare(&asker, &self.ground).await.unwrap();
        }
        let end = tokio::time::Instant::now() + SWEEP_PATIENCE;
        loop {
            let status = smith::status(&self.ground.path("data"));
            assert!(status.active_epoch >= self.done.epoch, "{status:?}, and {:?}", self.done);
            if status.older_epochs.is_empty() {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "{status:?}");
            pause(100).await;
        }
        drop(node.stop());
        let (code, report, complaint) = self.ground.command(&["verify", "--json"], "data");
        assert_eq!(code, 0, "{report} {complaint}");
    }

    async fn round(&mut self, round: usize, dice: &mut Dice) -> Checked {
        if dice.percent(START_KILL_PERCENT) {
            let mut starting = self.ground.launch();
            pause(dice.below(START_MS_MAX)).await;
            starting.kill().unwrap();
            starting.wait().unwrap();
        }
        let node = self.ground.start();
        let asker = self.asker(&node, round);
        self.compare(&asker).await?;
        self.load_and_kill(node, asker, dice).await?;
        self.look_at_the_dead(dice)
    }

    fn asker(&self, node: &Node, round: usize) -> Asker {
        let client = self.ground.client(node);
        Asker { client, journal: Arc::clone(&self.journal), who: String::from("test"), round }
    }

    /// What is there now, against what was told before the last kill.
    async fn compare(&mut self, asker: &Asker) -> Checked {
        let audited = self.evidence.tokens();
        for writer in &mut self.writers {
            writer.check(asker, &audited, &mut self.decided).await?;
        }
        if let Some(followed) = self.followed.last() {
            followed.compare(asker, &self.ground).await?;
        }
        match self.square.take() {
            Some(square) => check_square(asker, &square, &self.journal).await,
            None => Ok(()),
        }
    }

    async fn load_and_kill(&mut self, node: Node, asker: Asker, dice: &mut Dice) -> Checked {
        let square = format!("square/{}", asker.round);
        create_square(&asker, &square).await?;
        let writers: Vec<_> = std::mem::take(&mut self.writers)
            .into_iter()
            .map(|writer| tokio::spawn(writer.work(asker.clone(), square.clone())))
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let reader = asker.called(format!("reader {number}"));
                tokio::spawn(read(reader, dice.split(), WRITERS, square.clone()))
            })
            .collect();
        let key = match &self.key {
            Some(key) => key,
            None => self.key.insert(followed::make_key(&self.ground, &node).await),
        };
        let followed = Followed::new(asker.round, key);
        let follower = tokio::spawn(followed.work(&asker, &self.ground, dice.split()));
        self.followed.push(followed);
        let (data, chance) = (self.ground.path("data"), dice.split());
        let done = self.done.clone();
        let smith = tokio::task::spawn_blocking(move || smith::work(&data, chance, done));
        pause(dice.below(LOAD_MS_MAX)).await;
        node.kill();
        self.done = smith.await.unwrap();
        for writer in writers {
            self.writers.push(writer.await.unwrap()?);
        }
        for reader in readers {
            reader.await.unwrap()?;
        }
        follower.await.unwrap()?;
        self.square = Some(square);
        Ok(())
    }

    fn look_at_the_dead(&mut self, dice: &mut Dice) -> Checked {
        let place = if dice.percent(50) {
            self.ground.copy_data("copy");
            "copy"
        } else {
            "data"
        };
        let (code, report, complaint) = self.ground.command(&["verify", "--json"], place);
        if code != 0 {
            return Err(Finding {
                secret: String::from("all"),
                says: format!("coffer verify in {place}: {code} {report} {complaint}"),
            });
        }
        self.evidence.read(&self.ground.path(place), &self.ground.path("keys/keyfile"));
        self.evidence
            .check(&self.journal.entries())
            .map_err(|says| Finding { secret: String::from("all"), says: format!("the audit log: {says}") })
    }
}

async fn pause(millis: usize) {
    tokio::time::sleep(Duration::from_millis(millis as u64)).await;
}
