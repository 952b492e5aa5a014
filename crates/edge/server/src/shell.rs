//! Words that a shell reads back as they were meant.
//!
//! A next step is typed by copying it. A path with a space in it, or with something worse, has to arrive as one word and to mean
//! nothing else. A path of plain characters is left as people write it.

use std::path::Path;

/// Characters that mean nothing to a shell, wherever they stand in a word.
const PLAIN: &[u8] = b"_-./:,+@%=";

/// The path as one word of a command line.
pub fn quoted(path: &Path) -> String {
    word(&path.to_string_lossy())
}

fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || PLAIN.contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    // Between single quotes everything is itself, but a single quote, which has to stand outside of them.
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_paths_stay_as_people_write_them() {
        for path in ["/var/lib/coffer", "./a-b_c.d", "/srv/ann@host:1,2+3%=4"] {
            assert_eq!(word(path), path);
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        for path in ["", "a b", "it's", "''", "$HOME", "`id`", "a\nb", "a;b", "~/x", "*", "\\", "\"", "größe"]
        {
            let script = format!("printf %s {}", word(path));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
    }
}
