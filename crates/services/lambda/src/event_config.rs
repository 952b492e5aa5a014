//! What becomes of the events of a function: how often and how long they are tried, and which functions are told how they ended.

use coffer_core::{Cx, table};
use coffer_model::lambda::{
    DestinationConfig, FunctionEventInvokeConfig, OnFailure, OnSuccess, SERVICE, action,
};
use coffer_shape::ApiError;
use coffer_types::{Arn, Timestamp};

use crate::{
    error::LambdaError,
    function::FunctionRecord,
    named::{FunctionId, find, meant},
    revision::LATEST,
    role,
};

table! {
    0x47 "lambda-event-config", version 1, key (function, qualifier), part;

    #[derive(Clone)]
    pub struct EventConfigRecord {
        pub function: String,
        /// `$LATEST`, a version or an alias.
        pub qualifier: String,
        pub retries: Option<i64>,
        pub age_seconds: Option<i64>,
        /// ARNs of functions.
        pub on_success: Option<String>,
        pub on_failure: Option<String>,
        pub changed_at: Timestamp,
    }
}

impl EventConfigRecord {
    pub(crate) fn shown(&self, function: &FunctionRecord) -> FunctionEventInvokeConfig {
        let on_success = OnSuccess { destination: self.on_success.clone() };
        let on_failure = OnFailure { destination: self.on_failure.clone() };
        FunctionEventInvokeConfig {
            last_modified: Some(self.changed_at),
            function_arn: Some(format!("{}:{}", function.arn, self.qualifier)),
            maximum_retry_attempts: self.retries,
            maximum_event_age_in_seconds: self.age_seconds,
            destination_config: Some(DestinationConfig {
                on_success: Some(on_success),
                on_failure: Some(on_failure),
            }),
        }
    }

    /// Takes over where ends are told, both of them or none. An empty ARN is none.
    pub(crate) fn tell(
        &mut self,
        cx: &mut Cx<'_>,
        function: &FunctionRecord,
        config: &DestinationConfig,
    ) -> Result<(), ApiError> {
        let given = |arn: Option<&String>| arn.filter(|arn| !arn.is_empty()).cloned();
        self.on_success = given(config.on_success.as_ref().and_then(|on| on.destination.as_ref()));
        self.on_failure = given(config.on_failure.as_ref().and_then(|on| on.destination.as_ref()));
        let destinations: Vec<&String> = self.on_success.iter().chain(&self.on_failure).collect();
        for arn in destinations {
            let Some(id) = destination(cx, arn) else {
                let (on_success, on_failure) = (self.on_success.clone(), self.on_failure.clone());
                return Err(LambdaError::DestinationConfig { on_success, on_failure }.into());
            };
            ensure_can_tell(cx, function, &self.qualifier, arn, id)?;
        }
        Ok(())
    }
}

/// A function of this account and region. Queues, topics, buses and buckets are not here.
fn destination(cx: &Cx<'_>, written: &str) -> Option<FunctionId> {
    let arn: Arn = written.parse().ok()?;
    let is_here = arn.service() == "lambda"
        && arn.region() == cx.region().as_str()
        && arn.account() == cx.account().as_str()
        && arn.resource().starts_with("function:");
    if is_here { FunctionId::parse(written, None).ok() } else { None }
}

/// As AWS looks when it is written: the destination is there, it is another function, and the role may invoke it.
fn ensure_can_tell(
    cx: &mut Cx<'_>,
    function: &FunctionRecord,
    qualifier: &str,
    arn: &str,
    id: FunctionId,
) -> Result<(), ApiError> {
    if id.name == function.name {
        return Err(LambdaError::DestinationIsItself.into());
    }
    let role = meant(cx, function, Some(qualifier))?.revision(function).role.clone();
    let role = role::session(cx, &role, &function.arn, &function.name)?;
    let found = find(cx, id)?;
    // Who may not invoke it is not told whether it is there.
    let named = cx.in_the_name_of(&role, |cx| found.permit(cx, action::INVOKE_FUNCTION));
    let named = named.map_err(|error| match error.code() {
        code if code == SERVICE.codes.access_denied.code => {
            LambdaError::RoleCannotTell { arn: arn.to_owned() }.into()
        }
        _ => error,
    })?;
    let invalid = || LambdaError::Destination { arn: arn.to_owned() };
    let destination = named.existing().map_err(|_| invalid())?;
    meant(cx, &destination, named.id.qualifier.as_deref()).map_err(|_| invalid())?;
    Ok(())
}

/// Of `$LATEST`, if nothing else is said.
pub(crate) fn of(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    qualifier: Option<&str>,
) -> Result<Option<EventConfigRecord>, ApiError> {
    let found = cx.part::<EventConfigRecord>(&[&function.name, qualifier.unwrap_or(LATEST)])?;
    Ok(found.map(|config| (*config).clone()))
}

/// Everything of a function that can have a configuration.
pub(crate) fn qualifiers(function: &FunctionRecord) -> impl Iterator<Item = String> {
    let versions = function.versions.iter().map(i64::to_string);
    std::iter::once(LATEST.to_owned()).chain(versions).chain(function.aliases.iter().cloned())
}

/// What a configuration was about is gone.
pub(crate) fn forget(cx: &mut Cx<'_>, function: &str, qualifier: &str) -> Result<(), ApiError> {
    if cx.part::<EventConfigRecord>(&[function, qualifier])?.is_some() {
        cx.erase::<EventConfigRecord>(&[function, qualifier])?;
    }
    Ok(())
}
