//! A function with everything that belongs to it.

use coffer_core::{Listed, Place, Resource, table};

use crate::{revision::Revision, tags::TagRecord};

table! {
    0x40 "lambda-function", version 1, key (name);

    #[derive(Clone)]
    pub struct FunctionRecord {
        pub name: String,
        pub arn: String,
        /// What can be changed.
        pub latest: Revision,
        /// Numbers of the versions that are there, in order.
        pub versions: Vec<i64>,
        /// Numbers are given once.
        pub last_version: i64,
        /// The revision that the newest version was made of.
        pub published: Option<String>,
        pub aliases: Vec<String>,
        /// What has a policy: the function itself, which is no text, an alias or a version.
        pub policies: Vec<String>,
        pub tags: Vec<TagRecord>,
        /// How many may run at once, if somebody has said so.
        pub reserved: Option<i64>,
        /// Which versions of runtimes it gets, if somebody has said so: mode and ARN.
        pub runtime_update: Option<String>,
        pub runtime_version: Option<String>,
    }
}

/// As Lambda itself finds it, which nobody else's policy is asked about.
impl Resource for FunctionRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }
}

impl Listed for FunctionRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.name, tie: "" }
    }
}

table! {
    0x41 "lambda-version", version 1, key (function, version), part;

    /// A revision that does not change any more.
    #[derive(Clone)]
    pub struct VersionRecord {
        pub function: String,
        pub version: String,
        pub revision: Revision,
    }
}
