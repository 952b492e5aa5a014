//! The runner as the rest of Coffer sees it: calls come from services, and credentials, packages and logs from the core.

use std::{sync::Arc, time::Duration};

use coffer_core::{
    BlobRef, Caller, FunctionCall, FunctionOutcome, FunctionRun, Functions, Inside, LogPlace, Partition,
    Principal, Program, Scrub, Stopping, Transport,
};
use coffer_model::{
    secretsmanager::{GetSecretValue, GetSecretValueRequest, GetSecretValueResponse},
    sts,
};
use coffer_shape::ApiError;
use coffer_types::{RequestId, Secret};

use crate::{
    backing::{Backing, Credentials, Later, LogEvent},
    extension, log,
    runner::{Confinement, DISABLED, Job, Runner},
};

/// Calls of others find room beside them.
const ROTATIONS_MAX: usize = 16;
/// In whose name a role is taken on.
const SERVICE: &str = "lambda.amazonaws.com";
/// The longest that every role allows.
const CREDENTIALS_SECONDS: i64 = 3600;
/// The shortest that STS gives.
const CREDENTIALS_SECONDS_MIN: i64 = 900;

/// Runs functions on this machine.
#[derive(Debug, Clone)]
pub struct Local(Arc<Runner>);

impl Local {
    pub const fn new(runner: Arc<Runner>) -> Self {
        Self(runner)
    }
}

impl Functions for Local {
    fn rotations_at_once(&self) -> usize {
        self.0.places().min(ROTATIONS_MAX)
    }

    fn runs_no_code(&self) -> Option<String> {
        (self.0.places() == 0).then(|| DISABLED.to_owned())
    }

    fn run(&self, call: FunctionCall) -> FunctionRun {
        let runner = Arc::clone(&self.0);
        let FunctionCall {
            program,
            invoked_arn,
            request_id,
            event,
            client_context,
            session,
            confined,
            inside,
        } = call;
        let Program::Deployed(deployment) = program else {
            let why = String::from("it has no code");
            return Box::pin(std::future::ready(FunctionOutcome::Unavailable(why)));
        };
        let (scrub, confined) = confined
            .map(|confined| {
                let inner = Confinement {
                    session_policy: confined.session_policy,
                    endpoints: confined.endpoints,
                    log: confined.log,
                    is_last: confined.is_last,
                };
                (confined.scrub, inner)
            })
            .unzip();
        let backing = Arc::new(FromInside {
            home: Partition::new(deployment.account, deployment.region.clone()),
            role: deployment.role.to_string(),
            name: deployment.name.clone(),
            request_id,
            session,
            scrub,
            inside,
        });
        let job = Job {
            deployment,
            invoked_arn,
            request_id: request_id.to_string(),
            event,
            client_context,
            confined,
        };
        // What has begun goes on if nobody waits for it any more.
        Box::pin(async move {
            let run = tokio::spawn(runner.perform(job, backing));
            run.await.unwrap_or_else(|error| FunctionOutcome::Unavailable(error.to_string()))
        })
    }

    fn forget(&self, function: &str) {
        self.0.forget_function(function);
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(self.0.stop())
    }
}

struct FromInside {
    home: Partition,
    role: String,
    name: String,
    request_id: RequestId,
    session: Principal,
    scrub: Option<Scrub>,
    inside: Inside,
}

impl FromInside {
    /// What is done for the function in the name of its role, as if it asked itself.
    fn as_role(&self, user_agent: &str) -> Caller {
        Caller {
            principal: self.session.clone(),
            region: self.home.region.clone(),
            request_id: RequestId::random(self.inside.world().entropy.as_ref()),
            source_address: String::from("127.0.0.1"),
            user_agent: user_agent.to_owned(),
            transport: Transport::Inside,
            host: String::new(),
        }
    }
}

/// The name of the function, but for a name of one letter, which a session cannot have.
fn session_name(function: &str) -> String {
    if function.len() < 2 { format!("{function}_") } else { function.to_owned() }
}

fn reason(error: ApiError) -> String {
    tracing::debug!(?error, "what a function needs was refused");
    error.message
}

impl Backing for FromInside {
    fn package(&self, blob: &BlobRef) -> Later<Result<Secret<Vec<u8>>, String>> {
        let (inside, home, blob) = (self.inside.clone(), self.home.clone(), blob.clone());
        Box::pin(async move { inside.blob(&home, &blob).await.map_err(reason) })
    }

    fn credentials(
        &self,
        session_policy: Option<String>,
        call: Duration,
    ) -> Later<Result<Credentials, String>> {
        let inside = self.inside.clone();
        let Partition { account, region } = self.home.clone();
        let caller = Caller::service(account, region, SERVICE, self.request_id);
        let as_long_as_the_call = || i64::try_from(call.as_secs()).unwrap_or(CREDENTIALS_SECONDS);
        let seconds = session_policy.as_ref().map_or(CREDENTIALS_SECONDS, |_| {
            as_long_as_the_call().clamp(CREDENTIALS_SECONDS_MIN, CREDENTIALS_SECONDS)
        });
        let input = sts::AssumeRoleRequest {
            role_arn: self.role.clone(),
            role_session_name: session_name(&self.name),
            duration_seconds: Some(seconds),
            policy: session_policy,
            ..sts::AssumeRoleRequest::default()
        };
        Box::pin(async move {
            let given = inside.call::<sts::AssumeRole>(&caller, input).await.map_err(reason)?;
            let given = given.credentials.ok_or("a role without credentials")?;
            Ok(Credentials {
                access_key_id: given.access_key_id,
                secret_access_key: given.secret_access_key,
                session_token: given.session_token,
                expires_at: given.expiration,
            })
        })
    }

    fn secret(&self, asked: GetSecretValueRequest) -> Later<Result<GetSecretValueResponse, ApiError>> {
        let (inside, caller) = (self.inside.clone(), self.as_role(extension::USER_AGENT));
        Box::pin(async move { inside.call::<GetSecretValue>(&caller, asked).await })
    }

    fn scrub(&self) -> Later<Result<Vec<Secret<Vec<u8>>>, String>> {
        let wanted = self.scrub.as_ref().map(|scrub| scrub(self.inside.clone()));
        Box::pin(async move {
            match wanted {
                None => Ok(Vec::new()),
                Some(values) => values.await.map_err(reason),
            }
        })
    }

    fn write_log(&self, place: LogPlace, events: Vec<LogEvent>) -> Later<()> {
        let (inside, role) = (self.inside.clone(), self.as_role(SERVICE));
        Box::pin(async move { log::write(&inside, &role, &place, events).await })
    }
}
