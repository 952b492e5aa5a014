//! Passwords of users.
//!
//! A password is kept as what Argon2id makes of it, with a salt of its own, and can be compared and not read. It belongs to a
//! user by his id, so another name changes nothing about it.

use coffer_core::{Cx, table};
use coffer_crypto::{PassphraseCost, SALT_LEN, passphrase_key};
use coffer_types::{Secret, Timestamp};

use crate::user::UserRecord;

table! {
    0x1e "iam-login-profile", version 1, key (user_id), part;

    pub struct LoginProfileRecord {
        pub user_id: String,
        pub created_at: Timestamp,
        pub salt: Vec<u8>,
        pub memory_kib: i64,
        pub passes: i64,
        pub hash: Secret<Vec<u8>>,
        pub password_set_at: Timestamp,
        pub reset_required: bool,
        pub max_signin_session_seconds: Option<i64>,
    }
}

impl LoginProfileRecord {
    pub(crate) fn new(cx: &Cx<'_>, user: &UserRecord, password: &Secret<String>) -> Self {
        let mut profile = Self { user_id: user.user_id.clone(), created_at: cx.now(), ..Self::default() };
        profile.set_password(cx, password);
        profile
    }

    /// The same profile, as a value of one's own.
    pub(crate) fn own(&self) -> Self {
        Self {
            user_id: self.user_id.clone(),
            created_at: self.created_at,
            salt: self.salt.clone(),
            memory_kib: self.memory_kib,
            passes: self.passes,
            hash: Secret::new(self.hash.expose().clone()),
            password_set_at: self.password_set_at,
            reset_required: self.reset_required,
            max_signin_session_seconds: self.max_signin_session_seconds,
        }
    }

    /// The cost stands beside the hash, so that it can grow without anybody choosing another password.
    pub(crate) fn set_password(&mut self, cx: &Cx<'_>, password: &Secret<String>) {
        let cost = PassphraseCost::FLOOR;
        let mut salt = [0; SALT_LEN];
        cx.entropy().fill(&mut salt);
        let hash = passphrase_key(password.expose().as_bytes(), &salt, cost);
        self.salt = salt.to_vec();
        self.memory_kib = cost.memory_kib().into();
        self.passes = cost.passes().into();
        self.hash = Secret::new(hash.expose().to_vec());
        self.password_set_at = cx.now();
    }
}
