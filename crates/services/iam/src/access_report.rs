//! Who has used which service, and when last: reports that are made from the audit trail.
//!
//! Nothing is counted while requests are served. A report looks at the trail from its end, a second's worth for each time it is asked
//! for, and keeps how far it has come; so it is true as far back as the trail is kept. An attempt that was refused is a use as well, as
//! on AWS. It knows people by their ids, and so nobody by a name that somebody else had before.

use std::{ops::ControlFlow, time::Duration};

use coffer_core::{AuditFacts, Cx, LooksBack, Permit, Span, TrailPlace, Wanted, table};
use coffer_model::SERVICES;
use coffer_shape::{ApiError, ServiceSpec, record};
use coffer_types::Timestamp;

use crate::error::IamError;

/// AWS looks no further back.
const TRACKED: Duration = Duration::from_hours(400 * 24);
/// The log is in the order of the times but for so much.
const DISORDER: Duration = Duration::from_secs(60);
/// Reports of an account; the oldest goes. Our choice.
const REPORTS_MAX: usize = 100;
/// Users and roles in a report, and the bytes of their names, so that it fits into a record. Our choice.
const WATCHED_MAX: usize = 300;
const WATCHED_BYTES_MAX: usize = 48 << 10;
/// So few ids are looked for in the text of an event before that is read.
const IDS_SOUGHT_MAX: usize = 4;

record! {
    /// A user or a role.
    #[derive(Clone, PartialEq)]
    pub struct Watched {
        pub id: String,
        pub is_role: bool,
        pub name: String,
        pub path: String,
    }
}

record! {
    /// The last use of a service by somebody, or of one action by anybody.
    #[derive(Clone, PartialEq)]
    pub struct Used {
        pub service: String,
        /// None for the service as a whole.
        pub action: Option<String>,
        /// The number of who it was.
        pub by: i64,
        pub at: Timestamp,
        pub region: String,
    }
}

table! {
    0x1a "iam-access-report", version 1, key (job_id), part;

    #[derive(Clone)]
    pub struct AccessReportRecord {
        pub job_id: String,
        /// Of whom or what: a user, group, role or policy.
        pub arn: String,
        pub by_action: bool,
        pub created_at: Timestamp,
        /// None until all of the trail was seen.
        pub completed_at: Option<Timestamp>,
        /// Those services of this process that policies open, by the names in actions.
        pub services: Vec<String>,
        pub watched: Vec<Watched>,
        pub used: Vec<Used>,
        /// Where in the trail to go on.
        pub segment: Option<i64>,
        pub events: i64,
    }
}

table! {
    0x1b "iam-access-reports", version 1, key (name), part;

    /// The reports of an account, the oldest first.
    #[derive(Clone)]
    pub struct AccessReportsRecord {
        pub name: String,
        pub job_ids: Vec<String>,
    }
}

const ALL: &str = "all";

/// The services of this process that somebody can be let in to.
pub(crate) fn services() -> impl Iterator<Item = &'static ServiceSpec> {
    SERVICES.iter().copied()
}

/// The name that AWS gives a service in reports.
pub(crate) fn title(service: &str) -> &str {
    match service {
        "cloudtrail" => "AWS CloudTrail",
        "iam" => "AWS Identity and Access Management",
        "kms" => "AWS Key Management Service",
        "lambda" => "AWS Lambda",
        "logs" => "Amazon CloudWatch Logs",
        "secretsmanager" => "AWS Secrets Manager",
        "sts" => "AWS Security Token Service",
        other => other,
    }
}

/// A report that is about to begin.
pub(crate) struct Plan {
    pub arn: String,
    pub by_action: bool,
    pub services: Vec<String>,
    pub watched: Vec<Watched>,
}

/// Keeps a new report, and says by which id it is asked for.
pub(crate) fn begin(cx: &mut Cx<'_>, plan: Plan) -> Result<String, ApiError> {
    let bytes: usize = plan.watched.iter().map(|one| one.name.len() + one.path.len()).sum();
    if plan.watched.len() > WATCHED_MAX || bytes > WATCHED_BYTES_MAX {
        return Err(IamError::TooManyWatched { max: WATCHED_MAX }.into());
    }
    let job_id = cx.uuid().to_string();
    let known = cx.part::<AccessReportsRecord>(&[ALL])?;
    let mut job_ids = known.map(|known| known.job_ids.clone()).unwrap_or_default();
    job_ids.push(job_id.clone());
    while job_ids.len() > REPORTS_MAX {
        cx.erase::<AccessReportRecord>(&[&job_ids.remove(0)])?;
    }
    cx.save(AccessReportsRecord { name: ALL.to_owned(), job_ids })?;
    cx.save(AccessReportRecord {
        job_id: job_id.clone(),
        arn: plan.arn,
        by_action: plan.by_action,
        created_at: cx.now(),
        services: plan.services,
        watched: plan.watched,
        ..AccessReportRecord::default()
    })?;
    Ok(job_id)
}

/// A report as far as it has come. It goes on as long as the call has time.
pub(crate) fn advanced(
    cx: &mut Cx<'_>,
    permit: Permit,
    job_id: &str,
) -> Result<AccessReportRecord, ApiError> {
    let found = cx.part::<AccessReportRecord>(&[job_id])?;
    let mut report = found
        .map(|found| (*found).clone())
        .ok_or_else(|| IamError::NoSuchReport { job_id: job_id.to_owned() })?;
    if report.completed_at.is_some() {
        return Ok(report);
    }
    let from = report.segment.map(|segment| TrailPlace {
        segment: segment.cast_unsigned(),
        events: report.events.cast_unsigned(),
    });
    let account = cx.account().to_string();
    let next = {
        let mut look = Look { cx, account, report: &mut report };
        cx.look_back(permit, from, &mut look)?
    };
    match next {
        None => report.completed_at = Some(cx.now()),
        Some(place) => {
            // Bit by bit: the end of a segment that has not been measured yet is a very large number.
            report.segment = Some(place.segment.cast_signed());
            report.events = place.events.cast_signed();
        }
    }
    cx.save(report.clone())?;
    Ok(report)
}

impl AccessReportRecord {
    /// The last use of a service by anybody.
    pub(crate) fn last_of(&self, service: &str) -> Option<&Used> {
        self.used_by_each(service).max_by_key(|used| used.at)
    }

    /// The last use of a service by each who has used it.
    pub(crate) fn used_by_each(&self, service: &str) -> impl Iterator<Item = &Used> {
        self.used.iter().filter(move |used| used.action.is_none() && used.service == service)
    }

    /// The last use of each action of a service that has been used.
    pub(crate) fn used_actions(&self, service: &str) -> impl Iterator<Item = &Used> {
        self.used.iter().filter(move |used| used.action.is_some() && used.service == service)
    }

    pub(crate) fn watched(&self, used: &Used) -> Option<&Watched> {
        self.watched.get(usize::try_from(used.by).ok()?)
    }

    fn note(&mut self, facts: &AuditFacts<'_>) {
        let Some(at) = facts.time().filter(|at| *at <= self.created_at) else { return };
        let by = self.watched.iter().position(|one| facts.principal_id() == Some(&one.id));
        let service = services().find(|service| service.event_source == facts.event_source);
        let (Some(by), Some(service)) = (by.and_then(|by| i64::try_from(by).ok()), service) else { return };
        if !self.services.iter().any(|known| known == service.name) {
            return;
        }
        let used = Used {
            service: service.name.to_owned(),
            action: None,
            by,
            at,
            region: facts.aws_region.to_string(),
        };
        if self.by_action {
            let action = Some(facts.event_name.to_string());
            self.keep_last(Used { action, ..used.clone() }, |known, used| known.action == used.action);
        }
        self.keep_last(used, |known, used| known.action.is_none() && known.by == used.by);
    }

    /// The log is not quite in the order of the times, so what is met first is not quite the last.
    fn keep_last(&mut self, used: Used, is_same: impl Fn(&Used, &Used) -> bool) {
        let same = |known: &&mut Used| known.service == used.service && is_same(known, &used);
        match self.used.iter_mut().find(same) {
            Some(known) if known.at < used.at => *known = used,
            Some(_) => {}
            None => self.used.push(used),
        }
    }
}

struct Look<'a, 'c> {
    cx: &'a Cx<'c>,
    account: String,
    report: &'a mut AccessReportRecord,
}

impl LooksBack for Look<'_, '_> {
    fn wants(&self, span: Span) -> Wanted {
        let begin = self.report.created_at;
        if span.until.plus(DISORDER) < begin.minus(TRACKED) {
            Wanted::NothingOlder
        } else if span.from > begin {
            Wanted::No
        } else {
            Wanted::Yes
        }
    }

    fn see(&mut self, event: &str) -> ControlFlow<()> {
        let sought = &self.report.watched;
        let may_fit = sought.len() > IDS_SOUGHT_MAX || sought.iter().any(|one| event.contains(&one.id));
        if let Some(facts) = may_fit.then(|| AuditFacts::read(event)).flatten()
            && facts.recipient_account_id == self.account
        {
            self.report.note(&facts);
        }
        ControlFlow::Continue(())
    }

    fn is_late(&self) -> bool {
        self.cx.has_run_long()
    }
}
