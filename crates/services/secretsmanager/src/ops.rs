//! The operations, one file each. Each is four paragraphs: understand the input, find and ask, change, answer.

mod create_secret;
mod delete_secret;
mod describe_secret;
mod get_random_password;
mod get_secret_value;
mod list_secret_version_ids;
mod list_secrets;
mod put_secret_value;
mod restore_secret;
mod tag_resource;
mod update_secret;
mod update_secret_version_stage;

pub(crate) use create_secret::create_secret;
pub(crate) use delete_secret::delete_secret;
pub(crate) use describe_secret::describe_secret;
pub(crate) use get_random_password::get_random_password;
pub(crate) use get_secret_value::get_secret_value;
pub(crate) use list_secret_version_ids::list_secret_version_ids;
pub(crate) use list_secrets::list_secrets;
pub(crate) use put_secret_value::put_secret_value;
pub(crate) use restore_secret::restore_secret;
pub(crate) use tag_resource::{tag_resource, untag_resource};
pub(crate) use update_secret::update_secret;
pub(crate) use update_secret_version_stage::update_secret_version_stage;
