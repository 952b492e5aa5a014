//! Global records of another account, such as a role that somebody from here wants to take on.
//!
//! They live in another partition, so what is read of them is true now and no check of the commit, and nothing is ever written there.

use std::sync::Arc;

use coffer_shape::ApiError;
use coffer_store::Partition;
use coffer_types::{AccountId, Region};

use crate::{Cx, Guarded, Record, Resource};

impl Cx<'_> {
    /// A record that may be missing, locked together with the fact whether it exists.
    pub fn find_abroad<R: Record, G: Resource>(
        &self,
        account: AccountId,
        key: &[&str],
        wrap: impl FnOnce(Option<Arc<R>>) -> G,
    ) -> Result<Guarded<G>, ApiError> {
        Ok(Guarded::new(wrap(self.read_abroad::<R>(account, key)?)))
    }

    /// Whether there is a record that is the resource of this ARN, for whoever was permitted to name it.
    pub fn exists_abroad<R: Record + Resource>(
        &self,
        account: AccountId,
        key: &[&str],
        arn: &str,
    ) -> Result<bool, ApiError> {
        Ok(self.read_abroad::<R>(account, key)?.is_some_and(|record| record.arn() == arn))
    }

    fn read_abroad<R: Record>(&self, account: AccountId, key: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        let partition = Partition::new(account, Region::global());
        self.db().read::<R>(&partition, key).map_err(|error| self.internal(error))
    }
}
