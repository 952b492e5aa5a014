//! Roles that belong to services of AWS.
//!
//! Tools make them before they make what the service shall look after. The services themselves are not here, so a role is all there
//! is: nobody assumes it, and it holds no policy. Its name is not derived from the service's; AWS chose each.

use coffer_core::table;

table! {
    0x19 "iam-role-deletion", version 1, key (role), part;

    /// The last deletion of such a role. It is over when it has been asked for; tools ask how it went all the same.
    #[derive(Clone)]
    pub struct DeletionRecord {
        /// The key of the role.
        pub role: String,
        pub task_id: String,
    }
}

#[derive(Debug)]
pub(crate) struct ServiceRole {
    pub service: &'static str,
    pub name: &'static str,
    /// Whether there may be several, told apart by a suffix.
    pub takes_suffix: bool,
}

const fn one(service: &'static str, name: &'static str) -> ServiceRole {
    ServiceRole { service, name, takes_suffix: false }
}

const fn several(service: &'static str, name: &'static str) -> ServiceRole {
    ServiceRole { service, name, takes_suffix: true }
}

/// In the order of the services.
static SERVICE_ROLES: &[ServiceRole] = &[
    one("access-analyzer.amazonaws.com", "AWSServiceRoleForAccessAnalyzer"),
    several("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    one("batch.amazonaws.com", "AWSServiceRoleForBatch"),
    one("cloudtrail.amazonaws.com", "AWSServiceRoleForCloudTrail"),
    one("config.amazonaws.com", "AWSServiceRoleForConfig"),
    one("ec2fleet.amazonaws.com", "AWSServiceRoleForEC2Fleet"),
    one("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    one("eks-fargate.amazonaws.com", "AWSServiceRoleForAmazonEKSForFargate"),
    one("eks-nodegroup.amazonaws.com", "AWSServiceRoleForAmazonEKSNodegroup"),
    one("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS"),
    one("elasticache.amazonaws.com", "AWSServiceRoleForElastiCache"),
    one("elasticfilesystem.amazonaws.com", "AWSServiceRoleForAmazonElasticFileSystem"),
    one("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    one("es.amazonaws.com", "AWSServiceRoleForAmazonElasticsearchService"),
    one("guardduty.amazonaws.com", "AWSServiceRoleForAmazonGuardDuty"),
    one("mrk.kms.amazonaws.com", "AWSServiceRoleForKeyManagementServiceMultiRegionKeys"),
    one("opensearchservice.amazonaws.com", "AWSServiceRoleForAmazonOpenSearchService"),
    one("organizations.amazonaws.com", "AWSServiceRoleForOrganizations"),
    one("rds.amazonaws.com", "AWSServiceRoleForRDS"),
    one("redshift.amazonaws.com", "AWSServiceRoleForRedshift"),
    one("replication.dynamodb.amazonaws.com", "AWSServiceRoleForDynamoDBReplication"),
    one("securityhub.amazonaws.com", "AWSServiceRoleForSecurityHub"),
    one("spot.amazonaws.com", "AWSServiceRoleForEC2Spot"),
    one("spotfleet.amazonaws.com", "AWSServiceRoleForEC2SpotFleet"),
    one("ssm.amazonaws.com", "AWSServiceRoleForAmazonSSM"),
    one("support.amazonaws.com", "AWSServiceRoleForSupport"),
    one("transitgateway.amazonaws.com", "AWSServiceRoleForVPCTransitGateway"),
    one("trustedadvisor.amazonaws.com", "AWSServiceRoleForTrustedAdvisor"),
];

pub(crate) fn of_service(service: &str) -> Option<&'static ServiceRole> {
    SERVICE_ROLES.iter().find(|role| role.service == service)
}

/// Who may assume such a role: its service.
pub(crate) fn trust(service: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use coffer_policy::{Document, Kind};

    use super::*;

    #[test]
    fn every_service_has_one_role_with_a_trust_policy_that_is_one() {
        assert!(SERVICE_ROLES.is_sorted_by(|one, next| one.service < next.service));
        for role in SERVICE_ROLES {
            assert!(role.name.starts_with("AWSServiceRoleFor") && role.name.len() <= 64, "{role:?}");
            assert!(Document::parse(Kind::Trust, &trust(role.service)).is_ok(), "{role:?}");
        }
    }
}
