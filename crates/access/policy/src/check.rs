//! What can be wrong with a policy whose syntax is right, in the order in which AWS looks.
//!
//! Each check goes over all statements before the next one begins; so the second mistake of the first statement may be
//! reported after the first mistake of the last. The order was recorded for managed policies and is kept for the others.

use std::collections::HashSet;

use crate::{
    Document, Effect, Kind, Malformed, Principal, Scope, Statement, Version,
    draft::{Draft, DraftStatement, Entries},
    instant::is_date,
    principal::PARTITIONS,
};

type Checked = Result<(), Malformed>;

/// What a resource of IAM may begin with.
const IAM_PATHS: &[&str] = &[
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];
/// What somebody may do with a role, besides the family of `sts:AssumeRole…`.
const TRUST_ACTIONS: &[&str] = &["*", "sts:*", "sts:tagsession", "sts:setsourceidentity", "sts:setcontext"];

pub(crate) fn document(kind: Kind, draft: Draft) -> Result<Document, Malformed> {
    elements(kind, &draft)?;
    let statements = draft.statements.into_iter().map(typed).collect::<Result<Vec<_>, _>>()?;
    statements.iter().try_for_each(|statement| principals(kind, statement))?;
    Ok(Document { version: draft.version.unwrap_or(Version::V2008), id: draft.id, statements })
}

/// A document that was accepted once. The checks are for whoever writes: they become stricter with time, and a policy that binds
/// somebody must not change its meaning because of that. Whoever is not well formed, or does not exist any more, is nobody, whether
/// he is let in or spared; an element that is not there names nothing.
pub(crate) fn stored(kind: Kind, draft: Draft) -> Result<Document, Malformed> {
    let statements = draft.statements.into_iter().map(|mut statement| {
        if let Some(Scope::Only(list) | Scope::AllBut(list)) = &mut statement.principals {
            list.retain(|(kind, value)| Principal::parse(*kind, value).is_some());
        }
        if kind != Kind::Trust && statement.resources.is_none() {
            statement.resources = Some(Scope::Only(Entries { values: Vec::new(), is_list: true }));
        }
        typed(statement)
    });
    let statements = statements.collect::<Result<Vec<_>, _>>()?;
    Ok(Document { version: draft.version.unwrap_or(Version::V2008), id: draft.id, statements })
}

/// Everything but who is meant.
fn elements(kind: Kind, draft: &Draft) -> Checked {
    let statements = &draft.statements;
    let each = |check: fn(&DraftStatement) -> Checked| statements.iter().try_for_each(check);

    if kind == Kind::Managed && draft.version != Some(Version::V2012) {
        return Err(Malformed::Version);
    }
    each(legacy_words)?;
    let format = resource_formats(statements)?;
    sids(kind, statements)?;
    each(|statement| match &statement.actions {
        Some(actions) if !actions.listed().is_empty() => Ok(()),
        _ => Err(Malformed::NoActions),
    })?;
    format.map_or(Ok(()), Err)?;
    actions(statements)?;
    if kind != Kind::Trust {
        each(|statement| match &statement.resources {
            Some(resources) if !resources.listed().values.is_empty() => Ok(()),
            _ => Err(Malformed::NoResources),
        })?;
    }
    match kind {
        Kind::Managed | Kind::Inline => each(|statement| match statement.principals {
            Some(_) => Err(Malformed::PrincipalInIdentity),
            None => Ok(()),
        })?,
        Kind::Trust => {
            each(|statement| match statement.resources {
                Some(_) => Err(Malformed::ResourceInTrust),
                None => Ok(()),
            })?;
            each(trust_actions)?;
        }
        Kind::Resource => {}
    }
    Ok(())
}

/// Words that the syntax admits in another spelling or form than the older parser behind it.
fn legacy_words(statement: &DraftStatement) -> Checked {
    let effect_is_spelt = matches!(statement.effect.as_str(), "Allow" | "Deny");
    let mut dates = statement.conditions.iter().filter(|condition| condition.operator.test.is_date());
    if effect_is_spelt && dates.all(|condition| condition.values.iter().all(|value| is_date(value))) {
        Ok(())
    } else {
        Err(Malformed::LegacyParsing)
    }
}

/// Looks at every resource. A wrong format is not reported yet, but only the last one that was found, further down; until there
/// is one, the older parser looks at lone texts.
fn resource_formats(statements: &[DraftStatement]) -> Result<Option<Malformed>, Malformed> {
    let only = statements.iter().filter_map(|statement| match &statement.resources {
        Some(Scope::Only(entries)) => Some(entries),
        _ => None,
    });
    let all_but = statements.iter().filter_map(|statement| match &statement.resources {
        Some(Scope::AllBut(entries)) => Some(entries),
        _ => None,
    });
    let mut found = None;
    for entries in only.chain(all_but) {
        let mut values: Vec<&str> = entries.values.iter().map(String::as_str).collect();
        values.sort_unstable_by(|one, other| other.cmp(one));
        for value in values {
            if let Err(error) = resource_format(value) {
                found = Some(error);
            }
        }
        if found.is_none() && !entries.is_list && !entries.values.iter().all(|value| legacy_resource(value)) {
            return Err(Malformed::LegacyParsing);
        }
    }
    Ok(found)
}

fn legacy_resource(resource: &str) -> bool {
    let is_long = resource.matches(':').count() >= 5;
    resource == "*"
        || ((is_long || !resource.contains("::"))
            && resource.split(':').nth(2).is_some_and(|part| !part.is_empty()))
}

fn resource_format(resource: &str) -> Checked {
    if resource == "*" {
        return Ok(());
    }
    let Some((_, rest)) = resource.split_once(':') else {
        return Err(Malformed::ResourceNotArn { resource: resource.to_owned() });
    };
    let (partition, rest) =
        rest.split_once(':').map_or((rest, None), |(partition, rest)| (partition, Some(rest)));
    if partition != "*" && !PARTITIONS.contains(&partition) {
        return Err(Malformed::ResourcePartition {
            partition: partition.to_owned(),
            resource: spelt_out(partition, rest),
        });
    }
    let Some(rest) = rest else { return Err(Malformed::ResourceVendor) };
    let mut parts = rest.splitn(4, ':');
    let service = parts.next().unwrap_or_default();
    let region = parts.next().unwrap_or_default();
    let path = parts.nth(1).unwrap_or_default();
    match service {
        "iam" if !region.is_empty() => Err(Malformed::IamRegion { resource: resource.to_owned() }),
        "iam" if path != "*" && !IAM_PATHS.iter().any(|known| path.starts_with(known)) => {
            Err(Malformed::IamPath)
        }
        // Access points are the one regional thing of S3.
        "s3" if !region.is_empty() && !path.starts_with("accesspoint/") => {
            Err(Malformed::ResourceRegion { resource: resource.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The resource with all its fields, a star for each that is not there.
fn spelt_out(partition: &str, rest: Option<&str>) -> String {
    let mut fields = rest.into_iter().flat_map(|rest| rest.splitn(4, ':'));
    let mut next = || fields.next().unwrap_or("*");
    format!("arn:{partition}:{}:{}:{}:{}", next(), next(), next(), next())
}

fn sids(kind: Kind, statements: &[DraftStatement]) -> Checked {
    let sids =
        || statements.iter().filter_map(|statement| statement.sid.as_deref()).filter(|sid| !sid.is_empty());
    let mut seen = HashSet::new();
    if !sids().all(|sid| seen.insert(sid)) {
        return Err(Malformed::SidTwice);
    }
    if kind != Kind::Resource && !sids().all(|sid| sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(Malformed::SidCharacters);
    }
    Ok(())
}

/// All `Action` of the document, then all `NotAction`.
fn actions(statements: &[DraftStatement]) -> Checked {
    let listed = |wants_only: bool| {
        statements
            .iter()
            .filter_map(|statement| statement.actions.as_ref())
            .filter(move |scope| matches!(scope, Scope::Only(_)) == wants_only)
            .flat_map(Scope::listed)
    };
    listed(true).chain(listed(false)).try_for_each(|action| action_format(action))
}

fn action_format(action: &str) -> Checked {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else { return Err(Malformed::ActionWithoutVendor) };
    if name.contains(':') {
        return Err(Malformed::ActionColons);
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if vendor == "*" || (!vendor.is_empty() && vendor.bytes().all(good)) {
        Ok(())
    } else {
        Err(Malformed::ActionVendor { vendor: vendor.to_owned() })
    }
}

fn trust_actions(statement: &DraftStatement) -> Checked {
    let is_trust = |action: &String| {
        let action = action.to_ascii_lowercase();
        action.starts_with("sts:assumerole") || TRUST_ACTIONS.contains(&action.as_str())
    };
    match &statement.actions {
        Some(actions) if !actions.listed().iter().all(is_trust) => Err(Malformed::TrustActions),
        _ => Ok(()),
    }
}

fn typed(draft: DraftStatement) -> Result<Statement, Malformed> {
    let parse = |list: &Vec<_>| {
        list.iter()
            .map(|(kind, value): &(_, String)| {
                Principal::parse(*kind, value)
                    .ok_or_else(|| Malformed::Principal { kind: *kind, value: value.clone() })
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let principals = match draft.principals {
        Some(Scope::Only(list)) => Some(Scope::Only(parse(&list)?)),
        Some(Scope::AllBut(list)) => Some(Scope::AllBut(parse(&list)?)),
        None => None,
    };
    Ok(Statement {
        sid: draft.sid,
        effect: if draft.effect.eq_ignore_ascii_case("deny") { Effect::Deny } else { Effect::Allow },
        principals,
        actions: draft.actions.unwrap_or(Scope::Only(Vec::new())),
        resources: draft.resources.map(|scope| scope.map(|entries| entries.values.clone())),
        conditions: draft.conditions,
    })
}

/// A document of a resource or a role says in each statement whom it is about.
fn principals(kind: Kind, statement: &Statement) -> Checked {
    if !matches!(kind, Kind::Trust | Kind::Resource) {
        return Ok(());
    }
    match &statement.principals {
        Some(scope) if scope.listed().is_empty() => Err(Malformed::NoPrincipal),
        None => Err(Malformed::NoPrincipal),
        Some(Scope::AllBut(_)) if kind == Kind::Trust => Err(Malformed::NotPrincipalInTrust),
        // It would grant to everybody in the world but a few.
        Some(Scope::AllBut(_)) if statement.effect == Effect::Allow => Err(Malformed::NotPrincipalAllows),
        Some(_) => Ok(()),
    }
}
