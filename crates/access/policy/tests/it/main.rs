//! Documents and the sentences AWS answers with, as data.
//!
//! The sentences of one service for its own policies are that service's; here the variant is compared through IAM's words.

#[cfg(test)]
mod validation;
