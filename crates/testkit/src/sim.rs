//! Time, chance and files from one seed.
//!
//! The clock moves when a test moves it. The random stream can be started anew under a label, so that what one step of a test
//! draws does not depend on how much the steps before it drew. Nothing here is fit for anything but tests.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_core::{AppendFile, Files, Functions, World};
use coffer_types::{Clock, Entropy, Timestamp};

use crate::functions::SimFunctions;

/// 2026-01-01T00:00:00.123Z: the fraction shows whether somebody drops it.
const BEGIN_MILLIS: i64 = 1_767_225_600_123;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole world. Clones share it.
#[derive(Debug, Clone)]
pub struct SimWorld {
    pub clock: Arc<SimClock>,
    pub entropy: Arc<SimEntropy>,
    pub files: Arc<MemoryFiles>,
    pub functions: Arc<SimFunctions>,
}

impl SimWorld {
    pub fn seeded(seed: u64) -> Self {
        Self {
            clock: Arc::new(SimClock::starting(Timestamp::from_millis(BEGIN_MILLIS))),
            entropy: Arc::new(SimEntropy::seeded(seed)),
            files: Arc::default(),
            functions: Arc::default(),
        }
    }

    /// The same, as everything below the server takes it.
    pub fn world(&self) -> World {
        World {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&self.entropy) as Arc<dyn Entropy>,
            audit_files: Arc::clone(&self.files) as Arc<dyn Files>,
            functions: Arc::clone(&self.functions) as Arc<dyn Functions>,
        }
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct SimClock {
    begin: Timestamp,
    millis: AtomicI64,
    /// How much later the monotonic clock is at each look, and by how much it has run ahead that way.
    step: AtomicU64,
    ahead: AtomicU64,
}

impl SimClock {
    pub const fn starting(begin: Timestamp) -> Self {
        let (step, ahead) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { begin, millis: AtomicI64::new(begin.millis()), step, ahead }
    }

    /// From now on everything that looks at the monotonic clock finds that it has taken long.
    pub fn be_slow(&self, by: Duration) {
        self.step.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.millis(), Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let step = self.step.load(Ordering::SeqCst);
        let ahead = self.ahead.fetch_add(step, Ordering::SeqCst);
        self.now().since(self.begin) + Duration::from_millis(ahead)
    }
}

/// A stream of bytes that one seed decides (SplitMix64).
pub struct SimEntropy {
    seed: u64,
    state: Mutex<u64>,
}

impl fmt::Debug for SimEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimEntropy({})", self.seed)
    }
}

impl SimEntropy {
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, state: Mutex::new(seed) }
    }

    /// Starts the stream anew; every label has its own.
    pub fn begin(&self, label: u64) {
        *locked(&self.state) = mix(self.seed ^ mix(label.wrapping_add(1)));
    }

    pub fn next_u64(&self) -> u64 {
        let mut state = locked(&self.state);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % u64::try_from(bound).unwrap()).unwrap()
    }
}

const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// A directory in memory. What is appended counts as synced.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    files: Mutex<BTreeMap<String, Arc<Mutex<Vec<u8>>>>>,
}

impl Files for MemoryFiles {
    fn create(&self, name: &str) -> io::Result<Arc<dyn AppendFile>> {
        let mut files = locked(&self.files);
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::<Mutex<Vec<u8>>>::default();
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(Arc::new(MemoryFile(file)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let files = locked(&self.files);
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(locked(file).clone())
    }

    fn read_part(&self, name: &str, from: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        Ok(self.read(name)?.into_iter().skip(usize::try_from(from).unwrap()).take(bytes_max).collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(u64::try_from(self.read(name)?.len()).unwrap())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        locked(&self.files).remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(locked(&self.files).keys().cloned().collect())
    }
}

struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl AppendFile for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(entropy: &SimEntropy) -> [u8; 20] {
        let mut bytes = [0; 20];
        entropy.fill(&mut bytes);
        bytes
    }

    #[test]
    fn one_seed_is_one_stream() {
        assert_eq!(drawn(&SimEntropy::seeded(7)), drawn(&SimEntropy::seeded(7)));
        assert_ne!(drawn(&SimEntropy::seeded(7)), drawn(&SimEntropy::seeded(8)));
    }

    #[test]
    fn a_label_begins_the_same_stream_wherever_one_was() {
        let entropy = SimEntropy::seeded(7);
        entropy.begin(1);
        let first = drawn(&entropy);
        assert_ne!(drawn(&entropy), first);
        entropy.begin(1);
        assert_eq!(drawn(&entropy), first);
        entropy.begin(2);
        assert_ne!(drawn(&entropy), first);
    }

    #[test]
    fn time_moves_when_it_is_told_to() {
        let world = SimWorld::seeded(1);
        assert_eq!(world.clock.now().to_string(), "2026-01-01T00:00:00.123Z");
        world.clock.advance(Duration::from_secs(86_400));
        assert_eq!(world.clock.now().to_string(), "2026-01-02T00:00:00.123Z");
        assert_eq!(world.clock.monotonic(), Duration::from_secs(86_400));
    }

    #[test]
    fn files_are_never_made_twice_and_are_gone_when_they_are_removed() {
        let files = MemoryFiles::default();
        let file = files.create("a").unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        assert_eq!(files.read("a").unwrap(), b"onetwo");
        assert!(files.create("a").is_err());
        assert_eq!(files.list().unwrap(), ["a"]);
        assert_eq!((files.read_part("a", 2, 3).unwrap(), files.length("a").unwrap()), (b"etw".to_vec(), 6));
        files.remove("a").unwrap();
        files.remove("a").unwrap();
        assert!(files.list().unwrap().is_empty());
    }
}
