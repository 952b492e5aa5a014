//! The administrator: made at the first start, and given another key when the first is lost.
//!
//! A key that works and that nobody has is as bad as a file with a key that does not work. So the order is always the same,
//! for the first key and for every later one: the file `credentials.new` is durable before the store accepts its key, and gets
//! its final name afterwards. A start that finds `credentials.new` asks the store which of the two happened.
//!
//! A store with an administrator is never given another one, but its administrator may be given another key, by whoever may
//! open the store or command its server on this machine. The key goes into a file and nowhere else: it is not printed, and
//! it does not travel through the control socket.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use coffer_barrier::SlotKey;
use coffer_core::{Core, Cx, EventKind, ServiceEvent};
use coffer_iam::{NewCredentials, create_access_key, create_administrator, find_access_key, has_users};
use coffer_shape::ApiError;
use coffer_sys::effective_uid;
use coffer_types::{AccountId, Region, Secret};

use crate::{
    complaint::Complaint,
    config::Config,
    data_dir::{self, DataDir},
    durable::{beside, forget},
    lifecycle::runtime,
    open::{LOCAL, Store, key_on_this_machine, local_caller, unopened},
    shell::quoted,
    world,
};

pub const ADMINISTRATOR: &str = "administrator";

const ACCESS_KEY_ID: &str = "aws_access_key_id = ";
/// To be typed when the administrator's key is lost.
const ANOTHER: &str = "coffer admin key create";

/// Later keys are made one after the other, from the look at the files to the final name: there is one name for all of them.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where the key goes, and whose it is.
struct Desk<'d> {
    core: &'d Core,
    account: AccountId,
    region: &'d Region,
    place: PathBuf,
    pending: PathBuf,
}

/// Makes the administrator if there is none, or finishes what an earlier start began; answers whether one was made.
pub(crate) async fn make_administrator(
    core: &Core,
    directory: &DataDir,
    account: AccountId,
    region: &Region,
) -> Result<bool, Complaint> {
    let desk = Desk::new(core, directory, account, region);
    if desk.has_administrator()? {
        desk.finish()?;
        return Ok(false);
    }
    if fs::symlink_metadata(&desk.place).is_ok() {
        return Err(Complaint::new(format!("{} is there already", desk.place.display()))
            .because("the store has no administrator yet, so this file is of another store")
            .next(out_of_the_way(&desk.place)));
    }
    // Whoever wrote them had a key of an administrator, whom we do not see.
    if !core.db().engine().partitions().map_err(|error| unopened(directory, &error))?.is_empty() {
        return Err(Complaint::new("the store has no administrator, but it holds records")
            .because("a new one would not see them")
            .next("coffer verify, then restore the last good backup"));
    }
    desk.issue(&|cx| create_administrator(cx, ADMINISTRATOR)).await?;
    Ok(true)
}

/// Gives the administrator one more access key and answers where it lies. `uid` is who asked for it, for the record. The keys
/// that were there stay good.
pub async fn issue_key(
    core: &Core,
    directory: &DataDir,
    account: AccountId,
    region: &Region,
    uid: u32,
) -> Result<PathBuf, Complaint> {
    let _turn = TURN.lock().await;
    let desk = Desk::new(core, directory, account, region);
    if !desk.has_administrator()? {
        return Err(Complaint::new("the store has no administrator yet")
            .because("the first start makes one, with a key")
            .next("coffer server"));
    }
    desk.finish()?;
    if fs::symlink_metadata(&desk.place).is_ok() {
        return Err(Complaint::new(format!("{} is there already", desk.place.display()))
            .because("it may be the only copy of a key, so it is not written over")
            .next(out_of_the_way(&desk.place)));
    }
    desk.issue(&|cx| {
        cx.record_event(ServiceEvent {
            kind: EventKind::Local,
            source: LOCAL,
            name: "CreateAdministratorKey",
            details: vec![("uid", uid.to_string())],
        });
        create_access_key(cx, ADMINISTRATOR)?
            .ok_or_else(|| internal().because("the administrator went away meanwhile"))
    })
    .await?;
    Ok(desk.place)
}

/// The same while no server runs, with the key that was given or that lies on this machine.
pub fn issue_key_offline(config: &Config, key: Option<SlotKey>) -> Result<PathBuf, Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    let world = world::system(&directory.audit());
    let store = Store::take(directory, config.free_floor_bytes, &world)?;
    let keyring = store.keyring()?;
    let account = store.account(config.account, keyring.store_id())?;
    let key = match key {
        Some(key) => key,
        None => key_on_this_machine(&keyring, config)?.ok_or_else(|| {
            Complaint::new("the store has no key on this machine")
                .because("it opens with a passphrase or with recovery shares")
                .next(format!("{ANOTHER} --passphrase-file <file>, or --share <file> for each share"))
        })?,
    };
    runtime()?.block_on(async {
        let core = store.open_core(&world, &key)?;
        let issued = issue_key(&core, store.directory(), account, &config.region, effective_uid()).await;
        let closed = core.shut_down().map_err(|error| {
            Complaint::new("the audit log could not be synced")
                .because(error)
                .next("check the disk, then try again")
        });
        let place = issued?;
        closed.map(|()| place)
    })
}

impl<'d> Desk<'d> {
    fn new(core: &'d Core, directory: &DataDir, account: AccountId, region: &'d Region) -> Self {
        let place = directory.credentials();
        let pending = beside(&place, "new");
        Self { core, account, region, place, pending }
    }

    fn has_administrator(&self) -> Result<bool, Complaint> {
        has_users(self.core.db(), self.account, ADMINISTRATOR).map_err(|error| unreadable(&error))
    }

    /// Makes a key in one commit. Its file is durable before the commit, and has its final name after it.
    async fn issue(
        &self,
        make: &(dyn Fn(&mut Cx<'_>) -> Result<NewCredentials, ApiError> + Sync),
    ) -> Result<(), Complaint> {
        let caller = local_caller(self.core.world(), self.account, Region::global());
        let made = self
            .core
            .run_local(&caller, |cx| {
                let new = make(cx)?;
                // Here and not later: when the commit stands, the file has to be there. If the closure runs again,
                // the key of the earlier run was never committed, and neither was its file renamed.
                forget(&self.pending)
                    .and_then(|()| data_dir::write_new(&self.pending, self.text(&new).expose().as_bytes()))
                    .map_err(|error| internal().because(error))
            })
            .await;
        made.map_err(|error| {
            Complaint::new("the administrator's key cannot be made")
                .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
                .next("make room on the disk of the data directory, then try again")
        })?;
        data_dir::rename(&self.pending, &self.place).map_err(|error| self.unfinished(&error))
    }

    /// An earlier attempt may have stopped between the commit and the final name of the file.
    fn finish(&self) -> Result<(), Complaint> {
        let text = match data_dir::read_small(&self.pending) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            // It may be the only copy of the key: nobody goes on without knowing.
            Err(error) => return Err(self.unfinished(&error)),
        };
        let id = text
            .as_ref()
            .and_then(|text| text.expose().lines().find_map(|line| line.strip_prefix(ACCESS_KEY_ID)));
        let is_valid = match id {
            // A store that cannot be read has not said no.
            Some(id) => {
                find_access_key(self.core.db(), id.trim()).map_err(|error| unreadable(&error))?.is_some()
            }
            None => false,
        };
        let is_placed = fs::symlink_metadata(&self.place).is_ok();
        let finished = if is_valid && !is_placed {
            data_dir::rename(&self.pending, &self.place)
        } else {
            forget(&self.pending)
        };
        finished.map_err(|error| self.unfinished(&error))?;
        if !is_valid && !is_placed {
            tracing::warn!(
                file = %self.pending.display(),
                "the store does not accept the key in the administrator's file, which was removed; \
                 if nobody has another key: {ANOTHER}"
            );
        }
        Ok(())
    }

    fn unfinished(&self, error: &io::Error) -> Complaint {
        Complaint::new(format!(
            "the administrator's key {} cannot be put in its place",
            self.pending.display()
        ))
        .because(error)
        .next("check the mount of the data directory, then try again")
    }

    fn text(&self, new: &NewCredentials) -> Secret<String> {
        let mut text = Secret::new(String::with_capacity(512));
        let to = text.expose_mut();
        for part in [
            "# A key of the administrator of this Coffer.\n# account = ",
            self.account.as_str(),
            "\n# region = ",
            self.region.as_str(),
            "\n[default]\n",
            ACCESS_KEY_ID,
            &new.access_key_id,
            "\naws_secret_access_key = ",
            new.secret_access_key.expose(),
            "\n",
        ] {
            to.push_str(part);
        }
        text
    }
}

fn internal() -> ApiError {
    ApiError::new(coffer_model::iam::SERVICE.codes.internal, "")
}

fn unreadable(error: &dyn fmt::Display) -> Complaint {
    Complaint::new("the administrator cannot be looked up").because(error).next("coffer verify")
}

fn out_of_the_way(place: &Path) -> String {
    format!("mv {} {}", quoted(place), quoted(&beside(place, "before")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store in memory, and files on the disk.
    struct House {
        root: tempfile::TempDir,
        core: Core,
        region: Region,
    }

    impl House {
        async fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let world = world::ephemeral();
            let core = crate::open::dev_core(&world).unwrap();
            let house = Self { root, core, region: "us-east-1".parse().unwrap() };
            house.directory().furnish().unwrap();
            assert!(house.start().await.unwrap());
            house
        }

        fn directory(&self) -> DataDir {
            DataDir::prepare(&self.root.path().join("data")).unwrap()
        }

        async fn start(&self) -> Result<bool, Complaint> {
            make_administrator(&self.core, &self.directory(), AccountId::DEV, &self.region).await
        }

        async fn issue(&self) -> Result<PathBuf, Complaint> {
            issue_key(&self.core, &self.directory(), AccountId::DEV, &self.region, 7).await
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory().bootstrap().join(name)
        }

        /// The id in a file, which the store has to accept.
        fn accepted(&self, path: &Path) -> String {
            let text = data_dir::read_small(path).unwrap();
            let id = text.expose().lines().find_map(|line| line.strip_prefix(ACCESS_KEY_ID)).unwrap();
            assert!(
                find_access_key(self.core.db(), id)
                    .unwrap()
                    .is_some_and(|key| key.principal.arn.ends_with(":user/administrator"))
            );
            id.to_owned()
        }
    }

    #[tokio::test]
    async fn a_lost_key_is_followed_by_another_and_both_are_good() {
        let house = House::new().await;
        let place = house.path("credentials");
        let refusal = house.issue().await.unwrap_err();
        assert!(refusal.to_string().contains("not written over"), "{refusal}");
        fs::rename(&place, house.path("elsewhere")).unwrap();
        assert_eq!(house.issue().await.unwrap(), place);
        assert_ne!(house.accepted(&place), house.accepted(&house.path("elsewhere")));
        assert!(!house.path("credentials.new").exists());
        assert!(!house.start().await.unwrap(), "there is still one administrator");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_who_ask_at_once_each_has_a_key_of_their_own_or_changed_nothing() {
        let house = std::sync::Arc::new(House::new().await);
        fs::remove_file(house.path("credentials")).unwrap();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let house = std::sync::Arc::clone(&house);
            asking.spawn(async move { house.issue().await });
        }
        let asked = asking.join_all().await;
        let (made, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1);
        for refusal in refused {
            let refusal = refusal.unwrap_err();
            assert!(refusal.what().contains("is there already"), "{refusal}");
        }
        house.accepted(&house.path("credentials"));
        assert!(!house.path("credentials.new").exists());
    }

    #[tokio::test]
    async fn a_key_that_could_not_be_filed_is_filed_later() {
        let house = House::new().await;
        let (place, pending) = (house.path("credentials"), house.path("credentials.new"));
        fs::rename(&place, &pending).unwrap();
        let refusal = house.issue().await.unwrap_err();
        assert!(refusal.to_string().contains("is there already"), "the one that was pending: {refusal}");
        house.accepted(&place);
    }

    #[tokio::test]
    async fn a_pending_key_is_thrown_away_only_when_the_store_has_said_no() {
        let house = House::new().await;
        let (place, pending) = (house.path("credentials"), house.path("credentials.new"));
        fs::remove_file(&place).unwrap();
        for useless in [&b""[..], b"aws_access_key_id = AKIAQAAAAAAAAAAAAAAA\n", b"\xff\xfe"] {
            data_dir::write_new(&pending, useless).unwrap();
            assert!(!house.start().await.unwrap());
            assert!(!pending.exists() && !place.exists());
        }
        // What cannot be read at all may be the only copy.
        data_dir::make(&pending).unwrap();
        let refusal = house.start().await.unwrap_err();
        assert!(refusal.to_string().contains("cannot be put in its place"), "{refusal}");
        assert!(pending.exists());
    }
}
