//! Accounts and regions.

use std::{fmt, str::FromStr, sync::Arc};

/// The ARN partition. Policies and clients written for AWS expect this word, so a deployment does not choose another.
pub const PARTITION: &str = "aws";

/// Region names are short words; the bound keeps keys and log lines small.
const REGION_LEN_MAX: usize = 32;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    #[error("an account id is 12 digits")]
    Account,
    #[error("a region is lower-case words and a number joined by hyphens, such as eu-west-1")]
    Region,
}

/// Twelve decimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// The account of `coffer dev`.
    pub const DEV: Self = Self(*b"000000000000");

    pub fn as_str(&self) -> &str {
        // INVARIANT: both constructors admit ASCII digits only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn from_number(number: u64) -> Result<Self, IdentityError> {
        format!("{number:012}").parse()
    }

    pub fn number(&self) -> u64 {
        self.0.iter().fold(0, |number, digit| number * 10 + u64::from(digit.saturating_sub(b'0')))
    }
}

impl FromStr for AccountId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let digits: [u8; 12] = text.as_bytes().try_into().map_err(|_| IdentityError::Account)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(IdentityError::Account) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const GLOBAL: &str = "global";

/// A region name. Any well-formed name is served from the same endpoint; `global` holds IAM.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    /// Where an account keeps what belongs to no region (IAM).
    pub fn global() -> Self {
        Self(Arc::from(GLOBAL))
    }

    pub fn is_global(&self) -> bool {
        &*self.0 == GLOBAL
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut words = text.split('-').rev();
        let number_last =
            words.next().is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
        let mut names = 0_usize;
        let names_good = words.all(|word| {
            names += 1;
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())
        });
        if text.len() <= REGION_LEN_MAX && number_last && names_good && names >= 1 {
            Ok(Self(Arc::from(text)))
        } else {
            Err(IdentityError::Region)
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_twelve_digits() {
        assert_eq!("111122223333".parse::<AccountId>().unwrap().number(), 111_122_223_333);
        assert_eq!(AccountId::from_number(42).unwrap().as_str(), "000000000042");
        for bad in ["", "11112222333", "1111222233334", "11112222333x", "１11122223333"] {
            assert_eq!(bad.parse::<AccountId>(), Err(IdentityError::Account), "{bad}");
        }
    }

    #[test]
    fn regions_are_words_and_a_number() {
        for good in ["us-east-1", "eu-west-1", "us-gov-west-1", "local-1", "ap-southeast-12"] {
            assert_eq!(good.parse::<Region>().unwrap().as_str(), good);
        }
        for bad in ["", "global", "us-east", "US-east-1", "us--east-1", "-1", "us-east-1 ", "../etc-1"] {
            assert_eq!(bad.parse::<Region>(), Err(IdentityError::Region), "{bad}");
        }
    }
}
