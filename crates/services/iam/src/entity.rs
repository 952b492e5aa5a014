//! What has a name in IAM: found by it, asked about, tagged and bounded, whatever it is.
//!
//! Users, groups, roles, policies, instance profiles and identity providers differ in what they are for. How one is found, that
//! nobody learns of its existence without permission, and how tags are set is the same for all, and written once here.

use std::sync::Arc;

use coffer_core::{Cx, Listed, Page, Record, Resource};
use coffer_model::iam::{Tag, action};
use coffer_policy::Policy;
use coffer_shape::{Action, ApiError, ConditionValue, Shape};

use crate::{
    attachments::{self, Use},
    error::IamError,
    managed,
    name::key_of,
    page,
    tags::{self, TagRecord},
};

pub(crate) trait Entity: Record + Resource + Listed + Clone {
    /// As error texts and refusals name it: `user`.
    const KIND: &'static str;

    /// What a caller's word for it is found by.
    fn key_named(_: &Cx<'_>, name: &str) -> Result<String, ApiError> {
        Ok(key_of(name))
    }

    /// The ARN that a name would have that nobody carries, for those who may not know that.
    fn arn_of_missing(cx: &Cx<'_>, name: &str) -> String;

    fn missing(name: &str) -> IamError {
        IamError::NoSuchEntity { kind: Self::KIND, name: name.to_owned() }
    }

    /// What limits it, if it is a user or a role with a boundary.
    fn boundary(&self) -> Option<&str> {
        None
    }

    /// Whether this one is meant, where a word for it says more than its key.
    fn answers_to(&self, _name: &str) -> bool {
        true
    }

    /// What belongs to a service of AWS is changed by that service alone.
    fn ensure_changeable(&self) -> Result<(), IamError> {
        Ok(())
    }
}

pub(crate) trait Tagged: Entity {
    fn tags(&self) -> &[TagRecord];
    fn tags_mut(&mut self) -> &mut Vec<TagRecord>;
}

/// What may have a permissions boundary: users and roles.
pub(crate) trait Bounded: Entity {
    fn boundary_mut(&mut self) -> &mut Option<String>;
}

/// Actions that policies can tie to the boundary of the user or role that is changed. A boundary that is about to be set is in the
/// request, and goes before the one that is there.
const ASK_FOR_BOUNDARY: &[Action] = &[
    action::ATTACH_ROLE_POLICY,
    action::ATTACH_USER_POLICY,
    action::DELETE_ROLE_PERMISSIONS_BOUNDARY,
    action::DELETE_ROLE_POLICY,
    action::DELETE_USER_PERMISSIONS_BOUNDARY,
    action::DELETE_USER_POLICY,
    action::DETACH_ROLE_POLICY,
    action::DETACH_USER_POLICY,
    action::PUT_ROLE_PERMISSIONS_BOUNDARY,
    action::PUT_ROLE_POLICY,
    action::PUT_USER_PERMISSIONS_BOUNDARY,
    action::PUT_USER_POLICY,
];

/// Something that may be missing, locked together with the fact whether it exists.
struct Target<E> {
    arn: String,
    /// What refusals call it. It is the caller's own word, so that it does not tell whether there is one.
    called: String,
    record: Option<Arc<E>>,
    action: Action,
}

impl<E: Entity> Resource for Target<E> {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn shown(&self) -> Option<String> {
        Some(self.called.clone())
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.record.as_ref().map(|record| Resource::tags(&**record)).unwrap_or_default()
    }

    fn condition(&self, _: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let asks = key == "iam:permissionsboundary" && ASK_FOR_BOUNDARY.contains(&self.action);
        let boundary = self.record.as_deref().filter(|_| asks)?.boundary()?;
        Some(ConditionValue::One(boundary.to_owned()))
    }

    fn policy(&self, cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        self.record.as_ref().map_or(Ok(None), |record| record.policy(cx))
    }
}

/// Something that is seen with another: what is asked about is the other, with its tags and its policy.
struct Through<'a, E> {
    permitted: &'a dyn Resource,
    record: Option<Arc<E>>,
}

impl<E> Resource for Through<'_, E> {
    fn arn(&self) -> String {
        self.permitted.arn()
    }

    fn shown(&self) -> Option<String> {
        self.permitted.shown()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.permitted.tags()
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        self.permitted.condition(cx, key)
    }

    fn policy(&self, cx: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        self.permitted.policy(cx)
    }
}

/// Something that does not exist yet.
pub(crate) struct Planned(pub String);

impl Resource for Planned {
    fn arn(&self) -> String {
        self.0.clone()
    }
}

/// Asks whether the caller may make something and, if it is to have tags from the beginning, tag it: who may not tag could else give
/// a new user or role the tags that policies let in.
pub(crate) fn ask_to_make<T>(
    cx: &Cx<'_>,
    planned: &Planned,
    create: Action,
    tag: Action,
    tags: Option<&Vec<T>>,
) -> Result<(), ApiError> {
    cx.ask(create, planned)?;
    if tags.is_some_and(|tags| !tags.is_empty()) {
        cx.ask(tag, planned)?;
    }
    Ok(())
}

/// Finds something by name and asks whether the caller may do this to it. Whether it exists is known only afterwards.
pub(crate) fn permitted<E: Entity>(cx: &Cx<'_>, name: &str, action: Action) -> Result<Arc<E>, ApiError> {
    let target = cx.find_as::<E, Target<E>>(&[&E::key_named(cx, name)?], |record| {
        let record = record.filter(|record| record.answers_to(name));
        let arn = record.as_ref().map_or_else(|| E::arn_of_missing(cx, name), |record| record.arn());
        // AWS names the ARN of what is handed to a service.
        let called = match name.starts_with("arn:") {
            true => name.to_owned(),
            false if action == action::PASS_ROLE => arn.clone(),
            false => format!("{} {name}", E::KIND),
        };
        Target { arn, called, record, action }
    })?;
    target.permit(cx, action)?.record.ok_or_else(|| E::missing(name).into())
}

/// The same, as a value of one's own to change and save.
pub(crate) fn own<E: Entity>(cx: &Cx<'_>, name: &str, action: Action) -> Result<E, ApiError> {
    permitted::<E>(cx, name, action).map(Arc::unwrap_or_clone)
}

/// The same, of what belongs to no service of AWS.
pub(crate) fn changeable<E: Entity>(cx: &Cx<'_>, name: &str, action: Action) -> Result<E, ApiError> {
    let record = own::<E>(cx, name, action)?;
    record.ensure_changeable()?;
    Ok(record)
}

/// Looks at one thing through another that the caller has been permitted, such as at the role in an instance profile: the question
/// is that for the other one.
pub(crate) fn seen_through<E: Entity>(
    cx: &Cx<'_>,
    key: &str,
    permitted: &dyn Resource,
    action: Action,
) -> Result<Option<Arc<E>>, ApiError> {
    let target = cx.find_as::<E, Through<'_, E>>(&[key], |record| Through { permitted, record })?;
    Ok(target.permit(cx, action)?.record)
}

pub(crate) fn tag<E: Tagged>(
    cx: &mut Cx<'_>,
    name: &str,
    new: Vec<Tag>,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = own::<E>(cx, name, action)?;
    tags::set(record.tags_mut(), new)?;
    cx.save(record)
}

pub(crate) fn untag<E: Tagged>(
    cx: &mut Cx<'_>,
    name: &str,
    keys: &[String],
    action: Action,
) -> Result<(), ApiError> {
    let mut record = own::<E>(cx, name, action)?;
    tags::remove(record.tags_mut(), keys);
    cx.save(record)
}

pub(crate) fn page_of_tags<E: Tagged, Q: Shape>(
    cx: &Cx<'_>,
    name: &str,
    query: &Q,
    marker: Option<&str>,
    max_items: Option<i64>,
    action: Action,
) -> Result<Page<Tag>, ApiError> {
    let record = permitted::<E>(cx, name, action)?;
    let page = page::of(query, marker, max_items).of_items(cx, Tagged::tags(&*record), |tag| &tag.key)?;
    Ok(Page { items: tags::shown(&page.items).unwrap_or_default(), marker: page.marker })
}

pub(crate) fn bound<E: Bounded>(
    cx: &mut Cx<'_>,
    name: &str,
    boundary: Option<String>,
    action: Action,
) -> Result<(), ApiError> {
    let mut record = changeable::<E>(cx, name, action)?;
    set_boundary(cx, record.boundary_mut(), boundary)?;
    cx.save(record)
}

/// Changes the boundary of a user or a role, and counts its use.
pub(crate) fn set_boundary(
    cx: &mut Cx<'_>,
    boundary: &mut Option<String>,
    new: Option<String>,
) -> Result<(), ApiError> {
    if let Some(arn) = &new
        && !managed::exists(cx, arn)?
    {
        return Err(IamError::NotAttachable { arn: arn.clone() }.into());
    }
    if let Some(before) = std::mem::replace(boundary, new) {
        attachments::count(cx, &before, Use::Boundary, -1)?;
    }
    if let Some(arn) = boundary {
        attachments::count(cx, arn, Use::Boundary, 1)?;
    }
    Ok(())
}
