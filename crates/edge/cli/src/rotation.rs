//! `coffer rotation ..`: rotations of a running server.

use coffer_server::{
    Complaint,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    rotations::{Decision, Rotation},
    secret_policy::SecretAsked,
};

use crate::{
    Exit,
    arguments::{Place, RotationList, RotationNamed, RotationRepair},
    configuration,
    examine::json,
    print::{remark, say, table},
    seal::unexpected,
};

/// What a user reads where there is nothing to show.
const NOTHING: &str = "-";

pub(crate) fn list(arguments: &RotationList) -> Result<Exit, Complaint> {
    let region = arguments.region.as_ref().map(ToString::to_string);
    let request = Request { region, ..Request::new(Command::Rotations).of_account(arguments.account) };
    let rotations = ask(&arguments.place, &request)?;
    if arguments.json {
        say(&json(&rotations)?);
        return Ok(Exit::Done);
    }
    let head = ["secret", "state", "due", "last rotated", "last failure"].map(String::from).to_vec();
    let row = |rotation: &Rotation| {
        let failure = rotation.failure.as_ref().map(|failure| format!("{} at {}", failure.step, failure.at));
        vec![
            rotation.name.clone(),
            state(rotation),
            or_nothing(rotation.due.as_ref()),
            or_nothing(rotation.rotated.as_ref()),
            or_nothing(failure.as_ref()),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(rotations.iter().map(row)).collect();
    say(&if rotations.is_empty() { String::from("There is no rotation here") } else { table(&rows) });
    Ok(Exit::Done)
}

pub(crate) fn show(arguments: &RotationNamed) -> Result<Exit, Complaint> {
    one(arguments, &about(Command::Rotation, arguments))
}

pub(crate) fn retry(arguments: &RotationNamed) -> Result<Exit, Complaint> {
    let exit = one(arguments, &about(Command::RotationRetry, arguments))?;
    if !arguments.json {
        remark(
            "The rotation is tried again at once; a failure above is one of before. How it ends, says `coffer rotation show`.",
        );
    }
    Ok(exit)
}

pub(crate) fn repair(arguments: &RotationRepair) -> Result<Exit, Complaint> {
    let decision = if arguments.promote_pending { Decision::Promote } else { Decision::Drop };
    let request = about(Command::RotationRepair, &arguments.named);
    one(&arguments.named, &Request { decision: Some(decision), ..request })
}

fn about(command: Command, named: &RotationNamed) -> Request {
    let asked =
        SecretAsked { secret_id: named.secret.clone(), account: named.account, region: named.region.clone() };
    Request::of_secret(command, &asked)
}

fn one(named: &RotationNamed, request: &Request) -> Result<Exit, Complaint> {
    let rotations = ask(&named.place, request)?;
    let [rotation] = rotations.as_slice() else { return Err(unexpected()) };
    say(&if named.json { json(rotation)? } else { shown(rotation) });
    Ok(Exit::Done)
}

fn ask(place: &Place, request: &Request) -> Result<Vec<Rotation>, Complaint> {
    let (config, _) = configuration(&place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    match control::ask(&directory, request)? {
        Some(Reply::Rotations(rotations)) => Ok(rotations),
        Some(_) => Err(unexpected()),
        None => Err(Complaint::new("no server runs on this store")
            .because("nothing rotates without one")
            .next("coffer server")),
    }
}

fn or_nothing(text: Option<&String>) -> String {
    text.map_or(NOTHING, String::as_str).to_owned()
}

fn state(rotation: &Rotation) -> String {
    match &rotation.under_way {
        _ if !rotation.enabled => String::from("off"),
        None => String::from("waiting"),
        Some(action) if action.running_since.is_some() => format!("running {}", action.step),
        Some(action) if action.attempt > 1 || rotation.failure.is_some() => {
            format!("to be tried again ({})", action.attempt)
        }
        Some(action) => format!("before {}", action.step),
    }
}

fn shown(rotation: &Rotation) -> String {
    let mut rows = vec![
        ("secret", rotation.secret.clone()),
        ("function", or_nothing(rotation.function.as_ref())),
        ("state", state(rotation)),
        ("due", or_nothing(rotation.due.as_ref())),
        ("last rotated", or_nothing(rotation.rotated.as_ref())),
        ("AWSCURRENT", or_nothing(rotation.current.as_ref())),
        ("AWSPENDING", or_nothing(rotation.pending.as_ref())),
        ("AWSPREVIOUS", or_nothing(rotation.previous.as_ref())),
    ];
    if let Some(failure) = &rotation.failure {
        rows.push((
            "last failure",
            format!("{}, step {}, attempt {}", failure.at, failure.step, failure.attempt),
        ));
        rows.push(("", failure.message.clone()));
        let said = [&failure.error_type, &failure.error_message];
        let said: Vec<_> = said.into_iter().flatten().map(String::as_str).collect();
        if !said.is_empty() {
            rows.push(("the function said", said.join(": ")));
        }
        if let (Some(group), Some(stream)) = (&failure.log_group, &failure.log_stream) {
            rows.push(("log", format!("{group} {stream}")));
            let command = "aws logs get-log-events --start-from-head --log-group-name";
            let region = rotation.secret.split(':').nth(3).unwrap_or_default();
            rows.push(("", format!("{command} '{group}' --log-stream-name '{stream}' --region {region}")));
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&rows)
}

#[cfg(test)]
mod tests {
    use coffer_server::rotations::{Failure, UnderWay};

    use super::*;

    #[test]
    fn a_failure_says_the_step_the_error_and_where_the_log_is() {
        let text = |text: &str| Some(text.to_owned());
        let failure = Failure {
            at: String::from("2026-01-01T00:00:00Z"),
            step: String::from("setSecret"),
            attempt: 1,
            message: String::from("Error when executing lambda arn during setSecret step"),
            error_type: text("SyntaxError"),
            error_message: text("syntax error at or near \"'app'\""),
            log_group: text("/aws/lambda/rotate"),
            log_stream: text("2026/01/01/[$LATEST]00"),
        };
        let under_way = UnderWay {
            version: String::from("v2"),
            test: false,
            step: String::from("createSecret"),
            attempt: 2,
            running_since: None,
        };
        let rotation = Rotation {
            secret: String::from("arn"),
            name: String::from("db"),
            function: text("arn"),
            enabled: true,
            under_way: Some(under_way),
            due: text("2026-01-01T00:01:00Z"),
            rotated: None,
            failure: Some(failure),
            current: text("v1"),
            pending: text("v2"),
            previous: None,
        };
        let shown = shown(&rotation);
        for part in [
            "to be tried again (2)",
            "step setSecret, attempt 1",
            "SyntaxError: syntax error",
            "/aws/lambda/rotate 2026/01/01/[$LATEST]00",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
