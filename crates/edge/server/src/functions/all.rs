//! Everything that a function can be, in one: code that is run here, webhooks, and the rotators that come along.

use std::sync::Arc;

use coffer_client::Outbound;
use coffer_core::{FunctionCall, FunctionOutcome, FunctionRun, Functions, Program};
use coffer_functions::Local;
use coffer_rotators::Rotators;

use super::webhook;

/// Where no code is run, there is nothing else to ask how many.
const ROTATIONS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct All {
    local: Local,
    rotators: Rotators,
    outbound: Outbound,
}

impl All {
    pub(super) fn new(local: Local, outbound: Outbound) -> Self {
        Self { local, rotators: Rotators::new(outbound.clone()), outbound }
    }
}

impl Functions for All {
    fn rotations_at_once(&self) -> usize {
        match self.local.rotations_at_once() {
            0 => ROTATIONS_MAX,
            some => some,
        }
    }

    fn runs_no_code(&self) -> Option<String> {
        self.local.runs_no_code()
    }

    fn comes_along(&self, name: &str) -> bool {
        Rotators::has(name)
    }

    fn reads_master(&self, name: &str) -> bool {
        Rotators::reads_master(name)
    }

    fn run(&self, call: FunctionCall) -> FunctionRun {
        match call.program.clone() {
            Program::Deployed(_) => self.local.run(call),
            Program::Webhook(hook) => {
                let FunctionCall { request_id, event, invoked_arn, .. } = call;
                let clock = Arc::clone(&call.inside.world().clock);
                let call = webhook::Call { hook, request_id, event, invoked_arn };
                going(webhook::post(self.outbound.clone(), clock, call))
            }
            Program::BuiltIn(built_in) => {
                let on_behalf_of = call.confined.and_then(|confined| confined.on_behalf_of);
                let rotators = self.rotators.clone();
                going(rotators.run(built_in, call.request_id, call.event, on_behalf_of, call.inside))
            }
        }
    }

    fn forget(&self, function: &str) {
        self.local.forget(function);
    }
}

/// What has begun goes on if nobody waits for it any more.
fn going(run: impl Future<Output = FunctionOutcome> + Send + 'static) -> FunctionRun {
    Box::pin(async move {
        let run = tokio::spawn(run);
        run.await.unwrap_or_else(|error| FunctionOutcome::Unavailable(error.to_string()))
    })
}
