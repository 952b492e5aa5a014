//! IAM and STS: who exists, what they may, with which keys, and who am I.
//!
//! Everything lives in the `global` region of its account. An access key id carries its account, so a request can be looked up
//! before anything else is known about it. Users, groups and roles hold policies in the same way ([`holder`]); what the policies
//! mean is not decided here, but in the policy engine, which core asks with what [`identities`] finds.

mod access_key;
mod access_report;
mod account;
mod administrator;
mod attachments;
mod bundled;
mod entity;
mod error;
mod examined;
mod group;
mod holder;
mod identities;
mod instance_profile;
mod login_profile;
mod managed;
mod name;
mod oidc_provider;
mod ops;
mod page;
mod role;
mod service_role;
mod simulation;
mod source;
mod sts;
mod tags;
mod trust;
mod unscoped;
mod user;
mod versions;

pub use access_key::{AccessKey, AccessKeyRecord, account_of, find_access_key};
pub use administrator::reset_administrator;
pub use sts::{OpenedSession, SessionKey, TrustedProvider, open_session, trusted_provider};
pub use user::{NewCredentials, UserRecord, create_access_key, create_administrator, has_users};

use coffer_core::Registry;

use crate::{
    access_report::{AccessReportRecord, AccessReportsRecord},
    account::AccountRecord,
    attachments::AttachmentsRecord,
    group::{GroupNameRecord, GroupRecord},
    instance_profile::InstanceProfileRecord,
    login_profile::LoginProfileRecord,
    managed::PolicyRecord,
    oidc_provider::OidcProviderRecord,
    role::RoleRecord,
    service_role::DeletionRecord,
    trust::MovedRecord,
};

pub fn register(registry: &mut Registry) {
    ops::register(registry);
    sts::register(registry);
    registry.examine::<UserRecord>();
    registry.examine::<AccessKeyRecord>();
    registry.examine::<GroupRecord>();
    registry.examine::<GroupNameRecord>();
    registry.examine::<RoleRecord>();
    registry.examine::<PolicyRecord>();
    registry.examine::<AttachmentsRecord>();
    registry.examine::<InstanceProfileRecord>();
    registry.examine::<OidcProviderRecord>();
    registry.examine::<AccountRecord>();
    registry.examine::<LoginProfileRecord>();
    registry.examine::<MovedRecord>();
    registry.examine::<DeletionRecord>();
    registry.examine::<AccessReportRecord>();
    registry.examine::<AccessReportsRecord>();
    registry.keep_identities(identities::Iam);
}
