//! Exchanges on paper: requests and the answers they must get, one after the other, in one file.
//!
//! ```text
//! # Whole-sentence comments say what is shown.
//!
//! > secretsmanager.PutSecretValue  in eu-west-1  as administrator
//! {"SecretId": "db/password", "SecretString": "two"}
//!
//! < 400
//! {"__type": "InvalidRequestException", "Message": "You must provide .."}
//!
//! @clock +30d
//!
//! @restart
//! ```
//!
//! A body is sent as it stands, so it can also be broken. `${a*2049}` in a request is that letter so many times. An answer
//! that says `${token}` in place of a string takes any string and gives it that name for later requests: ids and times are
//! exact, because they follow from the seed, but sealed tokens tell a reader nothing. Whoever names the session token of an
//! answer can go on `as` that: with its credentials. `as nobody` sends a request without a signature, and
//! `${id-token system:serviceaccount:prod:api aud=other}` stands for a token of the test's identity provider with such a subject,
//! and claims other than those of Kubernetes; numbers count from now. `${wrapped public 01ff}` are these two bytes, encrypted as
//! KMS wants to be given key material (RSAES_OAEP_SHA_256), under an RSA key of 2048 bits that an answer called `public`.
//!
//! Running a script writes it anew with the answers that came. A test compares the two texts.

use std::{collections::BTreeMap, time::Duration};

use coffer_client::{Client, Credentials, RawRequest, RawResponse};
use coffer_crypto::{KeyKind, Oaep, PublicKey};
use coffer_model::SERVICES;
use coffer_shape::ServiceSpec;
use coffer_types::{
    Region, Secret,
    encoding::{BASE64, HEXLOWER},
};
use serde_json::Value;

use crate::{Issuer, TestServer, conformance::on_page, json::pretty, server::operations};

/// Between two requests, so that creation times differ.
const TICK: Duration = Duration::from_secs(1);
const REGION: &str = "eu-west-1";
const WHO: &str = "administrator";
const NOBODY: &str = "nobody";

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Comment(String),
    Clock(String),
    Restart,
    Exchange(Exchange),
}

#[derive(Debug, PartialEq, Eq)]
struct Exchange {
    /// `secretsmanager.GetSecretValue`
    target: String,
    region: String,
    who: String,
    request: String,
    /// Empty in a file that has not been run yet.
    status: String,
    answer: String,
}

#[derive(Debug)]
pub struct Script {
    items: Vec<Item>,
}

/// One exchange as it is written down.
#[derive(Debug, Clone, Copy)]
pub struct OnPaper<'s> {
    pub operation: &'s str,
    pub region: &'s str,
    pub is_success: bool,
    pub answer: &'s str,
}

/// A request of a page, about to be sent.
#[derive(Debug)]
pub struct Asked {
    pub service: &'static ServiceSpec,
    pub operation: String,
    pub region: Region,
    pub body: String,
}

impl Script {
    /// Panics where the text does not have the form above.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines().peekable();
        let mut items = Vec::new();
        while let Some(line) = lines.next() {
            // Takes the lines of a block: up to an empty line or the beginning of something else.
            let mut block = |first: String, ends: &dyn Fn(&str) -> bool| {
                let mut block = first;
                while let Some(next) = lines.next_if(|line| !line.is_empty() && !ends(line)) {
                    block.push_str(if block.is_empty() { "" } else { "\n" });
                    block.push_str(next);
                }
                block
            };
            if line.is_empty() {
                continue;
            } else if line.starts_with('#') {
                items.push(Item::Comment(block(line.to_owned(), &|line| !line.starts_with('#'))));
            } else if line == "@restart" {
                items.push(Item::Restart);
            } else if let Some(time) = line.strip_prefix("@clock +") {
                items.push(Item::Clock(time.to_owned()));
            } else if let Some(head) = line.strip_prefix("> ") {
                let request = block(String::new(), &|line| line.starts_with("< "));
                items.push(Item::Exchange(Exchange::begin(head, request)));
            } else if let Some(status) = line.strip_prefix("< ") {
                let Some(Item::Exchange(exchange)) = items.last_mut() else {
                    panic!("an answer without a request: {line}")
                };
                assert_eq!(exchange.status, "", "a second answer to {}", exchange.target);
                status.clone_into(&mut exchange.status);
                exchange.answer = block(String::new(), &|_| false);
            } else {
                panic!("not a line of a script: {line}");
            }
        }
        Self { items }
    }

    /// The operations that it calls and nobody serves yet.
    pub fn unserved(&self) -> Vec<String> {
        let served = operations();
        let is_served = |exchange: &Exchange| {
            let (service, operation) = exchange.parts();
            let known = service.operation(operation).is_some() || service.unserved.contains(&operation);
            !known || served.iter().any(|spec| spec.service.name == service.name && spec.name == operation)
        };
        let mut unserved: Vec<String> = self
            .exchanges()
            .filter(|exchange| !is_served(exchange))
            .map(|exchange| exchange.target.clone())
            .collect();
        unserved.sort();
        unserved.dedup();
        unserved
    }

    /// What stands on the page, in order.
    pub fn on_paper(&self) -> impl Iterator<Item = OnPaper<'_>> {
        self.exchanges().map(|exchange| OnPaper {
            operation: exchange.parts().1,
            region: &exchange.region,
            is_success: exchange.status.starts_with('2'),
            answer: &exchange.answer,
        })
    }

    fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.items.iter().filter_map(|item| match item {
            Item::Exchange(exchange) => Some(exchange),
            _ => None,
        })
    }

    /// Sends the requests up to the first call of an operation whose status on paper begins like this, and gives that one back.
    /// `None` if the page has none.
    pub async fn run_up_to(&self, operation: &str, status: &str, server: &TestServer) -> Option<Asked> {
        let mut names = Names::default();
        for (number, item) in self.items.iter().enumerate() {
            server.world().entropy.begin(u64::try_from(number).unwrap());
            match item {
                Item::Comment(_) => {}
                Item::Clock(time) => server.pass(duration(time)).await,
                Item::Restart => server.restart().await,
                Item::Exchange(exchange) => {
                    server.world().clock.advance(TICK);
                    let (service, name) = exchange.parts();
                    if name == operation && exchange.status.starts_with(status) {
                        return Some(Asked {
                            service,
                            operation: name.to_owned(),
                            region: exchange.region.parse().unwrap(),
                            body: filled(&exchange.request, &names.texts, &|words| id_token(server, words)),
                        });
                    }
                    exchange.run(server, &mut names).await;
                }
            }
        }
        None
    }

    /// Sends every request and gives the script with the answers that came.
    pub async fn run(&self, server: &TestServer) -> String {
        let mut names = Names::default();
        let mut blocks = Vec::new();
        for (number, item) in self.items.iter().enumerate() {
            server.world().entropy.begin(u64::try_from(number).unwrap());
            blocks.push(match item {
                Item::Comment(text) => text.clone(),
                Item::Clock(time) => {
                    server.pass(duration(time)).await;
                    format!("@clock +{time}")
                }
                Item::Restart => {
                    server.restart().await;
                    String::from("@restart")
                }
                Item::Exchange(exchange) => {
                    server.world().clock.advance(TICK);
                    exchange.run(server, &mut names).await
                }
            });
        }
        blocks.join("\n\n") + "\n"
    }
}

impl Exchange {
    fn begin(head: &str, request: String) -> Self {
        let mut words = head.split_whitespace();
        let target = words.next().unwrap_or_default().to_owned();
        let (mut region, mut who) = (REGION.to_owned(), WHO.to_owned());
        while let Some(word) = words.next() {
            match (word, words.next()) {
                ("in", Some(name)) => name.clone_into(&mut region),
                ("as", Some(name)) => name.clone_into(&mut who),
                _ => panic!("not the head of a request: {head}"),
            }
        }
        Self { target, region, who, request, status: String::new(), answer: String::new() }
    }

    fn parts(&self) -> (&'static ServiceSpec, &str) {
        let (service, operation) = self.target.split_once('.').expect("service.Operation");
        (SERVICES.iter().find(|known| known.name == service).expect("a service that we know"), operation)
    }

    async fn run(&self, server: &TestServer, names: &mut Names) -> String {
        let (service, operation) = self.parts();
        let id_token = |words: &str| id_token(server, words);
        let body = filled(&self.request, &names.texts, &id_token);
        let answer = if self.who == NOBODY {
            unsigned(server, body).await
        } else {
            let client = client(server, &self.who, names).await.with_region(self.region.parse().unwrap());
            client.call_raw(service, operation, body.as_bytes()).await.unwrap()
        };
        let mut head = format!("> {}", self.target);
        if self.region != REGION {
            head.push_str(&format!("  in {}", self.region));
        }
        if self.who != WHO {
            head.push_str(&format!("  as {}", self.who));
        }
        let request = if self.request.is_empty() { String::new() } else { format!("\n{}", self.request) };
        format!("{head}{request}\n\n< {}\n{}", answer.status, self.shown(&answer, names))
    }

    fn shown(&self, answer: &RawResponse, names: &mut Names) -> String {
        let (service, operation) = self.parts();
        let addressed = service.operation(operation).filter(|operation| operation.rest.is_some());
        let page = match addressed {
            Some(operation) => on_page(operation, answer),
            None => serde_json::from_slice::<Value>(answer.body.expose()).ok(),
        };
        match page {
            Some(mut value) => {
                if let Ok(expected) = serde_json::from_str(&self.answer) {
                    take_names(&expected, &mut value, &mut names.texts);
                }
                pretty(&value)
            }
            None => names.take_session(&self.answer, &String::from_utf8_lossy(answer.body.expose())),
        }
    }
}

/// What answers gave that later requests use.
#[derive(Debug, Default)]
struct Names {
    texts: BTreeMap<String, String>,
    sessions: BTreeMap<String, Credentials>,
}

impl Names {
    /// Where the answer on paper names a session token, the credentials that came get that name.
    fn take_session(&mut self, expected: &str, came: &str) -> String {
        let element = |text: &str, name: &str| -> Option<String> {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(value, _)| value.to_owned())
        };
        let named = element(expected, "SessionToken").filter(|name| name.starts_with("${"));
        let (Some(shown), Some(token)) = (named, element(came, "SessionToken")) else {
            return came.to_owned();
        };
        let credentials = Credentials {
            access_key_id: element(came, "AccessKeyId").expect("a key"),
            secret_access_key: Secret::new(element(came, "SecretAccessKey").expect("a secret")).into(),
            session_token: Some(Secret::new(token.clone()).into()),
        };
        let name = shown.trim_start_matches("${").trim_end_matches('}').to_owned();
        self.texts.insert(name.clone(), token.clone());
        self.sessions.insert(name, credentials);
        came.replace(&token, &shown)
    }
}

/// A form as it is, without a signature.
async fn unsigned(server: &TestServer, body: String) -> RawResponse {
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let headers = vec![(String::from("content-type"), Secret::new(form.as_bytes().to_vec()))];
    let body = Secret::new(body.into_bytes());
    let request = RawRequest { method: "POST", target: String::from("/"), headers, body };
    server.client().connections().send(request).await.unwrap()
}

fn id_token(server: &TestServer, words: &str) -> String {
    let now = server.now().seconds();
    let mut words = words.split(' ');
    let mut claims = Issuer::claims(now, words.next().expect("a subject"));
    for word in words {
        let (claim, value) = word.split_once('=').expect("claim=value");
        claims[claim] =
            value.parse::<i64>().map_or_else(|_| Value::from(value), |seconds| Value::from(now + seconds));
    }
    server.issuer().token(&claims)
}

async fn client(server: &TestServer, who: &str, names: &Names) -> Client {
    if let Some(credentials) = names.sessions.get(who) {
        return server.client().with_credentials(credentials.clone());
    }
    match who {
        WHO => server.client().clone(),
        "stranger" => server.stranger(),
        account => {
            let account = account.parse().expect("administrator, stranger, a session or an account");
            server.administrator_of(account).await
        }
    }
}

/// Where the script expects a name, the string that came gets it.
fn take_names(expected: &Value, came: &mut Value, names: &mut BTreeMap<String, String>) {
    match (expected, came) {
        (Value::String(expected), came @ Value::String(_)) => {
            if let Some(name) = expected.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                names.insert(name.to_owned(), came.as_str().unwrap_or_default().to_owned());
                *came = Value::from(expected.as_str());
            }
        }
        (Value::Object(expected), Value::Object(came)) => {
            for (name, expected) in expected {
                if let Some(came) = came.get_mut(name) {
                    take_names(expected, came, names);
                }
            }
        }
        (Value::Array(expected), Value::Array(came)) => {
            expected.iter().zip(came).for_each(|(expected, came)| take_names(expected, came, names));
        }
        _ => {}
    }
}

fn filled(request: &str, names: &BTreeMap<String, String>, id_token: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = request;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').expect("a closing brace");
        out.push_str(before);
        if let Some(words) = name.strip_prefix("id-token ") {
            out.push_str(&id_token(words));
        } else if let Some(words) = name.strip_prefix("wrapped ") {
            let (key, content) = words.split_once(' ').expect("a name and hexadecimal digits");
            out.push_str(&wrapped(known(names, key), content));
        } else if let Some((letters, times)) = name.split_once('*') {
            out.push_str(&letters.repeat(times.parse().expect("a number")));
        } else {
            out.push_str(known(names, name));
        }
        rest = after;
    }
    out + rest
}

fn known<'n>(names: &'n BTreeMap<String, String>, name: &str) -> &'n str {
    names.get(name).expect("a name that an earlier answer gave")
}

fn wrapped(public_key: &str, content: &str) -> String {
    let public_key = BASE64.decode(public_key.as_bytes()).expect("a public key");
    let content = HEXLOWER.decode(content.as_bytes()).expect("hexadecimal digits");
    let key = PublicKey::from_der(KeyKind::Rsa2048, &public_key).expect("an RSA key of 2048 bits");
    BASE64.encode(&key.encrypt(Oaep::Sha256, &content).expect("little enough"))
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).expect("a unit"));
    let number: u64 = number.parse().expect("a number");
    Duration::from_millis(match unit {
        "ms" => number,
        "s" => number * 1000,
        "m" => number * 60_000,
        "h" => number * 3_600_000,
        "d" => number * 86_400_000,
        other => panic!("not a unit of time: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# One.\n# Two.\n\n> secretsmanager.ListSecrets  in us-east-1  as stranger\n{\"A\":\n  1}\n\n< 200\n{}\n\n@clock +30d\n\n@restart\n\n> kms.Decrypt\n";

    #[test]
    fn a_script_comes_apart_into_its_items() {
        let items = Script::parse(TEXT).items;
        let [
            Item::Comment(comment),
            Item::Exchange(exchange),
            Item::Clock(time),
            Item::Restart,
            Item::Exchange(last),
        ] = items.as_slice()
        else {
            panic!("{items:?}")
        };
        assert_eq!(comment, "# One.\n# Two.");
        assert_eq!((exchange.region.as_str(), exchange.who.as_str()), ("us-east-1", "stranger"));
        assert_eq!(exchange.request, "{\"A\":\n  1}");
        assert_eq!((exchange.status.as_str(), exchange.answer.as_str()), ("200", "{}"));
        assert_eq!(duration(time), Duration::from_secs(30 * 86_400));
        assert_eq!(
            (last.target.as_str(), last.region.as_str(), last.status.as_str()),
            ("kms.Decrypt", REGION, "")
        );
    }

    #[test]
    fn names_are_taken_from_answers_and_given_to_requests() {
        let mut names = BTreeMap::new();
        let mut came = serde_json::json!({"NextToken": "abc", "List": [{"A": "x"}, 1]});
        take_names(
            &serde_json::json!({"NextToken": "${next}", "List": [{"A": "${first}"}]}),
            &mut came,
            &mut names,
        );
        assert_eq!(came, serde_json::json!({"NextToken": "${next}", "List": [{"A": "${first}"}, 1]}));
        let id_token = |words: &str| format!("<{words}>");
        let request = "${next} ${first} ${ab*3} ${id-token a b=c} $";
        assert_eq!(filled(request, &names, &id_token), "abc x ababab <a b=c> $");
    }

    #[test]
    fn material_is_wrapped_under_a_key_that_an_answer_gave() {
        let key = coffer_crypto::PrivateKey::generate(KeyKind::Rsa2048);
        let names = BTreeMap::from([(String::from("public"), BASE64.encode(&key.public_key()))]);
        let text = filled("<${wrapped public 01ff}>", &names, &|words| words.to_owned());
        let ciphertext = BASE64.decode(text.trim_matches(['<', '>']).as_bytes()).unwrap();
        assert_eq!(key.decrypt(Oaep::Sha256, &ciphertext).unwrap().expose(), &[1, 255]);
    }

    #[test]
    fn whoever_names_a_session_token_has_its_credentials() {
        let answer = |token: &str| {
            format!(
                "<A><SecretAccessKey>s</SecretAccessKey><SessionToken>{token}</SessionToken><AccessKeyId>k</AccessKeyId></A>"
            )
        };
        let mut names = Names::default();
        assert_eq!(names.take_session(&answer("${app}"), &answer("xyz")), answer("${app}"));
        assert_eq!(names.sessions["app"].access_key_id, "k");
        assert_eq!(names.take_session("", &answer("xyz")), answer("xyz"));
    }
}
