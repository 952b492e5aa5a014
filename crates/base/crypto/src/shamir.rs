//! Shamir's secret sharing of a 32-byte key over GF(2^8).
//!
//! Each byte of the key is the value at zero of its own random polynomial of degree `threshold - 1`; share number `x`
//! holds the values at `x`. Fewer shares than the threshold say nothing at all about the key; the scheme says nothing
//! about whether the shares belong together either, so whoever combines them must check the result.
//!
//! The field is the one of AES (polynomial 0x11b). Multiplication runs the same eight steps for all operands: no
//! tables and no branches on secret bytes, so neither cache nor branch predictor sees the key.

use coffer_types::{Entropy, Secret, zeroize::Zeroize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("a key is split into 2 to 255 shares, of which at least 2 and at most all are needed")]
    Numbers,
    #[error("two shares have the same number")]
    SameShareTwice,
    #[error("no share was given")]
    Nothing,
}

/// The values of the 32 polynomials at `index`, which is never zero.
pub struct Share {
    index: u8,
    values: Secret<[u8; 32]>,
}

impl Share {
    pub fn new(index: u8, values: Secret<[u8; 32]>) -> Option<Self> {
        (index != 0).then_some(Self { index, values })
    }

    pub const fn index(&self) -> u8 {
        self.index
    }

    pub const fn values(&self) -> &[u8; 32] {
        self.values.expose()
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Splits `key` into `shares` shares, any `threshold` of which give it back.
pub fn split(
    key: &[u8; 32],
    threshold: u8,
    shares: u8,
    entropy: &dyn Entropy,
) -> Result<Vec<Share>, SplitError> {
    if threshold < 2 || shares < threshold {
        return Err(SplitError::Numbers);
    }
    // The coefficients of x^1, x^2, ..: one row of 32 for each power, each from its own draw.
    let mut rows = Vec::with_capacity(usize::from(threshold));
    for _ in 1..threshold {
        let mut row = Secret::new([0; 32]);
        entropy.fill(row.expose_mut());
        rows.push(row);
    }
    Ok((1..=shares)
        .map(|index| {
            let mut values = Secret::new([0; 32]);
            // Horner's rule, highest power first; the key itself is the power zero.
            for row in rows.iter().rev().map(Secret::expose).chain([key]) {
                for (value, coefficient) in values.expose_mut().iter_mut().zip(row) {
                    *value = multiply(*value, index) ^ coefficient;
                }
            }
            Share { index, values }
        })
        .collect())
}

/// The value at zero of the polynomials through `shares`: the key, if they are of one set and enough.
pub fn combine(shares: &[Share]) -> Result<Secret<[u8; 32]>, SplitError> {
    if shares.is_empty() {
        return Err(SplitError::Nothing);
    }
    let mut key = Secret::new([0; 32]);
    for (position, share) in shares.iter().enumerate() {
        // Lagrange's weight of this share at zero. Indices are public, so these branches tell nothing.
        let mut weight = 1;
        for (other_position, other) in shares.iter().enumerate() {
            if position == other_position {
                continue;
            }
            if share.index == other.index {
                return Err(SplitError::SameShareTwice);
            }
            weight = multiply(weight, multiply(other.index, invert(other.index ^ share.index)));
        }
        for (byte, value) in key.expose_mut().iter_mut().zip(share.values()) {
            let mut term = multiply(*value, weight);
            *byte ^= term;
            term.zeroize();
        }
    }
    Ok(key)
}

/// The product in GF(2^8). Masks instead of branches: 0xff where the bit is set, 0x00 where not.
fn multiply(left: u8, right: u8) -> u8 {
    let (mut left, mut product) = (left, 0);
    for bit in 0..8 {
        product ^= left & 0_u8.wrapping_sub((right >> bit) & 1);
        left = (left << 1) ^ (0x1b & 0_u8.wrapping_sub(left >> 7));
    }
    product
}

/// The inverse: the 254th power, because the group has 255 elements. Zero, which has none, gives zero.
fn invert(value: u8) -> u8 {
    // 254 is 0b1111_1110: square seven times, multiplying each square in.
    let (mut square, mut power) = (value, 1);
    for _ in 0..7 {
        square = multiply(square, square);
        power = multiply(power, square);
    }
    power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SystemEntropy;

    /// Multiplication as the textbook has it: carry-less product, then long division.
    fn slow_product(left: u8, right: u8) -> u8 {
        let mut product = (0..8)
            .fold(0_u16, |sum, bit| if right >> bit & 1 == 1 { sum ^ (u16::from(left) << bit) } else { sum });
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(product).unwrap()
    }

    #[test]
    fn the_field_is_the_one_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xc1, "the example of FIPS 197");
        for left in 0..=255 {
            for right in 0..=255 {
                assert_eq!(multiply(left, right), slow_product(left, right));
            }
            assert_eq!(multiply(left, invert(left)), u8::from(left != 0));
        }
    }

    #[test]
    fn a_share_lies_on_its_polynomial() {
        struct Ones;
        impl Entropy for Ones {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(1);
            }
        }
        // With all coefficients 1 and threshold 3: f(x) = key + x + x^2.
        let shares = split(&[0x42; 32], 3, 3, &Ones).unwrap();
        for (share, expected) in shares.iter().zip([0x42, 0x42 ^ 2 ^ 4, 0x42 ^ 3 ^ 5]) {
            assert_eq!(share.values(), &[expected; 32]);
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (threshold, shares) in [(0, 5), (1, 5), (3, 2), (0, 0)] {
            assert!(matches!(split(&[0; 32], threshold, shares, &SystemEntropy), Err(SplitError::Numbers)));
        }
        assert!(split(&[0; 32], 255, 255, &SystemEntropy).is_ok());
        assert!(Share::new(0, Secret::new([0; 32])).is_none());
        assert!(matches!(combine(&[]), Err(SplitError::Nothing)));
    }

    #[test]
    fn the_same_share_twice_is_refused() {
        let twice = || Share::new(7, Secret::new([1; 32])).unwrap();
        assert!(matches!(combine(&[twice(), twice()]), Err(SplitError::SameShareTwice)));
    }

    proptest! {
        #[test]
        fn any_quorum_gives_the_key_back_and_fewer_do_not(
            key: [u8; 32], threshold in 2_u8..8, extra in 0_u8..5, seed: prop::sample::Selector,
        ) {
            let shares = split(&key, threshold, threshold + extra, &SystemEntropy).unwrap();
            let mut left: Vec<_> = shares.into_iter().collect();
            let mut quorum = Vec::new();
            while quorum.len() < usize::from(threshold) {
                let index = seed.select(left.iter().map(Share::index));
                let at = left.iter().position(|share| share.index() == index).unwrap();
                quorum.push(left.swap_remove(at));
            }
            let combined = combine(&quorum).unwrap();
            prop_assert_eq!(combined.expose(), &key);
            quorum.pop();
            let combined = combine(&quorum).unwrap();
            prop_assert_ne!(combined.expose(), &key);
        }
    }
}
