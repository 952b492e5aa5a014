//! The states of a key, and what may be done in each.
//!
//! AWS documents it as one large table, and here it is: a row for each class of operations, a column for each state.

use crate::{error::KmsError, key::KeyRecord, words::words};

words! {
    pub enum KeyState {
        Enabled = "Enabled",
        Disabled = "Disabled",
        PendingDeletion = "PendingDeletion",
        /// A primary whose replicas are still there.
        PendingReplicaDeletion = "PendingReplicaDeletion",
        PendingImport = "PendingImport",
        /// A replica that is being made, which is over by the time anybody looks.
        Creating = "Creating",
        /// A primary that is about to become a replica, or the other way round. So is this.
        Updating = "Updating",
    }
}

/// Operations that all states treat alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Whatever uses the material: Encrypt, GenerateMac and their like, and CreateGrant.
    Use,
    /// DescribeKey, policies, lists, RetireGrant, RevokeGrant, DeleteAlias.
    Look,
    /// CreateAlias, TagResource, UntagResource, UpdateKeyDescription; UpdateAlias for the key that it leads to from now on.
    Annotate,
    /// EnableKey, DisableKey.
    Switch,
    /// EnableKeyRotation, DisableKeyRotation.
    SetRotation,
    RotateOnDemand,
    /// GetKeyRotationStatus, ListKeyRotations.
    LookAtRotation,
    ScheduleDeletion,
    CancelDeletion,
    /// GetParametersForImport, ImportKeyMaterial.
    Import,
    DeleteImported,
    /// ReplicateKey.
    Replicate,
    /// UpdatePrimaryRegion, for both keys.
    HandOn,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Disabled,
    PendingDeletion,
    PendingImport,
    Creating,
    Updating,
    NotPendingDeletion,
    /// Material that comes from outside is not rotated by us.
    Origin,
}

type Cell = Result<(), Obstacle>;

const OK: Cell = Ok(());
const D: Cell = Err(Obstacle::Disabled);
const S: Cell = Err(Obstacle::PendingDeletion);
const I: Cell = Err(Obstacle::PendingImport);
const C: Cell = Err(Obstacle::Creating);
const U: Cell = Err(Obstacle::Updating);
const N: Cell = Err(Obstacle::NotPendingDeletion);
const X: Cell = Err(Obstacle::Origin);

impl Class {
    /// Enabled, Disabled, PendingDeletion (also of replicas), PendingImport, Creating, Updating.
    const fn row(self) -> [Cell; 6] {
        match self {
            Self::Use => [OK, D, S, I, C, OK],
            Self::Look => [OK, OK, OK, OK, OK, OK],
            Self::Annotate => [OK, OK, S, OK, OK, OK],
            Self::Switch => [OK, OK, S, I, C, U],
            Self::SetRotation => [OK, D, S, X, C, OK],
            Self::RotateOnDemand => [OK, D, S, I, C, U],
            Self::LookAtRotation => [OK, OK, OK, X, OK, OK],
            Self::ScheduleDeletion => [OK, OK, S, OK, OK, U],
            Self::CancelDeletion => [N, N, OK, N, N, N],
            Self::Import => [OK, OK, S, OK, C, U],
            Self::DeleteImported => [OK, OK, OK, OK, C, U],
            Self::Replicate => [OK, D, S, I, C, U],
            Self::HandOn => [OK, D, S, I, C, OK],
        }
    }

    pub(crate) const fn in_state(self, state: KeyState) -> Cell {
        let [enabled, disabled, pending_deletion, pending_import, creating, updating] = self.row();
        match state {
            KeyState::Enabled => enabled,
            KeyState::Disabled => disabled,
            KeyState::PendingDeletion | KeyState::PendingReplicaDeletion => pending_deletion,
            KeyState::PendingImport => pending_import,
            KeyState::Creating => creating,
            KeyState::Updating => updating,
        }
    }
}

impl KeyRecord {
    pub(crate) fn ensure(&self, class: Class) -> Result<(), KmsError> {
        class.in_state(self.state).map_err(|obstacle| KmsError::State { arn: self.arn.clone(), obstacle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as AWS writes it, cell by cell: `-` is allowed.
    #[test]
    fn every_class_in_every_state() {
        let states = [
            KeyState::Enabled,
            KeyState::Disabled,
            KeyState::PendingDeletion,
            KeyState::PendingReplicaDeletion,
            KeyState::PendingImport,
            KeyState::Creating,
            KeyState::Updating,
        ];
        let letter = |cell: Cell| match cell {
            Ok(()) => '-',
            Err(Obstacle::Disabled) => 'D',
            Err(Obstacle::PendingDeletion) => 'S',
            Err(Obstacle::PendingImport) => 'I',
            Err(Obstacle::Creating) => 'C',
            Err(Obstacle::Updating) => 'U',
            Err(Obstacle::NotPendingDeletion) => 'N',
            Err(Obstacle::Origin) => 'X',
        };
        for (class, expected) in [
            (Class::Use, "-DSSIC-"),
            (Class::Look, "-------"),
            (Class::Annotate, "--SS---"),
            (Class::Switch, "--SSICU"),
            (Class::SetRotation, "-DSSXC-"),
            (Class::RotateOnDemand, "-DSSICU"),
            (Class::LookAtRotation, "----X--"),
            (Class::ScheduleDeletion, "--SS--U"),
            (Class::CancelDeletion, "NN--NNN"),
            (Class::Import, "--SS-CU"),
            (Class::DeleteImported, "-----CU"),
            (Class::Replicate, "-DSSICU"),
            (Class::HandOn, "-DSSIC-"),
        ] {
            let row: String = states.iter().map(|state| letter(class.in_state(*state))).collect();
            assert_eq!(row, expected, "{class:?}");
        }
    }
}
