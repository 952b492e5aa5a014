//! Which operation a path means, and what it says beside that.

use coffer_shape::{At, Kind, OperationSpec, Read, ReadError, Rest, ServiceSpec};

use crate::Head;

/// No operation takes a list of more in its query.
const PAIRS_MAX: usize = 200;

/// An operation, and the members that stand outside of the body, each with its place in the input. A list has several.
#[derive(Debug)]
pub(crate) struct Addressed {
    pub(crate) operation: &'static OperationSpec,
    pub(crate) values: Read<Vec<(usize, String)>>,
}

pub(crate) fn find(service: &'static ServiceSpec, head: &Head<'_>) -> Option<Addressed> {
    let is_meant = |operation: &&'static OperationSpec| {
        operation.rest.is_some_and(|rest| {
            let has_query = rest.query.is_none_or(|wanted| pairs(head.query).any(|pair| pair == wanted));
            rest.method == head.method && has_query && labels(rest.path, head.path).is_some()
        })
    };
    // Of two that fit, the one that also asks for something in the query.
    let found = service.operations.iter().copied().filter(is_meant);
    let operation = found.max_by_key(|operation| operation.rest.is_some_and(|rest| rest.query.is_some()))?;
    let rest = operation.rest?;
    Some(Addressed { operation, values: values(operation, rest, head) })
}

/// Whether paths of a service begin like this one.
pub(crate) fn is_path_of(service: &ServiceSpec, path: &str) -> bool {
    let first = |path: &str| path.split('/').nth(1).map(str::to_owned);
    let rests = service.operations.iter().filter_map(|operation| operation.rest);
    rests.into_iter().any(|rest| first(rest.path) == first(path))
}

fn values(operation: &OperationSpec, rest: &Rest, head: &Head<'_>) -> Read<Vec<(usize, String)>> {
    let mut values = Vec::new();
    if pairs(head.query).count() > PAIRS_MAX {
        return Err(ReadError::new("The request holds too many parameters."));
    }
    let labels = labels(rest.path, head.path).unwrap_or_default();
    for bound in rest.input {
        let before = values.len();
        match bound.at {
            At::Uri => {
                for (_, value) in labels.iter().filter(|(name, _)| *name == bound.name) {
                    values.push((bound.member, decoded(value)?));
                }
            }
            At::Query => {
                for (name, value) in pairs(head.query) {
                    if decoded(name)? == bound.name {
                        values.push((bound.member, decoded(value)?));
                    }
                }
            }
            At::Header => {
                for (_, value) in head.headers.iter().filter(|(name, _)| *name == bound.name) {
                    let text = std::str::from_utf8(value).map_err(|_| malformed())?;
                    values.push((bound.member, text.to_owned()));
                }
            }
            At::Status | At::Payload => {}
        }
        let member = operation.input.members().get(bound.member);
        let is_list = member.is_some_and(|member| matches!(member.schema.kind, Kind::List(_)));
        // Two values for one member would let two readers of one request disagree about what it says.
        if values.len() > before + 1 && !is_list {
            return Err(ReadError::new("The request names a parameter twice."));
        }
    }
    Ok(values)
}

/// The labels of a path with what stands in their places; nothing if the path is another.
fn labels<'h>(template: &'static str, path: &'h str) -> Option<Vec<(&'static str, &'h str)>> {
    // Some models, and so some clients, end a path in a slash.
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut labels = Vec::new();
    let (mut wanted, mut came) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), came.next()) {
            (None, None) => return Some(labels),
            (Some(wanted), Some(came)) => {
                match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    // A signature does not tell such paths from others.
                    Some(_) if matches!(came, "" | "." | "..") => return None,
                    Some(name) => labels.push((name, came)),
                    None if wanted == came => {}
                    None => return None,
                }
            }
            _ => return None,
        }
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

fn malformed() -> ReadError {
    ReadError::new("The request parameters are not correctly encoded.")
}

/// Each `%XX` is a byte, and a plus sign is one.
fn decoded(text: &str) -> Read<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high << 4 | low).map_err(|_| malformed())?,
                _ => return Err(malformed()),
            },
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_the_template_says() {
        let template = "/f/{Name}/policy/{Sid}";
        for (path, expected) in [
            ("/f/a/policy/b", Some(vec![("Name", "a"), ("Sid", "b")])),
            ("/f/arn%3Aaws%2Fx/policy/b/", Some(vec![("Name", "arn%3Aaws%2Fx"), ("Sid", "b")])),
            ("/f/a/policy", None),
            ("/f/a/policy/", None),
            ("/f//policy/b", None),
            ("/f/../policy/b", None),
            ("/g/a/policy/b", None),
            ("/f/a/policy/b/c", None),
            ("", None),
        ] {
            assert_eq!(labels(template, path), expected, "{path}");
        }
    }

    #[test]
    fn escapes_are_bytes_and_a_plus_is_a_plus() {
        for (text, expected) in [
            ("arn%3aaws%3Alambda", Some("arn:aws:lambda")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(text).ok().as_deref(), expected, "{text}");
        }
    }
}
