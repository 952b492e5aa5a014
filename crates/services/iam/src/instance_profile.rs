//! Instance profiles: the shell in which a role is handed to a machine.
//!
//! There are no machines here. Tools that keep roles make profiles for them and look for them before they delete a role.

use coffer_core::{Cx, Listed, Place, Resource, table};
use coffer_types::Timestamp;

use crate::{
    entity::{Entity, Tagged},
    error::IamError,
    name,
    tags::{self, TagRecord},
};

table! {
    0x16 "iam-instance-profile", version 1, key (key);

    #[derive(Clone)]
    pub struct InstanceProfileRecord {
        /// The name in small letters.
        pub key: String,
        pub name: String,
        pub path: String,
        pub profile_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        /// The key of the role; there is never more than one.
        pub role: Option<String>,
        pub tags: Vec<TagRecord>,
    }
}

impl Resource for InstanceProfileRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(&self.tags)
    }
}

impl Listed for InstanceProfileRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.key, tie: "" }
    }
}

impl Entity for InstanceProfileRecord {
    const KIND: &'static str = "instance profile";

    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String {
        name::arn(cx, "instance-profile", "/", name)
    }

    fn missing(name: &str) -> IamError {
        IamError::NoSuchInstanceProfile { name: name.to_owned() }
    }
}

impl Tagged for InstanceProfileRecord {
    fn tags(&self) -> &[TagRecord] {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<TagRecord> {
        &mut self.tags
    }
}
