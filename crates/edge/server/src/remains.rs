//! What an earlier store left in a data directory.
//!
//! A file is easily lost: to a copy that left something out, to a mount that is missing, to a hand that slipped. What is left then must not
//! pass for the beginning of a new store.
//!
//! A store file without a keyring is no remains: that is how a first start looks that was cut off between the two.

use std::{fs, io};

use crate::{complaint::Complaint, data_dir::DataDir, durable::beside, shell::quoted};

/// A new store is made where there is nothing of an earlier one. Beside a keyring or a log without its store a new one would look
/// like the old, and be empty; and what was lost would be noticed too late to be looked for.
pub(crate) fn refuse_remains(directory: &DataDir) -> Result<(), Complaint> {
    if directory.store().exists() {
        return Ok(());
    }
    let mut found = remains(directory)?;
    if directory.path().join("store.db-wal").exists() {
        found.push(String::from("store.db-wal"));
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut missing = vec!["store.db"];
    if !directory.keyring().exists() {
        missing.push("the keyring");
    }
    Err(Complaint::new(format!("the store at {} is not complete", directory.path().display()))
        .because(format!("there is {}, but not {}", found.join(", "), missing.join(" and ")))
        .because(
            "put back what is missing; or, for a new store, give another --data-dir or move this one away",
        )
        .next(format!("mv {} {}", quoted(directory.path()), quoted(&beside(directory.path(), "old"))))
        .as_damage())
}

/// What an earlier store left behind, beside its records.
pub(crate) fn remains(directory: &DataDir) -> Result<Vec<String>, Complaint> {
    let mut found = Vec::new();
    let keyring = directory.keyring();
    for (name, path) in [("the keyring", &keyring), ("keyring.previous", &beside(&keyring, "previous"))] {
        if path.exists() {
            found.push(name.to_owned());
        }
    }
    let audit = directory.audit();
    let segments = match fs::read_dir(&audit) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => {
            return Err(Complaint::new(format!("the audit log in {} cannot be looked at", audit.display()))
                .because(error)
                .next("check owner, mode and mount of the directory, then start again"));
        }
    };
    match segments {
        0 => {}
        1 => found.push(String::from("a segment of the audit log")),
        more => found.push(format!("an audit log of {more} segments")),
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{make, write_new};

    #[test]
    fn a_new_store_is_made_only_where_nothing_of_an_earlier_one_is() {
        for (left, says) in [
            ("keyring", "there is the keyring, but not store.db"),
            ("keyring.previous", "there is keyring.previous, but not store.db and the keyring"),
            ("store.db-wal", "there is store.db-wal, but not store.db and the keyring"),
            ("audit/0000000001.seg", "there is a segment of the audit log, but not store.db"),
        ] {
            let place = tempfile::tempdir().unwrap();
            let directory = DataDir::prepare(&place.path().join("data")).unwrap();
            refuse_remains(&directory).unwrap();
            make(&directory.audit()).unwrap();
            make(&directory.bootstrap()).unwrap();
            refuse_remains(&directory).unwrap();
            write_new(&directory.path().join(left), b"x").unwrap();
            let refusal = refuse_remains(&directory).unwrap_err();
            assert!(refusal.is_damage() && refusal.reasons()[0].contains(says), "{refusal}");
            write_new(&directory.store(), b"x").unwrap();
            refuse_remains(&directory).unwrap();
        }
    }
}
