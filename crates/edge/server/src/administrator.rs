//! The administrators of a store, one in each account: made with it, given another key when the first is lost, and let in again when
//! policies have locked him out.
//!
//! A key that works and that nobody has is as bad as a file with a key that does not work. So the order is always the same,
//! for the first key and for every later one: the file `credentials.new` is durable before the store accepts its key, and gets
//! its final name afterwards. A start that finds `credentials.new` asks the store which of the two happened.
//!
//! A start makes an administrator in a new store only. Later, he may be given another key or be made anew by whoever may open the store
//! or command its server on this machine. The key goes into a file and nowhere else: it is not printed, and it does not travel through
//! the control socket.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use coffer_barrier::{KeyringFile, SlotKey, SlotKind};
use coffer_core::Cx;
use coffer_iam::{
    NewCredentials, create_access_key, create_administrator, find_access_key, has_users, reset_administrator,
};
use coffer_shape::ApiError;
use coffer_types::{AccountId, Region, Secret};

use crate::{
    accounts::{Deployment, New, record, register_first},
    complaint::Complaint,
    data_dir,
    durable::{beside, forget},
    open::{local_caller, unopened},
    secret_policy::REMOVE,
    shell::quoted,
};

pub const ADMINISTRATOR: &str = "administrator";

const ACCESS_KEY_ID: &str = "aws_access_key_id = ";
/// To be typed when the administrator's key is lost.
const ANOTHER: &str = "coffer admin key create";
/// To be typed when he may do nothing any more, or is gone.
const RESET: &str = "coffer admin reset";

/// Later keys are made one after the other, from the look at the files to the final name: each account has one name for all of them.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where a key goes, and whose it is.
struct Desk<'d> {
    of: &'d Deployment<'d>,
    account: AccountId,
    place: PathBuf,
    pending: PathBuf,
}

/// Makes the administrator of a new store, or finishes what an earlier start began; answers whether one was made.
pub(crate) async fn make_administrator(deployment: &Deployment<'_>) -> Result<bool, Complaint> {
    let desk = Desk::new(deployment, deployment.first);
    if deployment.is_registered().await? || desk.has_administrator()? {
        deployment.register_first().await?;
        for account in deployment.accounts().await? {
            if let Ok(account) = account.id.parse() {
                Desk::new(deployment, account).finish()?;
            }
        }
        return Ok(false);
    }
    if fs::symlink_metadata(&desk.place).is_ok() {
        return Err(Complaint::new(format!("{} is there already", desk.place.display()))
            .because("the store has no administrator yet, so this file is of another store")
            .next(out_of_the_way(&desk.place)));
    }
    // Whoever wrote them had a key of an administrator, whom we do not see.
    let found = deployment.core.db().engine().partitions();
    if !found.map_err(|error| unopened(deployment.directory, &error))?.is_empty() {
        return Err(Complaint::new("the store has no administrator, but it holds records")
            .because("a new one would not see them")
            .next("coffer verify, then restore the last good backup"));
    }
    desk.issue(&|cx| {
        register_first(cx)?;
        create_administrator(cx, ADMINISTRATOR)
    })
    .await?;
    Ok(true)
}

/// Makes an account and its administrator. Answers its id, and where the key lies. `uid` is who asked for it, for the record.
pub async fn create_account(
    deployment: &Deployment<'_>,
    new: &New,
    uid: u32,
) -> Result<(AccountId, PathBuf), Complaint> {
    let _turn = TURN.lock().await;
    ensure_set_up(deployment).await?;
    if let Some(id) = new.id {
        deployment.ensure_free(id)?;
        // Before anything is written down: an account whose key has no place would be left empty.
        Desk::new(deployment, id).ensure_place()?;
    }
    let account = deployment.register(new, uid).await?;
    let desk = Desk::new(deployment, account);
    desk.ensure_place()?;
    let made = desk.issue(&|cx| create_administrator(cx, ADMINISTRATOR)).await;
    made.map_err(|complaint| {
        let first = complaint.next_step().map(|next| format!("{next}, with ")).unwrap_or_default();
        let again = format!("{first}coffer account create --id {account}");
        complaint
            .because(format!("the account {account} is registered, and has no administrator yet"))
            .next(again)
    })?;
    Ok((account, desk.place))
}

/// Gives the administrator of an account, the first if none is named, one more access key and answers where it lies. The keys that
/// were there stay good.
pub async fn issue_key(
    deployment: &Deployment<'_>,
    account: Option<AccountId>,
    uid: u32,
) -> Result<PathBuf, Complaint> {
    let _turn = TURN.lock().await;
    ensure_set_up(deployment).await?;
    let desk = Desk::new(deployment, deployment.known(account).await?);
    if !desk.has_administrator()? {
        return Err(Complaint::new(format!("the account {} has no user {ADMINISTRATOR}", desk.account))
            .because("somebody deleted or renamed him, or he was never made")
            .next(desk.typed(RESET)));
    }
    desk.finish()?;
    desk.ensure_place()?;
    desk.issue(&|cx| {
        record(cx, "CreateAdministratorKey", uid, Vec::new());
        create_access_key(cx, ADMINISTRATOR)?
            .ok_or_else(|| internal().because("the administrator went away meanwhile"))
    })
    .await?;
    Ok(desk.place)
}

/// Makes the administrator of an account what he was at first, with one more key, and answers where that lies. Nobody else is changed.
pub async fn reset(
    deployment: &Deployment<'_>,
    account: Option<AccountId>,
    uid: u32,
) -> Result<PathBuf, Complaint> {
    let _turn = TURN.lock().await;
    ensure_set_up(deployment).await?;
    let desk = Desk::new(deployment, deployment.known(account).await?);
    desk.finish()?;
    desk.ensure_place()?;
    desk.issue(&|cx| {
        record(cx, "ResetAdministrator", uid, Vec::new());
        reset_administrator(cx, ADMINISTRATOR)
    })
    .await?;
    Ok(desk.place)
}

/// Refuses a store whose first start has not come to its end.
async fn ensure_set_up(deployment: &Deployment<'_>) -> Result<(), Complaint> {
    if deployment.is_registered().await? || Desk::new(deployment, deployment.first).has_administrator()? {
        return Ok(());
    }
    Err(Complaint::new("the store has no administrator yet")
        .because("the first start makes one, with a key")
        .next("coffer server"))
}

/// A command on this machine that undoes what others decided with their policies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Undoes {
    Administrator,
    SecretPolicy,
}

/// Where recovery shares were given out, undoing what others decided takes as many people as opening the store does; where there are
/// none, the machine is all there is.
pub(crate) fn ensure_quorum(
    keyring: &KeyringFile,
    given: Option<&SlotKey>,
    undoes: Undoes,
) -> Result<(), Complaint> {
    let is_shared = keyring.slots().iter().any(|slot| slot.kind == SlotKind::Recovery);
    if !is_shared || matches!(given, Some(SlotKey::Recovery { .. })) {
        return Ok(());
    }
    let (what, why, command) = match undoes {
        Undoes::Administrator => {
            ("the administrator is not reset", "a reset undoes what its policies say", RESET)
        }
        Undoes::SecretPolicy => ("the policy is not removed", "a policy is what somebody decided", REMOVE),
    };
    Err(Complaint::new(format!("{what} without recovery shares"))
        .because(format!("this store has them, and {why}"))
        .next(format!("{command} --share <file> for each share")))
}

impl<'d> Desk<'d> {
    fn new(of: &'d Deployment<'d>, account: AccountId) -> Self {
        let place = of.key_file(account);
        let pending = beside(&place, "new");
        Self { of, account, place, pending }
    }

    /// A command, as it has to be typed for this account.
    fn typed(&self, command: &str) -> String {
        if self.account == self.of.first {
            command.to_owned()
        } else {
            format!("{command} --account {}", self.account)
        }
    }

    fn has_administrator(&self) -> Result<bool, Complaint> {
        has_users(self.of.core.db(), self.account, ADMINISTRATOR).map_err(|error| unreadable(&error))
    }

    /// Refuses to write over a key.
    fn ensure_place(&self) -> Result<(), Complaint> {
        if fs::symlink_metadata(&self.place).is_err() {
            return Ok(());
        }
        Err(Complaint::new(format!("{} is there already", self.place.display()))
            .because("it may be the only copy of a key, so it is not written over")
            .next(out_of_the_way(&self.place)))
    }

    /// Makes a key in one commit. Its file is durable before the commit, and has its final name after it.
    async fn issue(
        &self,
        make: &(dyn Fn(&mut Cx<'_>) -> Result<NewCredentials, ApiError> + Sync),
    ) -> Result<(), Complaint> {
        let caller = local_caller(self.of.core.world(), self.account, Region::global());
        let made = self
            .of
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
                find_access_key(self.of.core.db(), id.trim()).map_err(|error| unreadable(&error))?.is_some()
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
                if_nobody_has_another = self.typed(ANOTHER),
                "the store does not accept the key in the administrator's file, which was removed"
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
            self.of.region.as_str(),
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
pub(crate) mod tests {
    use coffer_core::{Body, Caller, Core, Transport};
    use coffer_iam::UserRecord;
    use coffer_model::{SERVICES, iam, secretsmanager};
    use coffer_shape::{Operation, OperationSpec, Read, ReadError, Reader, Shape};
    use coffer_types::RequestId;
    use coffer_wire::{Head, Route, encode_request, route};

    use super::*;
    use crate::{data_dir::DataDir, world};

    /// A request as it comes from outside, once its signature holds.
    struct Asked {
        route: Route,
        operation: &'static OperationSpec,
        body: Secret<Vec<u8>>,
    }

    impl Asked {
        fn of<O: Operation>(input: &O::Input) -> Self {
            let request = encode_request(O::SPEC, &|to| input.write(to)).unwrap();
            let headers: Vec<_> =
                request.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let head = Head { method: "POST", path: "/", query: "", headers: &headers };
            Self { route: route(&head, SERVICES), operation: O::SPEC, body: request.body }
        }
    }

    impl Body for Asked {
        fn read(&self, walk: &mut dyn FnMut(&mut dyn Reader)) -> Read<()> {
            let input = self.route.input(self.operation, self.body.expose());
            walk(&mut *input.map_err(|error| ReadError::new(error.message))?.reader());
            Ok(())
        }
    }

    /// A store in memory, and files on the disk.
    pub(crate) struct House {
        root: tempfile::TempDir,
        pub(crate) core: std::sync::Arc<Core>,
        region: Region,
    }

    impl House {
        pub(crate) async fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let world = world::ephemeral();
            let core = std::sync::Arc::new(crate::open::dev_core(&world).unwrap());
            let house = Self { root, core, region: "us-east-1".parse().unwrap() };
            house.directory().furnish().unwrap();
            assert!(house.start().await.unwrap());
            house
        }

        pub(crate) fn directory(&self) -> DataDir {
            DataDir::prepare(&self.root.path().join("data")).unwrap()
        }

        pub(crate) async fn start(&self) -> Result<bool, Complaint> {
            make_administrator(&self.deployment(&self.directory())).await
        }

        pub(crate) fn deployment<'h>(&'h self, directory: &'h DataDir) -> Deployment<'h> {
            Deployment { core: &self.core, directory, first: AccountId::DEV, region: &self.region }
        }

        async fn issue(&self) -> Result<PathBuf, Complaint> {
            issue_key(&self.deployment(&self.directory()), None, 7).await
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.directory().bootstrap().join(name)
        }

        /// The id in a file. The store has to accept it, as a key of somebody who may do everything.
        pub(crate) async fn accepted(&self, path: &Path) -> String {
            let text = data_dir::read_small(path).unwrap();
            let id = text.expose().lines().find_map(|line| line.strip_prefix(ACCESS_KEY_ID)).unwrap();
            assert_eq!(self.refusals_of(id).await, [None, None, None, None], "{id}");
            id.to_owned()
        }

        /// How whoever has a key is refused what an administrator may, by the codes: to read and to change, here and there.
        async fn refusals_of(&self, key_id: &str) -> [Option<&'static str>; 4] {
            let key = find_access_key(self.core.db(), key_id).unwrap().expect("the key of a user");
            assert!(key.principal.arn.ends_with("administrator"), "{}", key.principal.arn);
            let caller = Caller {
                principal: key.principal,
                region: self.region.clone(),
                request_id: RequestId::random(self.core.world().entropy.as_ref()),
                source_address: String::from("127.0.0.1"),
                user_agent: String::new(),
                transport: Transport::ClearText,
                host: String::new(),
            };
            let mut refusals = [None; 4];
            for (refusal, asked) in refusals.iter_mut().zip([
                Asked::of::<iam::ListUsers>(&iam::ListUsersRequest::default()),
                Asked::of::<iam::CreateGroup>(&iam::CreateGroupRequest {
                    path: None,
                    group_name: caller.request_id.to_string(),
                }),
                Asked::of::<secretsmanager::ListSecrets>(&secretsmanager::ListSecretsRequest::default()),
                Asked::of::<secretsmanager::CreateSecret>(&secretsmanager::CreateSecretRequest {
                    name: caller.request_id.to_string(),
                    ..secretsmanager::CreateSecretRequest::default()
                }),
            ]) {
                let answer = self.core.call(&caller, asked.operation, &asked).await.expect("an answer");
                *refusal = answer.outcome.err().map(|error| error.code());
            }
            refusals
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
        assert_ne!(house.accepted(&place).await, house.accepted(&house.path("elsewhere")).await);
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
        house.accepted(&house.path("credentials")).await;
        assert!(!house.path("credentials.new").exists());
    }

    #[tokio::test]
    async fn a_key_that_could_not_be_filed_is_filed_later() {
        let house = House::new().await;
        let (place, pending) = (house.path("credentials"), house.path("credentials.new"));
        fs::rename(&place, &pending).unwrap();
        let refusal = house.issue().await.unwrap_err();
        assert!(refusal.to_string().contains("is there already"), "the one that was pending: {refusal}");
        house.accepted(&place).await;
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

    /// Whatever can deny goes: a boundary, other policies, groups. What else he has stays.
    #[tokio::test]
    async fn a_reset_takes_away_what_stands_against_an_administrator_and_nothing_else() {
        let house = House::new().await;
        let user = |cx: &mut Cx<'_>| {
            let found = cx.find::<UserRecord>(&[ADMINISTRATOR])?.ok_or_else(internal)?;
            Ok(UserRecord::clone(&*found.permit(cx, coffer_model::iam::action::GET_USER)?))
        };
        let caller = local_caller(house.core.world(), AccountId::DEV, Region::global());
        let before = house.core.run_local(&caller, user).await.unwrap();
        let locked = house.core.run_local(&caller, |cx| {
            let mut locked = user(cx)?;
            locked.boundary = Some(String::from("arn:aws:iam::000000000000:policy/little"));
            locked.policies.attached = vec![String::from("arn:aws:iam::000000000000:policy/deny")];
            locked.groups = vec![String::from("denied")];
            locked.path = String::from("/people/");
            cx.save(locked)
        });
        let lost = house.accepted(&house.path("credentials")).await;
        locked.await.unwrap();
        let denied = ["AccessDenied", "AccessDenied", "AccessDeniedException", "AccessDeniedException"];
        assert_eq!(house.refusals_of(&lost).await, denied.map(Some), "the key that he had does nothing");
        fs::remove_file(house.path("credentials")).unwrap();
        for keys in [2, 3] {
            let directory = house.directory();
            let path = reset(&house.deployment(&directory), None, 7).await.unwrap();
            let id = house.accepted(&path).await;
            let after = house.core.run_local(&caller, user).await.unwrap();
            assert_eq!(after.policies.attached, before.policies.attached);
            assert!(after.policies.inline.is_empty() && after.boundary.is_none() && after.groups.is_empty());
            assert_eq!((after.user_id, after.path.as_str()), (before.user_id.clone(), "/people/"));
            assert_eq!((after.access_keys.len(), after.access_keys.last()), (keys, Some(&id)));
            assert_eq!(after.access_keys[0], before.access_keys[0]);
            fs::remove_file(path).unwrap();
        }
    }
}
