//! Access keys: their ids, their secrets, and finding one for a request.

use coffer_core::{Db, LoadError, Partition, Principal, PrincipalKind, table};
use coffer_types::{AccountId, Entropy, Region, Secret, Timestamp, encoding::BASE32_NOPAD};

use crate::{name::key_of, user::UserRecord};

/// Added to half the account number, so that the five bytes always begin with a set bit.
const ACCOUNT_OFFSET: u64 = 1 << 39;
const ACCOUNT_MAX: u64 = 999_999_999_999;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LONG_LIVED: &str = "AKIA";
const TEMPORARY: &str = "ASIA";
const ID_LEN: usize = 20;
const SECRET_LEN: usize = 40;

table! {
    0x11 "iam-access-key", version 1, key (id), part;

    pub struct AccessKeyRecord {
        pub id: String,
        pub user_name: String,
        /// Signatures are verified with it, so it is kept, sealed like everything else, and never hashed.
        pub secret: Secret<String>,
        pub active: bool,
        pub created_at: Timestamp,
    }
}

impl AccessKeyRecord {
    /// The same key, of a user of this name.
    pub(crate) fn of_user(&self, name: &str) -> Self {
        Self {
            id: self.id.clone(),
            user_name: name.to_owned(),
            secret: Secret::new(self.secret.expose().clone()),
            active: self.active,
            created_at: self.created_at,
        }
    }
}

/// A key that may sign, and whom it stands for.
#[derive(Debug)]
pub struct AccessKey {
    pub record: std::sync::Arc<AccessKeyRecord>,
    pub principal: Principal,
}

/// The active key with this id, and its user. Unknown, inactive and orphaned keys are all the same: nothing.
pub fn find_access_key(db: &Db, id: &str) -> Result<Option<AccessKey>, LoadError> {
    let Some(account) = account_of(id) else { return Ok(None) };
    let partition = Partition::new(account, Region::global());
    let Some(record) = db.read::<AccessKeyRecord>(&partition, &[id])?.filter(|record| record.active) else {
        return Ok(None);
    };
    let Some(user) = db.read::<UserRecord>(&partition, &[&key_of(&record.user_name)])? else {
        return Ok(None);
    };
    let principal = Principal {
        account,
        kind: PrincipalKind::User { name: user.name.clone() },
        arn: user.arn.clone(),
        user_id: user.user_id.clone(),
        access_key_id: Some(id.to_owned()),
        session: None,
    };
    Ok(Some(AccessKey { record, principal }))
}

/// The account that an access key id carries: four letters of kind, eight of account, one for its lowest bit.
pub fn account_of(id: &str) -> Option<AccountId> {
    let bytes: &[u8; ID_LEN] = id.as_bytes().try_into().ok()?;
    let (_kind, rest) = bytes.split_at(4);
    let (account, rest) = rest.split_at(8);
    let half = BASE32_NOPAD.decode(account).ok()?;
    let half =
        half.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).checked_sub(ACCOUNT_OFFSET)?;
    let parity = BASE32.iter().position(|letter| rest.first() == Some(letter))?;
    if !rest.iter().all(|letter| BASE32.contains(letter)) {
        return None;
    }
    let number = half * 2 + u64::from(parity >= 16);
    (number <= ACCOUNT_MAX).then(|| AccountId::from_number(number).ok()).flatten()
}

pub(crate) fn new_id(entropy: &dyn Entropy, account: AccountId) -> String {
    id_of_kind(LONG_LIVED, entropy, account)
}

/// The id of a key that goes with a session token.
pub(crate) fn new_temporary_id(entropy: &dyn Entropy, account: AccountId) -> String {
    id_of_kind(TEMPORARY, entropy, account)
}

fn id_of_kind(kind: &str, entropy: &dyn Entropy, account: AccountId) -> String {
    let number = account.number();
    let half = (number / 2 + ACCOUNT_OFFSET).to_be_bytes();
    let mut id = String::from(kind);
    id.push_str(&BASE32_NOPAD.encode(half.get(3..).unwrap_or_default()));
    let mut random = [0; 8];
    entropy.fill(&mut random);
    for (position, byte) in random.iter().enumerate() {
        // The first letter tells an odd account from an even one by its half of the alphabet.
        let letter = match position {
            0 => byte % 16 + u8::from(number % 2 == 1) * 16,
            _ => byte % 32,
        };
        id.push(char::from(BASE32.get(usize::from(letter)).copied().unwrap_or(b'A')));
    }
    id
}

pub(crate) fn new_secret(entropy: &dyn Entropy) -> Secret<String> {
    let mut random = Secret::new([0; SECRET_LEN]);
    entropy.fill(random.expose_mut());
    // 64 letters divide 256 evenly, so every letter is equally likely.
    let letters = random.expose().iter().map(|byte| SECRET_ALPHABET.get(usize::from(byte % 64)));
    Secret::new(letters.flatten().copied().map(char::from).collect())
}

/// A unique id such as `AIDA…`: the kind and 17 letters.
pub(crate) fn unique_id(entropy: &dyn Entropy, kind: &str) -> String {
    let mut random = [0; 17];
    entropy.fill(&mut random);
    let letters =
        random.iter().filter_map(|byte| BASE32.get(usize::from(byte % 32))).copied().map(char::from);
    kind.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count;

    impl Entropy for Count {
        fn fill(&self, bytes: &mut [u8]) {
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(at * 37 % 256).unwrap();
            }
        }
    }

    #[test]
    fn an_id_carries_its_account() {
        for account in ["000000000000", "000000000001", "111122223333", "999999999999"] {
            let account: AccountId = account.parse().unwrap();
            for id in [new_id(&Count, account), new_temporary_id(&Count, account)] {
                assert_eq!(id.len(), ID_LEN);
                assert_eq!(account_of(&id), Some(account), "{id}");
            }
        }
    }

    #[test]
    fn other_ids_carry_nothing() {
        for id in [
            "",
            "AKIA",
            "AKIDEXAMPLE",
            "akiaqeaaaaaaaaaaaaaa",
            "AKIAAAAAAAAAAAAAAAAA",
            "AKIA7777777777777777",
        ] {
            assert_eq!(account_of(id), None, "{id}");
        }
    }

    #[test]
    fn secrets_are_forty_letters() {
        let secret = new_secret(&Count);
        assert_eq!(secret.len(), SECRET_LEN);
        assert!(secret.expose().bytes().all(|letter| SECRET_ALPHABET.contains(&letter)));
        assert_eq!(unique_id(&Count, "AIDA").len(), 21);
    }
}
