//! What the rest of Coffer asks about identities: who one is, and which policies hold for a caller.

use std::sync::Arc;

use coffer_core::{Db, LoadError, Partition};
use coffer_policy::{Document, Kind};
use coffer_types::{Arn, Region};

use crate::{
    holder::Held,
    managed,
    name::{key_of, name_in},
    role::RoleRecord,
    user::UserRecord,
};

/// The unique id of the user or role of this ARN.
pub(crate) fn identity(db: &Db, arn: &Arn) -> Result<Option<String>, LoadError> {
    let Ok(account) = arn.account().parse() else { return Ok(None) };
    let partition = Partition::new(account, Region::global());
    let Some((kind, path)) = arn.resource().split_once('/') else { return Ok(None) };
    let key = key_of(name_in(path));
    Ok(match kind {
        "user" => db
            .read::<UserRecord>(&partition, &[&key])?
            .filter(|user| user.arn == arn.as_str())
            .map(|user| user.user_id.clone()),
        "role" => db
            .read::<RoleRecord>(&partition, &[&key])?
            .filter(|role| role.arn == arn.as_str())
            .map(|role| role.role_id.clone()),
        _ => None,
    })
}

/// The documents that one holder holds. A managed policy that is gone, or a text that is none any more, cannot be decided by:
/// it is an error here, because leaving out what denies would allow.
#[expect(dead_code, reason = "the evaluator asks for them")]
fn documents(db: &Db, partition: &Partition, held: &Held) -> Result<Vec<Arc<Document>>, LoadError> {
    let unreadable = |reason: String| LoadError::Unreadable { table: "iam-policy", reason };
    let mut documents = Vec::with_capacity(held.inline.len() + held.attached.len());
    for policy in &held.inline {
        let document = policy.document.document(Kind::Inline);
        documents.push(
            document.cloned().ok_or_else(|| unreadable(format!("the policy {} is none", policy.name)))?,
        );
    }
    for arn in &held.attached {
        let document = managed::document(db, partition, arn)?;
        documents.push(document.ok_or_else(|| unreadable(format!("the policy {arn} is missing")))?);
    }
    Ok(documents)
}
