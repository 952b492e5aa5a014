use coffer_iam::{account_of, create_administrator};

use super::*;
use crate::administrator::{ADMINISTRATOR, create_account, issue_key, reset, tests::House};

const OTHER: &str = "444455556666";

fn other() -> AccountId {
    OTHER.parse().unwrap()
}

fn named(id: Option<AccountId>, name: &str) -> New {
    New { id, name: Some(name.to_owned()) }
}

/// The ids of the accounts, in the order of the list.
async fn listed(house: &House) -> Vec<(String, bool)> {
    let directory = house.directory();
    let accounts = house.deployment(&directory).accounts().await.unwrap();
    accounts.into_iter().map(|account| (account.id, account.empty)).collect()
}

#[tokio::test]
async fn an_account_has_an_administrator_with_a_key_of_that_account() {
    let house = House::new().await;
    let directory = house.directory();
    let deployment = house.deployment(&directory);
    let (account, path) = create_account(&deployment, &named(Some(other()), "team b"), 7).await.unwrap();
    assert_eq!((account, &path), (other(), &house.path(&format!("credentials-{OTHER}"))));
    assert_eq!(account_of(&house.accepted(&path).await), Some(other()));
    assert_eq!(account_of(&house.accepted(&house.path("credentials")).await), Some(AccountId::DEV));
    let [first, second] = deployment.accounts().await.unwrap().try_into().unwrap();
    assert_eq!((first.id.as_str(), first.first, first.empty), ("000000000000", true, false));
    assert_eq!((second.id.as_str(), second.first, second.empty), (OTHER, false, false));
    assert_eq!((second.name.as_deref(), second.key_file), (Some("team b"), Some(path.clone())));
    fs::remove_file(path).unwrap();
    assert_eq!(deployment.accounts().await.unwrap()[1].key_file, None);
}

#[tokio::test]
async fn an_account_that_exists_is_not_made_again() {
    let house = House::new().await;
    let directory = house.directory();
    let deployment = house.deployment(&directory);
    create_account(&deployment, &named(Some(other()), "b"), 7).await.unwrap();
    // What is stored of an account is nobody's to be given, whether or not it is registered.
    let unregistered: AccountId = "777788889999".parse().unwrap();
    let caller = local_caller(house.core.world(), unregistered, Region::global());
    house.core.run_local(&caller, |cx| create_administrator(cx, "somebody").map(drop)).await.unwrap();
    let before = listed(&house).await;
    let place = house.path(&format!("credentials-{OTHER}"));
    for is_key_there in [true, false] {
        for id in [other(), AccountId::DEV, unregistered] {
            let refusal = create_account(&deployment, &named(Some(id), "c"), 7).await.unwrap_err();
            assert!(refusal.what().contains(&format!("there is an account {id} already")), "{refusal}");
        }
        assert_eq!(listed(&house).await, before);
        assert_eq!(place.exists(), is_key_there);
        if is_key_there {
            fs::remove_file(&place).unwrap();
        }
    }
}

#[tokio::test]
async fn names_are_short_and_printable() {
    let house = House::new().await;
    let directory = house.directory();
    let long = "n".repeat(NAME_LEN_MAX + 1);
    for bad in ["", " ", " a", "a ", "a\nb", "a\u{7f}", "\u{fc}", &long] {
        let refusal = create_account(&house.deployment(&directory), &named(None, bad), 7).await.unwrap_err();
        assert!(refusal.what().contains("cannot have this name"), "{bad:?}: {refusal}");
    }
    assert_eq!(listed(&house).await.len(), 1);
    for good in ["a", "Team B, Berlin", &long[1..]] {
        create_account(&house.deployment(&directory), &named(None, good), 7).await.unwrap();
    }
    // Names are for people, and two may be the same.
    create_account(&house.deployment(&directory), &named(None, "a"), 7).await.unwrap();
    assert_eq!(listed(&house).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_made_at_once_have_ids_of_their_own_that_no_tool_spoils() {
    let house = Arc::new(House::new().await);
    let mut making = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let house = Arc::clone(&house);
        making.spawn(async move {
            let directory = house.directory();
            create_account(&house.deployment(&directory), &New::default(), 7).await.unwrap().0
        });
    }
    let mut made = making.join_all().await;
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 12);
    assert!(made.iter().all(|account| !account.as_str().starts_with('0')), "{made:?}");
    assert_eq!(listed(&house).await.len(), 13);
}

/// A crash may come between the register and the administrator.
#[tokio::test]
async fn an_account_without_an_administrator_is_shown_and_gets_one() {
    for by_reset in [false, true] {
        let house = House::new().await;
        let directory = house.directory();
        let deployment = house.deployment(&directory);
        deployment.register(&named(Some(other()), "b"), 7).await.unwrap();
        assert_eq!(listed(&house).await[1], (OTHER.to_owned(), true));
        let refusal = issue_key(&deployment, Some(other()), 7).await.unwrap_err();
        let next = format!("coffer admin reset --account {OTHER}");
        assert_eq!(refusal.next_step(), Some(next.as_str()), "{refusal}");
        let path = if by_reset {
            reset(&deployment, Some(other()), 7).await.unwrap()
        } else {
            create_account(&deployment, &named(Some(other()), "c"), 7).await.unwrap().1
        };
        assert_eq!(account_of(&house.accepted(&path).await), Some(other()));
        let account = deployment.accounts().await.unwrap().remove(1);
        assert_eq!((account.empty, account.name.as_deref()), (false, Some("b")));
    }
}

#[tokio::test]
async fn a_key_that_has_no_place_keeps_an_account_from_being_made() {
    let house = House::new().await;
    let directory = house.directory();
    let place = house.path(&format!("credentials-{OTHER}"));
    crate::durable::write_new(&place, b"of another store").unwrap();
    let refusal = create_account(&house.deployment(&directory), &named(Some(other()), "b"), 7).await;
    assert!(refusal.unwrap_err().what().contains("is there already"));
    assert_eq!(listed(&house).await.len(), 1);
}

#[tokio::test]
async fn the_next_start_puts_the_keys_of_all_accounts_in_their_place() {
    let house = House::new().await;
    let directory = house.directory();
    let (_, place) =
        create_account(&house.deployment(&directory), &named(Some(other()), "b"), 7).await.unwrap();
    let pending = crate::durable::beside(&place, "new");
    fs::rename(&place, &pending).unwrap();
    assert!(!house.start().await.unwrap());
    assert!(place.exists() && !pending.exists());
    house.accepted(&place).await;
}

#[tokio::test]
async fn only_accounts_of_the_register_are_known() {
    let house = House::new().await;
    let directory = house.directory();
    let deployment = house.deployment(&directory);
    for unknown in
        [issue_key(&deployment, Some(other()), 7).await, reset(&deployment, Some(other()), 7).await]
    {
        let refusal = unknown.unwrap_err();
        assert!(refusal.what().contains(&format!("there is no account {OTHER}")), "{refusal}");
    }
    // The first may be named or not.
    fs::remove_file(house.path("credentials")).unwrap();
    assert_eq!(issue_key(&deployment, Some(AccountId::DEV), 7).await.unwrap(), house.path("credentials"));
}

/// The administrator is a user, and may be deleted or called something else.
#[tokio::test]
async fn a_store_without_its_administrator_starts_and_is_given_one_by_a_reset() {
    let house = House::new().await;
    let directory = house.directory();
    let deployment = house.deployment(&directory);
    let caller = local_caller(house.core.world(), AccountId::DEV, Region::global());
    let gone = house.core.run_local(&caller, |cx| {
        cx.needs_no_permission("this test is about what comes after it");
        cx.erase::<coffer_iam::UserRecord>(&[ADMINISTRATOR])
    });
    gone.await.unwrap();
    assert!(!house.start().await.unwrap(), "nobody is made administrator of a store that is set up");
    fs::remove_file(house.path("credentials")).unwrap();
    let refusal = issue_key(&deployment, None, 7).await.unwrap_err();
    assert_eq!(refusal.next_step(), Some("coffer admin reset"), "{refusal}");
    let path = reset(&deployment, None, 7).await.unwrap();
    house.accepted(&path).await;
}

#[tokio::test]
async fn the_register_ends_somewhere() {
    let house = House::new().await;
    let directory = house.directory();
    let caller = local_caller(house.core.world(), AccountId::DEV, Region::global());
    for hundred in 0..10 {
        let filled = house.core.run_local(&caller, |cx| {
            let numbers = (hundred * 100..).take(if hundred == 0 { 99 } else { 100 });
            numbers.into_iter().try_for_each(|number| save(cx, numbered(number), None))
        });
        filled.await.unwrap();
    }
    assert_eq!(listed(&house).await.len(), ACCOUNTS_MAX);
    let refusal = create_account(&house.deployment(&directory), &New::default(), 7).await.unwrap_err();
    assert!(refusal.what().contains("1000 accounts already"), "{refusal}");
}

#[test]
fn the_first_account_is_the_one_that_holds_the_register() {
    let [low, middle, high] = [0, 1, 2].map(numbered);
    for (present, holder, first) in [
        (vec![], None, None),
        (vec![middle], None, Some(middle)),
        (vec![low, middle, high], Some(middle), Some(middle)),
        (vec![low, middle, high], Some(high), Some(high)),
        (vec![low, middle], None, Some(low)),
    ] {
        let mut holds = |partition: &Partition| Ok(Some(partition.account) == holder);
        assert_eq!(first_of(&present, &mut holds).unwrap(), first, "{present:?} {holder:?}");
    }
}
