//! Rotations, for whoever works on the machine: which there are, what became of one, and what to do about one that does not end.
//!
//! No value is shown. Who takes a decision about two versions has tried them himself.

use coffer_core::{Core, Cx, Partition};
use coffer_model::secretsmanager::err;
use coffer_secretsmanager::{
    ActionView, FailureRecord, Repair, RotationCount, RotationView, repair_rotation, retry_rotation,
    rotation, rotation_count, rotations,
};
use coffer_shape::ApiError;
use coffer_types::{AccountId, Region, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    accounts::{Deployment, record},
    complaint::Complaint,
    doctor::Finding,
    open::local_caller,
    secret_policy::SecretAsked,
};

/// One rotation, as it travels to the command that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub secret: String,
    pub name: String,
    pub function: Option<String>,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub under_way: Option<UnderWay>,
    /// When something is to be done next.
    pub due: Option<String>,
    pub rotated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    pub current: Option<String>,
    pub pending: Option<String>,
    pub previous: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    pub version: String,
    pub test: bool,
    pub step: String,
    pub attempt: i64,
    /// Since when a function has been at it.
    pub running_since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: String,
    pub step: String,
    pub attempt: i64,
    pub message: String,
    pub error_type: Option<String>,
    pub error_message: Option<String>,
    pub log_group: Option<String>,
    pub log_stream: Option<String>,
}

/// What is done about a version that a rotation left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Promote,
    Drop,
}

impl From<RotationView> for Rotation {
    fn from(view: RotationView) -> Self {
        let shown = |at: Option<Timestamp>| at.map(Timestamp::to_iso_seconds);
        Self {
            secret: view.arn,
            name: view.name,
            function: view.function,
            enabled: view.is_enabled,
            under_way: view.action.map(|ActionView { version_id, is_test, step, attempt, begun_at }| {
                UnderWay { version: version_id, test: is_test, step, attempt, running_since: shown(begun_at) }
            }),
            due: shown(view.due_at),
            rotated: shown(view.rotated_at),
            failure: view.failure.map(|failure: FailureRecord| Failure {
                at: failure.at.to_iso_seconds(),
                step: failure.step,
                attempt: failure.attempt,
                message: failure.message,
                error_type: failure.error_type,
                error_message: failure.error_message,
                log_group: failure.log_group,
                log_stream: failure.log_stream,
            }),
            current: view.current,
            pending: view.pending,
            previous: view.previous,
        }
    }
}

/// Whether any of the whole store does not end.
pub(crate) async fn examined(core: &Core) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut good = 0;
    for Partition { account, region } in core.db().partitions() {
        let caller = local_caller(core.world(), account, region.clone());
        let counted = core.run_local(&caller, rotation_count).await;
        match counted {
            Ok(RotationCount { all, failed: 0 }) => good += all,
            Ok(RotationCount { all, failed }) => findings.push(Finding::warning(
                "rotations",
                format!(
                    "{failed} of {all} in account {account}, region {region} failed when they were last tried"
                ),
                format!("coffer rotation list --account {account} --region {region}"),
            )),
            Err(error) => findings.push(Finding::warning(
                "rotations",
                format!("those in account {account}, region {region} cannot be read: {error}"),
                "coffer verify, with the server stopped",
            )),
        }
    }
    if findings.is_empty() {
        findings
            .push(Finding::good("rotations", format!("{good}, none of which failed when it was last tried")));
    }
    findings
}

/// All of one account and region.
pub(crate) async fn list(
    deployment: &Deployment<'_>,
    account: Option<AccountId>,
    region: Option<Region>,
    uid: u32,
) -> Result<Vec<Rotation>, Complaint> {
    let account = deployment.known(account).await?;
    let region = region.unwrap_or_else(|| deployment.region.clone());
    let caller = local_caller(deployment.core.world(), account, region);
    let listed = deployment.core.run_local(&caller, |cx| {
        record(cx, "ListRotations", uid, Vec::new());
        rotations(cx)
    });
    let listed = listed.await.map_err(|error| {
        Complaint::new("the rotations could not be listed")
            .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
            .next("coffer verify")
    })?;
    Ok(listed.into_iter().map(Rotation::from).collect())
}

pub(crate) async fn show(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    uid: u32,
) -> Result<Rotation, Complaint> {
    about(deployment, asked, "GetRotation", uid, |cx| rotation(cx, &asked.secret_id)).await
}

pub(crate) async fn retry(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    uid: u32,
) -> Result<Rotation, Complaint> {
    about(deployment, asked, "RetryRotation", uid, |cx| retry_rotation(cx, &asked.secret_id)).await
}

pub(crate) async fn repair(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    decision: Decision,
    uid: u32,
) -> Result<Rotation, Complaint> {
    let repair = match decision {
        Decision::Promote => Repair::Promote,
        Decision::Drop => Repair::Drop,
    };
    about(deployment, asked, "RepairRotation", uid, |cx| repair_rotation(cx, &asked.secret_id, repair)).await
}

async fn about(
    deployment: &Deployment<'_>,
    asked: &SecretAsked,
    event: &'static str,
    uid: u32,
    work: impl Fn(&mut Cx<'_>) -> Result<RotationView, ApiError> + Sync,
) -> Result<Rotation, Complaint> {
    let (account, region) = asked.place(deployment).await?;
    let caller = local_caller(deployment.core.world(), account, region.clone());
    let done = deployment.core.run_local(&caller, |cx| {
        let view = work(cx)?;
        record(cx, event, uid, vec![("SecretId", view.arn.clone())]);
        Ok(view)
    });
    done.await.map(Rotation::from).map_err(|error| refused(&error, asked, account, &region))
}

fn refused(error: &ApiError, asked: &SecretAsked, account: AccountId, region: &Region) -> Complaint {
    let SecretAsked { secret_id, .. } = asked;
    if error.code() == err::resource_not_found("").code() {
        return Complaint::new(format!("{secret_id} in account {account} and {region}: nothing to be done"))
            .because(&error.message)
            .next("the ARN of the secret, or --account <id> and --region <region>");
    }
    Complaint::new(format!("the rotation of {secret_id} stays as it is"))
        .because(error.cause.as_deref().map_or_else(|| error.message.clone(), ToString::to_string))
        .next("coffer rotation list")
}
