//! Hides the exact size of a record.
//!
//! A byte 0x80 and zeros fill the plaintext up to a size class: multiples of 64 up to 512 bytes, then steps of at most
//! 12 percent. So passwords of 8 and of 40 characters look alike, and nobody pays more than an eighth for it.

const MARK: u8 = 0x80;

/// The size class of a plaintext of `len` bytes, the mark included.
pub fn padded_len(len: usize) -> usize {
    let needed = len.saturating_add(1);
    let mut class = needed.checked_next_multiple_of(64).unwrap_or(needed).min(512);
    // About seventy steps lead from 512 bytes to a mebibyte, which is cheaper than a table is to check. Rounding each
    // step down to a multiple of 16 keeps every class in whole cipher blocks.
    while class < needed {
        let step = (class / 100 * 12 + class % 100 * 12 / 100) / 16 * 16;
        class = class.saturating_add(step);
    }
    class
}

/// Appends mark and zeros. The caller has reserved [`padded_len`], so that plaintext is not moved about the heap.
pub(crate) fn pad(sealed: &mut Vec<u8>, plaintext_len: usize) {
    let zeros = padded_len(plaintext_len).saturating_sub(plaintext_len).saturating_sub(1);
    sealed.push(MARK);
    sealed.resize(sealed.len().saturating_add(zeros), 0);
}

/// How many bytes in front of the padding are plaintext; `None` if this is not what [`pad`] makes.
pub(crate) fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let mark = padded.iter().rposition(|byte| *byte != 0)?;
    let canonical = padded.get(mark) == Some(&MARK) && padded_len(mark) == padded.len();
    canonical.then_some(mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn size_classes() {
        for (len, class) in [
            (0, 64),
            (63, 64),
            (64, 128),
            (447, 448),
            (448, 512),
            (511, 512),
            (512, 560),
            (559, 560),
            (560, 624),
            (1024, 1056),
            (1055, 1056),
            (1056, 1168),
        ] {
            assert_eq!(padded_len(len), class, "{len} bytes");
        }
    }

    #[test]
    fn classes_grow_by_at_most_twelve_percent() {
        let mut class = padded_len(0);
        while class < 2 << 20 {
            let next = padded_len(class);
            assert!(next > class);
            if class >= 512 {
                assert!((next - class) * 100 <= class * 12, "{class} to {next}");
            }
            assert_eq!(padded_len(next - 1), next);
            class = next;
        }
    }

    #[test]
    fn other_paddings_are_refused() {
        let mut long = vec![MARK];
        long.resize(128, 0);
        let no_mark = [0; 64];
        let mut wrong_mark = [0; 64];
        wrong_mark[0] = 0x81;
        for bad in [&long[..], &no_mark, &wrong_mark, &[]] {
            assert_eq!(unpadded_len(bad), None);
        }
    }

    proptest! {
        #[test]
        fn padding_comes_off_again(plaintext in prop::collection::vec(any::<u8>(), 0..3000), zeros in 0_usize..3) {
            // Plaintexts that end with zeros or with a mark are the ones to be afraid of.
            let mut plaintext = plaintext;
            plaintext.push(MARK);
            plaintext.resize(plaintext.len() + zeros, 0);
            let mut padded = plaintext.clone();
            pad(&mut padded, plaintext.len());
            prop_assert_eq!(padded.len(), padded_len(plaintext.len()));
            prop_assert_eq!(unpadded_len(&padded), Some(plaintext.len()));
        }
    }
}
