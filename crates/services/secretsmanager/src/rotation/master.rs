//! The secret of whoever sets passwords, which some rotators read beside the one that they rotate.
//!
//! A rotator that comes along has no role whose policies say what it may read. So it reads in the name of whoever named it as the function
//! of the rotation: he is asked when he does, and again at each run, when his permissions are those of that moment.

use std::sync::Arc;

use coffer_core::{Cx, Principal};
use coffer_model::secretsmanager::{GetSecretValue, GetSecretValueRequest, SERVICE};
use coffer_shape::ApiError;

use super::{confine::Known, run::RunRecord};
use crate::{
    principal::PrincipalRecord,
    secret::{CURRENT, SecretRecord},
    value::{SecretValue, open_version},
};

/// Whether a function, however it is written, is one that reads such a secret.
pub(crate) fn is_read_by(cx: &Cx<'_>, function: &str) -> bool {
    function.split(':').any(|part| cx.functions().reads_master(part))
}

/// Refuses a caller who may not read what the rotator is going to read for him. Whatever else is wrong with it the rotation says.
pub(crate) fn ensure_readable(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let Some(secret_id) = named_by(cx, secret) else { return Ok(()) };
    let read = GetSecretValueRequest { secret_id, ..GetSecretValueRequest::default() };
    match cx.invoke::<GetSecretValue>(read) {
        Err(error) if error.is_fault() || error.code() == SERVICE.codes.access_denied.code => Err(error),
        _ => Ok(()),
    }
}

/// What the current value says, which the caller need not be able to read.
fn named_by(cx: &mut Cx<'_>, secret: &SecretRecord) -> Option<String> {
    let current = secret.holder(CURRENT).filter(|version| version.has_value)?.id.clone();
    let service = Principal::service(cx.account(), SERVICE.event_source);
    let opened = cx.in_the_name_of(&service, |cx| cx.attempt(|cx| open_version(cx, secret, &current)));
    match opened {
        Ok(SecretValue::String(text)) => Known::of_text(&text).master,
        Ok(SecretValue::Binary(_)) => None,
        Err(error) => {
            cx.goes_on_without(&error);
            None
        }
    }
}

/// Keeps the caller as the one in whose name it is read from now on; nobody, if the function reads none.
pub(crate) fn keep_reader(cx: &mut Cx<'_>, secret_arn: &str, is_read: bool) -> Result<(), ApiError> {
    let Some(run) = cx.part::<RunRecord>(&[secret_arn])? else { return Ok(()) };
    let mut run = Arc::unwrap_or_clone(run);
    let reader = PrincipalRecord::of(cx.caller()).filter(|_| is_read);
    run.master_reader = reader.map(Box::new);
    cx.save(run)
}

/// In whose name it is read now; nobody, if he is no more.
pub(crate) fn reader(cx: &Cx<'_>, run: &RunRecord) -> Result<Option<Principal>, ApiError> {
    Ok(run.master_reader.as_deref().map(|kept| kept.today(cx)).transpose()?.flatten())
}
