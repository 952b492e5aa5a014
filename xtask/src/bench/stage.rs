//! Where the cases are played: both servers, and the secrets that the cases need.
//!
//! Everything goes through the API, signed, as the administrator of a store that the server has just made. So a request walks the
//! whole way: signature, policy, record, key, audit.

use std::{
    cell::Cell,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    Case,
    http::Connection,
    keys::{self, Key},
    load::{Phases, Requests, drive, send_all},
    people,
    process::Server,
    report::{Groups, Row},
    requests::{Client, value},
};

pub const READ_SECRETS: usize = 1_000;
/// A secret holds at most 100 versions younger than a day, so many secrets have to share what a run puts.
pub const PUT_SECRETS: usize = 2_000;
/// Writes that are signed beforehand for every second. A server that is faster ends its window early.
const WRITES_PER_SECOND_MAX: usize = 10_000;
const SETTING_CONNECTIONS: usize = 32;

/// The two programs of a run.
#[derive(Debug)]
pub struct Programs {
    pub coffer: PathBuf,
    pub xtask: PathBuf,
}

impl Programs {
    /// A server whose store and key lie in `place`.
    pub fn start(&self, place: &Path) -> Result<Server> {
        let mut command = Command::new(&self.coffer);
        command.arg("server").arg("--data-dir").arg(data_dir(place));
        command.arg("--keyfile").arg(place.join("keyfile")).args(["--listen", "127.0.0.1:0"]);
        Server::start(&mut command, &place.join("server.log"))
    }
}

pub fn data_dir(place: &Path) -> PathBuf {
    place.join("store")
}

/// The administrator of the store in `place`.
pub fn client_of(place: &Path, server: SocketAddr) -> Result<Client> {
    let credentials = data_dir(place).join("bootstrap/credentials");
    let credentials = fs::read_to_string(&credentials).with_context(|| credentials.display().to_string())?;
    Client::from_credentials(&credentials, server.to_string())
}

#[derive(Debug)]
pub struct Stage {
    server: Server,
    floor: Server,
    client: Client,
    /// Somebody whom policies bind, and the role that he may take on.
    reader: Client,
    role: String,
    key: Key,
    nonce: Cell<u64>,
}

impl Stage {
    pub async fn set(programs: &Programs, place: &Path) -> Result<Self> {
        let server = programs.start(place)?;
        let mut floor = Command::new(&programs.xtask);
        let floor = Server::start(floor.arg("bench-floor"), &place.join("floor.log"))?;
        let client = client_of(place, server.address)?;
        let (reader, role) = people::settle(&client, server.address).await?;
        let key = Key::settle(&client, server.address).await?;
        let stage = Self { server, floor, client, reader, role, key, nonce: Cell::new(0) };
        let names = (0..READ_SECRETS).map(read_name).chain((0..PUT_SECRETS).map(put_name));
        let creates =
            names.map(|name| stage.client.create(&name, stage.nonce())).collect::<Result<Vec<_>>>()?;
        send_all(stage.server.address, deal(creates, SETTING_CONNECTIONS)).await?;
        stage.check_value().await?;
        Ok(stage)
    }

    /// A server that answers quickly and wrongly should not get a figure.
    async fn check_value(&self) -> Result<()> {
        let mut connection = Connection::open(self.server.address).await?;
        let answer = connection.exchange(&self.client.get(&read_name(0))?).await?;
        let body: Value = serde_json::from_slice(answer.body).context("the answer is not JSON")?;
        if body.get("SecretString").and_then(Value::as_str) != Some(&value()) {
            bail!("the value that comes back is not the one that was stored");
        }
        Ok(())
    }

    /// The floor gets the very bytes that `GetSecretValue` is asked with.
    pub async fn floor(&self, phases: Phases) -> Result<Row> {
        let requests = self.requests(Case::Get, phases.window)?;
        let measured = drive(self.floor.address, self.floor.pid(), requests, phases).await?;
        Ok(Row::new(Case::Floor, &measured, None))
    }

    pub async fn run(&self, case: Case, phases: Phases) -> Result<Row> {
        let requests = self.requests(case, phases.warm_up + phases.window)?;
        let before = self.groups().await?;
        let measured = drive(self.server.address, self.server.pid(), requests, phases).await?;
        let groups = self.groups().await?.since(before);
        let writes = matches!(case, Case::Put | Case::PutAlone | Case::Create);
        Ok(Row::new(case, &measured, writes.then_some(groups)))
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        self.server.rss_bytes()
    }

    pub fn strike(self) -> Result<()> {
        self.server.stop()
    }

    fn requests(&self, case: Case, period: Duration) -> Result<Vec<Requests>> {
        let connections = case.connections();
        let again = |list| Requests::shared(list, connections);
        Ok(match case {
            Case::Floor | Case::Get => again(vec![self.client.get(&read_name(0))?]),
            Case::GetMany => again(
                (0..READ_SECRETS).map(|index| self.client.get(&read_name(index))).collect::<Result<_>>()?,
            ),
            Case::GetBound => again(vec![self.reader.get(people::SECRET)?]),
            Case::GetKeyed => again(vec![self.client.get(keys::SECRET)?]),
            Case::Encrypt => again(vec![self.key.encrypt(&self.client)?]),
            Case::Decrypt => again(vec![self.key.decrypt(&self.client)?]),
            Case::DataKey => again(vec![self.key.data_key(&self.client)?]),
            Case::Assume => again(vec![people::assume(&self.reader, &self.role)?]),
            Case::Describe => again(vec![self.client.describe(&read_name(0))?]),
            Case::List => again(vec![self.client.list()?]),
            Case::PutAlone | Case::Put => self.writes(case, period, |index, nonce| {
                self.client.put(&put_name(index % PUT_SECRETS), nonce)
            })?,
            Case::Create => self
                .writes(case, period, |_, nonce| self.client.create(&format!("create/{nonce:08}"), nonce))?,
            Case::Start | Case::Epoch => Vec::new(),
        })
    }

    /// Enough requests for the whole period, each of its own. Neighbours on a connection are neighbours in the numbering modulo
    /// the connections, so that no two connections write to one secret.
    fn writes(
        &self,
        case: Case,
        period: Duration,
        request: impl Fn(usize, u64) -> Result<Vec<u8>>,
    ) -> Result<Vec<Requests>> {
        let connections = case.connections();
        let count = WRITES_PER_SECOND_MAX * usize::try_from(period.as_secs().max(1))?;
        let list = (0..count).map(|index| request(index, self.nonce())).collect::<Result<Vec<_>>>()?;
        Ok(deal(list, connections).into_iter().map(Requests::Once).collect())
    }

    fn nonce(&self) -> u64 {
        let nonce = self.nonce.get();
        self.nonce.set(nonce + 1);
        nonce
    }

    async fn groups(&self) -> Result<Groups> {
        let text = page(self.server.address, "/metrics").await?;
        let read = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.with_context(|| format!("no {name} in the metrics"))
        };
        Ok(Groups {
            transactions: read("coffer_commits_total ")?,
            groups: read("coffer_commit_groups_total ")?,
        })
    }
}

fn read_name(index: usize) -> String {
    format!("read/{index:04}")
}

fn put_name(index: usize) -> String {
    format!("put/{index:04}")
}

/// Gives one request after the other to one connection after the other.
pub fn deal(requests: Vec<Vec<u8>>, connections: usize) -> Vec<Vec<Vec<u8>>> {
    let mut lists = vec![Vec::new(); connections];
    for (index, request) in requests.into_iter().enumerate() {
        if let Some(list) = index.checked_rem(connections).and_then(|at| lists.get_mut(at)) {
            list.push(request);
        }
    }
    lists
}

/// One of the pages for the machine next door.
pub async fn page(address: SocketAddr, path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut connection = Connection::open(address).await?;
    let answer = connection.exchange(request.as_bytes()).await?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    if answer.status != 200 {
        bail!("{path} answered {}: {text}", answer.status);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_dealt_like_cards() {
        let requests = (0..7).map(|index| vec![index]).collect();
        assert_eq!(
            deal(requests, 3),
            [vec![vec![0], vec![3], vec![6]], vec![vec![1], vec![4]], vec![vec![2], vec![5]]]
        );
    }

    #[test]
    fn connections_that_put_never_meet_in_a_secret() {
        // A whole number of secrets per connection means that the numbering comes round at the same connection.
        let of = |connection: usize| {
            (0..400_000_usize)
                .filter(move |index| index % 32 == connection)
                .map(|index| index % PUT_SECRETS)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert!(of(0).is_disjoint(&of(1)));
    }
}
