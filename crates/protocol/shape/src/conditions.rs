//! What a request says about itself in the language of policies: condition keys and the members they are taken from.
//!
//! A key is there only if the caller sent the member. What is sensitive never becomes the value of a key, and what only a handler
//! can know (tags of a resource, the ARN that an alias stands for) it says itself.

use coffer_types::Timestamp;

use crate::{Member, Schema, Shape, Writer, Wrote};

/// A condition key and the member of the request that it is taken from.
///
/// The last sign of a key may say how the member is read:
///
/// * `aws:RequestTag/`: as many keys as the list has elements. Each is completed by `Key` and has the value of `Value`, which is how
///   tags are sent; or by the keys of a map.
/// * `kms:EncryptionContext:`: as many keys as the map has pairs.
/// * `secretsmanager:ModifyRotationRules?`: always there, and true if the member was sent.
///
/// Without such a sign a list is its texts, and a map its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionRule {
    pub key: &'static str,
    pub member: &'static str,
    /// Of a list of structures: the member of each that counts.
    pub inner: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionValue {
    One(String),
    /// Of a key that policies know as a list, however many there are.
    Many(Vec<String>),
}

pub type Conditions = Vec<(String, ConditionValue)>;

/// The keys that a request brings with it.
pub fn conditions<S: Shape>(value: &S, rules: &'static [ConditionRule]) -> Conditions {
    if rules.is_empty() {
        return Vec::new();
    }
    let mut seen = Seen {
        depth: 0,
        member: "",
        inner: "",
        in_list: false,
        in_map: false,
        pair: None,
        rules,
        texts: Vec::new(),
    };
    // A request that was read can be written; if one could not, its keys would be absent, which policies may ask for.
    if value.write(&mut seen).is_err() {
        return Vec::new();
    }
    rules.iter().flat_map(|rule| seen.values_of(rule)).collect()
}

struct Text {
    member: &'static str,
    inner: &'static str,
    /// In a map: what the text belongs to.
    pair: Option<String>,
    /// None for the beginning of a list, a map or a structure, so that an empty one is there too.
    text: Option<String>,
}

/// Walks a request and keeps the texts of the members that a rule names.
struct Seen {
    depth: usize,
    member: &'static str,
    inner: &'static str,
    in_list: bool,
    in_map: bool,
    pair: Option<String>,
    rules: &'static [ConditionRule],
    texts: Vec<Text>,
}

impl Seen {
    fn values_of(&self, rule: &ConditionRule) -> Conditions {
        let of_member = || self.texts.iter().filter(|text| text.member == rule.member);
        if let Some(key) = rule.key.strip_suffix('/') {
            let inner = |name: &'static str| {
                of_member().filter(move |text| text.inner == name).filter_map(|text| text.text.as_deref())
            };
            // A list of pairs, or a map.
            let pairs = inner("Key").zip(inner("Value"));
            let of_map = of_member().filter(|text| text.inner.is_empty());
            let of_map = of_map.filter_map(|text| text.pair.as_deref().zip(text.text.as_deref()));
            return pairs
                .chain(of_map)
                .map(|(name, value)| (format!("{key}/{name}"), ConditionValue::One(value.to_owned())))
                .collect();
        }
        if let Some(key) = rule.key.strip_suffix('?') {
            let was_sent = of_member().next().is_some();
            return vec![(key.to_owned(), ConditionValue::One(was_sent.to_string()))];
        }
        if rule.key.ends_with(':') {
            let texts = of_member().filter(|text| text.inner.is_empty());
            let pairs = texts.filter_map(|text| text.pair.as_ref().zip(text.text.as_ref()));
            return pairs
                .map(|(name, value)| (format!("{}{name}", rule.key), ConditionValue::One(value.clone())))
                .collect();
        }
        let texts: Vec<String> = of_member()
            .filter(|text| text.inner == rule.inner.unwrap_or_default())
            .filter_map(|text| text.pair.as_ref().or(text.text.as_ref()).cloned())
            .collect();
        let is_list = of_member().any(|text| text.text.is_none());
        let value = match (is_list, texts.into_iter()) {
            (true, texts) => ConditionValue::Many(texts.collect()),
            (false, mut texts) => match texts.next() {
                Some(text) => ConditionValue::One(text),
                None => return Vec::new(),
            },
        };
        vec![(rule.key.to_owned(), value)]
    }

    fn is_named(&self) -> bool {
        self.rules.iter().any(|rule| rule.member == self.member)
    }

    fn note(&mut self, schema: &Schema, text: impl FnOnce() -> String) -> Wrote {
        let pair = self.pair.take();
        if !schema.sensitive && self.is_named() {
            self.texts.push(Text { member: self.member, inner: self.inner, pair, text: Some(text()) });
        }
        Ok(())
    }

    /// What may be empty begins.
    fn mark(&mut self) {
        if self.depth == 1 && !self.in_list && self.is_named() {
            self.texts.push(Text { member: self.member, inner: "", pair: None, text: None });
        }
    }

    fn nest(&mut self, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.depth += 1;
        fill(self)?;
        self.depth -= 1;
        self.inner = "";
        Ok(())
    }
}

impl Writer for Seen {
    fn member(&mut self, _: usize, member: &'static Member) -> Wrote {
        match self.depth {
            1 => (self.member, self.inner) = (member.name, ""),
            2 => self.inner = member.name,
            // No key is taken from so deep.
            _ => self.inner = "..",
        }
        Ok(())
    }

    fn key(&mut self, name: &str) -> Wrote {
        let is_counted = self.in_map && self.depth == 2 && self.is_named();
        self.pair = is_counted.then(|| name.to_owned());
        self.inner = if is_counted { "" } else { ".." };
        Ok(())
    }

    fn null(&mut self) -> Wrote {
        Ok(())
    }

    fn string(&mut self, schema: &'static Schema, value: &str) -> Wrote {
        self.note(schema, || value.to_owned())
    }

    fn long(&mut self, schema: &'static Schema, value: i64) -> Wrote {
        self.note(schema, || value.to_string())
    }

    fn double(&mut self, schema: &'static Schema, value: f64) -> Wrote {
        self.note(schema, || value.to_string())
    }

    fn boolean(&mut self, schema: &'static Schema, value: bool) -> Wrote {
        self.note(schema, || value.to_string())
    }

    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) -> Wrote {
        self.note(schema, || value.to_iso_millis())
    }

    fn blob(&mut self, _: &'static Schema, _: &[u8]) -> Wrote {
        Ok(())
    }

    fn structure(&mut self, _: &'static Schema, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.mark();
        self.nest(fill)
    }

    fn list(
        &mut self,
        _: &'static Schema,
        _: usize,
        fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote,
    ) -> Wrote {
        self.mark();
        // The structures in a list are one level down, as a member's own structure is.
        let outer = std::mem::replace(&mut self.in_list, true);
        fill(self)?;
        self.in_list = outer;
        Ok(())
    }

    fn map(&mut self, _: &'static Schema, _: usize, fill: &mut dyn FnMut(&mut dyn Writer) -> Wrote) -> Wrote {
        self.mark();
        let is_member = self.depth == 1 && !self.in_list;
        self.in_map = is_member;
        self.nest(fill)?;
        (self.in_map, self.pair) = (false, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(non_snake_case, reason = "members of AWS begin with a capital")]

    use super::*;

    crate::record! {
        struct Pair {
            Key: String,
            Value: String,
        }
    }

    crate::record! {
        struct Place {
            Region: String,
            Deeper: Option<Pair>,
        }
    }

    crate::record! {
        struct Rules {
            Days: Option<i64>,
        }
    }

    crate::record! {
        struct Asked {
            Name: Option<String>,
            Days: Option<i64>,
            Force: Option<bool>,
            Keys: Option<Vec<String>>,
            Tags: Option<Vec<Pair>>,
            Places: Option<Vec<Place>>,
            Context: Option<std::collections::BTreeMap<String, String>>,
            Rules: Option<Rules>,
            Hidden: Option<coffer_types::Secret<String>>,
        }
    }

    const fn rule(key: &'static str, member: &'static str, inner: Option<&'static str>) -> ConditionRule {
        ConditionRule { key, member, inner }
    }

    static RULES: &[ConditionRule] = &[
        rule("x:Name", "Name", None),
        rule("x:Days", "Days", None),
        rule("x:Force", "Force", None),
        rule("aws:TagKeys", "Keys", None),
        rule("aws:RequestTag/", "Tags", None),
        rule("x:TagKeys", "Tags", Some("Key")),
        rule("x:Places", "Places", Some("Region")),
        rule("x:Hidden", "Hidden", None),
        rule("x:Context:", "Context", None),
        rule("x:ContextKeys", "Context", None),
    ];

    #[test]
    fn a_member_that_was_sent_is_a_key_and_no_other() {
        let one = |text: &str| ConditionValue::One(text.into());
        let many = |texts: &[&str]| ConditionValue::Many(texts.iter().map(|text| (*text).into()).collect());
        let pair = |key: &str, value: &str| Pair { Key: key.into(), Value: value.into() };
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let place = |region: &str| Place { Region: region.into(), Deeper: Some(pair("deep", "deep")) };
        for (asked, expected) in [
            (Asked::default(), vec![]),
            (
                Asked { Name: Some("n".into()), Days: Some(7), Force: Some(false), ..Asked::default() },
                vec![("x:Name", one("n")), ("x:Days", one("7")), ("x:Force", one("false"))],
            ),
            (Asked { Keys: Some(vec![]), ..Asked::default() }, vec![("aws:TagKeys", many(&[]))]),
            (
                Asked { Keys: Some(vec!["a".into(), "b".into()]), ..Asked::default() },
                vec![("aws:TagKeys", many(&["a", "b"]))],
            ),
            (
                Asked { Tags: Some(vec![pair("team", "blue"), pair("env", "")]), ..Asked::default() },
                vec![
                    ("aws:RequestTag/team", one("blue")),
                    ("aws:RequestTag/env", one("")),
                    ("x:TagKeys", many(&["team", "env"])),
                ],
            ),
            (
                Asked { Places: Some(vec![place("eu-west-1"), place("us-east-1")]), ..Asked::default() },
                vec![("x:Places", many(&["eu-west-1", "us-east-1"]))],
            ),
            (Asked { Hidden: Some(coffer_types::Secret::new("s".into())), ..Asked::default() }, vec![]),
            (
                Asked { Context: Some([("b", "2"), ("a", "")].map(owned).into()), ..Asked::default() },
                vec![
                    ("x:Context:a", one("")),
                    ("x:Context:b", one("2")),
                    ("x:ContextKeys", many(&["a", "b"])),
                ],
            ),
            (Asked { Context: Some([].into()), ..Asked::default() }, vec![("x:ContextKeys", many(&[]))]),
        ] {
            let expected: Conditions =
                expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            assert_eq!(conditions(&asked, RULES), expected, "{asked:?}");
        }
    }
    #[test]
    fn whether_a_member_was_sent_is_always_known() {
        static SENT: &[ConditionRule] =
            &[rule("x:HasRules?", "Rules", None), rule("x:HasDays?", "Days", None)];
        for (rules, days, expected) in [
            (None, None, ["false", "false"]),
            (Some(Rules::default()), None, ["true", "false"]),
            (Some(Rules { Days: Some(1) }), Some(1), ["true", "true"]),
        ] {
            let asked = Asked { Rules: rules, Days: days, ..Asked::default() };
            let found: Vec<_> = conditions(&asked, SENT);
            let expected = ["x:HasRules", "x:HasDays"].into_iter().zip(expected);
            let expected: Vec<_> = expected
                .map(|(key, value)| (key.to_owned(), ConditionValue::One(value.to_owned())))
                .collect();
            assert_eq!(found, expected, "{asked:?}");
        }
    }
}
