//! Groups: policies that several users share.

use coffer_core::{Cx, Listed, Place, Resource, table};
use coffer_types::Timestamp;

use crate::{
    entity::Entity,
    holder::{Held, Holder},
    name,
};

table! {
    0x12 "iam-group", version 1, key (key);

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
