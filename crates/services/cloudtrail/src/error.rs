//! What can be wrong with a question, under CloudTrail's codes. Its sentences nobody has recorded for us, so these are our own.

use coffer_model::cloudtrail::err;
use coffer_shape::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    TwoAttributes,
    UnknownKey { key: String },
    ValueLength,
    MaxResults { asked: i64 },
    StartAfterEnd,
    Token,
    Category { category: String },
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::TwoAttributes => {
                err::invalid_lookup_attributes("Only one lookup attribute can be specified.")
            }
            LookupError::UnknownKey { key } => {
                err::invalid_lookup_attributes(format!("The lookup attribute key {key} is not valid."))
            }
            LookupError::ValueLength => err::invalid_lookup_attributes(
                "The value of a lookup attribute must have between 1 and 2000 characters.",
            ),
            LookupError::MaxResults { asked } => {
                err::invalid_max_results(format!("MaxResults must be between 1 and 50, and {asked} is not."))
            }
            LookupError::StartAfterEnd => {
                err::invalid_time_range("The start time must not be after the end time.")
            }
            LookupError::Token => err::invalid_next_token("The NextToken value is invalid."),
            LookupError::Category { category } => {
                err::invalid_event_category(format!("The event category {category} is not valid."))
            }
        }
    }
}
