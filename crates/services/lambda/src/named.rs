//! The function that a caller means, on its way to being permitted.
//!
//! A function is written as its name, with or without the account before it, or as an ARN, and each of them with or without a qualifier
//! behind. What is asked about is the ARN as it was meant: permission for an alias is none for the function.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, PrincipalKind, Resource};
use coffer_model::secretsmanager;
use coffer_policy::{Kind, Policy};
use coffer_shape::{Action, ApiError};
use coffer_types::Arn;

use crate::{
    alias::AliasRecord,
    error::LambdaError,
    function::{FunctionRecord, VersionRecord},
    policy::{self, PolicyRecord},
    revision::{LATEST, Revision},
};

const NAME_CHARS_MAX: usize = 64;
/// Of a function that comes along with Coffer. It is there for Secrets Manager alone.
const OF_BUILT_IN: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*"}}"#;

/// A name in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionId {
    /// Where it is, if that was written.
    region: Option<String>,
    account: Option<String>,
    pub name: String,
    pub qualifier: Option<String>,
}

impl FunctionId {
    /// Takes apart what the model let through: its pattern has every piece of an ARN stand for itself, so that it also fits what is none.
    /// A qualifier can be written in two places, and must then be the same.
    pub(crate) fn parse(written: &str, qualifier: Option<&str>) -> Result<Self, LambdaError> {
        let steps: Vec<&str> = written.split(':').collect();
        let (region, account, rest) = match steps.as_slice() {
            ["arn", partition, "lambda", region, account, "function", rest @ ..]
                if partition.starts_with("aws") && region.contains('-') && is_account(account) =>
            {
                (Some(*region), Some(*account), rest)
            }
            [account, "function", rest @ ..] if is_account(account) && !rest.is_empty() => {
                (None, Some(*account), rest)
            }
            ["function", rest @ ..] if !rest.is_empty() => (None, None, rest),
            rest => (None, None, rest),
        };
        let (name, inner) = match *rest {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => return Err(LambdaError::NoFunctionName { written: written.to_owned() }),
        };
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(LambdaError::NameTooLong { name: name.to_owned() });
        }
        let outer = qualifier.filter(|qualifier| !qualifier.is_empty());
        let qualifier = match (inner, outer) {
            (Some(inner), Some(outer)) if inner != outer => return Err(LambdaError::QualifiersDiffer),
            (inner, outer) => inner.or(outer).map(str::to_owned),
        };
        let (region, account) = (region.map(str::to_owned), account.map(str::to_owned));
        Ok(Self { region, account, name: name.to_owned(), qualifier })
    }

    /// Of the function, or of what the qualifier says.
    pub(crate) fn arn(&self, cx: &Cx<'_>) -> String {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}"));
        format!("{}{}", self.function_arn(cx), qualifier.unwrap_or_default())
    }

    pub(crate) fn function_arn(&self, cx: &Cx<'_>) -> String {
        let account = self.account.as_ref().and_then(|account| account.parse().ok());
        let resource = format!("function:{}", self.name);
        Arn::regional("lambda", cx.region(), account.unwrap_or(cx.account()), &resource).to_string()
    }

    fn is_here(&self, cx: &Cx<'_>) -> Result<bool, LambdaError> {
        if let Some(theirs) = self.region.as_ref().filter(|region| *region != cx.region().as_str()) {
            let (theirs, ours) = (theirs.clone(), cx.region().to_string());
            return Err(LambdaError::AnotherRegion { theirs, ours });
        }
        Ok(self.account.as_ref().is_none_or(|account| account == cx.account().as_str()))
    }
}

fn is_account(written: &str) -> bool {
    written.len() == 12 && written.bytes().all(|byte| byte.is_ascii_digit())
}

/// A function as somebody asked for it.
#[derive(Debug)]
pub(crate) struct Named {
    pub id: FunctionId,
    arn: String,
    /// None where there is no such function.
    function: Option<Arc<FunctionRecord>>,
    policy: Option<Arc<PolicyRecord>>,
    /// It comes along with Coffer.
    is_built_in: bool,
}

impl Resource for Named {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        let tags = self.function.iter().flat_map(|function| &function.tags);
        tags.map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        if self.is_built_in {
            let policy = Policy::stored(policy::NAME, Kind::Resource, OF_BUILT_IN);
            return Ok(Some(Arc::new(policy)));
        }
        let policy = self.policy.as_ref();
        Ok(policy.map(|policy| Arc::clone(policy.policy.policy(Kind::Resource, policy::NAME))))
    }
}

impl Named {
    pub(crate) fn existing(&self) -> Result<Arc<FunctionRecord>, LambdaError> {
        self.function.clone().ok_or_else(|| LambdaError::FunctionNotFound { arn: self.arn.clone() })
    }

    /// Whether it is one that comes along, and whoever calls is the one it is there for. To everybody else it is not there.
    pub(crate) fn is_built_in_for(&self, cx: &Cx<'_>) -> bool {
        let name = secretsmanager::SERVICE.event_source;
        self.is_built_in && cx.caller().kind == PrincipalKind::Service { name }
    }

    pub(crate) fn own_arn(&self) -> &str {
        &self.arn
    }
}

/// Names that nobody's function can have: they are kept for rotators that come along with Coffer.
pub(crate) fn is_reserved(function: &str) -> bool {
    function.starts_with("coffer-builtin-")
}

/// What somebody asked for, and whether it exists.
pub(crate) fn find(cx: &Cx<'_>, id: FunctionId) -> Result<Guarded<Named>, ApiError> {
    let arn = id.arn(cx);
    if !id.is_here(cx)? {
        let (function, policy) = (None, None);
        return Ok(Guarded::new(Named { id, arn, function, policy, is_built_in: false }));
    }
    let is_built_in = id.qualifier.is_none() && is_reserved(&id.name) && cx.functions().comes_along(&id.name);
    let qualifier = id.qualifier.clone().unwrap_or_default();
    let policy = cx.part::<PolicyRecord>(&[&id.name, &qualifier])?;
    let name = id.name.clone();
    cx.find_as::<FunctionRecord, Named>(&[&name], |function| Named { id, arn, function, policy, is_built_in })
}

/// The function that is written, asked for. The qualifier, if there may be one, is part of the question.
pub(crate) fn permitted(
    cx: &Cx<'_>,
    written: &str,
    qualifier: Option<&str>,
    action: Action,
) -> Result<(Named, Arc<FunctionRecord>), ApiError> {
    let named = find(cx, FunctionId::parse(written, qualifier)?)?.permit(cx, action)?;
    let function = named.existing()?;
    Ok((named, function))
}

/// The same for what concerns a function as a whole.
pub(crate) fn permitted_whole(
    cx: &Cx<'_>,
    written: &str,
    action: Action,
) -> Result<Arc<FunctionRecord>, ApiError> {
    let id = FunctionId::parse(written, None)?;
    if id.qualifier.is_some() {
        return Err(LambdaError::QualifierNotAllowed.into());
    }
    Ok(find(cx, id)?.permit(cx, action)?.existing()?)
}

/// The revision that a qualifier leads to, and the alias on the way there.
#[derive(Debug)]
pub(crate) enum Meant {
    Latest,
    Version(Arc<VersionRecord>),
}

impl Meant {
    pub(crate) fn revision<'r>(&'r self, function: &'r FunctionRecord) -> &'r Revision {
        match self {
            Self::Latest => &function.latest,
            Self::Version(version) => &version.revision,
        }
    }
}

/// What a qualifier stands for. An alias with weights leads to the version of this call.
pub(crate) fn meant(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    qualifier: Option<&str>,
) -> Result<Meant, ApiError> {
    let arn = |qualifier: &str| format!("{}:{qualifier}", function.arn);
    let not_found = |qualifier: &str| LambdaError::FunctionNotFound { arn: arn(qualifier) };
    let version = match qualifier {
        None | Some(LATEST) => return Ok(Meant::Latest),
        Some(number) if is_number(number) => number.to_owned(),
        Some(name) => {
            let alias = cx.part::<AliasRecord>(&[&function.name, name])?;
            let alias = alias.ok_or_else(|| not_found(name))?;
            match alias.choose(cx.entropy()) {
                LATEST => return Ok(Meant::Latest),
                number => number.to_owned(),
            }
        }
    };
    let found = cx.part::<VersionRecord>(&[&function.name, &version])?;
    Ok(Meant::Version(found.ok_or_else(|| not_found(&version))?))
}

pub(crate) fn is_number(qualifier: &str) -> bool {
    !qualifier.is_empty() && qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_written_in_many_ways() {
        for (written, region, account, qualifier) in [
            ("app", None, None, None),
            ("app:7", None, None, Some("7")),
            ("app:$LATEST", None, None, Some("$LATEST")),
            ("function:app", None, None, None),
            ("function:app:7", None, None, Some("7")),
            ("111122223333:function:app", None, Some("111122223333"), None),
            ("111122223333:function:app:prod", None, Some("111122223333"), Some("prod")),
            (
                "arn:aws:lambda:eu-west-1:111122223333:function:app",
                Some("eu-west-1"),
                Some("111122223333"),
                None,
            ),
            (
                "arn:aws:lambda:eu-west-1:111122223333:function:app:7",
                Some("eu-west-1"),
                Some("111122223333"),
                Some("7"),
            ),
            (
                "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:app",
                Some("us-gov-west-1"),
                Some("111122223333"),
                None,
            ),
        ] {
            let id = FunctionId::parse(written, None).unwrap();
            assert_eq!(id.name, "app", "{written}");
            assert_eq!((id.region.as_deref(), id.account.as_deref()), (region, account), "{written}");
            assert_eq!(id.qualifier.as_deref(), qualifier, "{written}");
        }
        // A name can look like an account, or be the word itself.
        assert_eq!(FunctionId::parse("111122223333", None).unwrap().name, "111122223333");
        assert_eq!(FunctionId::parse("function", None).unwrap().name, "function");
        let id = FunctionId::parse("111122223333:prod", None).unwrap();
        assert_eq!((id.name.as_str(), id.qualifier.as_deref()), ("111122223333", Some("prod")));
        assert_eq!(id.account, None);
    }

    #[test]
    fn what_only_looks_like_a_function_is_refused() {
        for written in [
            "arn:x:y:eu-west-1:111122223333:function:app",
            "arn:aws:sqs:eu-west-1:111122223333:function:app",
            "arn::lambda:eu-west-1:111122223333:function:app",
            "arn:aws:lambda:111122223333:function:app",
            "arn:aws:lambda:eu-west-1:function:app",
            "arn:aws:lambda:eu-west-1:111122223333:app",
            "arn:aws:lambda:eu-west-1:1111:function:app",
            "arn:aws:lambda:eu-west-1:111122223333:layer:app",
            "arn:aws:lambda:eu-west-1:111122223333:function",
            "arn:aws:lambda:app",
            "arn:aws:lambda:function:app",
            "eu-west-1:111122223333:function:app",
            "111122223333:function:app:7:8",
            "111122223333:app:7",
            "app:7:8",
        ] {
            let parsed = FunctionId::parse(written, None);
            assert!(matches!(parsed, Err(LambdaError::NoFunctionName { .. })), "{written}: {parsed:?}");
        }
    }

    #[test]
    fn two_qualifiers_are_one() {
        let parse = |written: &str, qualifier| FunctionId::parse(written, qualifier).map(|id| id.qualifier);
        assert_eq!(parse("app", Some("7")).unwrap().as_deref(), Some("7"));
        assert_eq!(parse("app:7", Some("7")).unwrap().as_deref(), Some("7"));
        assert_eq!(parse("app:7", Some("")).unwrap().as_deref(), Some("7"));
        assert!(matches!(parse("app:7", Some("8")), Err(LambdaError::QualifiersDiffer)));
        assert!(matches!(parse(&"a".repeat(65), None), Err(LambdaError::NameTooLong { .. })));
    }
}
