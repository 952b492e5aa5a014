//! How figures change with the number of secrets: `cargo xtask bench --scale`.
//!
//! A store of a thousand, ten thousand and a hundred thousand secrets, each of 1 KiB and with two versions, made through the API.
//! Then the server is started again, because that is when everything is on disk and nothing in memory: how long until it is
//! ready, until the first list is there, and how much memory it has then. Reading one of a thousand secrets of the many is
//! compared with the same in the smallest store.
//!
//! Lists, batches and creations go over one connection: what is asked is how long one caller waits.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    clock::Stopwatch,
    http::Connection,
    load::{Phases, Requests, drive, send_all},
    process::Server,
    report::{mebibytes, millis, write_table},
    requests::Client,
    stage::{Programs, client_of, deal},
};

/// The first is what the others are compared with.
pub const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Secrets that are read: as many in every store, and spread over it.
const READ: usize = 1_000;
const VALUE_BYTES: usize = 1024;
const CONNECTIONS: usize = 32;
const READERS: usize = 16;
/// Requests that are made at once, so that they fit into memory.
const CHUNK: usize = 10_000;
const STARTS: usize = 5;
const CREATES_PER_SECOND_MAX: usize = 4_000;

const READY_MAX: Duration = Duration::from_secs(1);
const RSS_MAX: u64 = 250 << 20;
const GET_RATIO_MAX: f64 = 1.2;
const FIRST_PAGE_MAX: Duration = Duration::from_millis(5);
const FILTERED_PAGE_MAX: Duration = Duration::from_millis(50);

/// What was found in a store of one size.
#[derive(Debug, Clone)]
pub struct Found {
    secrets: usize,
    ready: Duration,
    first_list: Duration,
    rss_bytes: u64,
    get_cpu_micros: f64,
    get_p50: Duration,
    first_page: Duration,
    by_name: Duration,
    by_word: Duration,
    batch: Duration,
    create: Duration,
}

impl Found {
    fn cells(&self, first_cpu_micros: f64) -> [(&'static str, String); 11] {
        let wait = |duration| format!("{:.2} ms", millis(duration));
        [
            ("start to ready", wait(self.ready)),
            ("first list after the start", wait(self.first_list)),
            ("memory with the list loaded", format!("{:.0} MiB", mebibytes(self.rss_bytes))),
            ("GetSecretValue, CPU", format!("{:.1} µs", self.get_cpu_micros)),
            (
                "the same, times that of the first column",
                format!("{:.2}", self.get_cpu_micros / first_cpu_micros),
            ),
            ("GetSecretValue, p50", wait(self.get_p50)),
            ("ListSecrets, first page of 100", wait(self.first_page)),
            ("ListSecrets by a name, one match", wait(self.by_name)),
            ("ListSecrets by words anywhere, one match", wait(self.by_word)),
            ("BatchGetSecretValue of 20", wait(self.batch)),
            ("CreateSecret", wait(self.create)),
        ]
    }
}

#[derive(Debug, Default)]
pub struct Scale(Vec<Found>);

pub async fn measure(programs: &Programs, place: &Path, window: Duration) -> Result<Scale> {
    let mut all = Scale::default();
    for secrets in SIZES {
        let place = place.join(format!("scale-{secrets}"));
        std::fs::create_dir(&place)?;
        all.0.push(of_size(programs, &place, secrets, window).await?);
        // The next store is larger than all before it together.
        std::fs::remove_dir_all(&place)?;
    }
    Ok(all)
}

async fn of_size(programs: &Programs, place: &Path, secrets: usize, window: Duration) -> Result<Found> {
    let server = programs.start(place)?;
    fill(&server, &client_of(place, server.address)?, secrets).await?;
    server.stop()?;

    let mut ready = Vec::new();
    for _ in 0..STARTS {
        let server = programs.start(place)?;
        ready.push(server.ready_after);
        server.stop()?;
    }
    ready.sort();

    let server = programs.start(place)?;
    let client = client_of(place, server.address)?;
    let watch = Stopwatch::start();
    exchange(&server, &client.list()?).await?;
    let first_list = watch.elapsed();

    let phases = Phases { warm_up: Duration::from_secs(1), window };
    let one = |request: Vec<u8>| vec![Requests::Again { list: vec![request].into(), first: 0 }];
    let step = (secrets / READ).max(1);
    let gets = (0..READ).map(|index| client.get(&name(index * step))).collect::<Result<Vec<_>>>()?;
    let gets = drive(server.address, server.pid(), Requests::shared(gets, READERS), phases).await?;
    let rss_bytes = server.rss_bytes()?;

    let waits = |requests| async {
        anyhow::Ok(drive(server.address, server.pid(), requests, phases).await?.latency.quantile(500))
    };
    let first_page = waits(one(client.list()?)).await?;
    // The last of all by creation has this name, and nothing else begins like it: the whole list is looked through.
    let last = name(secrets - 1);
    let by_name = filtered(&server, &client, "name", &last).await?;
    let by_name = waits(one(by_name)).await?;
    let by_word = filtered(&server, &client, "all", &format!("number {}", secrets - 1)).await?;
    let by_word = waits(one(by_word)).await?;
    let ids: Vec<String> = (0..20).map(|index| name(index * step)).collect();
    let batch = waits(one(client.request("BatchGetSecretValue", &json!({ "SecretIdList": ids }))?)).await?;
    let seconds = usize::try_from((phases.warm_up + window).as_secs().max(1))?;
    let creates = (0..CREATES_PER_SECOND_MAX * seconds).map(|index| create(&client, secrets + index));
    let create = waits(vec![Requests::Once(creates.collect::<Result<_>>()?)]).await?;

    server.stop()?;
    Ok(Found {
        secrets,
        ready: ready.get(STARTS / 2).copied().unwrap_or_default(),
        first_list,
        rss_bytes,
        get_cpu_micros: gets.cpu_micros_per_request(),
        get_p50: gets.latency.quantile(500),
        first_page,
        by_name,
        by_word,
        batch,
        create,
    })
}

/// Creates all secrets, and gives each a second version.
pub(super) async fn fill(server: &Server, client: &Client, secrets: usize) -> Result<()> {
    for first in (0..secrets).step_by(CHUNK) {
        let chunk = first..secrets.min(first + CHUNK);
        let creates = chunk.clone().map(|index| create(client, index)).collect::<Result<Vec<_>>>()?;
        send_all(server.address, deal(creates, CONNECTIONS)).await?;
        let puts = chunk.map(|index| {
            let body = json!({
                "SecretId": name(index),
                "ClientRequestToken": format!("00000000-0000-4000-9000-{index:012x}"),
                "SecretString": "x".repeat(VALUE_BYTES),
            });
            client.request("PutSecretValue", &body)
        });
        send_all(server.address, deal(puts.collect::<Result<Vec<_>>>()?, CONNECTIONS)).await?;
    }
    Ok(())
}

pub(super) fn name(index: usize) -> String {
    format!("scale/team-{}/service-{}/{index:06}", index % 17, index % 251)
}

fn create(client: &Client, index: usize) -> Result<Vec<u8>> {
    let body = json!({
        "Name": name(index),
        "Description": format!("the password of database number {index}, which nobody should know"),
        "ClientRequestToken": format!("00000000-0000-4000-8000-{index:012x}"),
        "SecretString": "x".repeat(VALUE_BYTES),
        "Tags": [{ "Key": "team", "Value": format!("team-{}", index % 17) }],
    });
    client.request("CreateSecret", &body)
}

/// A filtered list, after a look at whether it finds the one secret that it should.
async fn filtered(server: &Server, client: &Client, key: &str, value: &str) -> Result<Vec<u8>> {
    let filters = json!([{ "Key": key, "Values": [value] }]);
    let request = client.request("ListSecrets", &json!({ "Filters": filters }))?;
    let answer = exchange(server, &request).await?;
    let found = answer.get("SecretList").and_then(Value::as_array).map_or(0, Vec::len);
    anyhow::ensure!(found == 1, "the filter `{key} = {value}` found {found} secrets instead of one");
    Ok(request)
}

async fn exchange(server: &Server, request: &[u8]) -> Result<Value> {
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.exchange(request).await?;
    anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(answer.body));
    serde_json::from_slice(answer.body).context("the answer is not JSON")
}

impl Scale {
    /// A column for each size.
    fn table(&self) -> Vec<Vec<String>> {
        let first = self.0.first().map_or(1.0, |found| found.get_cpu_micros);
        let mut table = vec![vec![String::from("secrets, of 1 KiB and two versions")]];
        for (column, found) in self.0.iter().enumerate() {
            if let Some(head) = table.first_mut() {
                head.push(found.secrets.to_string());
            }
            for (index, (what, cell)) in found.cells(first).into_iter().enumerate() {
                if column == 0 {
                    table.push(vec![what.to_owned()]);
                }
                if let Some(row) = table.get_mut(index + 1) {
                    row.push(cell);
                }
            }
        }
        table
    }

    /// What is to be reached by the largest store.
    fn goals(&self) -> Vec<Vec<String>> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Vec::new() };
        let ratio = last.get_cpu_micros / first.get_cpu_micros;
        let goal = |wanted: &str, found: String, reached: bool| {
            vec![wanted.to_owned(), found, String::from(if reached { "yes" } else { "no" })]
        };
        let within = |wanted: &str, found: Duration, most: Duration| {
            goal(wanted, format!("{:.1} ms", millis(found)), found <= most)
        };
        vec![
            within("ready within 1 s", last.ready, READY_MAX),
            goal(
                "at most 250 MiB",
                format!("{:.0} MiB", mebibytes(last.rss_bytes)),
                last.rss_bytes <= RSS_MAX,
            ),
            goal(
                "GetSecretValue for at most 1.2 times its cost in a small store",
                format!("{ratio:.2} times"),
                ratio <= GET_RATIO_MAX,
            ),
            within("first page of a list within 5 ms", last.first_page, FIRST_PAGE_MAX),
            within("filtered page of a list within 50 ms", last.by_name.max(last.by_word), FILTERED_PAGE_MAX),
        ]
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.table())?;
        let mut goals = vec![["goal, with the most secrets", "found", "reached"].map(String::from).to_vec()];
        goals.extend(self.goals());
        writeln!(f)?;
        write_table(f, &goals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(secrets: usize, get_cpu_micros: f64, wait: Duration) -> Found {
        Found {
            secrets,
            ready: wait,
            first_list: wait,
            rss_bytes: 200 << 20,
            get_cpu_micros,
            get_p50: wait,
            first_page: wait,
            by_name: wait,
            by_word: wait,
            batch: wait,
            create: wait,
        }
    }

    #[test]
    fn the_largest_store_is_judged_and_compared_with_the_smallest() {
        let reached = |get, wait| {
            let scale =
                Scale(vec![found(10, 40.0, Duration::ZERO), found(1000, get, Duration::from_millis(wait))]);
            let reached = scale.goals().iter().map(|goal| goal[2] == "yes").collect::<Vec<_>>();
            assert!(scale.to_string().contains(&format!("{:.2}", get / 40.0)), "{scale}");
            reached
        };
        assert_eq!(reached(48.0, 5), [true, true, true, true, true]);
        assert_eq!(reached(49.0, 51), [true, true, false, false, false]);
        assert!(Scale::default().goals().is_empty());
    }
}
