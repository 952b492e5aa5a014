//! The helper alone, for the tests of this crate; `coffer` is its own helper.

use std::process::ExitCode;

fn main() -> ExitCode {
    coffer_functions::sandbox::main()
}
