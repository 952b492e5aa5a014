//! What the repository promises about itself, checked: generated code is fresh, dependencies point one way, and the bans
//! that no compiler knows hold.

// Said to be test code, so that the lints for shipped code leave it alone.
#[cfg(test)]
mod arrows;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod overlays;
#[cfg(test)]
mod patterns;
#[cfg(test)]
mod tree;
