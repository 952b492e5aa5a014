//! The syntax of a policy: which elements there are, and of which form. Nothing is known yet of what they mean.
//!
//! AWS answers any mistake of this kind with one sentence, so the functions here say yes or nothing. What they yield is a
//! draft: every element where it belongs, its text unread.

use crate::{
    Condition, Kind, Malformed, Operator, PrincipalKind, Scope, Version,
    json::{Json, Unreadable, parse},
};

#[derive(Debug)]
pub(crate) struct Draft {
    pub version: Option<Version>,
    pub id: Option<String>,
    pub statements: Vec<DraftStatement>,
}

#[derive(Debug)]
pub(crate) struct DraftStatement {
    pub sid: Option<String>,
    pub effect: String,
    pub principals: Option<Scope<Vec<(PrincipalKind, String)>>>,
    pub actions: Option<Scope<Vec<String>>>,
    pub resources: Option<Scope<Entries>>,
    pub conditions: Vec<Condition>,
}

/// A text or a list of texts. It means the same, but one old check of AWS looks at lone texts only.
#[derive(Debug)]
pub(crate) struct Entries {
    pub values: Vec<String>,
    pub is_list: bool,
}

pub(crate) fn read(kind: Kind, text: &str) -> Result<Draft, Malformed> {
    let tree = match parse(text) {
        Ok(tree) => tree,
        Err(Unreadable::NotJson) if matches!(kind, Kind::Trust | Kind::Resource) => {
            return Err(Malformed::NotJson);
        }
        Err(_) => return Err(Malformed::Syntax),
    };
    document(tree).ok_or(Malformed::Syntax)
}

fn document(tree: Json) -> Option<Draft> {
    let Json::Object(fields) = tree else { return None };
    let mut draft = Draft { version: None, id: None, statements: Vec::new() };
    for (name, value) in fields {
        match name.as_str() {
            "Version" => {
                draft.version = Some(match string(value)?.as_str() {
                    "2008-10-17" => Version::V2008,
                    "2012-10-17" => Version::V2012,
                    _ => return None,
                });
            }
            "Id" => draft.id = Some(string(value)?),
            "Statement" => {
                draft.statements = match value {
                    Json::List(statements) => statements.into_iter().map(statement).collect::<Option<_>>()?,
                    lone => vec![statement(lone)?],
                }
            }
            // Some editors write it here, where it means nothing. AWS lets it pass.
            "Conditions" => {}
            _ => return None,
        }
    }
    (!draft.statements.is_empty()).then_some(draft)
}

fn statement(value: Json) -> Option<DraftStatement> {
    let Json::Object(fields) = value else { return None };
    let mut effect = None;
    let mut sid = None;
    let mut principals = None;
    let mut actions = None;
    let mut resources = None;
    let mut conditions = Vec::new();
    for (name, value) in fields {
        match name.as_str() {
            "Sid" => sid = Some(string(value)?),
            "Effect" => effect = Some(string(value)?),
            "Principal" => put(&mut principals, Scope::Only(principal_list(value)?))?,
            "NotPrincipal" => put(&mut principals, Scope::AllBut(principal_list(value)?))?,
            "Action" => put(&mut actions, Scope::Only(entries(value)?.values))?,
            "NotAction" => put(&mut actions, Scope::AllBut(entries(value)?.values))?,
            "Resource" => put(&mut resources, Scope::Only(entries(value)?))?,
            "NotResource" => put(&mut resources, Scope::AllBut(entries(value)?))?,
            "Condition" => conditions = condition_list(value)?,
            _ => return None,
        }
    }
    let effect =
        effect.filter(|effect| ["allow", "deny"].iter().any(|known| effect.eq_ignore_ascii_case(known)))?;
    Some(DraftStatement { sid, effect, principals, actions, resources, conditions })
}

/// An element and its negation must not stand in one statement.
fn put<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn string(value: Json) -> Option<String> {
    if let Json::String(text) = value { Some(text) } else { None }
}

fn entries(value: Json) -> Option<Entries> {
    match value {
        Json::String(text) => Some(Entries { values: vec![text], is_list: false }),
        // AWS passes over a null in a list.
        Json::List(list) => {
            let values = list.into_iter().filter(|entry| *entry != Json::Null).map(string);
            Some(Entries { values: values.collect::<Option<_>>()?, is_list: true })
        }
        _ => None,
    }
}

fn principal_list(value: Json) -> Option<Vec<(PrincipalKind, String)>> {
    match value {
        Json::String(text) if text == "*" => Some(vec![(PrincipalKind::Aws, text)]),
        Json::Object(kinds) => {
            let mut list = Vec::new();
            for (kind, values) in kinds {
                let kind = PrincipalKind::parse(&kind)?;
                list.extend(entries(values)?.values.into_iter().map(|value| (kind, value)));
            }
            Some(list)
        }
        _ => None,
    }
}

fn condition_list(value: Json) -> Option<Vec<Condition>> {
    let Json::Object(operators) = value else { return None };
    let mut conditions = Vec::new();
    for (name, block) in operators {
        let Json::Object(keys) = block else { return None };
        // A block without keys says nothing, so nobody asks what its operator is.
        if keys.is_empty() {
            continue;
        }
        let operator = Operator::parse(&name)?;
        for (key, values) in keys {
            conditions.push(Condition { operator, key, values: condition_values(values)? });
        }
    }
    Some(conditions)
}

fn condition_values(value: Json) -> Option<Vec<String>> {
    let scalar = |value: Json| match value {
        Json::String(text) | Json::Word(text) => Some(text),
        _ => None,
    };
    match value {
        Json::List(list) => list.into_iter().map(scalar).collect(),
        lone => Some(vec![scalar(lone)?]),
    }
}
