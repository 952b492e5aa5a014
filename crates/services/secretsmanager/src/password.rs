//! Random passwords: every allowed character equally likely, every required class present, at places nobody can guess.

use coffer_types::{Entropy, Secret};

use crate::error::SecretError;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// What a password is made of.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub length: usize,
    pub lower: bool,
    pub upper: bool,
    pub digits: bool,
    pub punctuation: bool,
    pub space: bool,
    pub excluded: String,
    pub require_each: bool,
}

impl Recipe {
    pub(crate) fn make(&self, entropy: &dyn Entropy) -> Result<Secret<String>, SecretError> {
        let classes = self.classes();
        let all: Vec<u8> = classes.iter().flatten().copied().collect();
        if all.is_empty() {
            return Err(SecretError::PasswordWithoutCharacters);
        }
        let required = if self.require_each { classes.len() } else { 0 };
        if required > self.length {
            return Err(SecretError::PasswordTooShort);
        }
        let mut dice = Dice::new(entropy);
        let mut letters = Secret::new(Vec::with_capacity(self.length));
        for class in classes.iter().take(required) {
            letters.expose_mut().extend(dice.pick(class));
        }
        while letters.len() < self.length {
            letters.expose_mut().extend(dice.pick(&all));
        }
        dice.shuffle(letters.expose_mut());
        Ok(Secret::new(letters.expose().iter().copied().map(char::from).collect()))
    }

    /// The enabled classes without the excluded characters. A class that is excluded completely is not required.
    fn classes(&self) -> Vec<Vec<u8>> {
        [
            (self.lower, LOWER),
            (self.upper, UPPER),
            (self.digits, DIGITS),
            (self.punctuation, PUNCTUATION),
            (self.space, " "),
        ]
        .into_iter()
        .filter(|(enabled, _)| *enabled)
        .map(|(_, class)| {
            class.bytes().filter(|letter| !self.excluded.contains(char::from(*letter))).collect()
        })
        .filter(|class: &Vec<u8>| !class.is_empty())
        .collect()
    }
}

/// Unbiased choices out of random bytes, drawn in blocks.
struct Dice<'a> {
    entropy: &'a dyn Entropy,
    block: Secret<[u8; 256]>,
    used: usize,
}

impl<'a> Dice<'a> {
    const fn new(entropy: &'a dyn Entropy) -> Self {
        Self { entropy, block: Secret::new([0; 256]), used: 256 }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= self.block.expose().len() {
            self.entropy.fill(self.block.expose_mut());
            self.used = 0;
        }
        let byte = self.block.expose().get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }

    /// A number below `bound`, which is at most 65,536. What would favour small numbers is drawn again.
    fn below(&mut self, bound: usize) -> usize {
        let space = 1_usize << 16;
        let limit = space - space % bound.max(1);
        loop {
            let number = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
            if number < limit {
                return number % bound.max(1);
            }
        }
    }

    fn pick(&mut self, letters: &[u8]) -> Option<u8> {
        let index = self.below(letters.len());
        letters.get(index).copied()
    }

    fn shuffle(&mut self, letters: &mut [u8]) {
        for last in (1..letters.len()).rev() {
            let other = self.below(last + 1);
            letters.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A seeded stream (xorshift), so that every failure can be replayed.
    struct Seeded(Mutex<u64>);

    impl Entropy for Seeded {
        fn fill(&self, bytes: &mut [u8]) {
            let mut state = self.0.lock().unwrap();
            for byte in bytes {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *byte = state.to_be_bytes()[3];
            }
        }
    }

    fn recipe() -> Recipe {
        Recipe {
            length: 32,
            lower: true,
            upper: true,
            digits: true,
            punctuation: true,
            space: false,
            excluded: String::new(),
            require_each: true,
        }
    }

    fn make(recipe: &Recipe, seed: u64) -> Result<String, SecretError> {
        recipe.make(&Seeded(Mutex::new(seed))).map(Secret::take)
    }

    #[test]
    fn excluded_characters_never_cost_length() {
        let excluded = "xyzDje@?!.";
        for seed in 1..50 {
            let password =
                make(&Recipe { length: 120, excluded: excluded.into(), ..recipe() }, seed).unwrap();
            assert_eq!(password.len(), 120);
            assert!(!password.contains(|letter| excluded.contains(letter)));
        }
    }

    #[test]
    fn every_required_class_is_there_even_when_it_is_tight() {
        for seed in 1..200 {
            let password = make(&Recipe { length: 5, space: true, ..recipe() }, seed).unwrap();
            for class in [LOWER, UPPER, DIGITS, PUNCTUATION, " "] {
                assert!(password.contains(|letter| class.contains(letter)), "{password}");
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        assert_eq!(make(&Recipe { length: 3, ..recipe() }, 1), Err(SecretError::PasswordTooShort));
        let nothing = Recipe { lower: false, upper: false, digits: false, punctuation: false, ..recipe() };
        assert_eq!(make(&nothing, 1), Err(SecretError::PasswordWithoutCharacters));
        let only_digits = Recipe { digits: true, excluded: DIGITS.into(), ..nothing };
        assert_eq!(make(&only_digits, 1), Err(SecretError::PasswordWithoutCharacters));
        // A class that is excluded completely is not required any more.
        let no_digits = Recipe { length: 3, excluded: DIGITS.into(), ..recipe() };
        assert_eq!(make(&no_digits, 1).map(|password| password.len()), Ok(3));
    }

    #[test]
    fn characters_and_places_are_even() {
        // 62 letters over 200,000 draws: the expected count is 3,226 with a deviation of about 56.
        let recipe = Recipe { length: 4000, punctuation: false, require_each: false, ..recipe() };
        let mut counts = [0_u32; 128];
        for seed in 1..=50 {
            for letter in make(&recipe, seed).unwrap().bytes() {
                counts[usize::from(letter)] += 1;
            }
        }
        for letter in LOWER.bytes().chain(UPPER.bytes()).chain(DIGITS.bytes()) {
            let count = counts[usize::from(letter)];
            assert!((2900..3550).contains(&count), "{}: {count}", char::from(letter));
        }
        // The one required digit of a short password stands at every place.
        let mut places = [0_u32; 8];
        for seed in 1..=4000 {
            let recipe = Recipe {
                length: 8,
                lower: true,
                upper: false,
                punctuation: false,
                ..recipe_with_one_digit()
            };
            let password = make(&recipe, seed).unwrap();
            for (place, letter) in password.bytes().enumerate() {
                places[place] += u32::from(letter.is_ascii_digit());
            }
        }
        assert!(places.iter().all(|count| *count > 500), "{places:?}");
    }

    fn recipe_with_one_digit() -> Recipe {
        Recipe { excluded: String::from("123456789"), ..recipe() }
    }
}
