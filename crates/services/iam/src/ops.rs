//! The operations of IAM, by what they are about.

mod access_keys;
mod account;
mod authorization_details;
mod groups;
mod instance_profiles;
mod last_accessed;
mod login_profiles;
mod managed_policies;
mod oidc_providers;
mod policies_of_groups;
mod policies_of_roles;
mod policies_of_users;
mod policy_entities;
mod policy_versions;
mod roles;
mod service_roles;
mod simulate;
mod users;

use coffer_core::Registry;

pub(crate) fn register(registry: &mut Registry) {
    users::register(registry);
    access_keys::register(registry);
    login_profiles::register(registry);
    account::register(registry);
    authorization_details::register(registry);
    managed_policies::register(registry);
    policy_versions::register(registry);
    policy_entities::register(registry);
    policies_of_users::register(registry);
    groups::register(registry);
    policies_of_groups::register(registry);
    roles::register(registry);
    policies_of_roles::register(registry);
    service_roles::register(registry);
    instance_profiles::register(registry);
    oidc_providers::register(registry);
    simulate::register(registry);
    last_accessed::register(registry);
}
