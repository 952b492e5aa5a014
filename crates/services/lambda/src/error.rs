//! What can go wrong, and what a client is told: every sentence of Lambda that we know stands here.

use coffer_model::lambda::err;
use coffer_shape::ApiError;

use crate::package::PackageError;

/// As the published model has it.
const NAME_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

#[derive(Debug)]
pub(crate) enum LambdaError {
    /// Of an ARN.
    FunctionNotFound {
        arn: String,
    },
    AliasNotFound {
        arn: String,
    },
    AnotherRegion {
        theirs: String,
        ours: String,
    },
    FunctionExists {
        name: String,
    },
    AliasExists {
        arn: String,
    },
    NameTooLong {
        name: String,
    },
    /// Neither a name nor an ARN, whole or partial.
    NoFunctionName {
        written: String,
    },
    QualifiersDiffer,
    QualifierNotAllowed,
    RevisionIsOld,
    RoleNotAssumable,
    Runtime {
        asked: String,
    },
    RuntimeMissing,
    HandlerMissing,
    Package(PackageError),
    NoPackage,
    FromBucket,
    Image,
    NotSupported {
        what: &'static str,
    },
    Timeout {
        asked: i64,
    },
    Memory {
        asked: i64,
    },
    Scratch {
        asked: i64,
    },
    Variables {
        bytes: usize,
    },
    ReservedVariables {
        names: String,
    },
    LayerMissing {
        arn: String,
    },
    LayerOfOthers {
        who: String,
        arn: String,
    },
    LayersTooMany,
    LayerTwice {
        arn: String,
    },
    LayersTooLarge {
        bytes: i64,
    },
    LayerVersionNotFound,
    LayerNotFound {
        arn: String,
    },
    LogFormat,
    TagKeyReserved,
    TooManyTags,
    TagsOfVersion,
    Marker,
    CodeIsAnother {
        asked: String,
        latest: String,
    },
    LatestStays,
    VersionHasAliases {
        aliases: String,
    },
    Routing,
    RoutingToLatest,
    Statement {
        sid: String,
    },
    StatementMissing {
        sid: String,
    },
    NoPolicy,
    Principal,
    PolicyTooLong {
        bytes: usize,
    },
    TooLittleUnreserved,
    NoEventInvokeConfig {
        arn: String,
    },
    FunctionMissing,
    NothingSaidOfEvents,
    DestinationConfig {
        on_success: Option<String>,
        on_failure: Option<String>,
    },
    Destination {
        arn: String,
    },
    DestinationIsItself,
    RoleCannotTell {
        arn: String,
    },
    RuntimeArn,
    EventTooLarge {
        bytes: usize,
        limit: usize,
        kind: &'static str,
    },
    EventNotJson {
        why: String,
    },
    ClientContext,
    OneTooMany,
    QueueFull,
    CannotRun {
        why: String,
    },
}

impl From<LambdaError> for ApiError {
    fn from(error: LambdaError) -> Self {
        use LambdaError as E;
        let invalid = |text: String| err::invalid_parameter_value(text);
        match error {
            E::FunctionNotFound { arn } => err::resource_not_found(format!("Function not found: {arn}")),
            E::AliasNotFound { arn } => err::resource_not_found(format!("Cannot find alias arn: {arn}")),
            E::AnotherRegion { theirs, ours } => err::resource_not_found(format!(
                "Functions from '{theirs}' are not reachable in this region ('{ours}')"
            )),
            E::FunctionExists { name } => err::resource_conflict(format!("Function already exist: {name}")),
            E::AliasExists { arn } => err::resource_conflict(format!("Alias already exists: {arn}")),
            E::NameTooLong { name } => err::validation(format!(
                "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
            )),
            E::NoFunctionName { written } => err::validation(format!(
                "1 validation error detected: Value '{written}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: {NAME_PATTERN}"
            )),
            E::QualifiersDiffer => err::invalid_parameter_value(
                "The derived qualifier from the function name does not match the specified qualifier.",
            ),
            E::QualifierNotAllowed => err::invalid_parameter_value(
                "This operation is permitted only on Lambda functions. The function name must have no qualifier.",
            ),
            E::RevisionIsOld => err::precondition_failed(
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
            ),
            E::RoleNotAssumable => {
                err::invalid_parameter_value("The role defined for the function cannot be assumed by Lambda.")
            }
            E::Runtime { asked } => invalid(format!(
                "Value {asked} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a valid ARN",
                crate::configuration::runtimes()
            )),
            E::RuntimeMissing => err::invalid_parameter_value(
                "Runtime is mandatory for functions created with deployment packages.",
            ),
            E::HandlerMissing => err::invalid_parameter_value(
                "Handler is mandatory for functions created with deployment packages.",
            ),
            E::Package(error) => package(&error),
            E::NoPackage => err::invalid_parameter_value("Please provide a source for function code."),
            E::FromBucket => err::invalid_parameter_value(
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
            ),
            E::Image => err::invalid_parameter_value(
                "Container images are not supported: give the code of the function as a zip file.",
            ),
            E::NotSupported { what } => invalid(format!("{what} is not supported.")),
            E::Timeout { asked } => err::validation(format!(
                "1 validation error detected: Value '{asked}' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"
            )),
            E::Memory { asked } => invalid(format!(
                "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240, and is {asked}"
            )),
            E::Scratch { asked } => err::validation(format!(
                "1 validation error detected: Value '{asked}' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or equal to 10240"
            )),
            E::Variables { bytes } => invalid(format!(
                "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {bytes} bytes"
            )),
            E::ReservedVariables { names } => invalid(format!(
                "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {names}"
            )),
            E::LayerMissing { arn } => invalid(format!("Layer version {arn} does not exist.")),
            E::LayerOfOthers { who, arn } => err::access_denied(format!(
                "User: {who} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} because no resource-based policy allows the lambda:GetLayerVersion action"
            )),
            E::LayersTooMany => err::invalid_parameter_value("A function can have at most 5 layers."),
            E::LayerTwice { arn } => invalid(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function: {arn}"
            )),
            E::LayersTooLarge { bytes } => invalid(format!(
                "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is {bytes} bytes."
            )),
            E::LayerVersionNotFound => err::resource_not_found("The resource you requested does not exist."),
            E::LayerNotFound { arn } => err::resource_not_found(format!("Layer not found: {arn}")),
            E::LogFormat => err::invalid_parameter_value(
                "To set an application or system log level, set the log format to JSON.",
            ),
            E::TagKeyReserved => {
                err::invalid_parameter_value("Tag keys starting with 'aws:' are reserved for system use.")
            }
            E::TooManyTags => err::invalid_parameter_value("A function can have at most 50 tags."),
            E::TagsOfVersion => err::invalid_parameter_value(
                "Tags on function aliases and versions are not supported. Please specify a function ARN.",
            ),
            E::Marker => err::invalid_parameter_value("The marker is not one of this list."),
            E::CodeIsAnother { asked, latest } => invalid(format!(
                "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({latest}). Please try again with the CodeSHA256 in $LATEST."
            )),
            E::LatestStays => err::invalid_parameter_value(
                "$LATEST version cannot be deleted without deleting the function.",
            ),
            E::VersionHasAliases { aliases } => err::resource_conflict(format!(
                "Unable to delete version because the following aliases reference it: [{aliases}]"
            )),
            E::Routing => err::invalid_parameter_value(
                "An alias can have one additional version, which is not its own, with a weight between 0.0 and 1.0.",
            ),
            E::RoutingToLatest => err::invalid_parameter_value(
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ),
            E::Statement { sid } => err::resource_conflict(format!(
                "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
            )),
            E::StatementMissing { sid } => {
                err::resource_not_found(format!("Statement {sid} is not found in resource policy."))
            }
            E::NoPolicy => err::resource_not_found("The resource you requested does not exist."),
            E::Principal => err::invalid_parameter_value(
                "The provided principal was invalid. Please check the principal and try again.",
            ),
            E::PolicyTooLong { bytes } => err::policy_length_exceeded(format!(
                "The final policy size ({bytes}) is bigger than the limit (20480)."
            )),
            E::TooLittleUnreserved => err::invalid_parameter_value(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
            ),
            E::NoEventInvokeConfig { arn } => {
                err::resource_not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
            }
            E::FunctionMissing => err::resource_not_found("The function doesn't exist."),
            E::NothingSaidOfEvents => err::invalid_parameter_value(
                "You must specify at least one of error handling or destination setting.",
            ),
            E::DestinationConfig { on_success, on_failure } => {
                let on = |name: &str, arn: Option<String>| match arn {
                    Some(arn) => format!("{name}(destination={arn})"),
                    None => String::from("null"),
                };
                let (on_success, on_failure) = (on("OnSuccess", on_success), on("OnFailure", on_failure));
                invalid(format!(
                    "The provided destination config DestinationConfig(onSuccess={on_success}, onFailure={on_failure}) is invalid."
                ))
            }
            E::Destination { arn } => invalid(format!("The destination ARN {arn} is invalid.")),
            E::DestinationIsItself => {
                err::invalid_parameter_value("You can't specify the function as a destination for itself.")
            }
            E::RoleCannotTell { arn } => invalid(format!(
                "The function's execution role does not have permissions to call InvokeFunction on {arn}"
            )),
            E::RuntimeArn => err::invalid_parameter_value(
                "A RuntimeVersionArn is given if and only if UpdateRuntimeOn is Manual.",
            ),
            E::EventTooLarge { bytes, limit, kind } => err::request_too_large(format!(
                "{bytes} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
            )),
            E::EventNotJson { why } => {
                err::invalid_request_content(format!("Could not parse request body into json: {why}"))
            }
            E::ClientContext => {
                err::invalid_request_content("Client context must be a valid Base64-encoded JSON object.")
            }
            E::OneTooMany => err::too_many_requests("Rate Exceeded.")
                .of_kind("ReservedFunctionConcurrentInvocationLimitExceeded"),
            E::QueueFull => err::too_many_requests("Rate Exceeded.").of_kind("CallerRateLimitExceeded"),
            E::CannotRun { why } => err::service(format!("The function could not be run: {why}")),
        }
    }
}

fn package(error: &PackageError) -> ApiError {
    match error {
        PackageError::TooLarge => err::request_entity_too_large(
            "Request must be smaller than 52428800 bytes for a direct upload of a zip file.",
        ),
        PackageError::Empty => err::invalid_parameter_value("Uploaded file must be a non-empty zip"),
        PackageError::Unreadable => err::invalid_parameter_value(
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        PackageError::Bomb => {
            err::invalid_parameter_value("Unzipped size must be smaller than 262144000 bytes")
        }
        PackageError::TooMany => err::invalid_parameter_value("A zip file can have at most 65535 entries."),
        PackageError::Encrypted => {
            err::invalid_parameter_value("A zip file must have no entries that are encrypted.")
        }
        PackageError::Outside { name } => {
            err::invalid_parameter_value(format!("The zip file has an entry that leads out of it: {name}"))
        }
        PackageError::NoFile { name } => {
            err::invalid_parameter_value(format!("The zip file has an entry that names no file: {name}"))
        }
        PackageError::NameTooLong { bytes } => err::invalid_parameter_value(format!(
            "The zip file has an entry whose name is too long: {bytes} bytes"
        )),
        PackageError::Link { name } => {
            err::invalid_parameter_value(format!("The zip file has a link that leads nowhere: {name}"))
        }
        PackageError::Device { name } => err::invalid_parameter_value(format!(
            "The zip file has an entry that is no file, directory or link: {name}"
        )),
    }
}
