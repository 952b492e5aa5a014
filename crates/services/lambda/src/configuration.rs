//! The configuration of a function: what may be asked for, and how it is shown.

use coffer_core::Cx;
use coffer_crypto::sha256;
use coffer_model::lambda::{self as model, CreateFunctionRequest, UpdateFunctionConfigurationRequest};
use coffer_shape::ApiError;
use coffer_types::{Secret, Timestamp, encoding::HEXLOWER};

use crate::{
    error::LambdaError,
    function::FunctionRecord,
    layer,
    package::UNZIPPED_BYTES_MAX,
    revision::{FileSystem, Revision, Variable, Vpc},
    role,
};

/// Runtimes that a function may have. What runs them is not asked here: one without an interpreter fails when it is invoked.
const RUNTIMES: &[&str] = &[
    "nodejs12.x",
    "nodejs14.x",
    "nodejs16.x",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "java8",
    "java8.al2",
    "java11",
    "java17",
    "java21",
    "java25",
    "python3.6",
    "python3.7",
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "dotnetcore3.1",
    "dotnet6",
    "dotnet8",
    "dotnet10",
    "ruby2.7",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided",
    "provided.al2",
    "provided.al2023",
];
/// Variables that the function finds in any case, and that nobody may set.
const RESERVED: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];
/// AWS's, in JSON.
const VARIABLES_BYTES_MAX: usize = 4096;
/// What a pair of quotes, a colon and a comma add to a variable in JSON.
const VARIABLE_BYTES_BESIDE: usize = 6;
const TIMEOUT_MAX: i64 = 900;
const MEMORY_MAX: i64 = 10_240;
const SCRATCH_MAX: i64 = 10_240;

/// What a request says of a configuration. What is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    runtime: Option<String>,
    handler: Option<String>,
    role: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory: Option<i64>,
    scratch: Option<i64>,
    environment: Option<model::Environment>,
    layers: Option<Vec<String>>,
    logging: Option<model::LoggingConfig>,
    tracing: Option<model::TracingConfig>,
    snap_start: Option<model::SnapStart>,
    dead_letter: Option<model::DeadLetterConfig>,
    kms_key: Option<String>,
    vpc: Option<model::VpcConfig>,
    file_systems: Option<Vec<model::FileSystemConfig>>,
}

impl Wishes {
    /// What is needed of a new function, and what nobody can have here.
    pub(crate) fn of_new(input: &mut CreateFunctionRequest) -> Result<Self, LambdaError> {
        let unsupported = [
            (
                "A container image",
                input.image_config.is_some() || input.package_type.as_deref() == Some("Image"),
            ),
            ("Code signing", input.code_signing_config_arn.is_some()),
            ("Tenant isolation", input.tenancy_config.is_some()),
            ("A capacity provider", input.capacity_provider_config.is_some()),
            ("Durable execution", input.durable_config.is_some()),
        ];
        if let Some((what, _)) = unsupported.into_iter().find(|(_, is_asked)| *is_asked) {
            return Err(LambdaError::NotSupported { what });
        }
        if input.runtime.is_none() {
            return Err(LambdaError::RuntimeMissing);
        }
        if input.handler.is_none() {
            return Err(LambdaError::HandlerMissing);
        }
        Ok(Self {
            runtime: input.runtime.take(),
            handler: input.handler.take(),
            role: Some(std::mem::take(&mut input.role)),
            description: input.description.take(),
            timeout: input.timeout,
            memory: input.memory_size,
            scratch: input.ephemeral_storage.take().map(|storage| storage.size),
            environment: input.environment.take(),
            layers: input.layers.take(),
            logging: input.logging_config.take(),
            tracing: input.tracing_config.take(),
            snap_start: input.snap_start.take(),
            dead_letter: input.dead_letter_config.take(),
            kms_key: input.kms_key_arn.take(),
            vpc: input.vpc_config.take(),
            file_systems: input.file_system_configs.take(),
        })
    }

    pub(crate) fn of_update(input: UpdateFunctionConfigurationRequest) -> Self {
        Self {
            runtime: input.runtime,
            handler: input.handler,
            role: input.role,
            description: input.description,
            timeout: input.timeout,
            memory: input.memory_size,
            scratch: input.ephemeral_storage.map(|storage| storage.size),
            environment: input.environment,
            layers: input.layers,
            logging: input.logging_config,
            tracing: input.tracing_config,
            snap_start: input.snap_start,
            dead_letter: input.dead_letter_config,
            kms_key: input.kms_key_arn,
            vpc: input.vpc_config,
            file_systems: input.file_system_configs,
        }
    }

    /// Writes them into a revision. Roles and layers are asked about.
    pub(crate) fn apply(
        self,
        cx: &Cx<'_>,
        revision: &mut Revision,
        name: &str,
        arn: &str,
    ) -> Result<(), ApiError> {
        self.ensure_possible()?;
        // A role that is written again is passed again.
        if let Some(role) = self.role {
            role::pass(cx, &role, arn, name)?;
            revision.role = role;
        }
        if let Some(arns) = self.layers {
            revision.layers = layer::used(cx, &arns)?;
        }
        if let Some(environment) = self.environment {
            revision.environment = variables(environment)?;
        }
        if let Some(logging) = self.logging {
            log(revision, logging)?;
        }
        put(&mut revision.runtime, self.runtime);
        put(&mut revision.handler, self.handler);
        put(&mut revision.description, self.description);
        put(&mut revision.timeout, self.timeout);
        put(&mut revision.memory, self.memory);
        put(&mut revision.scratch, self.scratch);
        if let Some(tracing) = self.tracing {
            revision.tracing_active = tracing.mode.as_deref() == Some("Active");
        }
        if let Some(snap_start) = self.snap_start {
            revision.snap_start = snap_start.apply_on.as_deref() == Some("PublishedVersions");
        }
        // An empty text takes these away.
        if let Some(dead_letter) = self.dead_letter {
            revision.dead_letter = dead_letter.target_arn.filter(|arn| !arn.is_empty());
        }
        if let Some(key) = self.kms_key {
            revision.kms_key = Some(key).filter(|arn| !arn.is_empty());
        }
        if let Some(vpc) = self.vpc {
            revision.vpc = vpc_of(vpc);
        }
        if let Some(systems) = self.file_systems {
            let system = |system: model::FileSystemConfig| FileSystem {
                arn: system.arn,
                mount: system.local_mount_path,
            };
            revision.file_systems = systems.into_iter().map(system).collect();
        }
        ensure_fits(revision)
    }

    fn ensure_possible(&self) -> Result<(), LambdaError> {
        if let Some(asked) = self.runtime.as_ref().filter(|asked| !RUNTIMES.contains(&asked.as_str())) {
            return Err(LambdaError::Runtime { asked: asked.clone() });
        }
        // The published model has larger maxima, for functions of other kinds. Its minima hold.
        match (self.timeout, self.memory, self.scratch) {
            (Some(asked), _, _) if asked > TIMEOUT_MAX => Err(LambdaError::Timeout { asked }),
            (_, Some(asked), _) if asked > MEMORY_MAX => Err(LambdaError::Memory { asked }),
            (_, _, Some(asked)) if asked > SCRATCH_MAX => Err(LambdaError::Scratch { asked }),
            _ => Ok(()),
        }
    }
}

/// All runtimes, as an error lists them.
pub(crate) fn runtimes() -> String {
    RUNTIMES.join(", ")
}

fn put<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

/// Code and layers together.
pub(crate) fn ensure_fits(revision: &Revision) -> Result<(), ApiError> {
    match revision.unzipped() {
        bytes if bytes > UNZIPPED_BYTES_MAX => Err(LambdaError::LayersTooLarge { bytes }.into()),
        _ => Ok(()),
    }
}

fn variables(environment: model::Environment) -> Result<Vec<Variable>, LambdaError> {
    let variables = environment.variables.unwrap_or_default();
    let names: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED.contains(name)).collect();
    if !names.is_empty() {
        return Err(LambdaError::ReservedVariables { names: names.join(", ") });
    }
    let bytes = variables
        .iter()
        .map(|(name, value)| name.len() + value.expose().len() + VARIABLE_BYTES_BESIDE)
        .sum::<usize>();
    if bytes > VARIABLES_BYTES_MAX {
        return Err(LambdaError::Variables { bytes });
    }
    Ok(variables.into_iter().map(|(name, value)| Variable { name, value }).collect())
}

fn log(revision: &mut Revision, wanted: model::LoggingConfig) -> Result<(), LambdaError> {
    let logging = &mut revision.logging;
    if let Some(format) = wanted.log_format {
        logging.json = format == "JSON";
    }
    if let Some(group) = wanted.log_group {
        logging.group = group;
    }
    if !logging.json && (wanted.application_log_level.is_some() || wanted.system_log_level.is_some()) {
        return Err(LambdaError::LogFormat);
    }
    let level = |wanted: Option<String>, known: &mut Option<String>| match (logging.json, wanted) {
        (false, _) => *known = None,
        (true, Some(level)) => *known = Some(level),
        (true, None) => *known = known.take().or_else(|| Some(String::from("INFO"))),
    };
    level(wanted.application_log_level, &mut logging.application_level);
    level(wanted.system_log_level, &mut logging.system_level);
    Ok(())
}

fn vpc_of(vpc: model::VpcConfig) -> Option<Vpc> {
    let vpc = Vpc {
        subnets: vpc.subnet_ids.unwrap_or_default(),
        security_groups: vpc.security_group_ids.unwrap_or_default(),
        ipv6: vpc.ipv6_allowed_for_dual_stack.unwrap_or_default(),
    };
    Some(vpc).filter(|vpc| !vpc.subnets.is_empty() || !vpc.security_groups.is_empty())
}

/// What an answer says of the change that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Creating,
    Updating,
    Done,
}

/// The configuration as it is shown under an ARN.
pub(crate) fn shown(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    revision: &Revision,
    arn: String,
    phase: Phase,
) -> model::FunctionConfiguration {
    let some = |text: &str| Some(text.to_owned());
    let begun = |phase_is: bool, text: &str| phase_is.then(|| text.to_owned());
    let (creating, updating) = (phase == Phase::Creating, phase == Phase::Updating);
    let variables = || {
        let pair =
            |variable: &Variable| (variable.name.clone(), Secret::new(variable.value.expose().clone()));
        revision.environment.iter().map(pair).collect()
    };
    model::FunctionConfiguration {
        function_name: Some(function.name.clone()),
        function_arn: Some(arn),
        runtime: Some(revision.runtime.clone()),
        role: Some(revision.role.clone()),
        handler: Some(revision.handler.clone()),
        code_size: Some(revision.code.package.length),
        description: Some(revision.description.clone()),
        timeout: Some(revision.timeout),
        memory_size: Some(revision.memory),
        last_modified: Some(time(revision.modified_at)),
        code_sha256: Some(revision.code.sha256.clone()),
        version: Some(revision.version.clone()),
        vpc_config: revision.vpc.as_ref().map(|vpc| model::VpcConfigResponse {
            subnet_ids: Some(vpc.subnets.clone()),
            security_group_ids: Some(vpc.security_groups.clone()),
            vpc_id: some(""),
            ipv6_allowed_for_dual_stack: Some(vpc.ipv6),
        }),
        dead_letter_config: revision
            .dead_letter
            .clone()
            .map(|arn| model::DeadLetterConfig { target_arn: Some(arn) }),
        environment: (!revision.environment.is_empty())
            .then(|| model::EnvironmentResponse { variables: Some(variables()), error: None }),
        kms_key_arn: revision.kms_key.clone(),
        tracing_config: Some(model::TracingConfigResponse {
            mode: some(if revision.tracing_active { "Active" } else { "PassThrough" }),
        }),
        revision_id: Some(revision.revision_id.clone()),
        layers: (!revision.layers.is_empty()).then(|| revision.layers.iter().map(layer::shown_use).collect()),
        state: some(if creating { "Pending" } else { "Active" }),
        state_reason: begun(creating, "The function is being created."),
        state_reason_code: begun(creating, "Creating"),
        // AWS's answer of CreateFunction has none: nothing was updated yet.
        last_update_status: some(if updating { "InProgress" } else { "Successful" }).filter(|_| !creating),
        last_update_status_reason: begun(updating, "The function is being created."),
        last_update_status_reason_code: begun(updating, "Creating"),
        file_system_configs: (!revision.file_systems.is_empty())
            .then(|| revision.file_systems.iter().map(shown_system).collect()),
        package_type: some("Zip"),
        architectures: Some(vec![revision.architecture.clone()]),
        ephemeral_storage: Some(model::EphemeralStorage { size: revision.scratch }),
        snap_start: Some(model::SnapStartResponse {
            apply_on: some(if revision.snap_start { "PublishedVersions" } else { "None" }),
            optimization_status: some("Off"),
        }),
        runtime_version_config: Some(model::RuntimeVersionConfig {
            runtime_version_arn: Some(runtime_version(cx, function, revision)),
            error: None,
        }),
        logging_config: Some(model::LoggingConfig {
            log_format: some(if revision.logging.json { "JSON" } else { "Text" }),
            application_log_level: revision.logging.application_level.clone(),
            system_log_level: revision.logging.system_level.clone(),
            log_group: Some(revision.logging.group.clone()),
        }),
        ..model::FunctionConfiguration::default()
    }
}

fn shown_system(system: &FileSystem) -> model::FileSystemConfig {
    model::FileSystemConfig {
        arn: system.arn.clone(),
        local_mount_path: system.mount.clone(),
        ..model::FileSystemConfig::default()
    }
}

/// Runtimes have no versions here; each has an ARN as those of AWS look, which tells one runtime from another.
fn runtime_version(cx: &Cx<'_>, function: &FunctionRecord, revision: &Revision) -> String {
    function.runtime_version.clone().unwrap_or_else(|| {
        let digest = HEXLOWER.encode(&sha256(revision.runtime.as_bytes()));
        format!("arn:aws:lambda:{}::runtime:{digest}", cx.region())
    })
}

/// `2026-11-22T12:00:00.000+0000`, which in Lambda's model is a text.
pub(crate) fn time(at: Timestamp) -> String {
    let text = at.to_iso_millis();
    format!("{}+0000", text.strip_suffix('Z').unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> model::Environment {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new((*value).to_owned()));
        model::Environment { variables: Some(pairs.iter().map(pair).collect()) }
    }

    #[test]
    fn variables_have_room_and_names_of_their_own() {
        assert_eq!(variables(environment(&[("A1", "x")])).unwrap().len(), 1);
        let long = "x".repeat(4096);
        assert!(matches!(variables(environment(&[("A1", &long)])), Err(LambdaError::Variables { .. })));
        let reserved =
            variables(environment(&[("AWS_REGION", "x"), ("LAMBDA_TASK_ROOT", "x"), ("MINE", "x")]));
        let Err(LambdaError::ReservedVariables { names }) = reserved else { panic!("{reserved:?}") };
        assert_eq!(names, "AWS_REGION, LAMBDA_TASK_ROOT");
    }

    #[test]
    fn numbers_have_a_maximum() {
        let of = |timeout, memory, scratch| {
            let wishes = Wishes { timeout, memory, scratch, ..Wishes::default() };
            wishes.ensure_possible().map_err(|error| ApiError::from(error).message)
        };
        assert_eq!(of(Some(900), Some(10_240), Some(10_240)), Ok(()));
        for (timeout, memory, scratch, part) in [
            (Some(901), None, None, "Value '901' at 'timeout'"),
            (None, Some(10_241), None, "'MemorySize'"),
            (
                None,
                None,
                Some(10_241),
                "Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or equal to 10240",
            ),
            (None, None, Some(32_768), "Value '32768' at 'ephemeralStorage.size'"),
        ] {
            let said = of(timeout, memory, scratch).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn levels_of_logs_belong_to_json() {
        let mut revision = Revision::default();
        let wanted = |format: &str, level: Option<&str>| model::LoggingConfig {
            log_format: Some(format.to_owned()),
            application_log_level: level.map(str::to_owned),
            ..model::LoggingConfig::default()
        };
        assert!(log(&mut revision, wanted("Text", Some("DEBUG"))).is_err());
        log(&mut revision, wanted("JSON", Some("DEBUG"))).unwrap();
        assert_eq!(revision.logging.application_level.as_deref(), Some("DEBUG"));
        assert_eq!(revision.logging.system_level.as_deref(), Some("INFO"));
        log(&mut revision, wanted("Text", None)).unwrap();
        assert_eq!(revision.logging.application_level, None);
    }

    #[test]
    fn times_are_texts() {
        assert_eq!(time(Timestamp::from_millis(1_767_225_601_007)), "2026-01-01T00:00:01.007+0000");
    }
}
