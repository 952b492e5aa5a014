//! The crate against the outside: published vectors, the signer of the AWS SDK, forged requests, arbitrary bytes.

#[cfg(test)]
mod forged;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod request;
#[cfg(test)]
mod vectors;
