//! The disk that takes no more: what could not be written is not acknowledged, and what was acknowledged is there afterwards.
//!
//! A limit on the size of files (`ulimit -f`) stands in for the disk. It needs no privileges and hits the store, its log and the
//! audit log alike, whichever grows over it first. The server ignores the signal that comes with it and sees the error of the
//! write, as it does on a full disk, whether or not its parent ignored the signal already.

use std::sync::Arc;

use serde_json::json;

use super::{
    dice::Dice,
    evidence::Evidence,
    journal::{Answer, Asker, Fate, Journal},
    load::{Decided, Writer, create_square},
    node::{Ground, Node, QUICK_END},
    pause, runtime,
};

/// In blocks of 512 bytes, as a POSIX shell counts: from a limit that the first writes meet to one that takes a while.
const LIMITS: [usize; 6] = [300, 500, 800, 1200, 2000, 4000];
/// More than fit.
const READS_MAX: usize = 2000;
const ENDS_WITHIN_MS: usize = 5000;

#[test]
fn a_write_that_fails_is_not_acknowledged_and_takes_nothing_with_it() {
    let (mut dice, seed) = Dice::of_this_run();
    for (signal, blocks) in
        ["trap '' XFSZ", "true"].iter().flat_map(|signal| LIMITS.map(|blocks| (signal, blocks)))
    {
        let what = format!("COFFER_SEED={seed}, {signal}; ulimit -f {blocks}");
        runtime().block_on(fill(&what, &format!("{signal}; ulimit -f {blocks}"), &mut dice));
    }
}

/// An answer that cannot be recorded does not leave.
#[test]
fn a_read_is_answered_only_if_the_audit_log_takes_it() {
    let (_, seed) = Dice::of_this_run();
    runtime().block_on(async {
        let ground = Ground::new(QUICK_END);
        drop(ground.start().stop());
        // The log of the store stays far below this, because reading changes it once; the audit log does not.
        let node = ground.wait_ready(ground.launch_limited("trap '' XFSZ; ulimit -f 400")).unwrap();
        let journal = Arc::<Journal>::default();
        let asker = asker(&ground, &node, &journal, 0);
        create_square(&asker, "square").await.unwrap();
        let mut refused = None;
        for _ in 0..READS_MAX {
            if let Answer::Refused { code, .. } =
                asker.ask("DescribeSecret", "square", &json!({"SecretId": "square"})).await
            {
                refused = Some(code);
                break;
            }
        }
        assert!(refused.is_some(), "COFFER_SEED={seed}: the audit log never met its limit");
        node.kill();
        let (code, report, complaint) = ground.command(&["verify", "--json"], "data");
        assert_eq!(code, 0, "{report}{complaint}");
        let mut evidence = Evidence::default();
        evidence.read(&ground.path("data"), &ground.path("keys/keyfile"));
        let mut entries = journal.entries();
        entries.retain(|entry| matches!(entry.fate, Fate::Acknowledged { .. }));
        assert!(entries.len() > 50, "{}", entries.len());
        evidence.check(&entries).unwrap();
        assert!(
            ground.log().contains("the audit log cannot be written"),
            "{refused:?} {}",
            ground.log_tail()
        );
    });
}

/// A disk that takes nothing at all, and then bytes again. Nobody asks for anything meanwhile, as nobody should.
#[test]
fn a_node_without_room_for_its_audit_log_says_so_and_comes_back_by_itself() {
    runtime().block_on(async {
        let ground = Ground::new(QUICK_END);
        drop(ground.start().stop());
        let node = ground.wait_ready(ground.launch_limited("trap '' XFSZ")).unwrap();
        let journal = Arc::<Journal>::default();
        let asker = asker(&ground, &node, &journal, 0);
        let look = async || asker.ask("DescribeSecret", "square", &json!({"SecretId": "square"})).await;
        create_square(&asker, "square").await.unwrap();
        // The event of the creation is out of the store by then, which has nothing to write any more.
        pause(2500).await;
        let segments = || ground.path("data/audit").read_dir().unwrap().count();
        let before = segments();
        node.limit_files("0");
        // The log of the server cannot grow either, which must not stop it.
        let answer = look().await;
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
        for _ in 0..20 {
            assert!(node.ready().contains("\"audit\""), "{}", node.ready());
            pause(50).await;
        }
        assert!(matches!(look().await, Answer::Refused { .. }));
        // The one that is being made and deleted may be seen.
        assert!(segments() <= before + 1, "{} files, {before} before", segments());
        node.limit_files("unlimited");
        for _ in 0..ENDS_WITHIN_MS / 50 {
            if node.ready().starts_with("HTTP/1.1 200") {
                break;
            }
            pause(50).await;
        }
        assert!(matches!(look().await, Answer::Done(_)), "{}", node.ready());
        assert!(ground.log().contains("the audit log is written again"), "{}", ground.log_tail());
        assert!(node.stop().0.success());
        let (code, report, complaint) = ground.command(&["verify", "--json"], "data");
        assert_eq!(code, 0, "{report}{complaint}");
    });
}

async fn fill(what: &str, limits: &str, dice: &mut Dice) {
    let ground = Ground::new(QUICK_END);
    drop(ground.start().stop());
    let journal = Arc::<Journal>::default();
    let mut node = match ground.wait_ready(ground.launch_limited(limits)) {
        Ok(node) => node,
        Err(printed) => panic!("{what}: {printed}{}", ground.log_tail()),
    };
    let mut writer = Writer::new(0, dice.split());
    let asker = asker(&ground, &node, &journal, 0);
    // On the smallest disks not even the square fits.
    if create_square(&asker, "square").await.is_ok() {
        // The writer stops at the first request that does not succeed, and asks nobody why.
        writer = match writer.work_until_refused(&asker, "square").await {
            Ok(writer) => writer,
            Err(found) => panic!("{what}: {found:?}\n{}", ground.log_tail()),
        };
    }
    let code = journal.entries().iter().rev().find_map(|entry| match &entry.fate {
        Fate::Refused { code, .. } => Some(code.clone()),
        _ => None,
    });
    for _ in 0..ENDS_WITHIN_MS / 50 {
        if node.has_ended().is_some() {
            break;
        }
        pause(50).await;
    }
    eprintln!(
        "{what}: {} requests, refused as {code:?}, ended as {:?}",
        journal.entries().len(),
        node.has_ended()
    );
    match node.has_ended() {
        // By its own decision, with a status, and not by the signal.
        Some(status) => assert!(status.code().is_some_and(|code| code != 0), "{what}: it ended as {status}"),
        // It lives on and says that it cannot.
        None => assert!(code.is_some(), "{what}: no refusal and no end\n{}", ground.log_tail()),
    }
    node.kill();

    let (code, report, complaint) = ground.command(&["verify", "--json"], "data");
    assert_eq!(code, 0, "{what}: {report}{complaint}");
    let mut evidence = Evidence::default();
    evidence.read(&ground.path("data"), &ground.path("keys/keyfile"));

    let node = ground.start();
    let asker = Asker { client: ground.client(&node), round: 1, ..asker };
    let mut decided = Decided::default();
    if let Err(found) = writer.check(&asker, &evidence.tokens(), &mut decided).await {
        panic!("{what}: {found:?}\n{}\n{}", journal.last_of(&found.secret, 20), ground.log_tail());
    }
    assert!(node.stop().0.success(), "{what}");
}

fn asker(ground: &Ground, node: &Node, journal: &Arc<Journal>, round: usize) -> Asker {
    Asker { client: ground.client(node), journal: Arc::clone(journal), who: String::from("test"), round }
}
