//! How functions are run here, as the operator wants it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::sandbox::Walls;

/// Idle environments end after this long.
pub const IDLE: Duration = Duration::from_secs(600);
/// Each is a process of some fifty megabytes.
pub const ENVIRONMENTS_MAX: usize = 64;
/// Users of functions begin here when the server is root: far from people, services and containers.
pub const FIRST_USER: u32 = 1_900_000_000;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Nothing is run on this machine without.
    pub walls: Option<Walls>,
    /// The program that becomes a function, and its arguments.
    pub helper: (PathBuf, Vec<String>),
    /// A directory that is ours, and empty.
    pub scratch: PathBuf,
    /// Commands by the names of runtimes.
    pub interpreters: BTreeMap<String, Vec<String>>,
    /// Host and port of what every function may reach, beside Coffer.
    pub endpoints: Vec<(String, u16)>,
    pub environments_max: usize,
    pub idle: Duration,
    pub first_user: u32,
    /// Variables that name an endpoint of AWS name Coffer instead.
    pub redirects: bool,
}

impl Settings {
    pub fn new(walls: Option<Walls>, helper: (PathBuf, Vec<String>), scratch: PathBuf) -> Self {
        Self {
            walls,
            helper,
            scratch,
            interpreters: BTreeMap::new(),
            endpoints: Vec::new(),
            environments_max: ENVIRONMENTS_MAX,
            idle: IDLE,
            first_user: FIRST_USER,
            redirects: true,
        }
    }
}
