//! The operations.

mod events;
mod filter;
mod groups;
mod put;
mod streams;
mod tags;

use coffer_core::Registry;
use coffer_model::logs as model;

pub(crate) fn register(registry: &mut Registry) {
    registry.serve::<model::CreateLogGroup>(groups::create_log_group);
    registry.serve::<model::CreateLogStream>(streams::create_log_stream);
    registry.serve::<model::DeleteLogGroup>(groups::delete_log_group);
    registry.serve::<model::DeleteLogStream>(streams::delete_log_stream);
    registry.serve::<model::DeleteRetentionPolicy>(groups::delete_retention_policy);
    registry.serve::<model::DescribeLogGroups>(groups::describe_log_groups);
    registry.serve::<model::DescribeLogStreams>(streams::describe_log_streams);
    registry.serve::<model::FilterLogEvents>(filter::filter_log_events);
    registry.serve::<model::GetLogEvents>(events::get_log_events);
    registry.serve::<model::ListTagsForResource>(tags::list_tags_for_resource);
    registry.serve::<model::ListTagsLogGroup>(tags::list_tags_log_group);
    registry.serve::<model::PutLogEvents>(put::put_log_events);
    registry.serve::<model::PutLogGroupDeletionProtection>(groups::put_log_group_deletion_protection);
    registry.serve::<model::PutRetentionPolicy>(groups::put_retention_policy);
    registry.serve::<model::TagLogGroup>(tags::tag_log_group);
    registry.serve::<model::TagResource>(tags::tag_resource);
    registry.serve::<model::UntagLogGroup>(tags::untag_log_group);
    registry.serve::<model::UntagResource>(tags::untag_resource);
}
