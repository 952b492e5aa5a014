//! Lists of fields as bytes, so that no two different lists give the same bytes.
//!
//! Each field is preceded by its length. Without it `("ab", "c")` and `("a", "bc")` would be one associated data, and a
//! record of one place would open in another.

/// Writes fields, each after its length in 32 bits.
pub(crate) struct Fields(Vec<u8>);

impl Fields {
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    #[must_use]
    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        // INVARIANT: no field is near 4 GiB; keys are at most 1 KiB and everything else has a fixed size.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes fixed and length-prefixed pieces from the front of bytes that may be anything.
pub(crate) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    /// A field with its length before it, at most `len_max` long.
    pub(crate) fn field(&mut self, len_max: usize) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok().filter(|len| *len <= len_max)?;
        self.bytes(len)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// `Some` only if nothing is left over.
    pub(crate) const fn end(&self) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(list: &[Vec<u8>]) -> Vec<u8> {
        list.iter().fold(Fields::with_capacity(0), |fields, field| fields.field(field)).into_bytes()
    }

    proptest! {
        #[test]
        fn different_lists_give_different_bytes(
            one in prop::collection::vec(prop::collection::vec(0_u8..3, 0..4), 0..5),
            other in prop::collection::vec(prop::collection::vec(0_u8..3, 0..4), 0..5),
        ) {
            prop_assert_eq!(encode(&one) == encode(&other), one == other);
        }

        #[test]
        fn fields_come_back(list: Vec<Vec<u8>>) {
            let bytes = encode(&list);
            let mut pieces = Pieces::of(&bytes);
            for field in &list {
                prop_assert_eq!(pieces.field(usize::MAX), Some(&field[..]));
            }
            prop_assert_eq!(pieces.end(), Some(()));
            prop_assert_eq!(pieces.u8(), None);
        }
    }
}
