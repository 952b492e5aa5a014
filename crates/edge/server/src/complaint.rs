//! What a person at a terminal is told when something cannot be done: the thing, the reason, the next step.
//!
//! ```text
//! error: the store is sealed
//!   2 of 3 recovery shares given; 1 more is needed
//!   try: coffer unseal --share <file>
//! ```
//!
//! Everything that can stop a start or a command ends as one of these, so that nobody is left with the bare words of an
//! operating system. It never carries a secret: whoever makes one writes a sentence, not a value.

use std::fmt;

use coffer_barrier::{KeyringError, ShareError};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complaint {
    what: String,
    reasons: Vec<String>,
    next: Option<String>,
    is_damage: bool,
}

impl Complaint {
    /// Names the thing, in lower case and without a full stop.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    #[must_use]
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        self.reasons.push(reason.to_string());
        self
    }

    /// What to type or do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Reads the form that [`fmt::Display`] writes, which errors of other crates have too.
    pub fn from_text(text: &str) -> Self {
        let mut lines = text.lines();
        let mut complaint = Self::new(lines.next().unwrap_or_default());
        for line in lines.map(str::trim_start) {
            complaint = match line.strip_prefix("try: ") {
                Some(next) => complaint.next(next),
                None => complaint.because(line),
            };
        }
        complaint
    }

    /// Something stored is not as it was written, which scripts tell from other failures.
    #[must_use]
    pub const fn as_damage(mut self) -> Self {
        self.is_damage = true;
        self
    }

    pub const fn is_damage(&self) -> bool {
        self.is_damage
    }

    pub fn what(&self) -> &str {
        &self.what
    }

    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    pub fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  try: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

impl From<KeyringError> for Complaint {
    fn from(error: KeyringError) -> Self {
        let complaint = Self::from_text(&error.to_string());
        if matches!(error, KeyringError::Damaged { .. }) { complaint.as_damage() } else { complaint }
    }
}

impl From<ShareError> for Complaint {
    fn from(error: ShareError) -> Self {
        Self::from_text(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_thing_the_reason_and_the_next_step() {
        let complaint = Complaint::new("the store is sealed")
            .because("2 of 3 recovery shares given; 1 more is needed")
            .next("coffer unseal --share <file>");
        assert_eq!(
            complaint.to_string(),
            "the store is sealed\n  2 of 3 recovery shares given; 1 more is needed\n  try: coffer unseal --share <file>"
        );
        assert_eq!(Complaint::from_text(&complaint.to_string()), complaint);
        assert_eq!(Complaint::new("alone").to_string(), "alone");
    }
}
