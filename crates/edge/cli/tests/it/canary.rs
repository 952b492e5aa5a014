//! Unique words go in everywhere, and come out nowhere.
//!
//! A thousand secrets live their lives through the API, with random words as values, names, tags, descriptions, labels and
//! tokens; each is also part of a request that is refused. So do the proofs that people have: passwords, secret access keys, tokens of
//! sessions and of an identity provider. The server logs as much as it can be told to. Then every byte that it
//! has written is searched: the data directory while it runs and after it was killed and stopped, the log, what it printed, its
//! pages, its audit trail, opened, and what commands say about its store. The administrator's secret key and the key of the store are canaries too, each
//! with one file where it may be.
//!
//! Names are not secret as values are; that they are nowhere in clear text is a promise of the store, and that they are in no
//! log is our choice.

mod damage;
mod load;
mod search;
mod staff;

use std::{collections::BTreeSet, sync::Arc};

use coffer_barrier::keyfile;
use coffer_server::world::SystemClock;
use coffer_testkit::Issuer;
use damage::{Tally, damage};
use load::{Aviary, Keeper};
use search::{Search, forms};
use staff::Staff;

use crate::kill::{Dice, Ground, Node, every_event, is_long_campaign, runtime};

const SECRETS: usize = 1000;
const SECRETS_LONG: usize = 10_000;
/// Of which every second one is damaged in one row or another.
const VICTIMS: usize = 200;
const KEEPERS: usize = 8;
/// People with passwords, keys and sessions. A password costs what it costs.
const CAREERS: usize = 24;
/// The most talkative level there is.
const CONFIGURATION: &str =
    "[log]\nlevel = \"debug\"\n[tls]\nautomatic = true\n[limits]\ndrain_wait = \"1ms\"\n";
const PAGES: [&str; 4] = ["/metrics", "/health/live", "/health/ready", "/"];
const ADMINISTRATOR: &str = "the administrator's secret access key";
const STORE_KEY: &str = "the key of the store";
/// The only places where a key may be.
const AT_HOME: [(&str, &str); 2] =
    [("data/bootstrap/credentials", ADMINISTRATOR), ("keys/keyfile", STORE_KEY)];

#[test]
fn no_canary_leaves_its_cage() {
    let (mut dice, seed) = Dice::of_this_run();
    let secrets = if is_long_campaign() { SECRETS_LONG } else { SECRETS };
    let issuer = Arc::new(Issuer::new());
    let keys = format!("[oidc.keys]\n{:?} = {:?}\n", Issuer::URL, issuer.keys_file());
    let ground = Ground::new(&format!("{CONFIGURATION}{keys}"));
    let aviary = Arc::<Aviary>::default();

    let node = ground.start();
    let mut said = runtime().block_on(async {
        let keepers: Vec<_> = (0..KEEPERS)
            .map(|first| {
                let mut keeper = keeper(&ground, &node, &aviary, &mut dice);
                tokio::spawn(async move {
                    for nth in (first..secrets).step_by(KEEPERS) {
                        keeper.whole_life(nth).await;
                    }
                })
            })
            .collect();
        for keeper in keepers {
            keeper.await.unwrap();
        }
        let mut keeper = keeper(&ground, &node, &aviary, &mut dice);
        let staff = Staff::hire(&keeper, issuer, Arc::new(SystemClock::start())).await;
        for _ in 0..CAREERS {
            keeper.career(&staff).await;
        }
        let mut pages = Vec::new();
        for page in PAGES {
            pages.push((page.to_owned(), keeper.page(page).await));
        }
        pages
    });
    assert!(String::from_utf8_lossy(&said[0].1).contains("coffer_requests"));

    let search = cages(&ground, &aviary);
    let mut found = below(&search, &ground, "while it runs");
    node.kill();
    found.extend(below(&search, &ground, "after a kill"));
    let (status, printed) = ground.start().stop();
    assert!(status.success());
    said.push((String::from("what it printed"), printed.into_bytes()));
    for words in [["verify", "--json"], ["doctor", "--json"]] {
        let (_, out, complaint) = ground.command(&words, "data");
        said.push((words.concat(), (out + &complaint).into_bytes()));
    }
    found.extend(below(&search, &ground, "after the end"));
    for (place, bytes) in &said {
        found.extend(search.hits(bytes).iter().map(|hit| format!("{place}: {hit}")));
    }
    found.extend(values_in_refusals(&aviary));
    found.extend(values_on_record(&search, &ground, &aviary));

    assert!(search.count() > secrets * 15, "only {} canaries", search.count());
    let log = ground.log();
    assert!(log.matches("DEBUG").count() > secrets * 10, "the log says little, so it proves little");
    assert!(!log.contains("ERROR"), "COFFER_SEED={seed}: {}", ground.log_tail());
    eprintln!("{} canaries, {} bytes of log", search.count(), log.len());
    assert!(found.is_empty(), "COFFER_SEED={seed}: {} hits, {:#?}", found.len(), summary(&found));
    planted(&search, &ground, &aviary);
}

/// A program that finds what cannot be says so, in fixed words.
#[test]
fn nothing_damaged_says_what_it_held() {
    let (mut dice, seed) = Dice::of_this_run();
    let ground = Ground::new(CONFIGURATION);
    let aviary = Arc::<Aviary>::default();
    let node = ground.start();
    let mut owner = keeper(&ground, &node, &aviary, &mut dice);
    let victims = runtime().block_on(async {
        let mut victims = Vec::new();
        for _ in 0..VICTIMS {
            victims.push(owner.victim().await);
        }
        victims
    });
    assert!(node.stop().0.success());
    let (secrets, versions) = damage(&ground);
    assert!(secrets >= VICTIMS && versions >= 2 * VICTIMS, "{secrets} {versions}");

    let mut said = Vec::new();
    let mut look = || {
        for words in [["verify", "--json"], ["doctor", "--json"]] {
            let (_, out, complaint) = ground.command(&words, "data");
            said.push((words.concat(), (out + &complaint).into_bytes()));
        }
    };
    look();
    let node = ground.start();
    let mut tormentor = keeper(&ground, &node, &aviary, &mut dice);
    let mut tally = Tally::default();
    runtime().block_on(async {
        for victim in &victims {
            tormentor.torment(victim, &mut tally).await;
        }
    });
    assert!(node.stop().0.success());
    look();
    eprintln!("{secrets} secrets, {versions} versions, {tally:?}");
    assert!(tally.broken > VICTIMS && tally.whole > VICTIMS, "{tally:?}");
    let verified = String::from_utf8_lossy(&said[0].1);
    assert!(verified.matches("does not open").count() > 10, "{verified}");
    assert!(ground.log().matches("a record does not open").count() > VICTIMS);

    let search = cages(&ground, &aviary);
    let mut found = below(&search, &ground, "after damage");
    let refusals = aviary.refusals.lock().unwrap();
    let answers = refusals.iter().map(|body| (String::from("an answer"), body.clone()));
    for (place, bytes) in said.into_iter().chain(answers) {
        found.extend(search.hits(&bytes).iter().map(|hit| format!("{place}: {hit}")));
    }
    assert!(found.is_empty(), "COFFER_SEED={seed}: {} hits, {:#?}", found.len(), summary(&found));
}

fn keeper(ground: &Ground, node: &Node, aviary: &Arc<Aviary>, dice: &mut Dice) -> Keeper {
    let (client, refusable) = (ground.client(node), ground.client(node));
    Keeper { client, refusable, aviary: Arc::clone(aviary), dice: dice.split() }
}

/// Everything that must not be found.
fn cages(ground: &Ground, aviary: &Aviary) -> Search {
    let mut search = Search::new();
    for bird in aviary.birds.lock().unwrap().iter() {
        search.add(bird.what.clone(), &bird.bytes);
    }
    search.add(ADMINISTRATOR, ground.administrator().secret_access_key.expose().as_bytes());
    search.add(STORE_KEY, keyfile::read(&ground.path("keys/keyfile")).unwrap().expose());
    search
}

/// Looks at every file of the ground, the log among them. Keys are at home in their files and nowhere else.
fn below(search: &Search, ground: &Ground, when: &str) -> Vec<String> {
    let (hits, looked) = search.hits_below(&ground.path(""));
    assert!(looked > 1 << 20, "only {looked} bytes {when}");
    let is_at_home = |file: &str, canary: &str| AT_HOME.contains(&(file, canary));
    let homes: BTreeSet<&str> = hits
        .iter()
        .filter(|(file, hit)| is_at_home(file, &hit.canary))
        .map(|(file, _)| file.as_str())
        .collect();
    // That the keys are found at home shows that the search would find them elsewhere.
    assert_eq!(homes.len(), AT_HOME.len(), "{when}");
    hits.iter()
        .filter(|(file, hit)| !is_at_home(file, &hit.canary))
        .map(|(file, hit)| format!("{file} {when}: {hit}"))
        .collect()
}

/// Only what nobody may say, even where names are said.
fn values(aviary: &Aviary) -> Search {
    let mut search = Search::new();
    for bird in aviary.birds.lock().unwrap().iter().filter(|bird| bird.is_value) {
        search.add(bird.what.clone(), &bird.bytes);
    }
    search
}

/// The audit trail says names and tokens of requests, as CloudTrail does, and never values.
fn values_on_record(all: &Search, ground: &Ground, aviary: &Aviary) -> Vec<String> {
    let search = values(aviary);
    let events = every_event(&ground.path("data"), &ground.path("keys/keyfile"));
    let text = events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // That the names are found shows that the events are open, and that the search would find a value.
    assert!(all.hits(text.as_bytes()).len() > SECRETS);
    for operation in ["CreateAccessKey", "CreateLoginProfile", "GetSessionToken", "AssumeRoleWithWebIdentity"]
    {
        let named = |event: &&serde_json::Value| event["eventName"] == operation;
        assert!(events.iter().filter(named).count() >= CAREERS, "{operation}");
    }
    search.hits(text.as_bytes()).iter().map(|hit| format!("on record: {hit}")).collect()
}

/// Errors may quote names, as AWS does, and never values.
fn values_in_refusals(aviary: &Aviary) -> Vec<String> {
    let search = values(aviary);
    let refusals = aviary.refusals.lock().unwrap();
    assert!(refusals.len() > 100);
    refusals.iter().flat_map(|body| search.hits(body)).map(|hit| format!("an error: {hit}")).collect()
}

/// The control: one canary, put into a copy of the store in each of its forms, is found each time.
#[allow(clippy::disallowed_methods, reason = "no test has to survive a loss of power")]
fn planted(search: &Search, ground: &Ground, aviary: &Aviary) {
    ground.copy_data("copy");
    let store = ground.path("copy/store.db");
    let clean = std::fs::read(&store).unwrap();
    assert_eq!(search.hits(&clean), []);
    let bird = aviary.birds.lock().unwrap()[0].clone();
    for (form, bytes) in forms(&bird.bytes) {
        let mut dirty = clean.clone();
        let at = dirty.len() / 2 + 5;
        dirty[at..at + bytes.len()].copy_from_slice(&bytes);
        std::fs::write(&store, &dirty).unwrap();
        let (hits, _) = search.hits_below(&ground.path("copy"));
        assert!(
            hits.iter().any(|(file, hit)| file == "store.db" && hit.form == form && hit.at == at),
            "{form}"
        );
    }
}

/// A thousand hits of one kind are one piece of news.
fn summary(found: &[String]) -> BTreeSet<String> {
    let kind =
        |hit: &String| hit.rsplit_once(" at byte ").map_or_else(|| hit.clone(), |(kind, _)| kind.to_owned());
    found.iter().map(kind).collect()
}
