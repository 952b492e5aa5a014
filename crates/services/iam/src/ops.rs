//! The operations of IAM, by what they are about.

mod access_keys;
mod managed_policies;
mod policies_of_users;
mod users;

use coffer_core::Registry;

pub(crate) fn register(registry: &mut Registry) {
    users::register(registry);
    access_keys::register(registry);
    managed_policies::register(registry);
    policies_of_users::register(registry);
}
