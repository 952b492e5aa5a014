//! What belongs to another account than the caller's.
//!
//! A call about one resource runs where that is: in the account that its ARN names, if its operation may be called from another one.
//! Then everything is as it is for the owner, but that both accounts have to allow it and both have it on record.
//!
//! What a call needs beside that, such as a role that somebody wants to take on, lives in yet another partition: what is read there is
//! true now and no check of the commit, and nothing is ever written there.

use std::sync::Arc;

use coffer_shape::ApiError;
use coffer_store::Partition;
use coffer_types::{Arn, PARTITION};

use crate::{Cx, Guarded, Part, Record, Resource};

impl Cx<'_> {
    /// Moves the call to the account that owns what it is about. An account that does not exist has nothing, and nobody may do
    /// anything there.
    pub(crate) fn go_to_owner(&mut self, named: &str) {
        // Most callers write a name.
        if !named.starts_with("arn:") {
            return;
        }
        let Ok(arn) = named.parse::<Arn>() else { return };
        let service = self.running().map_or("", |spec| spec.service.name);
        let is_here = arn.partition() == PARTITION
            && arn.service() == service
            && arn.region() == self.region().as_str();
        if let (true, Ok(account)) = (is_here, arn.account().parse()) {
            self.move_to(account);
        }
    }

    /// A record of another account or region that may be missing, locked together with the fact whether it exists.
    pub fn find_abroad<R: Record, G: Resource>(
        &self,
        place: &Partition,
        key: &[&str],
        wrap: impl FnOnce(Option<Arc<R>>) -> G,
    ) -> Result<Guarded<G>, ApiError> {
        Ok(Guarded::new(wrap(self.read_abroad::<R>(place, key)?)))
    }

    /// Whether there is a record that is the resource of this ARN, for whoever was permitted to name it.
    pub fn exists_abroad<R: Record + Resource>(
        &self,
        place: &Partition,
        key: &[&str],
        arn: &str,
    ) -> Result<bool, ApiError> {
        Ok(self.read_abroad::<R>(place, key)?.is_some_and(|record| record.arn() == arn))
    }

    /// A record that belongs to a resource of another account or region, which has been permitted.
    pub fn part_abroad<R: Part>(&self, place: &Partition, key: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        self.read_abroad(place, key)
    }

    /// The other accounts that have something in the region of this call, for whoever has an id and no account to go with it.
    pub fn other_accounts(&self) -> Vec<Partition> {
        let here = |place: &Partition| place.region == *self.region() && place.account != self.account();
        self.db().partitions().into_iter().filter(here).collect()
    }

    fn read_abroad<R: Record>(&self, place: &Partition, key: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        self.db().read::<R>(place, key).map_err(|error| self.internal(error))
    }
}
