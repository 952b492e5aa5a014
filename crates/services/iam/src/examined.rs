//! What has to be true of the records of this service.

use coffer_core::{Examined, Need, Record};

use crate::{
    access_key::AccessKeyRecord,
    access_report::{AccessReportRecord, AccessReportsRecord},
    account::AccountRecord,
    attachments::AttachmentsRecord,
    group::{GroupNameRecord, GroupRecord},
    instance_profile::InstanceProfileRecord,
    login_profile::LoginProfileRecord,
    managed::PolicyRecord,
    name::key_of,
    oidc_provider::OidcProviderRecord,
    role::RoleRecord,
    service_role::DeletionRecord,
    trust::MovedRecord,
    user::UserRecord,
};

impl Examined for UserRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for group in &self.groups {
            need(Need {
                table: GroupRecord::TABLE,
                key: &[group],
                missing: "a user in a group that does not exist",
            });
        }
        for id in &self.access_keys {
            let missing = "a user with an access key that does not exist";
            need(Need { table: AccessKeyRecord::TABLE, key: &[id], missing });
        }
    }
}

impl Examined for AccessKeyRecord {
    fn shown(&self) -> &str {
        &self.id
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "an access key of a user who does not exist";
        need(Need { table: UserRecord::TABLE, key: &[&key_of(&self.user_name)], missing });
    }
}

impl Examined for GroupRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "a group that is not found by its name";
        need(Need { table: GroupNameRecord::TABLE, key: &[&self.key], missing });
    }
}

impl Examined for GroupNameRecord {
    fn shown(&self) -> &str {
        &self.key
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "the name of a group that does not exist";
        need(Need { table: GroupRecord::TABLE, key: &[&self.group_id], missing });
    }
}

impl Examined for RoleRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for profile in &self.instance_profiles {
            let missing = "a role in an instance profile that does not exist";
            need(Need { table: InstanceProfileRecord::TABLE, key: &[profile], missing });
        }
    }
}

impl Examined for InstanceProfileRecord {
    fn shown(&self) -> &str {
        &self.arn
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        if let Some(role) = &self.role {
            let missing = "an instance profile with a role that does not exist";
            need(Need { table: RoleRecord::TABLE, key: &[role], missing });
        }
    }
}

impl Examined for OidcProviderRecord {
    fn shown(&self) -> &str {
        &self.arn
    }
}

impl Examined for AccountRecord {
    fn shown(&self) -> &str {
        &self.key
    }
}

impl Examined for LoginProfileRecord {
    fn shown(&self) -> &str {
        &self.user_id
    }
}

impl Examined for MovedRecord {
    fn shown(&self) -> &str {
        &self.arn
    }
}

impl Examined for AccessReportRecord {
    fn shown(&self) -> &str {
        &self.job_id
    }
}

impl Examined for AccessReportsRecord {
    fn shown(&self) -> &str {
        "the reports on the last use of services"
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        for job_id in &self.job_ids {
            let missing = "a report on the last use of services that does not exist";
            need(Need { table: AccessReportRecord::TABLE, key: &[job_id], missing });
        }
    }
}

impl Examined for DeletionRecord {
    fn shown(&self) -> &str {
        &self.task_id
    }
}

impl Examined for PolicyRecord {
    fn shown(&self) -> &str {
        &self.arn
    }
}

impl Examined for AttachmentsRecord {
    fn shown(&self) -> &str {
        &self.policy_arn
    }
}
