//! How often and how long events are tried, and who is told how they ended.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::lambda::{
    DeleteFunctionEventInvokeConfigRequest, FunctionEventInvokeConfig, GetFunctionEventInvokeConfigRequest,
    ListFunctionEventInvokeConfigsRequest, ListFunctionEventInvokeConfigsResponse,
    PutFunctionEventInvokeConfigRequest, UpdateFunctionEventInvokeConfigRequest, action,
};
use coffer_shape::{Action, ApiError, Empty};

use crate::{
    error::LambdaError,
    event_config::{self, EventConfigRecord, forget, qualifiers},
    function::FunctionRecord,
    named::{FunctionId, find, meant},
    page,
    revision::LATEST,
};

/// What a configuration is or will be about.
struct Subject {
    function: Option<Arc<FunctionRecord>>,
    qualifier: String,
    /// With the qualifier, always.
    arn: String,
}

impl Subject {
    fn find(cx: &Cx<'_>, written: &str, qualifier: Option<&str>, action: Action) -> Result<Self, ApiError> {
        let named = find(cx, FunctionId::parse(written, qualifier)?)?.permit(cx, action)?;
        let qualifier = named.id.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
        let arn = format!("{}:{qualifier}", named.id.function_arn(cx));
        Ok(Self { function: named.existing().ok(), qualifier, arn })
    }

    /// For whoever wants to change it: function and qualifier are there.
    fn existing(self, cx: &Cx<'_>) -> Result<(Arc<FunctionRecord>, String), ApiError> {
        let function = self.function.ok_or(LambdaError::FunctionMissing)?;
        meant(cx, &function, Some(&self.qualifier)).map_err(|_| LambdaError::FunctionMissing)?;
        Ok((function, self.qualifier))
    }

    fn config(&self, cx: &Cx<'_>) -> Result<(Arc<FunctionRecord>, EventConfigRecord), ApiError> {
        let none = || LambdaError::NoEventInvokeConfig { arn: self.arn.clone() };
        let function = self.function.clone().ok_or_else(none)?;
        let config = event_config::of(cx, &function, Some(&self.qualifier))?.ok_or_else(none)?;
        Ok((function, config))
    }
}

/// Writes all of it: what is not said is as it was before anything was.
pub(crate) fn put_function_event_invoke_config(
    cx: &mut Cx<'_>,
    input: PutFunctionEventInvokeConfigRequest,
) -> Result<FunctionEventInvokeConfig, ApiError> {
    let subject = Subject::find(
        cx,
        &input.function_name,
        input.qualifier.as_deref(),
        action::PUT_FUNCTION_EVENT_INVOKE_CONFIG,
    )?;
    let (retries, age_seconds) = (input.maximum_retry_attempts, input.maximum_event_age_in_seconds);
    if retries.is_none() && age_seconds.is_none() && input.destination_config.is_none() {
        return Err(LambdaError::NothingSaidOfEvents.into());
    }
    let (function, qualifier) = subject.existing(cx)?;
    let mut config = EventConfigRecord {
        function: function.name.clone(),
        qualifier,
        retries,
        age_seconds,
        changed_at: cx.now(),
        ..EventConfigRecord::default()
    };
    config.tell(cx, &function, &input.destination_config.unwrap_or_default())?;
    let answer = config.shown(&function);
    cx.save(config)?;
    Ok(answer)
}

/// Writes what is said, and leaves the rest.
pub(crate) fn update_function_event_invoke_config(
    cx: &mut Cx<'_>,
    input: UpdateFunctionEventInvokeConfigRequest,
) -> Result<FunctionEventInvokeConfig, ApiError> {
    let subject = Subject::find(
        cx,
        &input.function_name,
        input.qualifier.as_deref(),
        action::UPDATE_FUNCTION_EVENT_INVOKE_CONFIG,
    )?;
    let (retries, age_seconds) = (input.maximum_retry_attempts, input.maximum_event_age_in_seconds);
    if retries.is_none() && age_seconds.is_none() && input.destination_config.is_none() {
        return Err(LambdaError::NothingSaidOfEvents.into());
    }
    let known = subject.config(cx);
    subject.existing(cx)?;
    let (function, mut config) = known?;
    config.retries = retries.or(config.retries);
    config.age_seconds = age_seconds.or(config.age_seconds);
    if let Some(destinations) = &input.destination_config {
        config.tell(cx, &function, destinations)?;
    }
    config.changed_at = cx.now();
    let answer = config.shown(&function);
    cx.save(config)?;
    Ok(answer)
}

pub(crate) fn get_function_event_invoke_config(
    cx: &mut Cx<'_>,
    input: GetFunctionEventInvokeConfigRequest,
) -> Result<FunctionEventInvokeConfig, ApiError> {
    let subject = Subject::find(
        cx,
        &input.function_name,
        input.qualifier.as_deref(),
        action::GET_FUNCTION_EVENT_INVOKE_CONFIG,
    )?;
    let (function, config) = subject.config(cx)?;
    Ok(config.shown(&function))
}

pub(crate) fn delete_function_event_invoke_config(
    cx: &mut Cx<'_>,
    input: DeleteFunctionEventInvokeConfigRequest,
) -> Result<Empty, ApiError> {
    let subject = Subject::find(
        cx,
        &input.function_name,
        input.qualifier.as_deref(),
        action::DELETE_FUNCTION_EVENT_INVOKE_CONFIG,
    )?;
    let (function, config) = subject.config(cx)?;
    forget(cx, &function.name, &config.qualifier)?;
    Ok(Empty {})
}

pub(crate) fn list_function_event_invoke_configs(
    cx: &mut Cx<'_>,
    input: ListFunctionEventInvokeConfigsRequest,
) -> Result<ListFunctionEventInvokeConfigsResponse, ApiError> {
    let action = action::LIST_FUNCTION_EVENT_INVOKE_CONFIGS;
    let subject = Subject::find(cx, &input.function_name, None, action)?;
    let function = subject.function.ok_or(LambdaError::FunctionMissing)?;
    let query = ListFunctionEventInvokeConfigsRequest { marker: None, max_items: None, ..input.clone() };
    let pages = page::of(&query, input.marker.as_deref(), input.max_items);
    let mut configs = Vec::new();
    for qualifier in qualifiers(&function) {
        if let Some(config) = event_config::of(cx, &function, Some(&qualifier))? {
            configs.push((qualifier, config));
        }
    }
    let page = pages.of_gathered(cx, configs)?;
    let configs = page.items.iter().map(|config| config.shown(&function)).collect();
    Ok(ListFunctionEventInvokeConfigsResponse {
        next_marker: page.marker,
        function_event_invoke_configs: Some(configs),
    })
}
