//! What has to be true of the records of this service.

use coffer_core::{Examined, Need, Record};

use crate::{access_key::AccessKeyRecord, user::UserRecord};

impl Examined for UserRecord {
    fn shown(&self) -> &str {
        &self.arn
    }
}

impl Examined for AccessKeyRecord {
    fn shown(&self) -> &str {
        &self.id
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "an access key of a user who does not exist";
        need(Need { table: UserRecord::TABLE, key: &[&self.user_name], missing });
    }
}
