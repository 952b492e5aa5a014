//! Groups: policies that several users share.
//!
//! A group may have thousands of users and get another name, so users do not hold the name but the id, and what has a name is a record
//! of its own.

use coffer_core::{Cx, Listed, Place, Resource, table};
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use crate::{
    access_key::unique_id,
    entity::Entity,
    holder::{Held, Holder},
    name::{self, key_of},
};

table! {
    0x12 "iam-group", version 1, key (group_id);

    #[derive(Clone)]
    pub struct GroupRecord {
        /// The name in small letters.
        pub key: String,
        pub name: String,
        pub path: String,
        pub group_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        pub policies: Held,
        /// How many users are in it. Who they are, the users know.
        pub members: i64,
    }
}

table! {
    0x1f "iam-group-name", version 1, key (key), part;

    /// Which group has a name.
    pub struct GroupNameRecord {
        /// The name in small letters.
        pub key: String,
        pub group_id: String,
    }
}

impl GroupRecord {
    pub(crate) fn new(cx: &Cx<'_>, path: &str, name: &str) -> Self {
        Self {
            key: key_of(name),
            name: name.to_owned(),
            path: path.to_owned(),
            group_id: unique_id(cx.entropy(), "AGPA"),
            arn: name::arn(cx, "group", path, name),
            created_at: cx.now(),
            ..Self::default()
        }
    }

    pub(crate) fn name_record(&self) -> GroupNameRecord {
        GroupNameRecord { key: self.key.clone(), group_id: self.group_id.clone() }
    }
}

impl Resource for GroupRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }
}

impl Listed for GroupRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.key, tie: "" }
    }
}

impl Entity for GroupRecord {
    const KIND: &'static str = "group";

    fn key_named(cx: &Cx<'_>, name: &str) -> Result<String, ApiError> {
        let found = cx.part::<GroupNameRecord>(&[&key_of(name)])?;
        Ok(found.map(|name| name.group_id.clone()).unwrap_or_default())
    }

    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String {
        name::arn(cx, "group", "/", name)
    }
}

impl Holder for GroupRecord {
    const ATTACHED_QUOTA: &'static str = "PoliciesPerGroup";
    const INLINE_CHARS_MAX: usize = 5_120;

    fn name(&self) -> &str {
        &self.name
    }

    fn held(&self) -> &Held {
        &self.policies
    }

    fn held_mut(&mut self) -> &mut Held {
        &mut self.policies
    }
}
