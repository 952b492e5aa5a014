//! What is left of the good answers when more is asked for than can be done: `cargo xtask bench --overload`.
//!
//! Eight people with two connections each ask for a secret, again and again; that is the load of 1x, and what they get together is the
//! peak. Then one more comes with as many connections as make it 2x, 4x, and 10x of that, and asks again at once whatever the answer is,
//! which no SDK does. What counts is how many answers are still good, and whether each of the eight gets what each got before, or
//! what a ninth of everything is, whichever is less.
//!
//! Everything is a ratio within one run: the generator shares the processors with the server, and so it is slower itself the more it asks.

use std::{
    cell::{Cell, RefCell},
    fmt,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{task::JoinSet, time};

use super::{
    clock::Stopwatch,
    http::Connection,
    people::stranger,
    report::write_table,
    requests::Client,
    stage::{Programs, client_of},
};

const PEOPLE: usize = 8;
const CONNECTIONS_EACH: usize = 2;
const LOADS: [usize; 4] = [1, 2, 4, 10];
const SECRET: &str = "overload/secret";
const WARM_UP: Duration = Duration::from_secs(1);

const GOODPUT_MIN: f64 = 0.9;
const SHARE_MIN: f64 = 0.8;

/// What one load brought.
#[derive(Debug, Clone)]
pub struct Found {
    load: usize,
    /// Good answers of each of the eight, a second.
    people: Vec<f64>,
    greedy: f64,
    refused: f64,
}

impl Found {
    fn good(&self) -> f64 {
        self.people.iter().sum::<f64>() + self.greedy
    }

    /// What the worst off of the eight gets of what is his.
    fn worst_share(&self, alone: f64) -> f64 {
        let mut all = PEOPLE as f64;
        if self.greedy > 0.0 {
            all += 1.0;
        }
        let his = alone.min(self.good() / all).max(f64::MIN_POSITIVE);
        self.people.iter().fold(f64::INFINITY, |worst, got| worst.min(got / his))
    }
}

#[derive(Debug, Default)]
pub struct Overload(Vec<Found>);

pub async fn measure(programs: &Programs, place: &Path, window: Duration) -> Result<Overload> {
    let server = programs.start(place)?;
    let administrator = client_of(place, server.address)?;
    let mut connection = Connection::open(server.address).await?;
    let made = connection.exchange(&administrator.create(SECRET, 1)?).await?;
    if made.status != 200 {
        bail!("setting the stage: {}", made.status);
    }
    let mut people = Vec::new();
    for index in 0..=PEOPLE {
        people.push(stranger(&administrator, server.address, &format!("person-{index}")).await?);
    }
    let mut all = Overload::default();
    for load in LOADS {
        all.0.push(of_load(server.address, &people, load, window).await?);
    }
    server.stop()?;
    Ok(all)
}

/// What all connections of a run share; one thread has them all.
#[derive(Debug)]
struct Shared {
    good: RefCell<Vec<u64>>,
    refused: Cell<u64>,
    is_measured: Cell<bool>,
    is_over: Cell<bool>,
}

async fn of_load(server: SocketAddr, people: &[Client], load: usize, window: Duration) -> Result<Found> {
    let shared = Rc::new(Shared {
        good: RefCell::new(vec![0; people.len()]),
        refused: Cell::new(0),
        is_measured: Cell::new(false),
        is_over: Cell::new(false),
    });
    let mut connections = JoinSet::new();
    for (index, person) in people.iter().enumerate() {
        let request = Rc::new(person.get(SECRET)?);
        // The last one is greedy.
        let count = if index < PEOPLE { CONNECTIONS_EACH } else { (load - 1) * PEOPLE * CONNECTIONS_EACH };
        for _ in 0..count {
            connections.spawn_local(ask(server, index, Rc::clone(&request), Rc::clone(&shared)));
        }
    }
    time::sleep(WARM_UP).await;
    let watch = Stopwatch::start();
    shared.is_measured.set(true);
    time::sleep(window).await;
    shared.is_measured.set(false);
    let seconds = watch.elapsed().as_secs_f64();
    shared.is_over.set(true);
    while let Some(ended) = connections.join_next().await {
        ended.context("a connection panicked")??;
    }
    let mut rates: Vec<f64> = shared.good.borrow().iter().map(|good| *good as f64 / seconds).collect();
    let greedy = rates.pop().unwrap_or_default();
    Ok(Found { load, people: rates, greedy, refused: shared.refused.get() as f64 / seconds })
}

async fn ask(server: SocketAddr, index: usize, request: Rc<Vec<u8>>, shared: Rc<Shared>) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    while !shared.is_over.get() {
        let answer = connection.exchange(&request).await?;
        let is_good = match answer.status {
            200 => true,
            503 => false,
            other => bail!("the server answered {other}: {}", String::from_utf8_lossy(answer.body)),
        };
        if !shared.is_measured.get() {
            continue;
        }
        if !is_good {
            shared.refused.set(shared.refused.get() + 1);
        } else if let Some(good) = shared.good.borrow_mut().get_mut(index) {
            *good += 1;
        }
    }
    Ok(())
}

impl Overload {
    fn peak(&self) -> f64 {
        self.0.iter().map(Found::good).fold(f64::MIN_POSITIVE, f64::max)
    }

    /// What each of the eight gets when nobody else asks.
    fn alone(&self) -> f64 {
        self.0.first().map_or(f64::INFINITY, |first| first.good() / PEOPLE as f64)
    }

    fn table(&self) -> Vec<Vec<String>> {
        let mut table = vec![
            [
                "load",
                "good answers, of the peak",
                "of them the greedy one's",
                "worst share of the others",
                "refused for each good one",
            ]
            .map(String::from)
            .to_vec(),
        ];
        for found in &self.0 {
            let good = found.good().max(f64::MIN_POSITIVE);
            table.push(vec![
                format!("{}x", found.load),
                format!("{:.2}", good / self.peak()),
                format!("{:.2}", found.greedy / good),
                format!("{:.2}", found.worst_share(self.alone())),
                format!("{:.2}", found.refused / good),
            ]);
        }
        table
    }

    fn goals(&self) -> Vec<Vec<String>> {
        let Some(last) = self.0.last() else { return Vec::new() };
        let (goodput, share) = (last.good() / self.peak(), last.worst_share(self.alone()));
        let row = |goal: String, found: f64, least: f64| {
            vec![goal, format!("{found:.2}"), String::from(if found >= least { "yes" } else { "no" })]
        };
        vec![
            row(format!("good answers at least {GOODPUT_MIN} of the peak"), goodput, GOODPUT_MIN),
            row(format!("each of the others at least {SHARE_MIN} of his share"), share, SHARE_MIN),
        ]
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.table())?;
        let mut goals = vec![["goal, at the highest load", "found", "reached"].map(String::from).to_vec()];
        goals.extend(self.goals());
        writeln!(f)?;
        write_table(f, &goals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_load_is_judged_by_the_peak_and_by_the_worst_off() {
        let found = |load, each: f64, worst: f64, greedy| {
            let mut people = vec![each; PEOPLE];
            people[0] = worst;
            Found { load, people, greedy, refused: 0.0 }
        };
        let reached = |last| {
            let all = Overload(vec![found(1, 100.0, 100.0, 0.0), last]);
            all.goals().iter().map(|goal| goal[2] == "yes").collect::<Vec<_>>()
        };
        assert_eq!(reached(found(10, 90.0, 90.0, 80.0)), [true, true]);
        assert_eq!(reached(found(10, 90.0, 60.0, 200.0)), [true, false]);
        assert_eq!(reached(found(10, 40.0, 40.0, 40.0)), [false, true]);
    }
}
