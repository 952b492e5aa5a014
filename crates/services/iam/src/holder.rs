//! Who holds policies: users, groups and roles, in the same way.
//!
//! A policy is held either *inline*, as a text of its own, or *attached*, as the ARN of a managed policy. The operations for users,
//! groups and roles are the same but for their names, so they are written once, over [`Holder`], and each service operation is
//! a line that says for whom.

use coffer_core::{Cx, Page, PolicyText};
use coffer_policy::Kind;
use coffer_shape::{Action, ApiError, Shape, record};

use crate::{
    attachments,
    entity::{Entity, changeable, permitted},
    error::IamError,
    managed, page,
};

/// Of all inline policies together, with white space, which AWS lets anybody have any amount of. A record has room for it.
const INLINE_BYTES_MAX: usize = 64 << 10;

record! {
    #[derive(Clone, PartialEq)]
    pub struct InlinePolicy {
        pub name: String,
        pub document: PolicyText,
    }
}

record! {
    /// The policies of one holder.
    #[derive(Clone, PartialEq)]
    pub struct Held {
        /// In the order of their names.
        pub inline: Vec<InlinePolicy>,
        /// ARNs of managed policies, in the order in which they were attached.
        pub attached: Vec<String>,
    }
}

/// What is different about users, groups and roles.
pub(crate) trait Holder: Entity {
    /// The quota of managed policies, as error texts name it.
    const ATTACHED_QUOTA: &'static str;
    const ATTACHED_MAX: usize = 10;
    /// Characters of all inline policies together, white space not counted.
    const INLINE_CHARS_MAX: usize;

    fn name(&self) -> &str;
    fn held(&self) -> &Held;
    fn held_mut(&mut self) -> &mut Held;
}

/// Sets an inline policy; one of the same name is replaced.
pub(crate) fn put_inline<H: Holder>(
    cx: &mut Cx<'_>,
    holder: &str,
    policy: &str,
    document: String,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = changeable::<H>(cx, holder, action)?;
    let document = PolicyText::parse(Kind::Inline, document).map_err(IamError::Malformed)?;
    let held = record.held_mut();
    match held.inline.binary_search_by(|known| known.name.as_str().cmp(policy)) {
        Ok(place) => {
            if let Some(known) = held.inline.get_mut(place) {
                known.document = document;
            }
        }
        Err(place) => held.inline.insert(place, InlinePolicy { name: policy.to_owned(), document }),
    }
    let bytes: usize = held.inline.iter().map(|policy| policy.document.as_str().len()).sum();
    let chars: usize = held.inline.iter().map(|policy| chars_that_count(policy.document.as_str())).sum();
    if chars > H::INLINE_CHARS_MAX || bytes > INLINE_BYTES_MAX {
        let name = record.name().to_owned();
        return Err(IamError::InlineTooLong { kind: H::KIND, name, max: H::INLINE_CHARS_MAX }.into());
    }
    cx.save(record)
}

pub(crate) fn get_inline<H: Holder>(
    cx: &Cx<'_>,
    holder: &str,
    policy: &str,
    action: Action,
) -> Result<InlinePolicy, ApiError> {
    let record = permitted::<H>(cx, holder, action)?;
    let found = record.held().inline.iter().find(|known| known.name == policy);
    found.cloned().ok_or_else(|| IamError::NoSuchInline { kind: H::KIND, name: policy.to_owned() }.into())
}

pub(crate) fn delete_inline<H: Holder>(
    cx: &mut Cx<'_>,
    holder: &str,
    policy: &str,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = changeable::<H>(cx, holder, action)?;
    let before = record.held().inline.len();
    record.held_mut().inline.retain(|known| known.name != policy);
    if record.held().inline.len() == before {
        return Err(IamError::NoSuchInline { kind: H::KIND, name: policy.to_owned() }.into());
    }
    cx.save(record)
}

/// Attaches a managed policy. One that is attached already stays so, which AWS calls a success.
pub(crate) fn attach<H: Holder>(
    cx: &mut Cx<'_>,
    holder: &str,
    policy_arn: &str,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = changeable::<H>(cx, holder, action)?;
    if !managed::exists(cx, policy_arn)? {
        return Err(IamError::NotAttachable { arn: policy_arn.to_owned() }.into());
    }
    let attached = &mut record.held_mut().attached;
    if attached.iter().any(|known| known == policy_arn) {
        return Ok(());
    }
    if attached.len() >= H::ATTACHED_MAX {
        return Err(IamError::Quota { name: H::ATTACHED_QUOTA, limit: H::ATTACHED_MAX }.into());
    }
    attached.push(policy_arn.to_owned());
    attachments::count(cx, policy_arn, attachments::Use::Policy, 1)?;
    cx.save(record)
}

pub(crate) fn detach<H: Holder>(
    cx: &mut Cx<'_>,
    holder: &str,
    policy_arn: &str,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = changeable::<H>(cx, holder, action)?;
    let attached = &mut record.held_mut().attached;
    let before = attached.len();
    attached.retain(|known| known != policy_arn);
    if attached.len() == before {
        return Err(IamError::NoSuchPolicy { arn: policy_arn.to_owned() }.into());
    }
    attachments::count(cx, policy_arn, attachments::Use::Policy, -1)?;
    cx.save(record)
}

/// A page of the inline policies, in the order of their names.
pub(crate) fn page_of_inline<H: Holder, Q: Shape>(
    cx: &Cx<'_>,
    holder: &str,
    query: &Q,
    marker: Option<&str>,
    max_items: Option<i64>,
    action: Action,
) -> Result<Page<String>, ApiError> {
    let record = permitted::<H>(cx, holder, action)?;
    let names: Vec<String> = record.held().inline.iter().map(|policy| policy.name.clone()).collect();
    page::of(query, marker, max_items).of_items(cx, &names, |name| name)
}

/// Which attached policies, and which page of them.
pub(crate) struct Attached<'a> {
    /// The path they begin with.
    pub prefix: Option<&'a str>,
    pub marker: Option<&'a str>,
    pub max_items: Option<i64>,
}

/// A page of the ARNs of the attached policies.
pub(crate) fn page_of_attached<H: Holder, Q: Shape>(
    cx: &Cx<'_>,
    holder: &str,
    query: &Q,
    which: &Attached<'_>,
    action: Action,
) -> Result<Page<String>, ApiError> {
    let record = permitted::<H>(cx, holder, action)?;
    let attached = attached_under(record.held(), which.prefix);
    page::of(query, which.marker, which.max_items).of_items(cx, &attached, |arn| arn)
}

/// The attached policies whose path begins so.
fn attached_under(held: &Held, prefix: Option<&str>) -> Vec<String> {
    let path_of = |arn: &str| {
        arn.find(":policy/").map(|place| arn.get(place + ":policy".len()..).unwrap_or_default().to_owned())
    };
    let is_under =
        |arn: &&String| prefix.is_none_or(|prefix| path_of(arn).is_some_and(|path| path.starts_with(prefix)));
    held.attached.iter().filter(is_under).cloned().collect()
}

/// A holder with policies cannot be deleted; AWS names the attached ones first.
pub(crate) fn ensure_holds_nothing(held: &Held) -> Result<(), IamError> {
    if !held.attached.is_empty() {
        return Err(IamError::MustDetachPolicies);
    }
    if held.inline.is_empty() { Ok(()) } else { Err(IamError::MustDeletePolicies) }
}

/// White space is not counted, wherever it stands.
pub(crate) fn chars_that_count(text: &str) -> usize {
    text.chars().filter(|char| !matches!(char, ' ' | '\t' | '\n' | '\r')).count()
}
