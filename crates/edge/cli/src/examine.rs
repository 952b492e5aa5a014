//! `coffer verify` and `coffer doctor`: looking without touching. And `coffer accept-loss`, for the one finding of theirs that a
//! person has to decide about before a server starts again.

use coffer_server::{
    Complaint,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    doctor::{self, Finding, Grade, Whose},
    verify::{self, Names, Report},
    world,
};
use coffer_sys::HardeningLine;

use crate::{
    Exit,
    arguments::{AcceptLoss, Doctor, Verify},
    ask::offline_key,
    configuration,
    next_step::with_flags,
    print::{say, table},
};

pub(crate) fn verify(arguments: &Verify) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    let key = offline_key(&arguments.key, &directory)?;
    let names = if arguments.names { Names::Shown } else { Names::Hidden };
    let report = verify::verify(&config, &world::system(&directory.audit()), key, names)?;
    say(&if arguments.json { json(&report)? } else { report_table(&report) });
    Ok(if report.is_clean() { Exit::Done } else { Exit::Damage })
}

fn report_table(report: &Report) -> String {
    let count = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let mut rows = vec![
        count("partitions", report.partitions),
        count("records", report.records),
        count("audit rows", report.audit_rows),
        count("audit segments", report.segments),
        count("audit events", report.segment_events),
        count("torn bytes", report.torn_bytes),
        count("problems", report.problem_count),
    ];
    rows.extend(report.contradictions.iter().map(|(kind, found)| count(kind, *found)));
    rows.extend(
        report
            .problems
            .iter()
            .map(|problem| vec![String::from("DAMAGED"), problem.place.clone(), problem.says.clone()]),
    );
    table(&rows)
}

pub(crate) fn accept_loss(arguments: &AcceptLoss) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let flags = arguments.place.typed();
    let (damage, kept) = verify::accept_loss(&config, &arguments.id)?;
    say(&format!(
        "At least {} acknowledged commits are given up; the store goes on from the last one before them\n  \
         kept           {}\n  \
         next           coffer verify{flags} && coffer server{flags}",
        damage.lost_commits,
        kept.display()
    ));
    Ok(Exit::Done)
}

pub(crate) fn doctor(arguments: &Doctor, hardening: &[HardeningLine]) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let mut findings = match control::ask(&directory, &Request::new(Command::Doctor))? {
        Some(Reply::Findings(findings)) => findings,
        Some(_) => {
            return Err(
                Complaint::new("the server answered something else").next("the coffer of the same version")
            );
        }
        None => {
            // Of another owner's store, every finding would be about the owner.
            let directory = DataDir::existing(&config.data_dir)?;
            let world = world::system(&directory.audit());
            let process = doctor::hardening(hardening, Whose::Command);
            process.into_iter().chain(doctor::of_resting_files(&config, &directory, &world)).collect()
        }
    };
    for finding in &mut findings {
        finding.next = finding.next.as_deref().map(|next| with_flags(next, &arguments.place));
    }
    say(&if arguments.json { json(&findings)? } else { findings_table(&findings) });
    let is_bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

fn findings_table(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for finding in findings {
        let grade = match finding.grade {
            Grade::Good => "ok",
            Grade::Warning => "look",
            Grade::Bad => "BAD",
        };
        rows.push(vec![grade.to_owned(), finding.about.clone(), finding.says.clone()]);
        if let Some(next) = &finding.next {
            rows.push(vec![String::new(), String::new(), format!("try: {next}")]);
        }
    }
    table(&rows)
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, Complaint> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Complaint::new("the result cannot be printed").because(error))
}
