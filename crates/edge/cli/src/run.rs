//! `coffer server` and `coffer dev`: what they print once they answer.
//!
//! The first line is for people and for scripts alike: it says that the server is ready, and where. No line has a secret in it;
//! the administrator's key is in a file, and the line says which.

use coffer_server::{
    Complaint,
    config::{Config, Flags},
    lifecycle::{self, Ready},
};
use coffer_sys::HardeningLine;

use crate::{
    Exit,
    arguments::{Dev, Place, Server},
    configuration,
    print::say,
};

pub(crate) fn server(arguments: &Server, hardening: Vec<HardeningLine>) -> Result<Exit, Complaint> {
    let flags = Flags { listen: arguments.listen, ..arguments.place.flags() };
    let (config, _) = configuration(&flags)?;
    lifecycle::server(&config, hardening, |ready| say(&welcome(ready, &config, &arguments.place)))?;
    Ok(Exit::Done)
}

pub(crate) fn dev(arguments: &Dev) -> Result<Exit, Complaint> {
    lifecycle::dev(&Config::dev(arguments.listen)?, |ready| say(&dev_welcome(ready)))?;
    Ok(Exit::Done)
}

fn welcome(ready: &Ready, config: &Config, place: &Place) -> String {
    let flags = place.typed();
    let state = if ready.is_sealed { "sealed" } else { "ready" };
    let mut text = format!(
        "Coffer is {state} on {} (account {}, region {})",
        ready.endpoint, ready.account, ready.region
    );
    let mut line = |name: &str, says: String| text.push_str(&format!("\n  {name:<14} {says}"));
    if let Some(credentials) = &ready.credentials {
        line("administrator", credentials.display().to_string());
    }
    if let Some(authority) = &ready.ca_bundle {
        line("authority", authority.display().to_string());
    }
    if ready.is_first {
        line(
            "keyfile",
            format!(
                "{} (keep a copy elsewhere: without it the store stays closed)",
                config.keyfile.display()
            ),
        );
        line("recovery", format!("coffer key shares create{flags}"));
    }
    if ready.is_sealed {
        line("next", format!("coffer unseal{flags}"));
    } else if ready.credentials.is_some() {
        line(
            "next",
            format!("coffer profile install{flags} && aws --profile coffer secretsmanager list-secrets"),
        );
    }
    text
}

fn dev_welcome(ready: &Ready) -> String {
    let Ready { endpoint, account, region, .. } = ready;
    format!(
        "Coffer dev is ready on {endpoint} (account {account}, region {region})\n  \
         credentials    any, such as test and test; nothing is kept\n  \
         empty it       curl -X POST {endpoint}/_coffer/reset\n  \
         next           aws --endpoint-url {endpoint} --region {region} secretsmanager list-secrets"
    )
}
