//! What an event says, for whoever looks events up: the members that people search by.

use std::borrow::Cow;

use coffer_types::Timestamp;
use serde::Deserialize;

/// An event that was read back. Texts without escapes are borrowed from it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFacts<'e> {
    #[serde(rename = "eventID", borrow)]
    pub event_id: Cow<'e, str>,
    #[serde(borrow)]
    pub event_time: Cow<'e, str>,
    #[serde(borrow)]
    pub event_source: Cow<'e, str>,
    #[serde(borrow)]
    pub event_name: Cow<'e, str>,
    #[serde(borrow)]
    pub aws_region: Cow<'e, str>,
    #[serde(borrow)]
    pub recipient_account_id: Cow<'e, str>,
    pub read_only: bool,
    #[serde(borrow, default)]
    event_type: Cow<'e, str>,
    #[serde(borrow, default)]
    pub error_code: Option<Cow<'e, str>>,
    #[serde(borrow, default, rename = "sourceIPAddress")]
    pub source_address: Option<Cow<'e, str>>,
    #[serde(borrow)]
    user_identity: Identity<'e>,
    #[serde(borrow, default)]
    resources: Vec<Named<'e>>,
    #[serde(borrow, default)]
    additional_event_data: Option<Additional<'e>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'e> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<Cow<'e, str>>,
    #[serde(default, borrow)]
    principal_id: Option<Cow<'e, str>>,
    #[serde(default, borrow)]
    arn: Option<Cow<'e, str>>,
    #[serde(default, borrow)]
    access_key_id: Option<Cow<'e, str>>,
    #[serde(default, borrow)]
    user_name: Option<Cow<'e, str>>,
    #[serde(default, borrow)]
    invoked_by: Option<Cow<'e, str>>,
}

#[derive(Debug, Deserialize)]
struct Named<'e> {
    #[serde(rename = "ARN", borrow)]
    arn: Cow<'e, str>,
}

#[derive(Debug, Deserialize)]
struct Additional<'e> {
    #[serde(rename = "SecretId", default, borrow)]
    secret_id: Option<Cow<'e, str>>,
}

impl<'e> AuditFacts<'e> {
    /// Nothing for what is no event.
    pub fn read(event: &'e str) -> Option<Self> {
        serde_json::from_str(event).ok()
    }

    pub fn time(&self) -> Option<Timestamp> {
        Timestamp::parse_iso(&self.event_time).ok()
    }

    /// Whether somebody asked for it. What a service does by itself has no outcome but the one in its name, such as `RotationFailed`.
    pub fn is_call(&self) -> bool {
        self.event_type != "AwsServiceEvent"
    }

    pub fn access_key_id(&self) -> Option<&str> {
        self.user_identity.access_key_id.as_deref()
    }

    /// The unique id of the user, or of the role behind a session.
    pub fn principal_id(&self) -> Option<&str> {
        self.user_identity.principal_id.as_deref().and_then(|id| id.split(':').next())
    }

    /// Who it was, as CloudTrail names them: a user's name, the name of a role's session, `root`, or the service.
    pub fn user_name(&self) -> Option<&str> {
        let identity = &self.user_identity;
        let named = identity.user_name.as_deref();
        match identity.kind.as_deref() {
            Some("Root") => Some("root"),
            Some("AssumedRole" | "FederatedUser") => {
                identity.arn.as_deref().and_then(|arn| arn.rsplit_once('/')).map(|(_, session)| session)
            }
            _ => named.or(identity.invoked_by.as_deref()),
        }
    }

    /// The ARNs of what it was about.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        let told = self.additional_event_data.as_ref().and_then(|told| told.secret_id.as_deref());
        self.resources.iter().map(|named| &*named.arn).chain(told)
    }

    /// Whether it was about a resource of this ARN, or of this name.
    pub fn is_about(&self, name: &str) -> bool {
        self.resources().any(|arn| arn == name || resource_name(arn).is_some_and(|of| of == name))
    }
}

/// AWS's word for the kind of resource that an ARN names.
pub fn resource_type(arn: &str) -> Option<&'static str> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service)) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let resource = parts.nth(2)?;
    let (kind, _) = resource.split_once([':', '/']).unwrap_or((resource, ""));
    Some(match (service, kind) {
        ("secretsmanager", "secret") => "AWS::SecretsManager::Secret",
        ("kms", "key") => "AWS::KMS::Key",
        ("kms", "alias") => "AWS::KMS::Alias",
        ("iam", "user") => "AWS::IAM::User",
        ("iam", "group") => "AWS::IAM::Group",
        ("iam", "role") => "AWS::IAM::Role",
        ("iam", "policy") => "AWS::IAM::Policy",
        ("iam", "instance-profile") => "AWS::IAM::InstanceProfile",
        ("iam", "oidc-provider") => "AWS::IAM::OIDCProvider",
        ("sts", "assumed-role") => "AWS::STS::AssumedRole",
        ("lambda", "function") => "AWS::Lambda::Function",
        _ => return None,
    })
}

/// What people call it: an ARN's last words, of a secret without the random ones.
fn resource_name(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    if let Some(secret) = resource.strip_prefix("secret:") {
        let (name, random) = secret.rsplit_once('-')?;
        return (random.len() == 6).then_some(name);
    }
    resource.rsplit(['/', ':']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(identity: &str, more: &str) -> String {
        format!(
            "{{\"eventVersion\":\"1.09\",\"userIdentity\":{identity},\"eventTime\":\"2026-01-02T03:04:05Z\",\
             \"eventSource\":\"secretsmanager.amazonaws.com\",\"eventName\":\"GetSecretValue\",\
             \"awsRegion\":\"eu-west-1\",\"requestParameters\":null,\"eventID\":\"e\",\"readOnly\":true{more},\
             \"recipientAccountId\":\"111122223333\"}}"
        )
    }

    #[test]
    fn users_are_named_as_cloudtrail_names_them() {
        for (identity, expected) in [
            (r#"{"type":"IAMUser","arn":"arn:aws:iam::1:user/a/ann","userName":"ann"}"#, Some("ann")),
            (r#"{"type":"Root","arn":"arn:aws:iam::1:root"}"#, Some("root")),
            (r#"{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/app/i-1"}"#, Some("i-1")),
            (r#"{"type":"AWSService","invokedBy":"kms.amazonaws.com"}"#, Some("kms.amazonaws.com")),
            (
                r#"{"accountId":"1","invokedBy":"secretsmanager.amazonaws.com"}"#,
                Some("secretsmanager.amazonaws.com"),
            ),
            (r#"{"type":"IAMUser","userName":"q\"uote"}"#, Some("q\"uote")),
            ("{}", None),
        ] {
            let text = event(identity, "");
            assert_eq!(AuditFacts::read(&text).unwrap().user_name(), expected, "{identity}");
        }
    }

    #[test]
    fn resources_are_found_by_arn_and_by_name() {
        let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/pass-word-AbCdEf";
        let text = event("{}", &format!(",\"resources\":[{{\"ARN\":\"{secret}\"}}]"));
        let facts = AuditFacts::read(&text).unwrap();
        for (name, expected) in [
            (secret, true),
            ("db/pass-word", true),
            ("db/pass-word-AbCdEf", false),
            ("pass-word", false),
            ("db/pass", false),
            ("", false),
        ] {
            assert_eq!(facts.is_about(name), expected, "{name}");
        }
        for (arn, kind) in [
            (secret, Some("AWS::SecretsManager::Secret")),
            ("arn:aws:kms:eu-west-1:111122223333:key/1", Some("AWS::KMS::Key")),
            ("arn:aws:iam::111122223333:user/team/ann", Some("AWS::IAM::User")),
            ("arn:aws:iam::111122223333:root", None),
            ("ann", None),
        ] {
            assert_eq!(resource_type(arn), kind, "{arn}");
        }
        assert_eq!(resource_name("arn:aws:iam::111122223333:user/team/ann"), Some("ann"));
    }

    #[test]
    fn what_a_service_does_by_itself_is_no_call() {
        for (kind, expected) in [("AwsApiCall", true), ("AwsServiceEvent", false), ("AwsConsoleSignIn", true)]
        {
            let text = event("{}", &format!(",\"eventType\":\"{kind}\""));
            assert_eq!(AuditFacts::read(&text).unwrap().is_call(), expected, "{kind}");
        }
    }

    #[test]
    fn what_is_no_event_is_none() {
        for text in ["", "null", "{}", "{\"eventID\":\"x\"}"] {
            assert!(AuditFacts::read(text).is_none(), "{text}");
        }
    }
}
