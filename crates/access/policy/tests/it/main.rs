//! Documents, decisions and the sentences AWS answers with, as data; and the same policies read a second time by the slow twin.
//!
//! The sentences of one service for its own policies are that service's; here the variant is compared through IAM's words.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod case;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod explained;
#[cfg(test)]
mod twin;
#[cfg(test)]
mod validation;
