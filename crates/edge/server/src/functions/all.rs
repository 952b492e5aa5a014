//! Everything that a function can be, in one: code that is run here, webhooks, and the rotators that come along.

use std::sync::Arc;

use coffer_client::Outbound;
use coffer_core::{FunctionCall, FunctionOutcome, FunctionRun, Functions, Program, Stopping};
use coffer_functions::{Halt, Local};
use coffer_rotators::Rotators;

use super::webhook;

/// Where no code is run, there is nothing else to ask how many.
const ROTATIONS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct All {
    local: Local,
    rotators: Rotators,
    outbound: Outbound,
    /// Of webhooks and rotators that are under way.
    halt: Arc<Halt>,
}

impl All {
    pub(super) fn new(local: Local, outbound: Outbound) -> Self {
        Self { local, rotators: Rotators::new(outbound.clone()), outbound, halt: Arc::default() }
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
                self.going(webhook::post(self.outbound.clone(), clock, call))
            }
            Program::BuiltIn(built_in) => {
                let on_behalf_of = call.confined.and_then(|confined| confined.on_behalf_of);
                let rotators = self.rotators.clone();
                self.going(rotators.run(built_in, call.request_id, call.event, on_behalf_of, call.inside))
            }
        }
    }

    fn forget(&self, function: &str) {
        self.local.forget(function);
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            let (all, ()) = tokio::join!(self.halt.all(), self.local.stop());
            if !all {
                tracing::warn!("webhooks and rotators were told to end and are still there");
            }
        })
    }
}

impl All {
    /// What has begun goes on if nobody waits for it any more, until all are stopped.
    fn going(&self, run: impl Future<Output = FunctionOutcome> + Send + 'static) -> FunctionRun {
        let (halt, mut halted) = (Arc::clone(&self.halt), self.halt.ear());
        Box::pin(async move {
            let run = tokio::spawn(async move {
                let running = halt.begin().await;
                let outcome = halted.until(run).await;
                drop(running);
                outcome.unwrap_or_else(|| FunctionOutcome::Unavailable(String::from("it was stopped")))
            });
            run.await.unwrap_or_else(|error| FunctionOutcome::Unavailable(error.to_string()))
        })
    }
}
