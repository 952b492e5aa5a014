//! The costly half of SCRAM: a key is thousands of hashes of a password.
//!
//! They are made beside the threads that serve requests, and one key at a time: a thousand rotations then take one processor from
//! everybody else, not all of them.

use coffer_types::Secret;
use postgres_protocol::{authentication::sasl::ScramSha256, password};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::failure::Trouble;

/// PostgreSQL itself makes keys of 4096 rounds, and says in its manual how to ask for more. Half a second of work is more than anybody asks for,
/// and all that are tried at once have their turn before one of them has waited too long.
const ROUNDS_MAX: u32 = 1_000_000;

static TURN: Semaphore = Semaphore::const_new(1);

/// The same exchange after the message in which the server says how its key is made.
pub(super) async fn answer(mut exchange: ScramSha256, message: &[u8]) -> Result<ScramSha256, Trouble> {
    if rounds(message).is_none_or(|rounds| rounds > ROUNDS_MAX) {
        return Err(Trouble::Strange("its login asks for too much work"));
    }
    let message = message.to_vec();
    aside(move || exchange.update(&message).map(|()| exchange))
        .await?
        .map_err(|_| Trouble::Strange("its login is none"))
}

/// What a server keeps of a password.
pub(super) async fn made_of(password: &str) -> Result<String, Trouble> {
    let password = Secret::new(password.to_owned());
    aside(move || password::scram_sha_256(password.expose().as_bytes())).await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    let turn = TURN.acquire().await;
    // The turn lasts as long as the work does, also when whoever waits for it has given up.
    let working = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    working.await.map_err(|_| Trouble::Strange("its login cannot be answered"))
}

/// `r=<nonce>,s=<salt>,i=<rounds>`, and perhaps more.
fn rounds(message: &[u8]) -> Option<u32> {
    let part = message.split(|byte| *byte == b',').nth(2)?.strip_prefix(b"i=")?;
    std::str::from_utf8(part).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::ChannelBinding;

    use super::*;

    #[tokio::test]
    async fn a_server_cannot_ask_for_hours_of_work() {
        for (rounds, is_answered) in [("4096", true), ("1000001", false), ("4294967295", false), ("x", false)]
        {
            let exchange = ScramSha256::new(b"a password", ChannelBinding::unsupported());
            let first = String::from_utf8(exchange.message().to_vec()).unwrap();
            let (_, nonce) = first.split_once("r=").unwrap();
            let message = format!("r={nonce}server,s=c2FsdA==,i={rounds}");
            let answered = answer(exchange, message.as_bytes()).await;
            assert_eq!(answered.is_ok(), is_answered, "{rounds}");
        }
    }
}
