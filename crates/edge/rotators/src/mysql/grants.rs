//! What a user may, said again for another one.

/// The statement that gives this grant, as the server shows it, to another user; nothing if it is none. `to` is a quoted name.
///
/// AWS's functions leave out what stands behind the name, and with it that a grant may be passed on. Here it is kept.
pub(crate) fn again_for(grant: &str, to: &str) -> Option<String> {
    if grant.starts_with("GRANT ") {
        let (what, behind) = around(grant, " TO ")?;
        let option = [" WITH GRANT OPTION", " WITH ADMIN OPTION"]
            .into_iter()
            .find(|option| outside(behind, option).is_some());
        return Some(format!("{what} TO {to}@'%'{}", option.unwrap_or_default()));
    }
    if grant.starts_with("SET DEFAULT ROLE ") {
        let (what, _) = around(grant, " FOR ")?;
        return Some(format!("{what} FOR {to}@'%'"));
    }
    None
}

/// What is before and behind the first of these words that is in no quotes.
fn around<'g>(grant: &'g str, words: &str) -> Option<(&'g str, &'g str)> {
    let at = outside(grant, words)?;
    let (before, rest) = grant.split_at_checked(at)?;
    Some((before, rest.get(words.len()..)?))
}

fn outside(grant: &str, words: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    for (at, char) in grant.char_indices() {
        match quote {
            // A doubled quote ends one text and begins the next.
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if "'`\"".contains(char) => quote = Some(char),
            None if grant.get(at..).is_some_and(|rest| rest.starts_with(words)) => return Some(at),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_given_to_another() {
        for (grant, expected) in [
            ("GRANT USAGE ON *.* TO `app`@`%`", Some("GRANT USAGE ON *.* TO 'b'@'%'")),
            (
                "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL",
                Some("GRANT USAGE ON *.* TO 'b'@'%'"),
            ),
            (
                "GRANT SELECT ON `shop`.* TO 'app'@'%' WITH GRANT OPTION",
                Some("GRANT SELECT ON `shop`.* TO 'b'@'%' WITH GRANT OPTION"),
            ),
            (
                "GRANT SELECT ON `go TO ``it TO `.`100%` TO `app`@`%`",
                Some("GRANT SELECT ON `go TO ``it TO `.`100%` TO 'b'@'%'"),
            ),
            ("GRANT `reader`@`%` TO `app`@`%`", Some("GRANT `reader`@`%` TO 'b'@'%'")),
            ("SET DEFAULT ROLE `reader` FOR `app`@`%`", Some("SET DEFAULT ROLE `reader` FOR 'b'@'%'")),
            ("GRANT SELECT ON `a`.* TO ` WITH GRANT OPTION`@`%`", Some("GRANT SELECT ON `a`.* TO 'b'@'%'")),
            ("REVOKE SELECT ON *.* FROM `app`@`%`", None),
            ("", None),
        ] {
            assert_eq!(again_for(grant, "'b'").as_deref(), expected, "{grant}");
        }
    }
}
