//! The files of the AWS CLI, changed in one section and nowhere else.
//!
//! They are written by people: comments, order and spacing of everything that is not ours come out as they went in, byte for
//! byte. In our section only our keys are set; what somebody added there stays.
//!
//! The two files name a profile in different ways, and the first in more than one: `[profile coffer]`, `[profile "coffer"]` and
//! `[profile  'coffer']` are the same to the AWS CLI, which reads the words of a section as a shell does.

use coffer_types::Secret;

pub(crate) const DEFAULT: &str = "default";
const PROFILE: &str = "profile";

/// Which section is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section<'n> {
    /// The one with this name, as in the file of credentials.
    Named(&'n str),
    /// The one of this profile, as in the file of settings.
    Profile(&'n str),
}

impl Section<'_> {
    fn is(self, header: &str) -> bool {
        match self {
            Self::Named(name) => header == name,
            Self::Profile(name) => match words(header).as_deref() {
                Some([word]) => word == DEFAULT && name == DEFAULT,
                Some([word, profile]) => word == PROFILE && profile == name,
                _ => false,
            },
        }
    }

    /// As a new one is written.
    fn header(self) -> String {
        match self {
            Self::Named(name) | Self::Profile(name @ DEFAULT) => name.to_owned(),
            Self::Profile(name) => format!("{PROFILE} {name}"),
        }
    }
}

/// The words of a section as a shell reads them; `None` if a quote is not closed.
fn words(header: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = header.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        // Before anything else between double quotes a backslash is itself.
                        '\\' => match letters.next()? {
                            escaped @ ('"' | '\\') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

/// Sets keys in a section, which is made at the end if it is missing. `None` takes a key away.
///
/// If the section is there twice, both are set: of `[default]` and `[profile default]` clients take different ones.
pub(crate) fn set(text: &str, section: Section<'_>, keys: &[(&str, Option<&str>)]) -> Secret<String> {
    let header = section.header();
    let headers = text.lines().filter_map(section_name).filter(|name| section.is(name)).count().max(1);
    let added = keys.iter().map(|(key, value)| key.len() + value.map_or(0, str::len) + 8).sum::<usize>();
    let room = text.len() + header.len() + headers * added;
    // All at once, so that no growing buffer leaves a copy of a key behind.
    let mut out = Secret::new(String::with_capacity(room + 16));
    let to = out.expose_mut();
    let mut current = None;
    let mut found = false;
    // Whether a line before this one set a key that is ours, so that its indented continuation goes with it.
    let mut replaced = false;
    for line in text.split_inclusive('\n') {
        if let Some(name) = section_name(line) {
            current = Some(name);
            replaced = false;
            end_line(to);
            to.push_str(line);
            if section.is(name) {
                found = true;
                end_line(to);
                put(to, keys);
            }
            continue;
        }
        if current.is_some_and(|name| section.is(name)) {
            let is_continued = line.starts_with([' ', '\t']) && !line.trim().is_empty();
            replaced =
                if is_continued { replaced } else { keys.iter().any(|(key, _)| key_of(line) == Some(*key)) };
            if replaced {
                continue;
            }
        }
        to.push_str(line);
    }
    if !found {
        end_line(to);
        if !to.is_empty() {
            to.push('\n');
        }
        to.push('[');
        to.push_str(&header);
        to.push_str("]\n");
        put(to, keys);
    }
    out
}

/// The value of a key in a section.
pub(crate) fn get<'t>(text: &'t str, section: &str, key: &str) -> Option<&'t str> {
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = section_name(line) {
            current = Some(name);
        } else if current == Some(section) && key_of(line) == Some(key) {
            return line.split_once('=').map(|(_, value)| value.trim());
        }
    }
    None
}

fn section_name(line: &str) -> Option<&str> {
    let inside = line.strip_prefix('[')?;
    inside.split_once(']').map(|(name, _)| name.trim())
}

fn key_of(line: &str) -> Option<&str> {
    if line.starts_with(['#', ';', ' ', '\t']) {
        return None;
    }
    line.split_once('=').map(|(key, _)| key.trim())
}

fn put(to: &mut String, keys: &[(&str, Option<&str>)]) {
    for (key, value) in keys {
        if let Some(value) = value {
            for part in [key, " = ", value, "\n"] {
                to.push_str(part);
            }
        }
    }
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str) {
        let keys = [("region", Some("us-east-1")), ("ca_bundle", None)];
        let once = set(before, Section::Profile("coffer"), &keys);
        assert_eq!(once.expose(), after);
        assert_eq!(
            set(once.expose(), Section::Profile("coffer"), &keys).expose(),
            after,
            "a second time changes nothing"
        );
    }

    #[test]
    fn a_missing_section_is_made_at_the_end() {
        check("", "[profile coffer]\nregion = us-east-1\n");
        check(
            "[default]\nregion=eu-west-1",
            "[default]\nregion=eu-west-1\n\n[profile coffer]\nregion = us-east-1\n",
        );
    }

    #[test]
    fn other_sections_comments_and_foreign_keys_stay() {
        check(
            "# mine\n[profile a]\nregion = x\n\n[profile coffer]\nregion = old\noutput = json\nca_bundle=/old\n; why\n[b]\nca_bundle = /b\n",
            "# mine\n[profile a]\nregion = x\n\n[profile coffer]\nregion = us-east-1\noutput = json\n; why\n[b]\nca_bundle = /b\n",
        );
    }

    #[test]
    fn nested_settings_go_with_their_key_and_only_with_it() {
        check(
            "[profile coffer]\ns3 =\n  region = nested\nregion =\n  odd = 1\n",
            "[profile coffer]\nregion = us-east-1\ns3 =\n  region = nested\n",
        );
    }

    #[test]
    fn a_profile_is_the_same_however_its_name_is_quoted() {
        for header in [
            "profile coffer",
            "profile  coffer ",
            "profile \"coffer\"",
            "profile 'coffer'",
            "'profile' cof\\fer",
        ] {
            check(&format!("[{header}]\nregion = old\n"), &format!("[{header}]\nregion = us-east-1\n"));
        }
        for other in
            ["profile cofferx", "coffer", "profile \"coffer", "profile coffer x", "profile \"a coffer\""]
        {
            check(
                &format!("[{other}]\nregion = other\n"),
                &format!("[{other}]\nregion = other\n\n[profile coffer]\nregion = us-east-1\n"),
            );
        }
    }

    #[test]
    fn the_default_profile_has_two_names() {
        let keys = [("region", Some("us-east-1"))];
        for (section, before, after) in [
            (Section::Profile(DEFAULT), "", "[default]\nregion = us-east-1\n"),
            (
                Section::Profile(DEFAULT),
                "[profile default]\nregion=x\n",
                "[profile default]\nregion = us-east-1\n",
            ),
            (
                Section::Profile(DEFAULT),
                "[default]\nregion=x\n[profile default]\nregion=y\n",
                "[default]\nregion = us-east-1\n[profile default]\nregion = us-east-1\n",
            ),
            (
                Section::Named(DEFAULT),
                "[profile default]\nregion=x\n",
                "[profile default]\nregion=x\n\n[default]\nregion = us-east-1\n",
            ),
        ] {
            assert_eq!(set(before, section, &keys).expose(), after);
        }
    }

    #[test]
    fn values_are_found_in_their_section_only() {
        let text = "[a]\nkey = one\n[b]\nkey=two\n# key = three\n";
        assert_eq!(
            (get(text, "a", "key"), get(text, "b", "key"), get(text, "c", "key")),
            (Some("one"), Some("two"), None)
        );
    }
}
