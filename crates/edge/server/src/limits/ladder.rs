//! What is left undone first when everybody together asks for more than can be done.
//!
//! One who asks for too much is dealt with in the line. Only when requests are turned away that were no more than somebody's share does
//! the house go down a step: background work stops, then calls that look at many things are refused, then those that change something,
//! and what is left are reads, of which each principal has his share. When nobody had to be turned away for a while, it comes back up.
//!
//! What this does not know: the clock, and who is turned away.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU8, AtomicU32, Ordering},
};

use coffer_shape::{Load, OperationSpec};

/// Looks in a row with somebody turned away before it goes down a step, and without before it comes up one. There are ten in a second.
const LOOKS_DOWN: u32 = 2;
const LOOKS_UP: u32 = 10;

/// Each step includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Step {
    Everything = 0,
    NoTasks = 1,
    NoLists = 2,
    NoChanges = 3,
    SharedReads = 4,
}

impl Step {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Everything,
            1 => Self::NoTasks,
            2 => Self::NoLists,
            3 => Self::NoChanges,
            _ => Self::SharedReads,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::Everything => "everything is done",
            Self::NoTasks => "background tasks wait",
            Self::NoLists => "background tasks wait, and calls that look at many things are refused",
            Self::NoChanges | Self::SharedReads => {
                "background tasks wait, and calls that look at many things and changes are refused, but for those of a rotation"
            }
        }
    }

    /// Whether this call is one of those that are not done now.
    pub(crate) fn leaves_out(self, operation: &OperationSpec) -> bool {
        let first = match operation.load {
            Load::List => Self::NoLists,
            Load::Change => Self::NoChanges,
            Load::Read | Load::Rotation => return false,
        };
        self >= first
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ladder {
    step: AtomicU8,
    /// Turned away since the last look, although it was no more than their share.
    strained: AtomicU32,
    looks: Mutex<Looks>,
}

#[derive(Debug, Default)]
struct Looks {
    strained: u32,
    calm: u32,
}

impl Ladder {
    pub(crate) fn step(&self) -> Step {
        Step::of(self.step.load(Ordering::Relaxed))
    }

    pub(crate) fn strain(&self) {
        self.strained.fetch_add(1, Ordering::Relaxed);
    }

    /// Ten times a second: where it stands now, if it moved.
    pub(crate) fn look(&self) -> Option<Step> {
        let is_strained = self.strained.swap(0, Ordering::Relaxed) > 0;
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if is_strained {
            *looks = Looks { strained: looks.strained + 1, calm: 0 };
        } else {
            *looks = Looks { strained: 0, calm: looks.calm.saturating_add(1) };
        }
        let now = self.step();
        let next = if looks.strained >= LOOKS_DOWN && now < Step::SharedReads {
            Step::of(now.number() + 1)
        } else if looks.calm >= LOOKS_UP && now > Step::Everything {
            Step::of(now.number() - 1)
        } else {
            return None;
        };
        *looks = Looks::default();
        self.step.store(next.number(), Ordering::Relaxed);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use coffer_model::SERVICES;

    use super::*;

    #[test]
    fn steps_are_taken_one_by_one_and_taken_back_slowly() {
        let ladder = Ladder::default();
        let look = |strained: bool| {
            if strained {
                ladder.strain();
            }
            ladder.look().map(Step::number)
        };
        let steps: Vec<_> = (0..12).filter_map(|_| look(true)).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        // Now and then one is not more than one at all.
        assert!((0..9).all(|_| look(false).is_none()) && look(true).is_none());
        assert_eq!((0..45).filter_map(|_| look(false)).collect::<Vec<_>>(), [3, 2, 1, 0]);
        assert_eq!(look(true), None);
        assert_eq!(look(false), None);
        assert_eq!(look(true), None, "two in a row, or nothing happens");
    }

    #[test]
    fn each_step_leaves_out_what_is_missed_least() {
        for (name, from) in [
            ("secretsmanager:ListSecrets", Some(2)),
            ("secretsmanager:BatchGetSecretValue", Some(2)),
            ("cloudtrail:LookupEvents", Some(2)),
            ("iam:ListUsers", Some(2)),
            ("secretsmanager:CreateSecret", Some(3)),
            ("secretsmanager:TagResource", Some(3)),
            ("kms:CreateKey", Some(3)),
            ("secretsmanager:PutSecretValue", None),
            ("secretsmanager:UpdateSecretVersionStage", None),
            ("secretsmanager:GetSecretValue", None),
            ("kms:Decrypt", None),
            ("sts:AssumeRole", None),
            ("iam:GetAccountAuthorizationDetails", Some(2)),
        ] {
            let (service, operation) = name.split_once(':').unwrap();
            let service = SERVICES.iter().find(|spec| spec.name == service).unwrap();
            let operation = service.operation(operation).unwrap();
            let first = (0..=4).find(|number| Step::of(*number).leaves_out(operation));
            assert_eq!(first, from, "{name}");
        }
    }

    /// Whoever adds an operation is reminded to say so in its overlay.
    #[test]
    fn what_answers_in_pages_looks_at_many_things() {
        let has_pages = |operation: &OperationSpec| {
            operation.input.members().iter().any(|member| matches!(member.name, "NextToken" | "Marker"))
        };
        let all = SERVICES.iter().flat_map(|service| service.operations);
        let silent = all.filter(|operation| has_pages(operation) && operation.load != Load::List);
        assert_eq!(silent.map(|operation| operation.name).collect::<Vec<_>>(), [""; 0]);
    }
}
