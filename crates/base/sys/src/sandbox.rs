//! What a process gives up before it becomes somebody else's program: the system calls of a sandbox, one function each.
//!
//! They are called by a helper process that has one thread and becomes the program in the end, so most of them change the whole calling
//! process for good. In which order they make sense, and what a function sees in the end, is decided by who runs functions.
//!
//! Linux only.

mod descriptors;
mod filter;
mod kernel;
mod landlock;

pub use descriptors::{close_on_exec_from, keep_on_exec, pair_from_stdin, pipe, receive, send};
pub use filter::deny_calls;
pub use kernel::{
    Ended, Fork, Limit, Mount, Namespaces, add_address, adopt_orphans, become_user, bind, die_with_parent,
    fork, give_up_privileges, kill, lock_down, lower_priority, map_user, mount, name_host, new_session,
    pivot, private_mounts, public_files, raise_loopback, reap, set_limit, undumpable, unshare, wait_any,
    watch,
};
pub use landlock::{Access, landlock_version, restrict_files};
