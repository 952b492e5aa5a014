//! What has been fetched, until it is too old or others need the room. Who was asked for least recently goes first.

use std::{collections::HashMap, sync::Arc, time::Duration};

use coffer_types::Secret;

/// On AWS the values are in the memory of the function; here they are in ours.
const BYTES_MAX: usize = 4 << 20;

/// Exactly as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) secret_id: String,
    pub(super) version_id: Option<String>,
    pub(super) version_stage: Option<String>,
}

/// An answer as it is sent.
pub(super) type Held = Arc<Secret<Vec<u8>>>;

pub(super) struct Cache {
    entries_max: usize,
    lifetime: Duration,
    entries: HashMap<Key, Entry>,
    bytes: usize,
    turn: u64,
}

struct Entry {
    body: Held,
    since: Duration,
    used: u64,
}

impl Cache {
    pub(super) fn new(entries_max: usize, lifetime: Duration) -> Self {
        Self { entries_max, lifetime, entries: HashMap::new(), bytes: 0, turn: 0 }
    }

    pub(super) fn get(&mut self, key: &Key, now: Duration) -> Option<Held> {
        self.turn += 1;
        let entry = self.entries.get_mut(key)?;
        if now.saturating_sub(entry.since) >= self.lifetime {
            self.remove(&key.clone());
            return None;
        }
        entry.used = self.turn;
        Some(Arc::clone(&entry.body))
    }

    pub(super) fn put(&mut self, key: Key, body: &Held, now: Duration) {
        self.remove(&key);
        if self.entries_max == 0 || self.lifetime.is_zero() || body.len() > BYTES_MAX {
            return;
        }
        while self.entries.len() >= self.entries_max || self.bytes + body.len() > BYTES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.remove(&oldest);
        }
        self.turn += 1;
        self.bytes += body.len();
        self.entries.insert(key, Entry { body: Arc::clone(body), since: now, used: self.turn });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { secret_id: name.to_owned(), version_id: None, version_stage: None }
    }

    fn body(bytes: usize) -> Held {
        Arc::new(Secret::new(vec![b'x'; bytes]))
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_may_be() {
        let mut cache = Cache::new(10, at(300));
        cache.put(key("a"), &body(1), at(1));
        assert!(cache.get(&key("a"), at(300)).is_some());
        let staged = Key { version_stage: Some(String::from("AWSCURRENT")), ..key("a") };
        assert!(cache.get(&staged, at(2)).is_none());
        assert!(cache.get(&key("a"), at(301)).is_none());
        assert_eq!((cache.entries.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn who_was_not_asked_for_goes_first() {
        let mut cache = Cache::new(2, at(300));
        cache.put(key("a"), &body(1), at(0));
        cache.put(key("b"), &body(1), at(0));
        assert!(cache.get(&key("a"), at(0)).is_some());
        cache.put(key("c"), &body(1), at(0));
        let kept = ["a", "b", "c"].map(|name| cache.get(&key(name), at(0)).is_some());
        assert_eq!(kept, [true, false, true]);
    }

    #[test]
    fn there_are_so_many_bytes_and_no_more() {
        let mut cache = Cache::new(1000, at(300));
        for name in 0..10 {
            cache.put(key(&name.to_string()), &body(1 << 20), at(0));
        }
        assert_eq!((cache.entries.len(), cache.bytes), (4, 4 << 20));
        cache.put(key("large"), &body(BYTES_MAX + 1), at(0));
        assert_eq!(cache.entries.len(), 4);
        // The same once more takes the place that it had.
        cache.put(key("9"), &body(1 << 20), at(0));
        assert_eq!((cache.entries.len(), cache.bytes), (4, 4 << 20));
    }

    #[test]
    fn with_no_room_or_no_time_nothing_is_kept() {
        for (entries, lifetime) in [(0, at(300)), (10, at(0))] {
            let mut cache = Cache::new(entries, lifetime);
            cache.put(key("a"), &body(1), at(0));
            assert!(cache.get(&key("a"), at(0)).is_none());
        }
    }
}
