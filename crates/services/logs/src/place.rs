//! Where an event stands among all of a group: by time, then by stream, then by when it came.

use std::fmt;

/// Fifty-six digits, as AWS's ids of events and tokens have.
const DIGITS: usize = 56;
/// Of time, stream, batch and place in the batch.
const PARTS: [usize; 4] = [14, 20, 12, 10];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Milliseconds.
    pub at: i64,
    pub stream: u64,
    pub batch: u64,
    pub index: u64,
}

impl Place {
    /// Before all events of this instant.
    pub(crate) const fn before(at: i64) -> Self {
        Self { at, stream: 0, batch: 0, index: 0 }
    }

    /// Behind all events of this instant.
    pub(crate) const fn behind(at: i64) -> Self {
        Self { at, stream: u64::MAX, batch: u64::MAX, index: u64::MAX }
    }

    /// Behind this event, and before every other.
    pub(crate) const fn next(self) -> Self {
        Self { index: self.index.saturating_add(1), ..self }
    }

    pub(crate) fn parse(digits: &str) -> Option<Self> {
        if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut rest = digits;
        let mut part = |length: usize| {
            let (part, behind) = rest.split_at_checked(length)?;
            rest = behind;
            part.parse::<u64>().ok()
        };
        let [at, stream, batch, index] = PARTS;
        Some(Self {
            at: i64::try_from(part(at)?).ok()?,
            stream: part(stream)?,
            batch: part(batch)?,
            index: part(index)?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [at, stream, batch, index] = PARTS;
        let most = |digits: usize| 10_u64.saturating_pow(u32::try_from(digits).unwrap_or(u32::MAX)) - 1;
        write!(
            f,
            "{:0at$}{:0stream$}{:0batch$}{:0index$}",
            u64::try_from(self.at).unwrap_or_default().min(most(at)),
            self.stream,
            self.batch.min(most(batch)),
            self.index.min(most(index)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_fifty_six_digits_in_the_order_of_places() {
        let places = [
            Place::before(0),
            Place { at: 1_700_000_000_000, stream: 7, batch: 0, index: 9 },
            Place { at: 1_700_000_000_000, stream: 7, batch: 1, index: 0 },
            Place { at: 1_700_000_000_000, stream: u64::MAX, batch: 0, index: 0 },
            Place { at: 1_700_000_000_001, stream: 0, batch: 0, index: 0 },
        ];
        let texts: Vec<String> = places.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted());
        for (place, text) in places.iter().zip(&texts) {
            assert_eq!(text.len(), 56);
            assert_eq!(Place::parse(text).as_ref(), Some(place));
        }
        let behind = Place::behind(5).to_string();
        assert_eq!(behind.len(), 56, "{behind}");
        assert!(Place::parse(&behind).unwrap() > Place::before(5));
    }

    #[test]
    fn what_is_no_place_is_none() {
        let long = "9".repeat(56);
        for text in ["", "1", "x", long.as_str(), &"+".repeat(56), &"0".repeat(57)] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
