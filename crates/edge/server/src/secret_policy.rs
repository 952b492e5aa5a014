//! The policy of a secret that denies whoever could take it away, seen and taken off by whoever works on the machine.
//!
//! No reset of an administrator helps against such a policy, because it denies him by name or with everybody. Taking it off undoes what
//! somebody decided, as a reset does, so it takes the same: the machine, and recovery shares where they were given out. The value is not
//! shown here. Who may read it is again for the policies of users and roles to say.

use coffer_core::Cx;
use coffer_model::secretsmanager::err;
use coffer_secretsmanager::{remove_secret_policy, secret_policy};
use coffer_shape::ApiError;
use coffer_types::{AccountId, Arn, Region};

use crate::{
    accounts::{Deployment, record},
    complaint::Complaint,
    open::local_caller,
};

/// As recovery shares are asked for, and as it has to be typed.
pub(crate) const REMOVE: &str = "coffer admin secret-policy remove <secret>";

/// The secret that somebody means: by its name, or by an ARN, which says the rest itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAsked {
    pub secret_id: String,
    /// The first, if none is named.
    pub account: Option<AccountId>,
    /// The one of the configuration, if none is named.
    pub region: Option<Region>,
}

/// A secret, and the policy that it has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPolicy {
    pub arn: String,
    pub policy: Option<String>,
}

impl SecretAsked {
    pub(crate) async fn place(&self, deployment: &Deployment<'_>) -> Result<(AccountId, Region), Complaint> {
        let arn = self.secret_id.parse::<Arn>().ok();
        let account = self.account.or_else(|| arn.as_ref().and_then(|arn| arn.account().parse().ok()));
        let region = self.region.clone().or_else(|| arn.as_ref().and_then(|arn| arn.region().parse().ok()));
        Ok((deployment.known(account).await?, region.unwrap_or_else(|| deployment.region.clone())))
    }
}

/// Shows the policy, also of a secret that nobody may see any more.
pub async fn show(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    uid: u32,
) -> Result<SecretPolicy, Complaint> {
    at_secret(deployment, asked, |cx| {
        let (arn, policy) = secret_policy(cx, &asked.secret_id)?;
        record(cx, "GetSecretPolicy", uid, vec![("SecretId", arn.clone())]);
        Ok(SecretPolicy { arn, policy })
    })
    .await
}

/// Takes the policy off. Answers the ARN, and whether there was one; only then it is on record.
pub async fn remove(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    uid: u32,
) -> Result<(String, bool), Complaint> {
    at_secret(deployment, asked, |cx| {
        let (arn, is_removed) = remove_secret_policy(cx, &asked.secret_id)?;
        if is_removed {
            record(cx, "RemoveSecretPolicy", uid, vec![("SecretId", arn.clone())]);
        }
        Ok((arn, is_removed))
    })
    .await
}

/// Does something where the secret is, in the name of whoever works on this machine.
async fn at_secret<T>(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    run: impl Fn(&mut Cx<'_>) -> Result<T, ApiError> + Sync,
) -> Result<T, Complaint> {
    let (account, region) = asked.place(deployment).await?;
    let caller = local_caller(deployment.core.world(), account, region.clone());
    deployment.core.run_local(&caller, run).await.map_err(|error| refused(&error, asked, account, &region))
}

fn refused(error: &ApiError, asked: &SecretAsked, account: AccountId, region: &Region) -> Complaint {
    if error.code() == err::resource_not_found("").code() {
        return Complaint::new(format!(
            "there is no secret {} in account {account} and {region}",
            asked.secret_id
        ))
        .next("the ARN of the secret, or --account <id> and --region <region>");
    }
    if error.is_fault() {
        return Complaint::new("the policy of the secret could not be reached")
            .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
            .next("coffer verify");
    }
    // The sentence that a client would read says it: a name that none has, or a replica, whose policy is that of its primary.
    Complaint::new("the policy of the secret stays as it is").because(&error.message)
}
