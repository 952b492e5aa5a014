//! Cases by chance, in the format of the written ones.
//!
//! Names, patterns and values come from small shared pools, so that they meet about as often as not; a policy of wholly random text
//! would never apply to anything. What only an invalid document could hold is left out: it is refused when it is written.

mod caller;
mod condition;
mod document;
mod policies;
mod target;

use serde_json::{Map, Value};

use crate::dice::Dice;
pub use document::random_document;
use policies::Scene;

const HOME: &str = "111122223333";
const AWAY: &str = "444455556666";
const ACCOUNTS: &[&str] = &[HOME, HOME, HOME, AWAY];

/// One request with everything that has a say in it. The same dice make the same case.
pub fn random_case(dice: &mut Dice) -> Value {
    let target = target::draw(dice);
    let caller = caller::draw(dice, &target);
    let mut case = Map::new();
    insert(&mut case, "principal", caller.as_json());
    insert(&mut case, "action", target.action.as_str());
    insert(&mut case, "resource", target.resource.as_str());
    if let Some(shown) = target.shown(dice) {
        insert(&mut case, "display_resource", shown);
    }
    if dice.percent(5) {
        insert(&mut case, "resource_account", dice.pick(ACCOUNTS));
    }
    let context = condition::context(dice, &caller, &target);
    if target.is_key() && dice.percent(60) {
        insert(&mut case, "encryption_context", target::encryption_context(dice));
    }
    let scene = Scene { caller: &caller, target: &target, context: &context };
    insert(&mut case, "policies", policies::draw(dice, &scene));
    insert(&mut case, "context", context);
    Value::Object(case)
}

fn insert(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

/// The same letters, some in the other case.
fn other_case(dice: &mut Dice, text: &str) -> String {
    text.chars()
        .map(|letter| match dice.below(4) {
            0 => letter.to_ascii_uppercase(),
            1 => letter.to_ascii_lowercase(),
            _ => letter,
        })
        .collect()
}

/// Text with a run of characters replaced by `*`, or one by `?`.
fn with_wildcard(dice: &mut Dice, text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let start = dice.below(letters.len() + 1);
    let before: String = letters.iter().take(start).collect();
    if dice.percent(25) && start < letters.len() {
        let after: String = letters.iter().skip(start + 1).collect();
        return format!("{before}?{after}");
    }
    let end = start + dice.below(letters.len() - start + 1);
    let after: String = letters.iter().skip(end).collect();
    format!("{before}*{after}")
}

/// A scalar, or a list of one or more: where both are allowed they mean the same.
fn one_or_list(dice: &mut Dice, mut values: Vec<Value>) -> Value {
    if values.len() == 1 && dice.percent(60) {
        return values.pop().unwrap_or_default();
    }
    Value::Array(values)
}
