//! What somebody wants to see: one attribute at most, and a time.

use std::time::Duration;

use coffer_core::{AuditFacts, Span, Wanted, resource_type};
use coffer_model::cloudtrail::{LookupAttribute, LookupAttributeKey, LookupEventsRequest};
use coffer_types::Timestamp;

use crate::error::LookupError;

/// AWS looks no further back.
const DAYS_90: Duration = Duration::from_hours(90 * 24);
/// The event of a change is written to the log a moment after it happened, so the order of the log is that of the times but for so much.
const DISORDER: Duration = Duration::from_secs(60);
const VALUE_CHARS_MAX: usize = 2000;
const PAGE_MAX: usize = 50;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub attribute: Option<(LookupAttributeKey, String)>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub page_size: usize,
    /// Insights, which nobody makes here.
    pub is_empty: bool,
}

impl Ask {
    pub(crate) fn read(input: &LookupEventsRequest, now: Timestamp) -> Result<Self, LookupError> {
        let attributes = input.lookup_attributes.as_deref().unwrap_or_default();
        let attribute = match attributes {
            [] => None,
            [one] => Some(attribute(one)?),
            _ => return Err(LookupError::TwoAttributes),
        };
        if let (Some(start), Some(end)) = (input.start_time, input.end_time)
            && start > end
        {
            return Err(LookupError::StartAfterEnd);
        }
        let page_size = match input.max_results {
            None => PAGE_MAX,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|asked| (1..=PAGE_MAX).contains(asked))
                .ok_or(LookupError::MaxResults { asked })?,
        };
        let is_empty = match input.event_category.as_deref() {
            None => false,
            Some("insight") => true,
            Some(category) => return Err(LookupError::Category { category: category.to_owned() }),
        };
        let oldest = now.minus(DAYS_90);
        Ok(Self {
            attribute,
            from: input.start_time.unwrap_or(oldest).max(oldest),
            until: input.end_time.unwrap_or(now).min(now),
            page_size,
            is_empty,
        })
    }

    pub(crate) fn wants(&self, span: Span) -> Wanted {
        if span.until.plus(DISORDER) < self.from {
            Wanted::NothingOlder
        } else if span.from > self.until || span.until < self.from {
            Wanted::No
        } else {
            Wanted::Yes
        }
    }

    /// Whether the text can be an event that is wanted: a value that stands in it somewhere. Reading every text would take longer.
    pub(crate) fn may_fit(&self, event: &str) -> bool {
        match &self.attribute {
            None => true,
            // Names of users and resources may be written with escapes, and the others are not values of the text.
            Some((
                LookupAttributeKey::ResourceType
                | LookupAttributeKey::ResourceName
                | LookupAttributeKey::Username
                | LookupAttributeKey::ReadOnly,
                _,
            )) => true,
            Some((_, value)) => event.contains(value.as_str()),
        }
    }

    pub(crate) fn fits(&self, facts: &AuditFacts<'_>) -> bool {
        let in_time = facts.time().is_some_and(|time| (self.from..=self.until).contains(&time));
        let Some((key, value)) = &self.attribute else { return in_time };
        in_time
            && match key {
                LookupAttributeKey::EventId => facts.event_id == *value,
                LookupAttributeKey::EventName => facts.event_name == *value,
                LookupAttributeKey::ReadOnly => facts.read_only.to_string() == *value,
                LookupAttributeKey::Username => facts.user_name() == Some(value),
                LookupAttributeKey::ResourceType => {
                    facts.resources().any(|arn| resource_type(arn) == Some(value))
                }
                LookupAttributeKey::ResourceName => facts.is_about(value),
                LookupAttributeKey::EventSource => facts.event_source == *value,
                LookupAttributeKey::AccessKeyId => facts.access_key_id() == Some(value),
            }
    }
}

fn attribute(asked: &LookupAttribute) -> Result<(LookupAttributeKey, String), LookupError> {
    let key = LookupAttributeKey::try_from(asked.attribute_key.as_str())
        .map_err(|_| LookupError::UnknownKey { key: asked.attribute_key.clone() })?;
    let value = &asked.attribute_value;
    if !(1..=VALUE_CHARS_MAX).contains(&value.chars().count()) {
        return Err(LookupError::ValueLength);
    }
    Ok((key, value.clone()))
}
