//! Runs functions as processes of this machine, behind the runtime API of Lambda.
//!
//! A function is somebody else's program. It gets an environment of its own: a process behind walls ([`sandbox`]), a private listener for
//! the runtime API, a directory, and credentials of its role. It serves one call at a time and is kept for the next ([`Runner`]). What it
//! prints becomes its log; what it answers becomes the answer, whole and unread.
//!
//! What it deliberately does not know: who may invoke a function, and what is stored about one. A service decides that, and hands over
//! a deployment and a call.

mod answer;
mod backing;
mod control;
mod desk;
pub mod doctor;
mod environment;
mod extension;
mod extensions_api;
mod halt;
mod http;
pub mod interpreters;
mod local;
mod log;
mod output;
mod pool;
mod relay;
mod report;
mod roster;
pub mod runner;
mod runtime_api;
pub mod sandbox;
mod scrub;
mod settings;
mod unpack;
mod users;
mod variables;
mod ways;

pub use backing::{Backing, Credentials, Door, Later, LogEvent};
pub use halt::{Ear, Halt, Running};
pub use local::Local;
pub use report::Report;
pub use runner::{Job, Runner};
pub use sandbox::Walls;
pub use settings::{ENVIRONMENTS_MAX, FIRST_USER, IDLE, Settings};
