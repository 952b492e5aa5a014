//! The lines that Coffer itself writes into a function's log, as AWS does, in text or in JSON.

use std::fmt;

use coffer_core::Deployment;
use coffer_types::Timestamp;
use serde_json::{Value, json};

use crate::{answer::Ending, extension, roster::Member};

pub(crate) struct Reporter<'a> {
    pub(crate) of: &'a Deployment,
    pub(crate) request_id: &'a str,
}

/// What a call took.
pub(crate) struct Taken {
    pub(crate) duration_ms: f64,
    pub(crate) init_ms: Option<f64>,
    pub(crate) memory_mb: Option<u64>,
}

impl Reporter<'_> {
    pub(crate) fn init_start(&self, now: Timestamp) -> String {
        let runtime = self.of.runtime.replacen("python", "python:", 1).replacen("nodejs", "nodejs:", 1);
        let arn = format!("arn:{}:lambda:{}::runtime:{:0>64}", coffer_types::PARTITION, self.of.region, "0");
        if self.of.logs_json {
            return platform(
                now,
                "platform.initStart",
                json!({
                    "initializationType": "on-demand", "phase": "init", "runtimeVersion": runtime, "runtimeVersionArn": arn,
                    "functionName": self.of.name, "functionVersion": self.of.version,
                }),
            );
        }
        format!("INIT_START Runtime Version: {runtime}\tRuntime Version ARN: {arn}\n")
    }

    pub(crate) fn init_timed_out(&self, now: Timestamp, init_ms: f64) -> String {
        if self.of.logs_json {
            return platform(
                now,
                "platform.initReport",
                json!({
                    "initializationType": "on-demand", "phase": "init", "status": "timeout", "metrics": {"durationMs": init_ms},
                }),
            );
        }
        format!("INIT_REPORT Init Duration: {init_ms:.2} ms\tPhase: init\tStatus: timeout\n")
    }

    /// The extension of AWS waits for calls.
    pub(crate) fn extension_ready(&self, now: Timestamp) -> String {
        self.extension(now, extension::NAME, "Ready", &["INVOKE", "SHUTDOWN"], None)
    }

    /// What became of an extension when the environment was started.
    pub(crate) fn member(&self, now: Timestamp, of: &Member) -> String {
        let events = [("INVOKE", of.hears_invoke), ("SHUTDOWN", of.hears_shutdown)];
        let events: Vec<&str> = events.iter().filter(|(_, hears)| *hears).map(|(event, _)| *event).collect();
        self.extension(now, &of.name, of.state.name(), &events, of.error_type.as_deref())
    }

    fn extension(
        &self,
        now: Timestamp,
        name: &str,
        state: &str,
        events: &[&str],
        error: Option<&str>,
    ) -> String {
        if self.of.logs_json {
            let mut record = json!({"name": name, "state": state, "events": events});
            if let (Some(error), Some(record)) = (error, record.as_object_mut()) {
                record.insert(String::from("errorType"), json!(error));
            }
            return platform(now, "platform.extension", record);
        }
        let events = events.join(",");
        let error = error.map(|error| format!("\tError Type: {error}")).unwrap_or_default();
        format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{events}]{error}\n")
    }

    pub(crate) fn start(&self, now: Timestamp) -> String {
        let (id, version) = (self.request_id, &self.of.version);
        if self.of.logs_json {
            return platform(now, "platform.start", json!({"requestId": id, "version": version}));
        }
        format!("START RequestId: {id} Version: {version}\n")
    }

    /// Why it ended before its time; nothing if it did not.
    pub(crate) fn ending(&self, now: Timestamp, ending: Option<Ending>, said: &str) -> Option<String> {
        let id = self.request_id;
        match ending? {
            Ending::TimedOut => {
                let seconds = self.of.timeout.as_secs_f64();
                Some(format!("{} {id} Task timed out after {seconds:.2} seconds\n\n", now.to_iso_millis()))
            }
            Ending::Exited(kind) => Some(format!("{said}\n{kind}\n")),
        }
    }

    pub(crate) fn end(&self, now: Timestamp, ending: Option<Ending>, taken: &Taken) -> Vec<String> {
        let Taken { duration_ms, init_ms, memory_mb } = taken;
        let (id, size) = (self.request_id, self.of.memory_mb);
        let used = memory_mb.unwrap_or_else(|| u64::from(size)).min(u64::from(size));
        let (status, error_type) = match ending {
            None => (None, None),
            Some(Ending::TimedOut) => (Some("timeout"), None),
            Some(Ending::Exited(kind)) => (Some("error"), Some(kind)),
        };
        if self.of.logs_json {
            let billed = duration_ms.ceil();
            let status = status.unwrap_or("success");
            let mut metrics = json!({
                "durationMs": duration_ms, "billedDurationMs": billed, "memorySizeMB": size, "maxMemoryUsedMB": used,
            });
            if let (Some(init), Some(metrics)) = (init_ms, metrics.as_object_mut()) {
                metrics.insert(String::from("initDurationMs"), json!(init));
            }
            let mut record = json!({"requestId": id, "metrics": metrics, "status": status});
            if let (Some(kind), Some(record)) = (error_type, record.as_object_mut()) {
                record.insert(String::from("errorType"), json!(kind));
            }
            return vec![platform(now, "platform.report", record)];
        }
        let report = Report {
            request_id: id,
            duration_ms: *duration_ms,
            init_ms: *init_ms,
            memory_mb: size,
            used_mb: used,
            status,
            error_type,
        };
        vec![format!("END RequestId: {id}\n"), report.to_string()]
    }
}

/// What the last line of a call says, in text.
#[derive(Debug)]
pub struct Report<'a> {
    pub request_id: &'a str,
    pub duration_ms: f64,
    /// Of the first call of an environment.
    pub init_ms: Option<f64>,
    pub memory_mb: u32,
    pub used_mb: u64,
    /// Nothing if all went well.
    pub status: Option<&'a str>,
    pub error_type: Option<&'a str>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request_id, duration_ms, memory_mb, used_mb, .. } = self;
        let billed = duration_ms.ceil();
        write!(
            f,
            "REPORT RequestId: {request_id}\tDuration: {duration_ms:.2} ms\tBilled Duration: {billed:.0} ms\t"
        )?;
        write!(f, "Memory Size: {memory_mb} MB\tMax Memory Used: {used_mb} MB\t")?;
        if let Some(init) = self.init_ms {
            write!(f, "Init Duration: {init:.2} ms\t")?;
        }
        if let Some(status) = self.status {
            write!(f, "Status: {status}")?;
        }
        if let Some(kind) = self.error_type {
            write!(f, "\tError Type: {kind}")?;
        }
        f.write_str("\n")
    }
}

fn platform(now: Timestamp, kind: &str, record: Value) -> String {
    json!({"time": now.to_iso_millis(), "type": kind, "record": record}).to_string() + "\n"
}
