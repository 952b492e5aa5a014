//! Somebody whom policies bind, for the cases that show what deciding costs.
//!
//! The administrator of the other cases holds one policy, which allows everything. This one holds ten managed policies, of which the last
//! lets him read what is tagged with his team, and the secret he reads has a policy of its own.

use std::{hint::black_box, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use coffer_policy::{Caller, Context, Document, Key, Kind, Policies, Policy, Request, Values, tag};
use coffer_types::Secret;
use serde_json::json;

use super::{
    clock::Stopwatch,
    http::Connection,
    requests::{Client, value},
};

pub const SECRET: &str = "people/secret";
const USER: &str = "reader";
const ROLE: &str = "deputy";
const POLICIES: usize = 10;
/// Decisions in one go; the figure is their mean.
const DECISIONS: u32 = 200_000;

/// Makes the reader, the secret he reads and the role he takes on; answers who he is and the ARN of the role.
pub async fn settle(administrator: &Client, server: SocketAddr) -> Result<(Client, String)> {
    let mut connection = Connection::open(server).await?;
    let mut ask = async |request: Vec<u8>| -> Result<String> {
        let answer = connection.exchange(&request).await?;
        let text = String::from_utf8_lossy(answer.body).into_owned();
        if answer.status != 200 {
            bail!("setting the stage: {} {text}", answer.status);
        }
        Ok(text)
    };
    let iam = |operation: &str, members: &[(&str, &str)]| administrator.form("iam", operation, members);

    let tags = [("UserName", USER), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")];
    let user = ask(iam("CreateUser", &tags)?).await?;
    let user_arn = element(&user, "Arn")?;
    let key = ask(iam("CreateAccessKey", &[("UserName", USER)])?).await?;
    for index in 0..POLICIES {
        let name = format!("policy-{index}");
        let made =
            ask(iam("CreatePolicy", &[("PolicyName", &name), ("PolicyDocument", &document(index))])?).await?;
        let attached = [("UserName", USER), ("PolicyArn", &element(&made, "Arn")?)];
        ask(iam("AttachUserPolicy", &attached)?).await?;
    }
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": user_arn}, "Action": "sts:AssumeRole"}],
    });
    let trust = trust.to_string();
    let role = ask(iam("CreateRole", &[("RoleName", ROLE), ("AssumeRolePolicyDocument", &trust)])?).await?;

    let secret = json!({
        "Name": SECRET,
        "ClientRequestToken": "11111111-0000-4000-8000-000000000000",
        "SecretString": value(),
        "Tags": [{"Key": "team", "Value": "red"}],
    });
    ask(administrator.request("CreateSecret", &secret)?).await?;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "red"}},
        }],
    });
    let policy = json!({"SecretId": SECRET, "ResourcePolicy": policy.to_string()});
    ask(administrator.request("PutResourcePolicy", &policy)?).await?;

    let reader = Client {
        host: administrator.host.clone(),
        region: administrator.region.clone(),
        access_key_id: element(&key, "AccessKeyId")?,
        secret_access_key: Secret::new(element(&key, "SecretAccessKey")?),
    };
    Ok((reader, element(&role, "Arn")?))
}

/// Makes somebody who may do everything.
pub async fn stranger(administrator: &Client, server: SocketAddr, name: &str) -> Result<Client> {
    let mut connection = Connection::open(server).await?;
    let named = vec![("UserName", name)];
    let allowed = vec![("UserName", name), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")];
    let mut key = String::new();
    for (operation, members) in
        [("CreateUser", &named), ("AttachUserPolicy", &allowed), ("CreateAccessKey", &named)]
    {
        let answer = connection.exchange(&administrator.form("iam", operation, members)?).await?;
        key = String::from_utf8_lossy(answer.body).into_owned();
        if answer.status != 200 {
            bail!("setting the stage: {} {key}", answer.status);
        }
    }
    Ok(Client {
        host: administrator.host.clone(),
        region: administrator.region.clone(),
        access_key_id: element(&key, "AccessKeyId")?,
        secret_access_key: Secret::new(element(&key, "SecretAccessKey")?),
    })
}

/// The request of somebody who takes on the role.
pub fn assume(reader: &Client, role: &str) -> Result<Vec<u8>> {
    reader.form("sts", "AssumeRole", &[("RoleArn", role), ("RoleSessionName", "bench")])
}

/// The last one allows, the others are about something else.
fn document(index: usize) -> String {
    let (action, condition) = if index + 1 == POLICIES {
        ("secretsmanager:Get*", json!({"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}))
    } else {
        (
            "secretsmanager:DescribeSecret",
            json!({"StringLike": {"secretsmanager:Name": format!("app-{index}/*")}}),
        )
    };
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Read", "Effect": "Allow", "Action": [action, "secretsmanager:ListSecretVersionIds"],
             "Resource": "arn:aws:secretsmanager:*:*:secret:*", "Condition": condition},
            {"Sid": "Own", "Effect": "Allow", "Action": "iam:*AccessKey*",
             "Resource": "arn:aws:iam::*:user/${aws:username}"},
        ],
    });
    document.to_string()
}

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Result<String> {
    let rest = xml.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split_once('<')).map(|(text, _)| text.to_owned());
    text.with_context(|| format!("no {name} in the answer"))
}

struct Tags;

impl Context for Tags {
    fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
        let tags = [("team", "red")];
        let name = key.behind("aws:resourcetag/").or_else(|| key.behind("aws:principaltag/"))?;
        tag(tags, name).map(|value| Values::One(value.into()))
    }
}

/// How long the evaluator takes for one decision by these ten policies, alone and in this process.
pub fn decision() -> Result<Duration> {
    let policies = (0..POLICIES)
        .map(|index| {
            let document = Document::parse(Kind::Managed, &document(index))
                .map_err(|error| anyhow::anyhow!("a policy of the benchmark is none: {error:?}"))?;
            Ok(Policy::new("bench", &document))
        })
        .collect::<Result<Vec<_>>>()?;
    let identity: Vec<&Policy> = policies.iter().collect();
    let policies = Policies { identity: &identity, ..Policies::default() };
    let account = "111122223333".parse().context("an account")?;
    let request = Request {
        caller: Caller::User {
            arn: "arn:aws:iam::111122223333:user/reader",
            account,
            id: Some("AIDAEXAMPLE"),
        },
        action: "secretsmanager:GetSecretValue",
        resource: Some("arn:aws:secretsmanager:us-east-1:111122223333:secret:people/secret-AbCdEf"),
        resource_account: Some(account),
        context: &Tags,
        encryption_context: &[],
    };
    if !policies.decide(&request).is_allowed() {
        bail!("the policies of the benchmark do not allow what they should");
    }
    let watch = Stopwatch::start();
    for _ in 0..DECISIONS {
        black_box(black_box(&policies).decide(black_box(&request)));
    }
    Ok(watch.elapsed() / DECISIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_allow_what_is_measured() {
        assert!(decision().unwrap() > Duration::ZERO);
    }

    #[test]
    fn an_element_is_found() {
        assert_eq!(element("<A><Arn>x</Arn><Arn>y</Arn></A>", "Arn").unwrap(), "x");
        assert!(element("<A/>", "Arn").is_err());
    }
}
