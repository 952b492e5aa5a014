//! Too much is asked for by one, and the others hardly notice.
//!
//! Everything runs in one process on however many processors there are, beside other tests. So nothing is said here about how much is
//! answered in a second, only about who gets it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_server::config::{Limits, Profile};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::house::{FORM, House, Plan, Request, WHO_AM_I};

/// Few places, so that few clients are a crowd.
const PLACES: usize = 4;
const OTHERS: usize = 4;
/// More than can wait in line.
const CONNECTIONS_OF_GREEDY: usize = 256;
/// One of them writes.
const CONNECTIONS_OF_EACH: usize = 8;
const STEP: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone)]
struct Person {
    key_id: String,
    secret: String,
}

async fn person(house: &House, name: &str) -> Person {
    let iam = |action: &str| {
        let body = format!("Action={action}&Version=2010-05-08&UserName={name}");
        house.signed("iam", "/", &[("content-type", FORM)], body.as_bytes())
    };
    for action in
        ["CreateUser", "AttachUserPolicy&PolicyArn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAdministratorAccess"]
    {
        let answer = house.ask(&iam(action)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let key = house.ask(&iam("CreateAccessKey")).await;
    let between = |tag: &str| {
        let (_, rest) = key.body.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    Person { key_id: between("AccessKeyId"), secret: between("SecretAccessKey") }
}

impl Person {
    fn request(&self, house: &House, operation: &str, body: &str) -> Request {
        Request { key_id: self.key_id.clone(), secret: self.secret.clone(), ..house.json(operation, body) }
    }
}

/// A connection that asks again as soon as it has its answer.
struct Lane {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Lane {
    async fn open(house: &House) -> Self {
        let stream = TcpStream::connect(house.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// The status, and the head of the answer.
    async fn ask(&mut self, bytes: &[u8]) -> (u16, String) {
        self.stream.write_all(bytes).await.unwrap();
        let (head, length) = loop {
            let end = self.read.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                break (head, length);
            }
            self.more().await;
        };
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length);
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
    }

    async fn more(&mut self) {
        let mut buffer = [0; 4_096];
        let got = timeout(Duration::from_secs(30), self.stream.read(&mut buffer)).await;
        let got = got.expect("an answer in time").unwrap();
        assert!(got > 0, "the server closed a connection");
        self.read.extend_from_slice(&buffer[..got]);
    }
}

#[derive(Default, Clone)]
struct Outcome {
    served: usize,
    shed: usize,
    /// Names of secrets of which the server said that it has them.
    acknowledged: Vec<String>,
}

impl Outcome {
    fn note(&mut self, status: u16, head: &str) -> bool {
        match status {
            200 => self.served += 1,
            503 => {
                assert!(head.contains("retry-after: "), "{head}");
                self.shed += 1;
            }
            other => panic!("{other}: {head}"),
        }
        status == 200
    }

    fn add(&mut self, other: Self) {
        self.served += other.served;
        self.shed += other.shed;
        self.acknowledged.extend(other.acknowledged);
    }
}

async fn read_all_the_time(mut lane: Lane, request: Vec<u8>, is_over: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    while !is_over.load(Ordering::Relaxed) {
        let (status, head) = lane.ask(&request).await;
        outcome.note(status, &head);
    }
    outcome
}

async fn write_all_the_time(
    mut lane: Lane,
    house: Arc<House>,
    person: Person,
    prefix: String,
    is_over: Arc<AtomicBool>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("{prefix}-{number}");
        let body =
            format!(r#"{{"Name": "{name}", "SecretString": "x", "ClientRequestToken": "{name:-<36}"}}"#);
        let (status, head) = lane.ask(&person.request(&house, "CreateSecret", &body).bytes()).await;
        if outcome.note(status, &head) {
            outcome.acknowledged.push(name);
        }
    }
    outcome
}

/// What each of the others gets, and what the greedy one gets, if he takes part.
async fn step(
    house: &Arc<House>,
    others: &[Person],
    greedy: Option<&Person>,
    name: &str,
) -> (Vec<Outcome>, Outcome) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut running: JoinSet<(Option<usize>, Outcome)> = JoinSet::new();
    for (index, person) in others.iter().enumerate() {
        let request = person.request(house, "GetRandomPassword", "{}").bytes();
        for _ in 1..CONNECTIONS_OF_EACH {
            let (lane, over, request) = (Lane::open(house).await, Arc::clone(&is_over), request.clone());
            running.spawn(async move { (Some(index), read_all_the_time(lane, request, over).await) });
        }
        let (lane, over) = (Lane::open(house).await, Arc::clone(&is_over));
        let (house, person, prefix) = (Arc::clone(house), person.clone(), format!("{name}-{index}"));
        running
            .spawn(async move { (Some(index), write_all_the_time(lane, house, person, prefix, over).await) });
    }
    for person in greedy.into_iter().flat_map(|person| std::iter::repeat_n(person, CONNECTIONS_OF_GREEDY)) {
        let request = person.request(house, "GetRandomPassword", "{}").bytes();
        let (lane, over) = (Lane::open(house).await, Arc::clone(&is_over));
        running.spawn(async move { (None, read_all_the_time(lane, request, over).await) });
    }
    sleep(STEP).await;
    is_over.store(true, Ordering::Relaxed);
    let mut of_others = vec![Outcome::default(); others.len()];
    let mut of_greedy = Outcome::default();
    while let Some(ended) = running.join_next().await {
        match ended.unwrap() {
            (Some(index), outcome) => of_others[index].add(outcome),
            (None, outcome) => of_greedy.add(outcome),
        }
    }
    (of_others, of_greedy)
}

/// Asks how it is, as whoever restarts servers that do not answer in time.
async fn watch(house: Arc<House>) {
    loop {
        let asked = Instant::now();
        let answer = house.say(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
}

async fn gauge(house: &House, name: &str) -> u64 {
    let page = house.say(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_asks_for_far_too_much_takes_nothing_from_the_others() {
    let limits = Limits { in_flight_max: PLACES, ..Limits::default() };
    let house = Arc::new(House::with(Plan { limits, ..Plan::default() }).await);
    let greedy = person(&house, "greedy").await;
    let mut others = Vec::new();
    for name in ["bea", "cem", "dia", "eli"] {
        others.push(person(&house, name).await);
    }
    assert_eq!(others.len(), OTHERS);

    let (before, _) = step(&house, &others, None, "before").await;
    let watching = tokio::spawn(watch(Arc::clone(&house)));
    let (during, of_greedy) = step(&house, &others, Some(&greedy), "during").await;
    watching.abort();
    assert!(watching.await.is_err_and(|ended| ended.is_cancelled()), "it says all the time that it is well");
    // It goes on as if nothing had been, as soon as the last of them has his answer.
    for _ in 0..200 {
        if gauge(&house, "coffer_brownout_step").await == 0
            && gauge(&house, "coffer_requests_waiting").await == 0
        {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (after, _) = step(&house, &others, None, "after").await;

    assert!(of_greedy.shed > 0, "it was not too much");
    assert!(of_greedy.served > 0, "he gets his share");
    let total = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.served).sum::<usize>();
    let mean = total(&during) / OTHERS;
    for (index, outcome) in during.iter().enumerate() {
        let Outcome { served, shed, .. } = outcome;
        assert!(served * 10 >= mean * 8, "{index}: {served}, where it is {mean} on average");
        // On a machine that is busy with other things, 50 ms may be over before anybody had a turn.
        let is_seldom = shed * of_greedy.served <= of_greedy.shed * served && 2 * shed <= *served;
        assert!(is_seldom, "{index}: turned away {shed} times, answered {served} times");
        // Without turns every connection would get the same, and he has thirty-two times as many.
        let of_his = of_greedy.served / CONNECTIONS_OF_GREEDY;
        assert!(
            served / CONNECTIONS_OF_EACH >= 2 * of_his,
            "{index}: {served}, greedy: {}",
            of_greedy.served
        );
    }
    // Refusing is not what it is busy with.
    let least = total(&before).min(total(&after));
    assert!(2 * (total(&during) + of_greedy.served) >= least, "{} of {least}", total(&during));
    let shed: usize = after.iter().map(|outcome| outcome.shed).sum();
    assert!(shed * 10 <= total(&after), "turned away {shed} times when nobody asks for too much any more");

    // What was acknowledged is there, whatever was going on.
    let mut lane = Lane::open(&house).await;
    for name in [&before, &during, &after].into_iter().flatten().flat_map(|outcome| &outcome.acknowledged) {
        let body = format!(r#"{{"SecretId": "{name}"}}"#);
        let (status, head) = lane.ask(&house.json("DescribeSecret", &body).bytes()).await;
        assert_eq!(status, 200, "{name}: {head}");
    }
}

/// What somebody is answered who asks all the time: how often he was told of his rate, and how often that there is no room.
async fn be_refused_all_the_time(
    mut lane: Lane,
    request: Vec<u8>,
    is_over: Arc<AtomicBool>,
) -> (usize, usize) {
    let (mut throttled, mut shed) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        match lane.ask(&request).await.0 {
            400 => throttled += 1,
            503 => shed += 1,
            other => assert_eq!(other, 200),
        }
    }
    (throttled, shed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_used_up_his_rate_waits_for_his_turn_to_hear_of_it() {
    let rates = BTreeMap::from([("secretsmanager:GetRandomPassword".to_owned(), 1)]);
    let profile = Profile::Custom { accounts: BTreeMap::new(), principals: rates };
    let limits = Limits { in_flight_max: PLACES, profile, ..Limits::default() };
    let house = Arc::new(House::with(Plan { limits, ..Plan::default() }).await);
    let (greedy, other) = (person(&house, "greedy").await, person(&house, "other").await);

    let is_over = Arc::new(AtomicBool::new(false));
    let mut refused = JoinSet::new();
    for _ in 0..CONNECTIONS_OF_GREEDY {
        let request = greedy.request(&house, "GetRandomPassword", "{}").bytes();
        refused.spawn(be_refused_all_the_time(Lane::open(&house).await, request, Arc::clone(&is_over)));
    }
    let request = house.form(WHO_AM_I);
    let request = Request { key_id: other.key_id, secret: other.secret, ..request }.bytes();
    let served = tokio::spawn(read_all_the_time(Lane::open(&house).await, request, Arc::clone(&is_over)));
    sleep(STEP).await;
    is_over.store(true, Ordering::Relaxed);

    let (mut throttled, mut shed) = (0, 0);
    while let Some(one) = refused.join_next().await {
        let (his_throttled, his_shed) = one.unwrap();
        throttled += his_throttled;
        shed += his_shed;
    }
    assert!(throttled > 0 && shed > 0, "throttled {throttled} times, turned away {shed} times");
    let served = served.await.unwrap();
    assert!(served.served > 2 * served.shed, "{} of {}", served.served, served.shed);
}
