//! The IAM policy language a second time: slow, obvious, and written from the rules alone.
//!
//! The engine that decides real requests compiles policies and matches in linear time. This crate reads the JSON again for every
//! request and says each rule in one function, named and commented with the number of the rule, so that it can be proof-read next
//! to the rules. A test gives the same random policies and requests to both; where they differ, one of them has misread.
//!
//! It shares no code with the engine, not even the ARN type: a mistake in something shared would be made twice and never be seen.
//! For the same reason it prefers looking at everything to stopping early. Only tests may depend on it.
//!
//! Input is the format of `tests/data/iam-vectors.json`: one case is one request with every policy that has a say. The numbers 1.x
//! and 2.x are sections of the rules: 1.5 actions, 1.6 resources, 1.7 variables, 1.8 conditions, 2.2 the order of decisions, 2.3
//! organisation and endpoint policies, 2.4 principals, 2.5 the same account, 2.6 boundaries and session policies, 2.7 root, 2.8
//! other accounts, 2.9 messages, 2.10 KMS; V1 to V18 are the checks of a document that is written.
//!
//! What it does not know: unique ids of entities (a case names callers by ARN), which entities exist (V13 and V14 look at the form
//! only), who writes a key policy (V17), and the check of the alphabet of a document, which is a parameter check and comes before.

mod address;
mod case;
mod condition;
mod date;
mod decision;
mod dice;
mod element;
mod grant;
mod json;
mod message;
mod number;
mod operator;
mod principal;
mod random;
mod resource;
mod statement;
mod trace;
mod validate;
mod variable;
mod verdict;
mod wildcard;

use serde_json::Value;

pub use dice::Dice;
pub use operator::operator_names;
pub use random::{random_case, random_document};
pub use trace::{Fired, RULES};
pub use validate::{Fault, validate};
pub use verdict::{Decision, PolicyType, Verdict};

/// Decides one case.
pub fn decide(case: &Value) -> Verdict {
    case::Request::read(case).map_or_else(Verdict::malformed, |request| decision::decide(&request))
}

/// Decides one case, and says which rule answered what on the way.
pub fn explain(case: &Value) -> (Verdict, Vec<Fired>) {
    let Some(request) = case::Request::read(case) else { return (Verdict::malformed(), Vec::new()) };
    request.trace.begin();
    let verdict = decision::decide(&request);
    (verdict, request.trace.end())
}
