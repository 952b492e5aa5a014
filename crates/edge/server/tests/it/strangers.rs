//! What people without a key can keep others from: nothing, however many requests they leave unfinished.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, task, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Bytes, Frame},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use coffer_server::config::Limits;

use crate::{
    browser_of_bytes::Answer,
    house::{FORM, House, Plan, Request, WHO_AM_I},
};

/// As many as one address may have without proof.
const SHARE: usize = 512;
const STREAMS: usize = 32;

/// A body of which nothing ever comes, or only later.
struct Late {
    after: Option<Pin<Box<tokio::time::Sleep>>>,
    bytes: Option<Bytes>,
}

impl Late {
    const fn never() -> Self {
        Self { after: None, bytes: None }
    }

    fn after(wait: Duration) -> Self {
        Self { after: Some(Box::pin(sleep(wait))), bytes: Some(Bytes::from_static(WHO_AM_I.as_bytes())) }
    }
}

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(after) = &mut self.after else { return task::Poll::Pending };
        task::ready!(after.as_mut().poll(cx));
        task::Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

async fn connect<B>(house: &House, from: [u8; 4]) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(house.address).await.unwrap();
    let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

/// A request that its head is reason enough to refuse.
fn refused<B>(house: &House, body: B) -> hyper::Request<B> {
    request(house, "AWS4-HMAC-SHA256 Credential=x", body)
}

/// A request whose proof is worth nothing, as the server knows when it has the body: an unknown key costs what a known one does.
fn forged<B>(house: &House, body: B) -> hyper::Request<B> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAUNKNOWN/20260102/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    request(house, &authorization, body)
}

fn request<B>(house: &House, authorization: &str, body: B) -> hyper::Request<B> {
    hyper::Request::post(format!("http://{}/", house.host()))
        .header("content-type", FORM)
        .header("x-amz-date", "20260102T030405Z")
        .header("authorization", authorization)
        .body(body)
        .unwrap()
}

fn signed(house: &House) -> hyper::Request<Full<Bytes>> {
    let request = house.form(WHO_AM_I);
    let mut built = hyper::Request::post(format!("http://{}/", house.host()));
    for (name, value) in request.signed_headers().iter().filter(|(name, _)| name != "host") {
        built = built.header(name, value);
    }
    built.body(Full::new(Bytes::from_static(WHO_AM_I.as_bytes()))).unwrap()
}

#[tokio::test]
async fn with_http2_a_refusal_waits_for_no_body_and_its_connection_lives() {
    let house = House::open().await;
    let mut connection = connect::<Late>(&house, [127, 0, 0, 1]).await;
    for round in 0..3 {
        let begun = Instant::now();
        let mut answers = JoinSet::new();
        for _ in 0..STREAMS {
            connection.ready().await.unwrap();
            // What comes after the answer is of no use to anybody and does no harm either.
            let body = Late::after(Duration::from_millis(1500));
            answers.spawn(connection.send_request(refused(&house, body)));
        }
        while let Some(answer) = answers.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 403, "{round}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{round}: {:?}", begun.elapsed());
    }
    sleep(Duration::from_secs(2)).await;
    let last = connection.send_request(refused(&house, Late::never())).await;
    assert_eq!(last.unwrap().status(), 403, "late bodies ended no connection");
}

/// Only Linux answers to all of 127/8.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_proof_have_a_share_of_their_own_for_each_address() {
    let house = House::open().await;
    let mut neighbour = connect::<Full<Bytes>>(&house, [127, 0, 0, 2]).await;
    assert_eq!(neighbour.send_request(signed(&house)).await.unwrap().status(), 200);
    let mut connections = Vec::new();
    let mut answers = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..SHARE / STREAMS + 2 {
        let mut connection = connect::<Late>(&house, [127, 0, 0, 2]).await;
        for _ in 0..STREAMS {
            connection.ready().await.unwrap();
            answers.spawn(connection.send_request(forged(&house, Late::never())));
        }
        connections.push(connection);
    }
    // Those above the share are told at once, while all the others wait.
    for _ in 0..2 * STREAMS {
        let answer = timeout(Duration::from_secs(1), answers.join_next()).await.unwrap().unwrap();
        assert_eq!(answer.unwrap().unwrap().status(), 503);
    }
    assert!(begun.elapsed() < Duration::from_millis(1800), "{:?}", begun.elapsed());
    // Nobody else notices, and whoever proves who he is gives his place back before he is served.
    let mut user = connect::<Full<Bytes>>(&house, [127, 0, 0, 1]).await;
    for _ in 0..SHARE + 1 {
        user.ready().await.unwrap();
        let answer = user.send_request(signed(&house)).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
    }
    // Nor does who shares their address, if he was there before.
    for _ in 0..SHARE + 1 {
        neighbour.ready().await.unwrap();
        let answer = neighbour.send_request(signed(&house)).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
    }
    while let Some(answer) = answers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 408);
    }
    // What is over is forgotten.
    let mut again = connect::<Full<Bytes>>(&house, [127, 0, 0, 2]).await;
    assert_eq!(again.send_request(signed(&house)).await.unwrap().status(), 200);
}

/// Fails until whoever asks rightly is refused as well. A charge is paid off in a second, so a slow machine needs some more.
async fn fail_until_throttled(house: &House) -> Answer {
    let (mut wrong, right) = (house.json("ListSecrets", "{}"), house.json("ListSecrets", "{}"));
    wrong.secret.push('x');
    for _ in 0..100 {
        house.ask(&wrong).await;
        let answer = house.ask(&right).await;
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("an address may fail as often as it likes");
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_throttled_and_no_other_is() {
    let limits = Limits { failures_per_address: 1, ..Limits::default() };
    let house = House::with(Plan { limits, ..Plan::default() }).await;
    let throttled = fail_until_throttled(&house).await;
    assert_eq!((throttled.status, throttled.code()), (400, "ThrottlingException"));
    assert!(throttled.body.contains("Rate exceeded"), "{}", throttled.body);
    // Only Linux answers to all of 127/8.
    #[cfg(target_os = "linux")]
    {
        let mut other = connect::<Full<Bytes>>(&house, [127, 0, 0, 2]).await;
        assert_eq!(other.send_request(signed(&house)).await.unwrap().status(), 200);
    }
    // A form is told so in its own words.
    let mut told = None;
    for _ in 0..100 {
        let mut wrong = house.form(WHO_AM_I);
        wrong.secret.push('x');
        told = Some(house.ask(&wrong).await).filter(|answer| answer.code() != "SignatureDoesNotMatch");
        if told.is_some() {
            break;
        }
    }
    let told = told.expect("throttled at last");
    assert_eq!((told.status, told.code()), (400, "Throttling"));
}

/// A user with an access key that has not been used yet.
async fn user(house: &House, name: &str) -> (String, String) {
    let iam = |action: &str| {
        let body = format!("Action={action}&Version=2010-05-08&UserName={name}");
        house.signed("iam", "/", &[("content-type", FORM)], body.as_bytes())
    };
    assert_eq!(house.ask(&iam("CreateUser")).await.status, 200);
    let key = house.ask(&iam("CreateAccessKey")).await;
    let between = |tag: &str| {
        let (_, rest) = key.body.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    (between("AccessKeyId"), between("SecretAccessKey"))
}

#[tokio::test]
async fn whoever_proved_himself_from_an_address_is_heard_when_strangers_have_it_barred() {
    let limits = Limits { failures_per_address: 1, ..Limits::default() };
    let house = House::with(Plan { limits, ..Plan::default() }).await;
    let ann = house.form(WHO_AM_I);
    assert_eq!(house.ask(&ann).await.status, 200);
    let mut stranger = ann.clone();
    stranger.key_id = "AKIAAAAAAAAAAAAAAAAA".into();

    let mut was_refused = false;
    // A charge is paid off in a second, so on a slow machine it takes more than one attempt.
    for number in 0..20 {
        let (key_id, secret) = user(&house, &format!("ben-{number}")).await;
        let of_ben = Request { key_id, secret, ..ann.clone() };
        while house.ask(&stranger).await.code() != "Throttling" {}
        // Ann came from here before, and Ben did not.
        let answer = house.ask(&of_ben).await;
        for _ in 0..20 {
            assert_eq!(house.ask(&ann).await.status, 200);
        }
        was_refused = answer.status == 400 && answer.code() == "Throttling";
        if was_refused {
            break;
        }
    }
    assert!(was_refused, "nobody is barred");
    // A URL names its key in the query.
    while house.ask(&stranger).await.code() != "Throttling" {}
    let mut url = ann.clone();
    url.method = "GET".into();
    url.target = format!("/?{WHO_AM_I}");
    url.headers.clear();
    url.body.clear();
    let url = url.presigned(60);
    let answer = house.say(&url.plain_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
