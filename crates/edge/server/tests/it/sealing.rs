//! Sealing and unsealing, at the moments when something else happens too.

use std::{sync::Arc, time::Duration};

use coffer_barrier::{SlotKey, keyfile};
use coffer_core::{FunctionCall, FunctionOutcome, FunctionRun, Functions, NoFunctions, Stopping, World};
use coffer_server::{
    Mode, Node, Sealed, Settings,
    config::{Config, Flags, Home},
    data_dir::DataDir,
    open::{self, Opened, Store},
    world,
};
use coffer_types::Secret;

use crate::house::House;

const PASSPHRASE: &str = "five words are much better";

/// A store on the disk that a passphrase opens, and a node over it that is sealed.
struct Place {
    root: tempfile::TempDir,
    node: Arc<Node>,
}

/// Nothing runs; to stop it takes until it is allowed.
#[derive(Default)]
struct Stubborn {
    asked: tokio::sync::Notify,
    allowed: tokio::sync::Notify,
}

impl Functions for Stubborn {
    fn rotations_at_once(&self) -> usize {
        0
    }

    fn run(&self, _: FunctionCall) -> FunctionRun {
        Box::pin(std::future::ready(FunctionOutcome::Throttled))
    }

    fn forget(&self, _: &str) {}

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            self.asked.notify_one();
            self.allowed.notified().await;
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_not_opened_again_before_what_ran_has_ended() {
    let functions = Arc::new(Stubborn::default());
    let place = Place::with(Arc::clone(&functions) as Arc<dyn Functions>).await;
    place.node.unseal(passphrase()).await.unwrap();
    let sealing = {
        let node = Arc::clone(&place.node);
        tokio::spawn(async move { node.seal().await })
    };
    functions.asked.notified().await;
    assert!(place.node.core().is_none());
    let mut unsealing = {
        let node = Arc::clone(&place.node);
        tokio::spawn(async move { node.unseal(passphrase()).await })
    };
    let waits = tokio::time::timeout(Duration::from_secs(3), &mut unsealing).await;
    assert!(waits.is_err() && place.node.core().is_none());
    functions.allowed.notify_one();
    assert_eq!(sealing.await.unwrap(), Sealed::KeysWiped);
    unsealing.await.unwrap().unwrap();
    assert!(place.node.core().is_some());
    place.node.stop().await.unwrap();
}

impl Place {
    async fn sealed() -> Self {
        Self::with(Arc::new(NoFunctions)).await
    }

    async fn with(functions: Arc<dyn Functions>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home {
            data_directory: root.path().join("data"),
            config_directory: root.path().join("config"),
            ..Home::default()
        };
        let config = Config::read(&Flags::default(), &home).unwrap();
        let directory = DataDir::prepare(&config.data_dir).unwrap();
        let world = World { functions, ..world::system(&directory.audit()) };
        let store = Arc::new(Store::take(directory, 0, &world).unwrap());
        let started = open::start(&store, &config, &world, open::With::Key(passphrase())).await.unwrap();
        let Opened::Core(core) = started.opened else { panic!("the passphrase opens it") };
        core.shut_down().unwrap();
        drop(core);
        let settings = Settings {
            account: started.account,
            region: config.region.clone(),
            limits: config.limits.clone(),
            signature: config.signature,
            oidc: std::collections::BTreeMap::new(),
        };
        let node = Arc::new(Node::new(Mode::Production, world, settings, Some(store)));
        node.wait_sealed();
        Self { root, node }
    }
}

fn passphrase() -> SlotKey {
    SlotKey::Passphrase(Secret::new(String::from(PASSPHRASE)))
}

#[tokio::test]
async fn sealing_again_does_not_claim_that_keys_are_wiped_which_a_request_still_uses() {
    let house = House::open().await;
    let request = house.node.core().unwrap();
    assert_eq!(house.node.seal().await, Sealed::StillInUse);
    assert_eq!(house.node.seal().await, Sealed::StillInUse);
    drop(request);
    assert_eq!(house.node.seal().await, Sealed::KeysWiped);
    assert_eq!(house.node.seal().await, Sealed::KeysWiped);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_seal_at_once_hear_the_same() {
    let house = House::open().await;
    let request = house.node.core().unwrap();
    let (one, other) = tokio::join!(house.node.seal(), house.node.seal());
    assert_eq!((one, other), (Sealed::StillInUse, Sealed::StillInUse));
    drop(request);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_is_not_opened_again() {
    let place = Place::sealed().await;
    place.node.stop().await.unwrap();
    let refusal = place.node.unseal(passphrase()).await.unwrap_err();
    assert!(refusal.what().contains("stopping"), "{refusal}");
    assert!(place.node.core().is_none());
    assert_eq!(place.node.reasons(), ["stopped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unseal_that_is_at_work_when_the_node_stops_leaves_nothing_open() {
    for is_abandoned in [false, true] {
        let Place { root, node } = Place::sealed().await;
        let unsealing = {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.unseal(passphrase()).await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        if is_abandoned {
            // As when nobody waits for the answer any more: the work goes on.
            unsealing.abort();
        }
        node.stop().await.unwrap();
        drop(unsealing.await);
        assert!(node.core().is_none());
        assert_eq!(node.reasons(), ["stopped"]);
        drop(node);
        let directory = DataDir::existing(&root.path().join("data")).unwrap();
        directory.ensure_free().expect("nobody holds the lock");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_is_called_wrong_also_when_somebody_else_was_faster() {
    let place = Place::sealed().await;
    place.node.unseal(passphrase()).await.unwrap();
    place.node.unseal(passphrase()).await.unwrap();
    let wrong = SlotKey::Passphrase(Secret::new(String::from("four words are not enough")));
    let refusal = place.node.unseal(wrong).await.unwrap_err();
    assert!(refusal.what().contains("does not open this store"), "{refusal}");
    assert!(place.node.core().is_some());
    place.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unseal_that_was_given_up_does_not_open_the_store_behind_our_back() {
    let place = Place::sealed().await;
    let node = Arc::clone(&place.node);
    let unsealing = tokio::spawn(async move { node.unseal(passphrase()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    unsealing.abort();
    drop(unsealing.await);
    // Sealing waits for its turn, and with that for the work.
    assert_eq!(place.node.seal().await, Sealed::KeysWiped);
    assert!(place.node.core().is_none());
    let key = keyfile::random(&coffer_crypto::SystemEntropy);
    assert!(place.node.unseal(SlotKey::Keyfile(key)).await.is_err());
    place.node.unseal(passphrase()).await.unwrap();
    assert!(place.node.core().is_some());
    place.node.stop().await.unwrap();
}
