//! Pages that are written partly by hand and partly by a chore: what stands between two marks is the chore's.
//!
//! A mark is a comment of Markdown on a line of its own. A page without its marks is not written at all: a chore never guesses where
//! its part would go.

/// The line before the written part, and the line after it.
pub type Marks = (&'static str, &'static str);

/// The page with another text between its marks; nothing if it has lost them.
pub fn splice(page: &str, (begin, end): Marks, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_replaces_the_one_before_it_and_nothing_else() {
        const MARKS: Marks = ("<!-- from -->\n", "<!-- to -->\n");
        let page = "# Title\n<!-- from -->\nold\n<!-- to -->\nrest\n";
        let once = splice(page, MARKS, "new").unwrap();
        assert_eq!(once, "# Title\n<!-- from -->\n\nnew\n<!-- to -->\nrest\n");
        assert_eq!(splice(&once, MARKS, "new").unwrap(), once);
        assert_eq!(splice("# Title\n", MARKS, "new"), None);
    }
}
