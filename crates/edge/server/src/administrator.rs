//! The administrator: made at the first start, and given another key when the first is lost.
//!
//! A key that works and that nobody has is as bad as a file with a key that does not work. So the order is always the same,
//! for the first key and for every later one: the file `credentials.new` is durable before the store accepts its key, and gets
//! its final name afterwards. A start that finds `credentials.new` asks the store which of the two happened.
//!
//! A store with an administrator is never given another one.

use std::{fmt, fs, io, path::Path};

use coffer_core::Core;
use coffer_iam::{create_administrator, find_access_key, has_users};
use coffer_shape::ApiError;
use coffer_types::{AccountId, Region, Secret};

use crate::{
    complaint::Complaint,
    data_dir::{self, DataDir},
    open::local_caller,
};

pub const ADMINISTRATOR: &str = "administrator";

/// Steps 4 to 6; answers whether an administrator was made.
pub(crate) async fn make_administrator(
    core: &Core,
    directory: &DataDir,
    account: AccountId,
    region: &Region,
) -> Result<bool, Complaint> {
    let (place, pending) = (directory.credentials(), directory.bootstrap().join("credentials.new"));
    let file_trouble = |error: io::Error| {
        Complaint::new(format!("the administrator's key cannot be written to {}", place.display()))
            .because(error)
            .next("make room, or check the mount of the data directory, then start again")
    };
    let unreadable = |error: &dyn fmt::Display| {
        Complaint::new("the administrator cannot be looked up").because(error).next("coffer verify")
    };
    if has_users(core.db(), account, ADMINISTRATOR).map_err(|error| unreadable(&error))? {
        finish_credentials(core, &pending, &place)?;
        return Ok(false);
    }
    if fs::symlink_metadata(&place).is_ok() {
        return Err(Complaint::new(format!("{} is there already", place.display()))
            .because("the store has no administrator yet, so this file is of another store")
            .next("move the file away, then start again"));
    }
    let caller = local_caller(core.world(), account, Region::global());
    let made = core
        .run_local(&caller, |cx| {
            let new = create_administrator(cx, ADMINISTRATOR)?;
            // Here and not later: when the commit stands, the file has to be there. If the closure runs again,
            // the key of the earlier run was never committed, and neither was its file renamed.
            forget(&pending)
                .and_then(|()| {
                    let text = credentials_file(account, region, &new.access_key_id, &new.secret_access_key);
                    data_dir::write_new(&pending, text.expose().as_bytes())
                })
                .map_err(|error| ApiError::new(coffer_model::iam::SERVICE.codes.internal, "").because(error))
        })
        .await;
    made.map_err(|error| {
        Complaint::new("the administrator cannot be made")
            .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
            .next("make room on the disk of the data directory, then start again")
    })?;
    data_dir::rename(&pending, &place).map_err(file_trouble)?;
    Ok(true)
}

/// An earlier start may have stopped between the commit and the final name of the file.
fn finish_credentials(core: &Core, pending: &Path, place: &Path) -> Result<(), Complaint> {
    let Ok(text) = data_dir::read_small(pending) else { return Ok(()) };
    let id = text.expose().lines().find_map(|line| line.strip_prefix(ACCESS_KEY_ID));
    let is_valid =
        id.is_some_and(|id| find_access_key(core.db(), id.trim()).is_ok_and(|found| found.is_some()));
    let finished = if is_valid && fs::symlink_metadata(place).is_err() {
        data_dir::rename(pending, place)
    } else {
        forget(pending)
    };
    finished.map_err(|error| {
        Complaint::new(format!("{} cannot be given its final name", pending.display()))
            .because(error)
            .next("check the mount of the data directory, then start again")
    })
}

const ACCESS_KEY_ID: &str = "aws_access_key_id = ";

fn credentials_file(
    account: AccountId,
    region: &Region,
    id: &str,
    secret: &Secret<String>,
) -> Secret<String> {
    let mut text = Secret::new(String::with_capacity(512));
    let to = text.expose_mut();
    for part in [
        "# The administrator of this Coffer, made at its first start.\n# account = ",
        account.as_str(),
        "\n# region = ",
        region.as_str(),
        "\n[default]\n",
        ACCESS_KEY_ID,
        id,
        "\naws_secret_access_key = ",
        secret.expose(),
        "\n",
    ] {
        to.push_str(part);
    }
    text
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
