//! Finds many canaries in many bytes, in every dress in which one could have got out.
//!
//! A canary is looked for by the first and the last sixteen bytes of each of its forms, so that one that was cut at either end
//! is found as well. A bit set of hashed beginnings answers "no" for nearly every place; only the rest is compared. It is a page
//! of code, and fast enough that a crate for it would save nothing.

use std::{collections::HashMap, fmt, fs, path::Path};

use coffer_types::encoding::{BASE64_NOPAD, HEXLOWER, HEXUPPER};

const PIECE_LEN: usize = 16;
const START_LEN: usize = 8;
const FILTER_BITS: u32 = 24;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) canary: String,
    pub(crate) form: &'static str,
    pub(crate) at: usize,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} at byte {}", self.canary, self.form, self.at)
    }
}

struct Piece {
    canary: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

pub(crate) struct Search {
    canaries: Vec<String>,
    pieces: HashMap<[u8; START_LEN], Vec<Piece>>,
    filter: Vec<u64>,
}

impl Search {
    pub(crate) fn new() -> Self {
        let filter = vec![0; 1 << (FILTER_BITS - 6)];
        Self { canaries: Vec::new(), pieces: HashMap::new(), filter }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, canary: &[u8]) {
        let number = self.canaries.len();
        self.canaries.push(name.into());
        for (form, bytes) in forms(canary) {
            for piece in [&bytes[..PIECE_LEN], &bytes[bytes.len() - PIECE_LEN..]] {
                let start = *piece.first_chunk().unwrap();
                let (word, bit) = place(start);
                self.filter[word] |= bit;
                let piece = Piece { canary: number, form, bytes: piece.to_vec() };
                self.pieces.entry(start).or_default().push(piece);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.canaries.len()
    }

    pub(crate) fn hits(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (at, start) in bytes.windows(START_LEN).enumerate() {
            let start = *start.first_chunk().unwrap();
            let (word, bit) = place(start);
            if self.filter[word] & bit == 0 {
                continue;
            }
            for piece in self.pieces.get(&start).into_iter().flatten() {
                if bytes[at..].starts_with(&piece.bytes) {
                    hits.push(Hit { canary: self.canaries[piece.canary].clone(), form: piece.form, at });
                }
            }
        }
        hits
    }

    /// The hits in every file below a directory, and how many bytes were looked at.
    pub(crate) fn hits_below(&self, directory: &Path) -> (Vec<(String, Hit)>, usize) {
        let (mut found, mut looked) = (Vec::new(), 0);
        let mut directories = vec![directory.to_owned()];
        while let Some(next) = directories.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file() {
                    let bytes = fs::read(entry.path()).unwrap();
                    looked += bytes.len();
                    let name = entry.path().strip_prefix(directory).unwrap().display().to_string();
                    found.extend(self.hits(&bytes).into_iter().map(|hit| (name.clone(), hit)));
                }
            }
        }
        (found, looked)
    }
}

fn place(start: [u8; START_LEN]) -> (usize, u64) {
    let hashed = u64::from_le_bytes(start).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    (usize::try_from(hashed >> 6).unwrap(), 1 << (hashed & 63))
}

/// Base64 of the canary as it stands behind `before` other bytes: only the letters that are its own.
fn base64(canary: &[u8], before: usize) -> Vec<u8> {
    let all = [&vec![0; before], canary].concat();
    let text = BASE64_NOPAD.encode(&all).into_bytes();
    let from = (before * 8).div_ceil(6);
    let to = all.len() * 8 / 6;
    text[from..to].to_vec()
}

pub(crate) fn forms(canary: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("itself", canary.to_vec()),
        ("base64", base64(canary, 0)),
        ("base64, shifted by one", base64(canary, 1)),
        ("base64, shifted by two", base64(canary, 2)),
        ("hex", HEXLOWER.encode(canary).into_bytes()),
        ("capital hex", HEXUPPER.encode(canary).into_bytes()),
        ("UTF-16", canary.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("its reverse", canary.iter().rev().copied().collect()),
    ]
}

/// A search that finds nothing is good news only if it would find something.
#[test]
fn every_form_is_found_wherever_it_stands() {
    let canary = b"a canary of thirty-two bytes, so";
    let mut search = Search::new();
    search.add("other", &[7; 40]);
    search.add("bird", canary);
    for (form, bytes) in forms(canary) {
        for before in 0..9 {
            let text = [&vec![b'.'; before], bytes.as_slice(), b"...."].concat();
            let found: Vec<_> = search.hits(&text).iter().map(|hit| (hit.canary.clone(), hit.at)).collect();
            let last = before + bytes.len() - PIECE_LEN;
            assert!(found.contains(&(String::from("bird"), before)), "{form} behind {before}");
            assert!(found.contains(&(String::from("bird"), last)), "{form} behind {before}");
        }
    }
    for before in 0..3 {
        let written = BASE64_NOPAD.encode(&[&b"xyz"[..before], canary, b"more"].concat());
        assert!(!search.hits(written.as_bytes()).is_empty(), "in base64 of something longer, {before}");
    }
    assert_eq!(search.hits(b"nothing of the kind, and something long enough to be looked at"), []);
    assert_eq!(search.hits(b""), []);
}
