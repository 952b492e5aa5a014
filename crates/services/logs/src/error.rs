//! What can go wrong, and what a client is told: every sentence of CloudWatch Logs that we know stands here.

use coffer_model::logs::err;
use coffer_shape::ApiError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogsError {
    GroupExists,
    NoGroup,
    StreamExists,
    NoStream,
    Arn,
    NameAndIdentifier,
    NoName,
    PrefixAndPattern,
    IdentifiersAlone,
    TimeWithPrefix,
    NamesAndPrefix,
    NotInOrder,
    TooLarge { bytes: usize },
    TooLong,
    Token,
    StartAfterEnd,
    Retention { asked: i64 },
    TagKeyReserved,
    TooManyTags,
    NoKeys,
    Protected,
    Pattern { why: String },
    StreamFull,
    FromTail,
    Reserved,
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        use LogsError as E;
        let invalid = |text: String| err::invalid_parameter(text);
        match error {
            E::GroupExists => err::resource_already_exists("The specified log group already exists"),
            E::NoGroup => err::resource_not_found("The specified log group does not exist."),
            E::StreamExists => err::resource_already_exists("The specified log stream already exists"),
            E::NoStream => err::resource_not_found("The specified log stream does not exist."),
            E::Arn => err::invalid_parameter("Invalid arn syntax."),
            E::NameAndIdentifier => {
                err::invalid_parameter("LogGroup name and LogGroup ARN are mutually exclusive parameters.")
            }
            E::NoName => {
                err::invalid_parameter("A log group is named by logGroupName or logGroupIdentifier.")
            }
            E::PrefixAndPattern => err::invalid_parameter(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ),
            E::IdentifiersAlone => err::invalid_parameter(
                "logGroupIdentifiers cannot be combined with a prefix, a pattern or a limit.",
            ),
            E::TimeWithPrefix => {
                err::invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
            }
            E::NamesAndPrefix => err::invalid_parameter(
                "LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters.",
            ),
            E::NotInOrder => err::invalid_parameter(
                "Log events in a single PutLogEvents request must be in chronological order.",
            ),
            E::TooLarge { bytes } => {
                invalid(format!("Upload too large: {bytes} bytes exceeds limit of 1048576"))
            }
            E::TooLong => err::invalid_parameter(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ),
            E::Token => err::invalid_parameter("The specified nextToken is invalid."),
            E::StartAfterEnd => err::invalid_parameter("startTime must not be after endTime."),
            E::Retention { asked } => invalid(format!(
                "1 validation error detected: Value '{asked}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]"
            )),
            E::TagKeyReserved => {
                err::invalid_parameter("Tag keys starting with 'aws:' are reserved for system use.")
            }
            E::TooManyTags => err::too_many_tags("A log group can have at most 50 tags."),
            E::NoKeys => err::invalid_parameter(
                "Log groups with a KMS key of their own are not supported: every log event is encrypted with the keys of the store.",
            ),
            E::Protected => err::validation_exception("The log group is protected against deletion."),
            E::Pattern { why } => invalid(format!("Invalid filter pattern: {why}")),
            E::FromTail => err::invalid_parameter("startFromHead can only be true here."),
            E::Reserved => err::invalid_parameter("Log groups starting with AWS/ are reserved for AWS."),
            E::StreamFull => err::invalid_parameter("The log stream is full: write to another one."),
        }
    }
}
