//! The written cases, and what the generators promise.

#[cfg(test)]
mod generated;
#[cfg(test)]
mod vectors;
