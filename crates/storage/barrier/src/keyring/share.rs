//! Recovery shares: what people keep in envelopes and safes.
//!
//! ```text
//! version 1 | set id 8 | threshold 1 | index 1 | values 32 | CRC-32 of all before it 4        47 bytes
//! ```
//!
//! Printed in base32, 47 bytes are exactly 19 groups of four letters. Whoever types them may use small letters, other
//! separators, and the digits 0, 1 and 8 for the letters they look like: the alphabet has none of these. The checksum finds typing errors,
//! share by share; it protects against nobody. Whether the shares are genuine shows when the root key unwraps.
//!
//! The threshold is on each share, so that it can be read from the paper; the keyring's word counts when it is there.

use std::fmt;

use coffer_crypto::{Share, combine, crc32};
use coffer_types::{
    Secret,
    encoding::{BASE32_NOPAD, HEXLOWER},
};

use super::slot::{Recovery, SlotKey};
use crate::fields::Pieces;

const VERSION: u8 = 1;
const LEN: usize = 47;
const LETTERS: usize = 76;
const GROUP: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error(
        "this is not a recovery share\n  a share is 19 groups of 4 letters\n  try: copy all groups from the paper"
    )]
    Form,
    #[error(
        "the recovery share has a typing error\n  its checksum does not fit\n  \
         try: compare it with the paper letter by letter"
    )]
    Mistyped,
    #[error("the recovery share has version {0}\n  this program reads version 1\n  try: a newer coffer")]
    Version(u8),
    #[error(
        "the recovery share is of another set\n  it belongs to set {given}, and this store accepts {accepted}\n  \
         try: the shares that were made last for this store"
    )]
    OtherSet { given: String, accepted: String },
    #[error(
        "recovery share {index} was given twice, with different contents\n  one of the two is not genuine\n  \
         try: start again with shares you trust"
    )]
    Contradiction { index: u8 },
    #[error(
        "the store is sealed\n  {given} of {needed} recovery shares given\n  try: the same command with --share <file> for each share"
    )]
    TooFew { given: usize, needed: usize },
}

/// One share of one set.
pub struct RecoveryShare {
    set: [u8; 8],
    threshold: u8,
    share: Share,
}

impl RecoveryShare {
    pub(super) const fn new(set: [u8; 8], threshold: u8, share: Share) -> Self {
        Self { set, threshold, share }
    }

    pub const fn index(&self) -> u8 {
        self.share.index()
    }

    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Sixteen hexadecimal digits that all shares of a set have in common.
    pub fn set(&self) -> String {
        HEXLOWER.encode(&self.set)
    }

    /// What is printed: `ABCD-EFGH-..`, 19 groups.
    pub fn to_text(&self) -> Secret<String> {
        let mut bytes = Secret::new(Vec::with_capacity(LEN));
        let plain = bytes.expose_mut();
        plain.push(VERSION);
        plain.extend_from_slice(&self.set);
        plain.extend_from_slice(&[self.threshold, self.share.index()]);
        plain.extend_from_slice(self.share.values());
        plain.extend_from_slice(&crc32(plain).to_be_bytes());

        let letters = Secret::new(BASE32_NOPAD.encode(bytes.expose()));
        let mut text = Secret::new(String::with_capacity(LETTERS / GROUP * (GROUP + 1)));
        for (at, letter) in letters.expose().chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.expose_mut().push('-');
            }
            text.expose_mut().push(letter);
        }
        text
    }

    /// Reads what somebody typed.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let mut letters = Secret::new(Vec::with_capacity(LETTERS));
        for character in text.chars().filter(|character| character.is_alphanumeric()) {
            let letter = match character.to_ascii_uppercase() {
                '0' => 'O',
                '1' => 'I',
                '8' => 'B',
                other => other,
            };
            if letters.len() == LETTERS {
                return Err(ShareError::Form);
            }
            let letter = u8::try_from(letter).ok().filter(u8::is_ascii).ok_or(ShareError::Form)?;
            letters.expose_mut().push(letter);
        }
        if letters.len() != LETTERS {
            return Err(ShareError::Form);
        }
        let mut bytes = Secret::new([0; LEN]);
        let decoded = BASE32_NOPAD.decode_len(LETTERS).is_ok_and(|len| len == LEN)
            && BASE32_NOPAD.decode_mut(letters.expose(), bytes.expose_mut()).is_ok();
        if decoded { Self::read(bytes.expose()) } else { Err(ShareError::Mistyped) }
    }

    fn read(bytes: &[u8; LEN]) -> Result<Self, ShareError> {
        let (content, checksum) = bytes.split_last_chunk().ok_or(ShareError::Form)?;
        if crc32(content) != u32::from_be_bytes(*checksum) {
            return Err(ShareError::Mistyped);
        }
        let mut pieces = Pieces::of(content);
        let version = pieces.u8().ok_or(ShareError::Form)?;
        if version != VERSION {
            return Err(ShareError::Version(version));
        }
        let set = pieces.array().ok_or(ShareError::Form)?;
        let threshold = pieces.u8().ok_or(ShareError::Form)?;
        let index = pieces.u8().ok_or(ShareError::Form)?;
        let values = pieces.array().map(Secret::new).ok_or(ShareError::Form)?;
        let share = Share::new(index, values).ok_or(ShareError::Form)?;
        Ok(Self { set, threshold, share })
    }
}

impl fmt::Debug for RecoveryShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryShare({} of set {})", self.index(), self.set())
    }
}

/// How far the collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareProgress {
    pub given: usize,
    pub needed: usize,
}

impl ShareProgress {
    pub const fn is_complete(self) -> bool {
        self.needed > 0 && self.given >= self.needed
    }
}

/// Collects shares until they are enough. Progress lives in memory only and is lost, on purpose, with the process.
#[derive(Debug)]
pub struct ShareCollector {
    accepted: Vec<Recovery>,
    /// The set of the first share; all others must be of it.
    chosen: Option<Recovery>,
    shares: Vec<Share>,
}

impl ShareCollector {
    pub(super) const fn new(accepted: Vec<Recovery>) -> Self {
        Self { accepted, chosen: None, shares: Vec::new() }
    }

    /// Takes one more share. The same share again changes nothing.
    pub fn add(&mut self, share: RecoveryShare) -> Result<ShareProgress, ShareError> {
        let candidates = self.chosen.as_ref().map_or(&self.accepted[..], std::slice::from_ref);
        let Some(set) = candidates.iter().find(|recovery| recovery.set == share.set).copied() else {
            return Err(ShareError::OtherSet { given: share.set(), accepted: names(candidates) });
        };
        match self.shares.iter().find(|known| known.index() == share.index()) {
            Some(known) if coffer_crypto::constant_time_eq(known.values(), share.share.values()) => {}
            Some(known) => return Err(ShareError::Contradiction { index: known.index() }),
            None => self.shares.push(share.share),
        }
        self.chosen = Some(set);
        Ok(self.progress())
    }

    pub fn progress(&self) -> ShareProgress {
        let first = self.chosen.as_ref().or(self.accepted.first());
        let needed = first.map_or(0, |recovery| usize::from(recovery.threshold));
        ShareProgress { given: self.shares.len(), needed }
    }

    /// The key of the recovery slot, once enough shares are there.
    pub fn finish(self) -> Result<SlotKey, ShareError> {
        let progress = self.progress();
        let too_few = ShareError::TooFew { given: progress.given, needed: progress.needed };
        match self.chosen {
            Some(chosen) if progress.is_complete() => {
                let key = combine(&self.shares).map_err(|_| too_few)?;
                Ok(SlotKey::Recovery { set: chosen.set, key })
            }
            _ => Err(too_few),
        }
    }
}

fn names(sets: &[Recovery]) -> String {
    if sets.is_empty() {
        return String::from("no recovery shares");
    }
    let names: Vec<_> = sets.iter().map(|recovery| HEXLOWER.encode(&recovery.set)).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(set: u8, index: u8, value: u8) -> RecoveryShare {
        RecoveryShare::new([set; 8], 2, Share::new(index, Secret::new([value; 32])).unwrap())
    }

    fn collector() -> ShareCollector {
        ShareCollector::new(vec![Recovery { set: [1; 8], threshold: 2, shares: 3 }])
    }

    #[test]
    fn a_share_prints_as_nineteen_groups() {
        let text = share(1, 2, 3).to_text();
        assert_eq!(
            text.expose(),
            "AEAQ-CAIB-AEAQ-CAIC-AIBQ-GAYD-AMBQ-GAYD-AMBQ-GAYD-AMBQ-GAYD-AMBQ-GAYD-AMBQ-GAYD-AMBQ-H2KC-ETRA"
        );
    }

    #[test]
    fn people_may_type_as_they_like() {
        let printed = share(1, 2, 3).to_text();
        for typed in [
            printed.expose().to_lowercase(),
            printed.expose().replace('-', " "),
            printed.expose().replace('-', "\n"),
            printed.expose().replace('-', ""),
            printed.expose().replace('I', "1").replace('B', "8"),
        ] {
            assert_eq!(RecoveryShare::parse(&typed).unwrap().to_text().expose(), printed.expose(), "{typed}");
        }
    }

    #[test]
    fn what_is_not_a_share_is_refused() {
        let printed = share(1, 2, 3).to_text();
        let longer = format!("{}A", printed.expose());
        for (typed, error) in [
            ("", ShareError::Form),
            ("hunter2", ShareError::Form),
            (&longer, ShareError::Form),
            (&printed.expose()[1..], ShareError::Form),
            (&printed.expose().replacen('A', "é", 1), ShareError::Form),
            (&printed.expose().replacen('A', "9", 1), ShareError::Mistyped),
            (&printed.expose().replacen("AE", "AF", 1), ShareError::Mistyped),
        ] {
            assert_eq!(RecoveryShare::parse(typed).unwrap_err(), error, "{typed}");
        }
    }

    #[test]
    fn progress_counts_different_shares_of_one_set() {
        let mut shares = collector();
        assert_eq!(shares.progress(), ShareProgress { given: 0, needed: 2 });
        assert!(matches!(shares.add(share(9, 1, 1)), Err(ShareError::OtherSet { .. })));
        for _ in 0..2 {
            assert_eq!(shares.add(share(1, 1, 1)), Ok(ShareProgress { given: 1, needed: 2 }));
        }
        assert_eq!(shares.add(share(1, 1, 2)), Err(ShareError::Contradiction { index: 1 }));
        assert!(shares.add(share(1, 3, 1)).unwrap().is_complete());
        assert!(shares.finish().is_ok());
    }

    #[test]
    fn too_few_shares_make_no_key() {
        let mut shares = collector();
        shares.add(share(1, 1, 1)).unwrap();
        let message = shares.finish().unwrap_err().to_string();
        assert_eq!(
            message,
            "the store is sealed\n  1 of 2 recovery shares given\n  try: the same command with --share <file> for each share"
        );
        assert_eq!(collector().finish().unwrap_err(), ShareError::TooFew { given: 0, needed: 2 });
    }

    proptest! {
        #[test]
        fn shares_come_back_and_no_single_wrong_letter_passes(
            set: [u8; 8], threshold: u8, index in 1_u8.., values: [u8; 32],
            at in 0_usize..LETTERS, letter in "[A-Z2-7]",
        ) {
            let share = RecoveryShare::new(set, threshold, Share::new(index, Secret::new(values)).unwrap());
            let text = share.to_text();
            let back = RecoveryShare::parse(text.expose()).unwrap();
            prop_assert_eq!((back.set, back.threshold, back.index()), (set, threshold, index));
            prop_assert_eq!(back.share.values(), &values);

            let mut letters = text.expose().replace('-', "");
            letters.replace_range(at..=at, &letter);
            let same = letters == text.expose().replace('-', "");
            prop_assert_eq!(RecoveryShare::parse(&letters).is_ok(), same);
        }
    }
}
