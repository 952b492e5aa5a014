//! Sealing and unsealing, at the moments when something else happens too.

use std::{sync::Arc, time::Duration};

use coffer_barrier::{SlotKey, keyfile};
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

impl Place {
    async fn sealed() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home {
            data_directory: root.path().join("data"),
            config_directory: root.path().join("config"),
            ..Home::default()
        };
        let config = Config::read(&Flags::default(), &home).unwrap();
        let directory = DataDir::prepare(&config.data_dir).unwrap();
        let world = world::system(&directory.audit());
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
