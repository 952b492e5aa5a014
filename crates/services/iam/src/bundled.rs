//! The managed policies that come with Coffer, under the ARNs they have on AWS.
//!
//! Their texts say what AWS documents them to allow; the two that look at every service there is are cut down to those that Coffer
//! has or may come to have. Nobody can change them, and every account has them.

use std::sync::{Arc, LazyLock};

use coffer_core::PolicyText;
use coffer_policy::{Kind, Policy};
use coffer_types::Timestamp;

/// The holder of this one may do everything.
pub(crate) const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

#[derive(Debug)]
pub(crate) struct Bundled {
    pub arn: &'static str,
    pub name: &'static str,
    pub path: &'static str,
    pub policy_id: &'static str,
    /// AWS's own number.
    pub version: &'static str,
    pub created_at: Timestamp,
    /// When its version was made.
    pub updated_at: Timestamp,
    pub description: &'static str,
    pub text: PolicyText,
}

impl Bundled {
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.text.policy(Kind::Managed, self.arn)
    }
}

/// In the order of their names.
pub(crate) fn all() -> &'static [Bundled] {
    static ALL: LazyLock<Vec<Bundled>> = LazyLock::new(|| TEXTS.iter().filter_map(Text::read).collect());
    &ALL
}

pub(crate) fn find(arn: &str) -> Option<&'static Bundled> {
    all().iter().find(|policy| policy.arn == arn)
}

struct Text {
    arn: &'static str,
    path: &'static str,
    name: &'static str,
    policy_id: &'static str,
    version: &'static str,
    created: &'static str,
    updated: &'static str,
    description: &'static str,
    text: &'static str,
}

impl Text {
    fn read(&self) -> Option<Bundled> {
        Some(Bundled {
            arn: self.arn,
            name: self.name,
            path: self.path,
            policy_id: self.policy_id,
            version: self.version,
            created_at: Timestamp::parse_iso(self.created).ok()?,
            updated_at: Timestamp::parse_iso(self.updated).ok()?,
            description: self.description,
            text: PolicyText::parse(Kind::Managed, self.text.to_owned()).ok()?,
        })
    }
}

macro_rules! texts {
    ($($path:literal $name:literal $id:literal $version:literal $created:literal $updated:literal $description:literal;)*) => {
        &[$(Text {
            arn: concat!("arn:aws:iam::aws:policy", $path, $name),
            path: $path,
            name: $name,
            policy_id: $id,
            version: $version,
            created: $created,
            updated: $updated,
            description: $description,
            text: include_str!(concat!("bundled/", $name, ".json")),
        }),*]
    };
}

// Path, name, id, version, when it and its version were made on AWS, and what it is for in our words. Where AWS's own is not public,
// it is ours: the times that say midnight, and the id of the policy for clients of Secrets Manager.
static TEXTS: &[Text] = texts! {
    "/" "AWSKeyManagementServicePowerUser" "ANPAJNPP7PPPPMJRV2SA4"
        "v2" "2015-02-06T18:40:40Z" "2017-03-07T00:55:11Z"
        "Makes and looks at KMS keys, and does not administer those of others.";
    "/service-role/" "AWSLambdaBasicExecutionRole" "ANPAJNCQGXC42545SKXIK"
        "v1" "2015-04-09T15:03:43Z" "2015-04-09T15:03:43Z"
        "Lets a Lambda function write its log.";
    "/service-role/" "AWSLambdaRole" "ANPAJX4DPCRGTC4NFDUXI"
        "v1" "2015-02-06T18:41:28Z" "2015-02-06T18:41:28Z"
        "Invokes Lambda functions.";
    "/service-role/" "AWSLambdaVPCAccessExecutionRole" "ANPAJVTME3YLVNL72YR2K"
        "v3" "2016-02-11T23:15:26Z" "2024-01-05T22:38:26Z"
        "Lets a Lambda function write its log and have a network interface in a VPC.";
    "/" "AWSLambda_FullAccess" "ANPAZKAPJZG4OXQPYWZ5D"
        "v5" "2020-11-17T21:14:08Z" "2026-02-11T22:18:56Z"
        "Does everything in Lambda, and looks at what goes with it.";
    "/" "AWSLambda_ReadOnlyAccess" "ANPAZKAPJZG4IERNVMNPE"
        "v2" "2020-11-17T21:10:32Z" "2023-07-27T17:32:05Z"
        "Looks at everything in Lambda, and at what goes with it.";
    "/" "AWSSecretsManagerClientReadOnlyAccess" "ANPACOFFERCLIENTREAD2"
        "v4" "2025-11-05T00:00:00Z" "2026-02-13T00:00:00Z"
        "Reads the values of secrets, as clients of Secrets Manager do.";
    "/" "AdministratorAccess" "ANPAIWMBCKSKIEE64ZLYK"
        "v1" "2015-02-06T18:39:46Z" "2015-02-06T18:39:46Z"
        "Provides full access to AWS services and resources.";
    "/" "AmazonSSMFullAccess" "ANPAJA7V6HI4ISQFMDYAG"
        "v4" "2015-05-29T17:39:47Z" "2019-11-20T20:08:56Z"
        "Does everything in Systems Manager.";
    "/" "AmazonSSMReadOnlyAccess" "ANPAJODSKQGGJTHRYZ5FC"
        "v1" "2015-05-29T17:44:19Z" "2015-05-29T17:44:19Z"
        "Looks at everything in Systems Manager.";
    "/" "IAMFullAccess" "ANPAI7XKCFMBPM3QQRRVQ"
        "v2" "2015-02-06T18:40:38Z" "2019-06-21T19:40:00Z"
        "Does everything in IAM.";
    "/" "IAMReadOnlyAccess" "ANPAJKSO7NDY4T57MWDSQ"
        "v4" "2015-02-06T18:40:39Z" "2018-01-25T19:11:27Z"
        "Looks at everything in IAM.";
    "/" "PowerUserAccess" "ANPAJYRXTHIB4FOVS3ZXS"
        "v12" "2015-02-06T18:39:47Z" "2026-02-12T17:59:14Z"
        "Does everything but to manage users, groups and the account.";
    "/" "ReadOnlyAccess" "ANPAILL3HVNFSB6DCOWYQ"
        "v87" "2015-02-06T18:39:48Z" "2022-05-23T20:16:18Z"
        "Looks at everything but the values of secrets.";
    "/" "SecretsManagerReadWrite" "ANPAI3VG7CI5BIQZQ6G2E"
        "v5" "2018-04-04T18:05:29Z" "2024-03-12T00:00:00Z"
        "Does everything in Secrets Manager, and looks at what rotation needs.";
    "/" "SecurityAudit" "ANPAIX2T3QCXHR2OGGCTO"
        "v51" "2015-02-06T18:41:01Z" "2025-05-05T17:22:06Z"
        "Looks at how everything is set up, and at no data.";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_a_policy_and_stands_in_the_order_of_names() {
        assert_eq!(all().len(), TEXTS.len());
        assert!(all().is_sorted_by_key(|policy| policy.name));
        assert!(all().iter().all(|policy| policy.created_at <= policy.updated_at));
        let ids: std::collections::BTreeSet<_> = all().iter().map(|policy| policy.policy_id).collect();
        assert_eq!(ids.len(), all().len());
        assert!(ids.iter().all(|id| id.len() == 21 && id.starts_with("ANPA")));
        assert!(find(ADMINISTRATOR_ACCESS).is_some());
    }
}
