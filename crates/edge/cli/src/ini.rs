//! The files of the AWS CLI, changed in one section and nowhere else.
//!
//! They are written by people: comments, order and spacing of everything that is not ours come out as they went in, byte for
//! byte. In our section only our keys are set; what somebody added there stays.

use coffer_types::Secret;

/// Sets keys in a section, which is made at the end if it is missing. `None` takes a key away.
pub(crate) fn set(text: &str, section: &str, keys: &[(&str, Option<&str>)]) -> Secret<String> {
    let room = text.len()
        + section.len()
        + keys.iter().map(|(key, value)| key.len() + value.map_or(0, str::len) + 8).sum::<usize>();
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
            if name == section && !found {
                found = true;
                end_line(to);
                put(to, keys);
            }
            continue;
        }
        if current == Some(section) {
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
        to.push_str(section);
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
        let once = set(before, "profile coffer", &keys);
        assert_eq!(once.expose(), after);
        assert_eq!(
            set(once.expose(), "profile coffer", &keys).expose(),
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
    fn values_are_found_in_their_section_only() {
        let text = "[a]\nkey = one\n[b]\nkey=two\n# key = three\n";
        assert_eq!(
            (get(text, "a", "key"), get(text, "b", "key"), get(text, "c", "key")),
            (Some("one"), Some("two"), None)
        );
    }
}
