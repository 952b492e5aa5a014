//! Coffer as its clients see it: every test speaks HTTP to a running server.

#[cfg(test)]
mod allowed;
#[cfg(test)]
mod batches;
mod born_with_tags;
#[cfg(test)]
mod campaign;
#[cfg(test)]
mod client;
#[cfg(test)]
mod covered;
#[cfg(test)]
mod escalation;
#[cfg(test)]
mod estranged;
#[cfg(test)]
mod events;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod in_between;
#[cfg(test)]
mod in_trouble;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod linked;
#[cfg(test)]
mod logged;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod masters;
#[cfg(test)]
mod meanwhile;
#[cfg(test)]
mod on_record;
#[cfg(test)]
mod own_role;
#[cfg(test)]
mod pair;
mod passwords;
#[cfg(test)]
mod place;
#[cfg(test)]
mod replication;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod rotates;
#[cfg(test)]
mod rotates_again;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod rotation_killed;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod spoiled;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod states;
#[cfg(test)]
mod twin;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod vouched;
#[cfg(test)]
mod walk;
