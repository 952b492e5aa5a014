//! What callers are told when a function did not answer: every sentence of it.

use coffer_sys::sandbox::Ended;
use coffer_types::Secret;
use serde_json::json;

/// The most that a function may answer with.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 6_291_556;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) payload: Secret<Vec<u8>>,
    pub(crate) failed: bool,
    /// For the report, when the end was not the function's own doing.
    pub(crate) ending: Option<Ending>,
}

/// How REPORT names an end before the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    TimedOut,
    /// With the type of the error.
    Exited(&'static str),
}

pub(crate) const RUNTIME_EXIT: &str = "Runtime.ExitError";

/// What can be wrong with an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Launch,
    Init,
    Exit,
    Crash,
}

impl Fault {
    const fn kind(self) -> &'static str {
        match self {
            Self::Launch => "Extension.LaunchError",
            Self::Init => "Extension.InitError",
            Self::Exit => "Extension.ExitError",
            Self::Crash => "Extension.Crash",
        }
    }
}

impl Answer {
    pub(crate) const fn success(payload: Secret<Vec<u8>>) -> Self {
        Self { payload, failed: false, ending: None }
    }

    /// What the runtime said itself.
    pub(crate) const fn failure(payload: Secret<Vec<u8>>) -> Self {
        Self { payload, failed: true, ending: None }
    }

    fn told(kind: &str, message: &str) -> Self {
        let text = json!({ "errorType": kind, "errorMessage": message }).to_string();
        Self::failure(Secret::new(text.into_bytes()))
    }

    pub(crate) fn invalid_runtime(message: &str) -> Self {
        Self::told("Runtime.InvalidRuntime", message)
    }

    pub(crate) fn invalid_entrypoint(request_id: &str) -> Self {
        Self::told(
            "Runtime.InvalidEntrypoint",
            &format!(
                "RequestId: {request_id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
            ),
        )
    }

    pub(crate) fn too_large() -> Self {
        Self::told(
            "Function.ResponseSizeTooLarge",
            &format!(
                "Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
            ),
        )
    }

    pub(crate) fn timed_out(request_id: &str, seconds: f64) -> Self {
        let message = format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
        Self { ending: Some(Ending::TimedOut), ..Self::told("Sandbox.Timedout", &message) }
    }

    pub(crate) fn exited(request_id: &str, ended: Option<Ended>) -> Self {
        let message = format!("RequestId: {request_id} Error: {}", exit_text(ended));
        Self { ending: Some(Ending::Exited(RUNTIME_EXIT)), ..Self::told(RUNTIME_EXIT, &message) }
    }

    pub(crate) fn extension(request_id: &str, fault: Fault, why: &str) -> Self {
        let message = format!("RequestId: {request_id} Error: {why}");
        Self { ending: Some(Ending::Exited(fault.kind())), ..Self::told(fault.kind(), &message) }
    }
}

pub(crate) fn exit_text(ended: Option<Ended>) -> String {
    match ended {
        Some(Ended::Exited(0)) | None => String::from("Runtime exited without providing a reason"),
        Some(ended) => format!("Runtime exited with error: {}", end_text(ended)),
    }
}

pub(crate) fn end_text(ended: Ended) -> String {
    match ended {
        Ended::Exited(0) => String::from("exit code 0"),
        Ended::Exited(code) => format!("exit status {code}"),
        Ended::Killed(signal) => format!("signal: {}", signal_name(signal)),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        9 => "killed",
        11 => "segmentation fault",
        15 => "terminated",
        other => return other.to_string(),
    };
    name.to_owned()
}
