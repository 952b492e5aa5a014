//! Roles: permissions that are taken on for a while, by whomever the trust policy lets in.

use std::sync::Arc;

use coffer_core::{Cx, Listed, Place, Resource, ResourcePolicy, table};
use coffer_policy::{Kind, Policy};
use coffer_types::Timestamp;

use crate::{
    entity::{Bounded, Entity, Tagged},
    error::IamError,
    holder::{Held, Holder},
    name,
    tags::{self, TagRecord},
};

/// Where roles that belong to services of AWS have their place.
pub(crate) const SERVICES_PATH: &str = "/aws-service-role/";

table! {
    0x13 "iam-role", version 1, key (key);

    #[derive(Clone)]
    pub struct RoleRecord {
        /// The name in small letters.
        pub key: String,
        pub name: String,
        pub path: String,
        pub role_id: String,
        pub arn: String,
        pub created_at: Timestamp,
        pub description: Option<String>,
        pub trust: ResourcePolicy,
        pub max_session_seconds: i64,
        pub policies: Held,
        /// The ARN of a managed policy.
        pub boundary: Option<String>,
        pub tags: Vec<TagRecord>,
        pub last_used_at: Option<Timestamp>,
        pub last_used_region: Option<String>,
        /// Keys of the instance profiles that carry it.
        pub instance_profiles: Vec<String>,
        /// The service of AWS that it belongs to, such as `ecs.amazonaws.com`.
        pub service: Option<String>,
        pub max_signin_session_seconds: Option<i64>,
    }
}

impl Resource for RoleRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(&self.tags)
    }
}

impl RoleRecord {
    /// Who may take the role on. It is the policy of the role for that alone: what is done to the role itself, such as giving it more
    /// permissions, is for the policies of identities to allow.
    pub(crate) fn trust_policy(&self) -> Arc<Policy> {
        Arc::clone(self.trust.policy(Kind::Trust, "the role trust policy"))
    }
}

impl Listed for RoleRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.key, tie: "" }
    }
}

impl Entity for RoleRecord {
    const KIND: &'static str = "role";

    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String {
        name::arn(cx, "role", "/", name)
    }

    fn boundary(&self) -> Option<&str> {
        self.boundary.as_deref()
    }

    fn ensure_changeable(&self) -> Result<(), IamError> {
        match self.service {
            Some(_) => Err(IamError::Protected { role: self.name.clone() }),
            None => Ok(()),
        }
    }
}

impl Tagged for RoleRecord {
    fn tags(&self) -> &[TagRecord] {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<TagRecord> {
        &mut self.tags
    }
}

impl Bounded for RoleRecord {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

impl Holder for RoleRecord {
    const ATTACHED_QUOTA: &'static str = "PoliciesPerRole";
    const INLINE_CHARS_MAX: usize = 10_240;

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
