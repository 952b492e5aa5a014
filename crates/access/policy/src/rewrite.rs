//! A policy's text with other principals.
//!
//! IAM keeps who is meant and not how he was called: a user who was renamed is shown under his new name, and one who is gone by the
//! id that nobody will ever have again. Only principals are looked at; the same text in a condition is the author's.

use crate::json::{self, Json};

const STATEMENT: &str = "Statement";
const PRINCIPALS: [&str; 2] = ["Principal", "NotPrincipal"];
const AWS: &str = "AWS";

/// The text with each AWS principal renamed for which there is a new name. `None` if nothing changes, or if it is no policy:
/// then the text stays as it was written. Otherwise it is written anew, without white space.
pub fn with_principals(text: &str, new_name: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let mut document = json::parse(text).ok()?;
    let mut changed = false;
    let mut rename = |value: &mut Json| {
        if let Json::String(value) = value
            && let Some(new) = new_name(value)
        {
            *value = new;
            changed = true;
        }
    };
    each(field(&mut document, STATEMENT), &mut |statement| {
        for element in PRINCIPALS {
            each(field(statement, element).and_then(|principal| field(principal, AWS)), &mut rename);
        }
    });
    changed.then(|| document.to_string())
}

fn field<'a>(object: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    let Json::Object(fields) = object else { return None };
    fields.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// One is a list of one.
fn each(value: Option<&mut Json>, visit: &mut dyn FnMut(&mut Json)) {
    match value {
        Some(Json::List(list)) => list.iter_mut().for_each(visit),
        Some(one) => visit(one),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "arn:aws:iam::111122223333:user/ann";

    #[test]
    fn principals_take_new_names_and_nothing_else_does() {
        let rename =
            |text: &str| with_principals(text, &mut |name| (name == ANN).then(|| String::from("AIDA1")));
        for (text, expected) in [
            (
                r#"{"Statement": {"Principal": {"AWS": "arn:aws:iam::111122223333:user/ann"}, "Effect": "Allow"}}"#,
                Some(r#"{"Statement":{"Principal":{"AWS":"AIDA1"},"Effect":"Allow"}}"#),
            ),
            (
                r#"{"Statement": [{"NotPrincipal": {"AWS": ["*", "arn:aws:iam::111122223333:user/ann"]}, "Condition":
                   {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/ann"}, "Bool": {"a:\"b": [true, 2.5, null]}}}]}"#,
                Some(concat!(
                    r#"{"Statement":[{"NotPrincipal":{"AWS":["*","AIDA1"]},"Condition":"#,
                    r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/ann"},"Bool":{"a:\"b":[true,2.5,null]}}}]}"#,
                )),
            ),
            // Nothing to change.
            (r#"{"Statement": {"Principal": {"AWS": "arn:aws:iam::111122223333:user/bob"}}}"#, None),
            (r#"{"Statement": {"Principal": "*"}}"#, None),
            (r#"{"Statement": {"Principal": {"Service": "arn:aws:iam::111122223333:user/ann"}}}"#, None),
            (r#"{"Id": "arn:aws:iam::111122223333:user/ann", "Statement": []}"#, None),
            ("{", None),
        ] {
            assert_eq!(rename(text).as_deref(), expected, "{text}");
        }
    }
}
