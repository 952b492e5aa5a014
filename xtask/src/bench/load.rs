//! A closed loop: every connection sends its next request when the answer to the last one is there.
//!
//! One thread drives all connections, so that the server gets the rest of the machine, and everything that could be made before
//! the clock starts has been made: requests are bytes, signed. Some operations need a new request every time (a token, a name);
//! those come as a list that is sent once, and the measurement ends early when a connection has come to its end.
//!
//! Any answer but 200 ends the run with an error. The speed of refusing is not what is measured here.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{sync::Notify, task::JoinSet, time};

use super::{clock::Stopwatch, histogram::Histogram, http::Connection, process};

/// How long an error message quotes an answer.
const QUOTED_BYTES_MAX: usize = 300;

/// What one connection sends.
#[derive(Debug, Clone)]
pub enum Requests {
    /// All of them in turn, beginning somewhere, and again from the start.
    Again { list: Rc<Vec<Vec<u8>>>, first: usize },
    /// Each once.
    Once(Vec<Vec<u8>>),
}

impl Requests {
    /// The same requests for all connections, each beginning at another place.
    pub fn shared(list: Vec<Vec<u8>>, connections: usize) -> Vec<Self> {
        let list = Rc::new(list);
        (0..connections)
            .map(|index| Self::Again {
                first: index * list.len() / connections.max(1),
                list: Rc::clone(&list),
            })
            .collect()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        match self {
            Self::Again { list, first } => {
                list.get(first.checked_add(index)?.checked_rem(list.len())?).map(Vec::as_slice)
            }
            Self::Once(list) => list.get(index).map(Vec::as_slice),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// Caches fill and connections open; nothing is counted.
    pub warm_up: Duration,
    pub window: Duration,
}

/// What a window brought.
#[derive(Debug)]
pub struct Measured {
    pub elapsed: Duration,
    /// What the server's process used of the processors, in user and in kernel mode.
    pub cpu: Duration,
    /// What everybody else on the machine used meanwhile, the generator aside.
    pub others: Duration,
    pub latency: Histogram,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.latency.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// How many processors others kept busy.
    pub fn cores_of_others(&self) -> f64 {
        self.others.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    pub fn cpu_micros_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latency.count().max(1) as f64
    }
}

/// Processor time used so far.
struct Used {
    server: Duration,
    others: Duration,
}

impl Used {
    fn so_far(pid: u32) -> Result<Self> {
        let (server, generator) = (process::cpu(pid)?, process::cpu(std::process::id())?);
        let others = process::cpu_of_all()?.saturating_sub(server).saturating_sub(generator);
        Ok(Self { server, others })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// What the connections of a run share; one thread has them all.
#[derive(Debug)]
struct Shared {
    watch: Stopwatch,
    phase: Cell<Phase>,
    latency: RefCell<Histogram>,
    ran_out: Notify,
}

/// Drives the server that is process `pid`.
pub async fn drive(
    address: SocketAddr,
    pid: u32,
    requests: Vec<Requests>,
    phases: Phases,
) -> Result<Measured> {
    let shared = Rc::new(Shared {
        watch: Stopwatch::start(),
        phase: Cell::new(Phase::WarmUp),
        latency: RefCell::default(),
        ran_out: Notify::new(),
    });
    let mut connections = JoinSet::new();
    for requests in requests {
        connections.spawn_local(connection(address, requests, Rc::clone(&shared)));
    }
    wait(phases.warm_up, &shared, &mut connections).await?;
    shared.phase.set(Phase::Measured);
    let (begun, before) = (shared.watch.elapsed(), Used::so_far(pid)?);
    wait(phases.window, &shared, &mut connections).await?;
    let (ended, after) = (shared.watch.elapsed(), Used::so_far(pid)?);
    shared.phase.set(Phase::Over);
    while let Some(ended) = connections.join_next().await {
        ended.context("a connection panicked")??;
    }
    let latency = shared.latency.take();
    if latency.count() == 0 {
        bail!("no request was answered in the window");
    }
    Ok(Measured {
        elapsed: ended.saturating_sub(begun),
        cpu: after.server.saturating_sub(before.server),
        others: after.others.saturating_sub(before.others),
        latency,
    })
}

/// Until the time is over, a connection has nothing left to send, or one fails.
async fn wait(period: Duration, shared: &Shared, connections: &mut JoinSet<Result<()>>) -> Result<()> {
    tokio::select! {
        biased;
        () = time::sleep(period) => Ok(()),
        () = shared.ran_out.notified() => Ok(()),
        Some(ended) = connections.join_next() => ended.context("a connection panicked")?,
    }
}

async fn connection(address: SocketAddr, requests: Requests, shared: Rc<Shared>) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut index = 0;
    while shared.phase.get() != Phase::Over {
        let Some(request) = requests.get(index) else {
            shared.ran_out.notify_one();
            break;
        };
        index += 1;
        let begun = shared.watch.elapsed();
        send(&mut connection, request).await?;
        // Counted by where it ends, so that the window holds as many as were finished in it.
        let latency = shared.watch.elapsed().saturating_sub(begun);
        if shared.phase.get() == Phase::Measured {
            shared.latency.borrow_mut().add(latency);
        }
    }
    Ok(())
}

async fn send(connection: &mut Connection, request: &[u8]) -> Result<()> {
    let answer = connection.exchange(request).await?;
    if answer.status != 200 {
        let quoted = answer.body.get(..QUOTED_BYTES_MAX).unwrap_or(answer.body);
        bail!("the server answered {}: {}", answer.status, String::from_utf8_lossy(quoted));
    }
    Ok(())
}

/// Sends every request once, over as many connections as there are lists.
pub async fn send_all(address: SocketAddr, lists: Vec<Vec<Vec<u8>>>) -> Result<()> {
    let mut connections = JoinSet::new();
    for list in lists {
        connections.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            for request in &list {
                send(&mut connection, request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.context("a connection panicked")??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, task::LocalSet};

    use super::*;
    use crate::bench::floor;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    const PHASES: Phases = Phases { warm_up: Duration::from_millis(20), window: Duration::from_millis(100) };

    /// Runs with the floor in this process.
    fn with_floor<T, F: Future<Output = T>>(test: impl FnOnce(SocketAddr) -> F) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let floor = tokio::spawn(floor::accept(listener));
            let outcome = test(address).await;
            floor.abort();
            outcome
        })
    }

    #[test]
    fn the_floor_answers_for_as_long_as_the_window_lasts() {
        let requests = Requests::shared(vec![REQUEST.to_vec()], 4);
        let measured = with_floor(|address| drive(address, std::process::id(), requests, PHASES)).unwrap();
        assert!(measured.elapsed >= PHASES.window && measured.latency.count() > 10, "{measured:?}");
        assert!(measured.latency.quantile(990) >= measured.latency.quantile(500));
    }

    #[test]
    fn a_window_ends_when_a_list_does() {
        let requests = vec![Requests::Once(vec![REQUEST.to_vec(); 2_000])];
        let phases = Phases { warm_up: Duration::ZERO, window: Duration::from_secs(60) };
        let measured = with_floor(|address| drive(address, std::process::id(), requests, phases)).unwrap();
        assert!(measured.elapsed < phases.window);
        assert!((1..=2_000).contains(&measured.latency.count()), "{}", measured.latency.count());
    }

    #[test]
    fn connections_begin_at_different_requests() {
        let list = vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
        let sent: Vec<String> = Requests::shared(list, 3)
            .iter()
            .map(|requests| (0..4).map(|index| char::from(requests.get(index).unwrap()[0])).collect())
            .collect();
        assert_eq!(sent, ["abca", "bcab", "cabc"]);
        assert_eq!(Requests::Once(vec![REQUEST.to_vec()]).get(1), None);
        assert!(Requests::shared(Vec::new(), 1)[0].get(0).is_none());
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(with_floor(|_| send_all(address, vec![vec![REQUEST.to_vec()]])).is_err());
    }
}
