//! Who holds policies: users, groups and roles, in the same way.
//!
//! A policy is held either *inline*, as a text of its own, or *attached*, as the ARN of a managed policy. The operations for users,
//! groups and roles are the same but for their names, so they are written once, over [`Holder`], and each service operation is
//! a line that says for whom.

use coffer_core::{Cx, Listed, PolicyText, Record, Resource};
use coffer_policy::Kind;
use coffer_shape::{Action, ApiError, record};

use crate::{attachments, error::IamError, managed, name::key_of};

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
pub(crate) trait Holder: Record + Resource + Listed + Clone {
    /// As error texts name it: `user`.
    const KIND: &'static str;
    /// The quota of managed policies, as error texts name it.
    const ATTACHED_QUOTA: &'static str;
    const ATTACHED_MAX: usize = 10;
    /// Characters of all inline policies together, white space not counted.
    const INLINE_CHARS_MAX: usize;

    fn name(&self) -> &str;
    fn held(&self) -> &Held;
    fn held_mut(&mut self) -> &mut Held;
    /// The ARN that a name would have that nobody carries, for those who may not know that.
    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String;
}

/// A holder that may be missing, locked together with the fact whether it exists.
pub(crate) struct Target<H> {
    name: String,
    arn: String,
    record: Option<std::sync::Arc<H>>,
}

impl<H> Resource for Target<H> {
    fn arn(&self) -> String {
        self.arn.clone()
    }
}

/// Finds a holder by name and asks whether the caller may do this to it. Whether it exists is known only afterwards.
pub(crate) fn permitted<H: Holder>(
    cx: &Cx<'_>,
    name: &str,
    action: Action,
) -> Result<std::sync::Arc<H>, ApiError> {
    let target = cx.find_as::<H, Target<H>>(&[&key_of(name)], |record| Target {
        arn: record.as_ref().map_or_else(|| H::arn_of_missing(cx, name), |record| record.arn()),
        name: name.to_owned(),
        record,
    })?;
    let Target { record, name, .. } = target.permit(cx, action)?;
    record.ok_or_else(|| IamError::NoSuchEntity { kind: H::KIND, name }.into())
}

/// The same, as a value of one's own to change and save.
pub(crate) fn own<H: Holder>(cx: &Cx<'_>, name: &str, action: Action) -> Result<H, ApiError> {
    permitted::<H>(cx, name, action).map(std::sync::Arc::unwrap_or_clone)
}

/// Sets an inline policy; one of the same name is replaced.
pub(crate) fn put_inline<H: Holder>(
    cx: &mut Cx<'_>,
    holder: &str,
    policy: &str,
    document: String,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = own::<H>(cx, holder, action)?;
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
    let chars: usize = held.inline.iter().map(|policy| chars_that_count(policy.document.as_str())).sum();
    if chars > H::INLINE_CHARS_MAX {
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
    let mut record = own::<H>(cx, holder, action)?;
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
    let mut record = own::<H>(cx, holder, action)?;
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
    let mut record = own::<H>(cx, holder, action)?;
    let attached = &mut record.held_mut().attached;
    let before = attached.len();
    attached.retain(|known| known != policy_arn);
    if attached.len() == before {
        return Err(IamError::NoSuchPolicy { arn: policy_arn.to_owned() }.into());
    }
    attachments::count(cx, policy_arn, attachments::Use::Policy, -1)?;
    cx.save(record)
}

/// The attached policies whose path begins so.
pub(crate) fn attached_under(held: &Held, prefix: Option<&str>) -> Vec<String> {
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
