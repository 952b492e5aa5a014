//! The policies that decide on somebody, each with where it comes from: for simulations, and for reports on what somebody can reach.
//!
//! They are those that [`crate::identities`] finds for a caller. What is more here is the text, so that a statement can be shown where
//! it stands.

use std::{cell::OnceCell, sync::Arc};

use coffer_core::{Cx, PolicyText, Resource};
use coffer_policy::{Document, Kind, Policy, Position, statement_places};
use coffer_shape::{Action, ApiError};
use coffer_types::Arn;

use crate::{
    bundled,
    entity::{Entity, Planned, permitted, seen_through},
    error::IamError,
    group::GroupRecord,
    holder::{Held, Holder},
    managed::{PolicyRecord, exists, key_in},
    name::name_in,
    role::RoleRecord,
    user::UserRecord,
};

pub(crate) struct Source {
    pub origin: Origin,
    /// What results of simulations call it.
    pub id: String,
    kind: Kind,
    document: PolicyText,
    places: OnceCell<Vec<(Position, Position)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a user, group or role.
    Inline {
        of: &'static str,
        holder: String,
        name: String,
    },
    Managed {
        arn: String,
    },
    /// A text of the request, by what results call it.
    Input {
        id: String,
    },
}

impl Source {
    fn kept(origin: Origin, kind: Kind, document: PolicyText) -> Self {
        let id = match &origin {
            Origin::Inline { of, holder, name } => format!("{of}_{holder}_{name}"),
            Origin::Managed { arn } => name_in(arn).to_owned(),
            Origin::Input { id } => id.clone(),
        };
        Self { origin, id, kind, document, places: OnceCell::new() }
    }

    /// A text that somebody brings along.
    pub(crate) fn brought(id: String, kind: Kind, text: String) -> Result<Self, IamError> {
        match PolicyText::parse(kind, text) {
            Ok(document) => Ok(Self::kept(Origin::Input { id }, kind, document)),
            Err(malformed) => Err(IamError::InputPolicy { id, malformed }),
        }
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.document.policy(self.kind, &self.id)
    }

    /// Where a statement begins and ends.
    pub(crate) fn place(&self, statement: usize) -> Option<(Position, Position)> {
        self.places.get_or_init(|| statement_places(self.document.as_str())).get(statement).copied()
    }
    /// What it says; nothing for one that cannot be read, which allows nothing.
    pub(crate) fn document(&self) -> Option<Document> {
        Document::stored(self.kind, self.document.as_str()).ok()
    }
}

/// A user, group or role, and what it holds.
pub(crate) struct Holding {
    pub arn: Arn,
    pub id: String,
    /// Its own, and of a user those of his groups.
    pub sources: Vec<Source>,
    pub boundary: Option<Source>,
}

/// Finds the user, group or role of an ARN, and asks whether the caller may do this to it.
pub(crate) fn holding(cx: &Cx<'_>, arn: &str, action: Action) -> Result<Holding, ApiError> {
    let unclear = || IamError::UnclearEntity { arn: arn.to_owned() };
    let parsed: Arn = arn.parse().map_err(|_| unclear())?;
    let (kind, path) = parsed.resource().split_once('/').ok_or_else(unclear)?;
    if parsed.service() != "iam" || !["user", "group", "role"].contains(&kind) {
        return Err(unclear().into());
    }
    let name = name_in(path);
    if parsed.account() != cx.account().as_str() {
        cx.ask(action, &Planned(arn.to_owned()))?;
        return Err(missing(kind, name).into());
    }
    match kind {
        "user" => {
            let user = named::<UserRecord>(cx, arn, name, action)?;
            let mut sources = Vec::new();
            add(cx, &mut sources, &*user, &user.policies, &*user, action)?;
            for key in &user.groups {
                // A group that is deleted between two reads holds nothing any more.
                if let Some(group) = seen_through::<GroupRecord>(cx, key, &*user, action)? {
                    add(cx, &mut sources, &*group, &group.policies, &*user, action)?;
                }
            }
            let boundary = boundary(cx, user.boundary.as_deref(), &*user, action)?;
            Ok(Holding { arn: parsed, id: user.user_id.clone(), sources, boundary })
        }
        "role" => {
            let role = named::<RoleRecord>(cx, arn, name, action)?;
            let mut sources = Vec::new();
            add(cx, &mut sources, &*role, &role.policies, &*role, action)?;
            let boundary = boundary(cx, role.boundary.as_deref(), &*role, action)?;
            Ok(Holding { arn: parsed, id: role.role_id.clone(), sources, boundary })
        }
        _ => {
            let group = named::<GroupRecord>(cx, arn, name, action)?;
            let mut sources = Vec::new();
            add(cx, &mut sources, &*group, &group.policies, &*group, action)?;
            Ok(Holding { arn: parsed, id: group.group_id.clone(), sources, boundary: None })
        }
    }
}

/// By its name, and with this very ARN: one with another path does not exist.
fn named<E: Entity>(cx: &Cx<'_>, arn: &str, name: &str, action: Action) -> Result<Arc<E>, ApiError> {
    let found = permitted::<E>(cx, name, action)?;
    if found.arn() == arn { Ok(found) } else { Err(E::missing(name).into()) }
}

fn missing(kind: &str, name: &str) -> IamError {
    match kind {
        "user" => UserRecord::missing(name),
        "role" => RoleRecord::missing(name),
        _ => GroupRecord::missing(name),
    }
}

fn add<H: Holder>(
    cx: &Cx<'_>,
    sources: &mut Vec<Source>,
    holder: &H,
    held: &Held,
    permitted: &dyn Resource,
    action: Action,
) -> Result<(), ApiError> {
    for policy in &held.inline {
        let origin =
            Origin::Inline { of: H::KIND, holder: holder.name().to_owned(), name: policy.name.clone() };
        sources.push(Source::kept(origin, Kind::Inline, policy.document.clone()));
    }
    for arn in &held.attached {
        sources.push(managed(cx, arn, permitted, action)?);
    }
    Ok(())
}

fn boundary(
    cx: &Cx<'_>,
    arn: Option<&str>,
    permitted: &dyn Resource,
    action: Action,
) -> Result<Option<Source>, ApiError> {
    arn.map(|arn| managed(cx, arn, permitted, action)).transpose()
}

/// A managed policy by itself: asks whether the caller may do this to it.
pub(crate) fn policy(cx: &Cx<'_>, arn: &str, action: Action) -> Result<Source, ApiError> {
    let asked = Planned(arn.to_owned());
    cx.ask(action, &asked)?;
    if !exists(cx, arn)? {
        return Err(IamError::NoSuchPolicy { arn: arn.to_owned() }.into());
    }
    managed(cx, arn, &asked, action)
}

/// What a managed policy says today, looked at through whoever holds it.
fn managed(cx: &Cx<'_>, arn: &str, permitted: &dyn Resource, action: Action) -> Result<Source, ApiError> {
    struct Through {
        arn: String,
        record: Option<Arc<PolicyRecord>>,
    }
    impl Resource for Through {
        fn arn(&self) -> String {
            self.arn.clone()
        }
    }
    let origin = Origin::Managed { arn: arn.to_owned() };
    if let Some(bundled) = bundled::find(arn) {
        return Ok(Source::kept(origin, Kind::Managed, bundled.text.clone()));
    }
    let key = key_in(arn, cx.account().as_str()).unwrap_or_default();
    let found = cx.find_as::<PolicyRecord, Through>(&[&key], |record| Through {
        arn: permitted.arn(),
        record: record.filter(|record| record.arn == arn),
    })?;
    let record = found.permit(cx, action)?.record;
    let version = record.as_ref().and_then(|record| record.in_force());
    // One that is gone has no text, and what has no text denies everything, as it does for a request.
    let document = version.map(|version| version.document.clone()).unwrap_or_default();
    Ok(Source::kept(origin, Kind::Managed, document))
}
