//! The way back in: an administrator as he was at first, whatever became of him since.
//!
//! Whoever keeps policies can lock everybody out with them, himself too. Whoever has the machine can undo that, for one user and
//! nothing else: the administrator gets his first policy back and loses everything that could stand against it. That is his boundary,
//! his other policies, and his groups, since any of those may deny. Keys that he has stay good, and nobody else is changed.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::iam::action;
use coffer_shape::ApiError;

use crate::{
    attachments::{self, Use},
    bundled::ADMINISTRATOR_ACCESS,
    entity::{seen_through, set_boundary},
    group::GroupRecord,
    holder::Held,
    name::key_of,
    user::{NewCredentials, UserRecord, add_local_key, create_administrator},
};

/// Gives the user back what an administrator has, and one more key. Where there is none of this name, one is made.
pub fn reset_administrator(cx: &mut Cx<'_>, name: &str) -> Result<NewCredentials, ApiError> {
    let Some(user) = cx.find::<UserRecord>(&[&key_of(name)])? else { return create_administrator(cx, name) };
    let mut user = Arc::unwrap_or_clone(user.permit(cx, action::ATTACH_USER_POLICY)?);
    set_boundary(cx, &mut user.boundary, None)?;
    let first = Held { inline: Vec::new(), attached: vec![ADMINISTRATOR_ACCESS.to_owned()] };
    let before = std::mem::replace(&mut user.policies, first);
    for (arns, by) in [(&before.attached, -1), (&user.policies.attached, 1)] {
        for arn in arns {
            attachments::count(cx, arn, Use::Policy, by)?;
        }
    }
    for id in std::mem::take(&mut user.groups) {
        // A group that does not open stands in nobody's way back.
        let group =
            seen_through::<GroupRecord>(cx, &id, &user, action::REMOVE_USER_FROM_GROUP).ok().flatten();
        if let Some(group) = group {
            let members = group.members.saturating_sub(1);
            cx.save(GroupRecord { members, ..Arc::unwrap_or_clone(group) })?;
        }
    }
    add_local_key(cx, user, "CreateAccessKey")
}
