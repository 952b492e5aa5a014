//! Who else may invoke a function: statements, added and removed one by one.

use coffer_core::{Cx, ResourcePolicy, table};
use coffer_model::lambda::AddPermissionRequest;
use coffer_policy::{Document, Kind};
use coffer_shape::{ApiError, push_quoted, record};
use coffer_types::Arn;

use crate::error::LambdaError;

/// AWS's quota.
const BYTES_MAX: usize = 20_480;
/// What an explanation calls it.
pub(crate) const NAME: &str = "default";

record! {
    #[derive(Clone, PartialEq)]
    pub struct Statement {
        pub sid: String,
        /// As it is shown.
        pub text: String,
    }
}

table! {
    0x43 "lambda-policy", version 1, key (function, qualifier), part;

    /// Of the function itself, for which the qualifier is empty, of an alias or of a version.
    #[derive(Clone)]
    pub struct PolicyRecord {
        pub function: String,
        pub qualifier: String,
        pub statements: Vec<Statement>,
        /// All of them together.
        pub policy: ResourcePolicy,
        pub revision_id: String,
    }
}

impl PolicyRecord {
    pub(crate) fn add(&mut self, cx: &Cx<'_>, statement: Statement) -> Result<(), ApiError> {
        if self.statements.iter().any(|known| known.sid == statement.sid) {
            return Err(LambdaError::Statement { sid: statement.sid }.into());
        }
        self.statements.push(statement);
        self.write(cx)
    }

    pub(crate) fn remove(&mut self, cx: &Cx<'_>, sid: &str) -> Result<(), ApiError> {
        let before = self.statements.len();
        self.statements.retain(|statement| statement.sid != sid);
        if self.statements.len() == before {
            return Err(LambdaError::StatementMissing { sid: sid.to_owned() }.into());
        }
        // Without a statement there is no policy, and its record goes.
        if self.statements.is_empty() { Ok(()) } else { self.write(cx) }
    }

    fn write(&mut self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let statements: Vec<&str> = self.statements.iter().map(|statement| statement.text.as_str()).collect();
        let text =
            format!(r#"{{"Version":"2012-10-17","Id":"{NAME}","Statement":[{}]}}"#, statements.join(","));
        if text.len() > BYTES_MAX {
            return Err(LambdaError::PolicyTooLong { bytes: text.len() }.into());
        }
        let document = Document::parse(Kind::Resource, &text).map_err(|_| LambdaError::Principal)?;
        self.policy = ResourcePolicy::written(cx, text, &document, |_| LambdaError::Principal.into())?;
        self.revision_id = cx.uuid().to_string();
        Ok(())
    }
}

impl Statement {
    /// In AWS's layout. `resource` is what the permission is about.
    pub(crate) fn written(input: &AddPermissionRequest, resource: &str) -> Result<Self, LambdaError> {
        let quoted = |text: &str| {
            let mut out = String::new();
            push_quoted(&mut out, text, usize::MAX);
            out
        };
        let pair = |key: &str, value: &str| format!("{}:{}", quoted(key), quoted(value));
        let mut equals: Vec<String> = Vec::new();
        for (key, value) in [
            ("AWS:SourceAccount", &input.source_account),
            ("lambda:EventSourceToken", &input.event_source_token),
            ("lambda:FunctionUrlAuthType", &input.function_url_auth_type),
            ("aws:PrincipalOrgID", &input.principal_org_id),
        ] {
            equals.extend(value.as_ref().map(|value| pair(key, value)));
        }
        let mut conditions: Vec<String> = Vec::new();
        if !equals.is_empty() {
            conditions.push(format!(r#""StringEquals":{{{}}}"#, equals.join(",")));
        }
        if let Some(arn) = &input.source_arn {
            conditions.push(format!(r#""ArnLike":{{{}}}"#, pair("AWS:SourceArn", arn)));
        }
        if let Some(via) = input.invoked_via_function_url {
            conditions.push(format!(r#""Bool":{{"lambda:InvokedViaFunctionUrl":"{via}"}}"#));
        }
        let mut text = format!(
            r#"{{"Sid":{},"Effect":"Allow","Principal":{},"Action":{},"Resource":{}"#,
            quoted(&input.statement_id),
            principal(&input.principal)?,
            quoted(&input.action),
            quoted(resource),
        );
        if !conditions.is_empty() {
            text.push_str(&format!(r#","Condition":{{{}}}"#, conditions.join(",")));
        }
        text.push('}');
        Ok(Self { sid: input.statement_id.clone(), text })
    }
}

fn principal(written: &str) -> Result<String, LambdaError> {
    let of = |kind: &str, value: &str| {
        let mut out = format!(r#"{{"{kind}":"#);
        push_quoted(&mut out, value, usize::MAX);
        out.push('}');
        out
    };
    if written == "*" {
        return Ok(String::from("\"*\""));
    }
    if let Ok(account) = written.parse() {
        return Ok(of("AWS", Arn::global("iam", account, "root").as_str()));
    }
    match written.parse::<Arn>() {
        Ok(arn) if matches!(arn.service(), "iam" | "sts") => Ok(of("AWS", written)),
        Ok(_) => Err(LambdaError::Principal),
        Err(_) if written.ends_with(".amazonaws.com") => Ok(of("Service", written)),
        Err(_) => Err(LambdaError::Principal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_written_as_on_aws() {
        let arn = "arn:aws:lambda:eu-west-1:111122223333:function:rotate";
        let input = AddPermissionRequest {
            statement_id: "sm".into(),
            action: "lambda:InvokeFunction".into(),
            principal: "secretsmanager.amazonaws.com".into(),
            source_account: Some("111122223333".into()),
            source_arn: Some("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-*".into()),
            ..AddPermissionRequest::default()
        };
        assert_eq!(
            Statement::written(&input, arn).unwrap().text,
            r#"{"Sid":"sm","Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:eu-west-1:111122223333:function:rotate","Condition":{"StringEquals":{"AWS:SourceAccount":"111122223333"},"ArnLike":{"AWS:SourceArn":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-*"}}}"#
        );
        for (written, expected) in [
            ("*", Some(r#""*""#)),
            ("111122223333", Some(r#"{"AWS":"arn:aws:iam::111122223333:root"}"#)),
            ("arn:aws:iam::111122223333:user/ann", Some(r#"{"AWS":"arn:aws:iam::111122223333:user/ann"}"#)),
            ("events.amazonaws.com", Some(r#"{"Service":"events.amazonaws.com"}"#)),
            ("ann", None),
            ("arn:aws:s3:::bucket", None),
        ] {
            assert_eq!(principal(written).ok().as_deref(), expected, "{written}");
        }
    }
}
