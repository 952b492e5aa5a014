//! CloudWatch Logs against a list: whatever is put in, in whatever order of time, comes back in order, page by page and from both ends,
//! until it is too old or deleted.

use std::{collections::BTreeMap, time::Duration};

use coffer_model::logs::SERVICE;
use coffer_testkit::{Engine, SimEntropy, TestServer};
use serde_json::{Value, json};

use crate::campaign;

const GROUP: &str = "/app/web";
const STREAMS: [&str; 3] = ["a", "b", "c"];
const DAY: Duration = Duration::from_hours(24);

struct Played<'s> {
    server: &'s TestServer,
    chance: SimEntropy,
    /// Of each stream, in the order in which they came.
    events: BTreeMap<&'static str, Vec<(i64, String)>>,
}

impl Played<'_> {
    async fn ask(&self, operation: &str, input: Value) -> Value {
        self.server.world().clock.advance(Duration::from_millis(1));
        let answer =
            self.server.client().call_raw(&SERVICE, operation, input.to_string().as_bytes()).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body.expose()).unwrap();
        assert_eq!(answer.status, 200, "{operation}: {body}");
        body
    }

    /// Some events of about now, which may lie before those that are there.
    async fn put(&mut self, stream: &'static str) {
        let count = 1 + self.chance.below(40);
        let begin = self.server.now().millis() - i64::try_from(self.chance.below(60_000)).unwrap();
        let mut at = begin;
        let mut events = Vec::new();
        for _ in 0..count {
            at += i64::try_from(self.chance.below(3)).unwrap();
            // Some are longer than a batch, with letters that are longer than a byte.
            let length = match self.chance.below(60) {
                0 => 20_000 + self.chance.below(60_000),
                _ => 1 + self.chance.below(200),
            };
            let letter = ["x", "\u{e9}", "\u{1f511}"][self.chance.below(3)];
            events.push((
                at,
                format!("{stream}{:x} {}", self.chance.next_u64(), letter.repeat(length / letter.len())),
            ));
        }
        let bytes: usize = events.iter().map(|(_, message)| message.len() + 26).sum();
        if bytes > 1_048_576 {
            return;
        }
        let sent: Vec<Value> =
            events.iter().map(|(at, message)| json!({"timestamp": at, "message": message})).collect();
        let input = json!({"logGroupName": GROUP, "logStreamName": stream, "logEvents": sent});
        self.ask("PutLogEvents", input).await;
        self.events.entry(stream).or_default().extend(events);
    }

    /// What a stream has, by time; those of one instant in the order in which they came.
    fn of(&self, stream: &str) -> Vec<(i64, String)> {
        let mut events = self.events.get(stream).cloned().unwrap_or_default();
        events.sort_by_key(|(at, _)| *at);
        events
    }

    async fn read(&self, stream: &str, way: &str, limit: usize) -> Vec<(i64, String)> {
        let (from_head, member) =
            (way == "f", if way == "f" { "nextForwardToken" } else { "nextBackwardToken" });
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut input = json!({"logGroupName": GROUP, "logStreamName": stream, "limit": limit, "startFromHead": from_head});
            if let Some(token) = &token {
                input["nextToken"] = json!(token);
            }
            let page = self.ask("GetLogEvents", input).await;
            let events = pairs(&page);
            seen = if from_head { [seen, events].concat() } else { [events, seen].concat() };
            let next = page[member].as_str().unwrap().to_owned();
            if token.as_ref() == Some(&next) {
                return seen;
            }
            token = Some(next);
        }
    }

    async fn search(&self, limit: usize, pattern: &str) -> Vec<(i64, String)> {
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut input = json!({"logGroupName": GROUP, "limit": limit, "filterPattern": pattern});
            if let Some(token) = &token {
                input["nextToken"] = json!(token);
            }
            let page = self.ask("FilterLogEvents", input).await;
            seen.extend(pairs(&page));
            match page["nextToken"].as_str() {
                Some(next) => token = Some(next.to_owned()),
                None => return seen,
            }
        }
    }

    async fn compare(&self) {
        for stream in STREAMS {
            let expected = self.of(stream);
            let limit = 1 + self.chance.below(150);
            assert_eq!(self.read(stream, "f", limit).await, expected, "{stream} forwards by {limit}");
            assert_eq!(self.read(stream, "b", limit).await, expected, "{stream} backwards by {limit}");
        }
        let mut all: Vec<(i64, String)> = STREAMS.iter().flat_map(|stream| self.of(stream)).collect();
        all.sort();
        let found = self.search(1 + self.chance.below(150), "").await;
        assert!(found.is_sorted_by_key(|(at, _)| *at));
        let mut sorted = found;
        sorted.sort();
        assert_eq!(sorted, all);
        all.retain(|(_, message)| message.contains("a1"));
        let mut some = self.search(7, "a1").await;
        some.sort();
        assert_eq!(some, all);
    }
}

fn pairs(page: &Value) -> Vec<(i64, String)> {
    let events = page["events"].as_array().unwrap();
    let pair =
        |event: &Value| (event["timestamp"].as_i64().unwrap(), event["message"].as_str().unwrap().to_owned());
    events.iter().map(pair).collect()
}

fn sound(server: &TestServer, is_open_to_us: bool) {
    if is_open_to_us {
        assert_eq!(server.examine(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_in_comes_back_until_it_is_too_old() {
    let seed = campaign::seed(20_261_127);
    for round in 0..campaign::rounds(2, 100) {
        // A database that is open can be looked into by nobody else.
        let (engine, is_open_to_us) =
            if round % 2 == 0 { (Engine::Memory, true) } else { (Engine::Sqlite, false) };
        let server = TestServer::start(engine, seed + round).await;
        let mut played =
            Played { server: &server, chance: SimEntropy::seeded(seed + round), events: BTreeMap::new() };
        played.ask("CreateLogGroup", json!({"logGroupName": GROUP})).await;
        for stream in STREAMS {
            played.ask("CreateLogStream", json!({"logGroupName": GROUP, "logStreamName": stream})).await;
        }
        for _ in 0..40 {
            let stream = STREAMS[played.chance.below(3)];
            played.put(stream).await;
        }
        played.compare().await;
        server.restart().await;
        played.compare().await;
        sound(&server, is_open_to_us);

        // Three days later most is too old: nobody sees it, and then it is gone.
        server.pass(3 * DAY).await;
        played.events.clear();
        for _ in 0..10 {
            let stream = STREAMS[played.chance.below(2)];
            played.put(stream).await;
        }
        let count = || if is_open_to_us { server.stored().len() } else { 0 };
        let stored = count();
        played.ask("PutRetentionPolicy", json!({"logGroupName": GROUP, "retentionInDays": 1})).await;
        played.compare().await;
        server.pass(Duration::ZERO).await;
        played.compare().await;
        assert!(count() < stored || !is_open_to_us, "nothing was cleared up");
        sound(&server, is_open_to_us);
        let kept: usize = played.events.values().flatten().map(|(_, message)| message.len() + 26).sum();
        let groups = played.ask("DescribeLogGroups", json!({})).await;
        let told = usize::try_from(groups["logGroups"][0]["storedBytes"].as_i64().unwrap()).unwrap();
        assert_eq!(told, kept, "what is too old is gone, also from between what is not");

        played.ask("DeleteLogStream", json!({"logGroupName": GROUP, "logStreamName": "a"})).await;
        played.ask("CreateLogStream", json!({"logGroupName": GROUP, "logStreamName": "a"})).await;
        played.events.remove("a");
        played.put("a").await;
        played.compare().await;
        server.pass(Duration::ZERO).await;
        played.compare().await;
        sound(&server, is_open_to_us);

        played.ask("DeleteLogGroup", json!({"logGroupName": GROUP})).await;
        server.pass(Duration::ZERO).await;
        sound(&server, is_open_to_us);
        if is_open_to_us {
            let stored = server.stored();
            let tables = stored.iter().filter_map(|(_, entry)| entry.key.as_bytes().first_chunk::<2>());
            assert_eq!(tables.filter(|table| matches!(table, [0, 0x50..=0x55])).count(), 0);
        }
        server.stop().await;
    }
}
