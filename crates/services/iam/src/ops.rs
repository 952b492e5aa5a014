//! The operations of IAM, by what they are about.

mod access_keys;
mod instance_profiles;
mod last_accessed;
mod managed_policies;
mod oidc_providers;
mod policies_of_roles;
mod policies_of_users;
mod roles;
mod service_roles;
mod simulate;
mod users;

use coffer_core::Registry;

pub(crate) fn register(registry: &mut Registry) {
    users::register(registry);
    access_keys::register(registry);
    managed_policies::register(registry);
    policies_of_users::register(registry);
    roles::register(registry);
    policies_of_roles::register(registry);
    service_roles::register(registry);
    instance_profiles::register(registry);
    oidc_providers::register(registry);
    simulate::register(registry);
    last_accessed::register(registry);
}
