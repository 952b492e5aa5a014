//! Next steps as they have to be typed here.
//!
//! A complaint says `coffer unseal`, wherever it was made: in another crate, or by a server that was started in another way. Whoever
//! reads it gave `--data-dir` a moment ago and has to give it again, or the next command is about another store. So the flags of
//! this command line are put behind every command of ours that takes them, once, in the place where complaints are printed.
//!
//! Which commands take them is asked of the command line itself.

use clap::{Command, CommandFactory};

use crate::arguments::{Arguments, Place};

const PROGRAM: &str = "coffer ";
/// The flag by which a command that works on a store is known.
const OF_A_STORE: &str = "data_dir";

/// The text with the flags of `place` behind each command that works on a store and does not have them yet.
pub(crate) fn with_flags(text: &str, place: &Place) -> String {
    let flags = place.words();
    if flags.is_empty() {
        return text.to_owned();
    }
    let program = Arguments::command();
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(at) = rest.find(PROGRAM) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let is_word = !out.ends_with(|letter: char| letter.is_alphanumeric() || "/-_.".contains(letter));
        let len = if is_word { command_len(&program, from) } else { None };
        let (command, after) = from.split_at(len.unwrap_or(PROGRAM.len()));
        out.push_str(command);
        if len.is_some() {
            // Flags that stand there already are those of the sentence, up to the next command in it.
            let own = after.split(PROGRAM).next().unwrap_or_default();
            for (name, value) in flags.iter().filter(|(name, _)| !own.contains(name)) {
                out.extend([" ", name, " ", value.as_str()]);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// How much of the text is a whole command that works on a store.
fn command_len(program: &Command, text: &str) -> Option<usize> {
    let mut command = program;
    let mut len = PROGRAM.trim_end().len();
    while command.has_subcommands() {
        let after = text.get(len..)?.strip_prefix(' ')?;
        let end =
            after.find(|letter: char| letter != '-' && !letter.is_alphanumeric()).unwrap_or(after.len());
        command = command.find_subcommand(after.get(..end)?)?;
        len += 1 + end;
    }
    command.get_arguments().any(|argument| argument.get_id() == OF_A_STORE).then_some(len)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn place() -> Place {
        Place { config: None, data_dir: Some(PathBuf::from("/my store")), keyfile: Some(PathBuf::from("/k")) }
    }

    #[test]
    fn commands_that_work_on_a_store_get_the_flags_and_nothing_else_does() {
        for (text, expected) in [
            ("coffer unseal", "coffer unseal --data-dir '/my store' --keyfile /k"),
            (
                "coffer unseal --share <file>, or coffer unseal and type the passphrase",
                "coffer unseal --data-dir '/my store' --keyfile /k --share <file>, or coffer unseal --data-dir \
                 '/my store' --keyfile /k and type the passphrase",
            ),
            (
                "start `coffer server` once, then coffer admin key create",
                "start `coffer server --data-dir '/my store' --keyfile /k` once, then coffer admin key create \
                 --data-dir '/my store' --keyfile /k",
            ),
            ("coffer server --keyfile /new", "coffer server --data-dir '/my store' --keyfile /new"),
            ("coffer dev", "coffer dev"),
            ("coffer key", "coffer key"),
            ("the coffer of the same version", "the coffer of the same version"),
            ("run coffer where the kernel allows this", "run coffer where the kernel allows this"),
            ("chmod 600 /srv/coffer server", "chmod 600 /srv/coffer server"),
            ("", ""),
        ] {
            assert_eq!(with_flags(text, &place()), expected);
        }
        let nothing = Place { config: None, data_dir: None, keyfile: None };
        assert_eq!(with_flags("coffer unseal", &nothing), "coffer unseal");
    }

    #[test]
    fn relative_paths_mean_the_same_in_another_directory() {
        let place = Place { config: Some(PathBuf::from("x.toml")), data_dir: None, keyfile: None };
        let typed = with_flags("coffer doctor", &place);
        assert!(typed.starts_with("coffer doctor --config /") && typed.ends_with("/x.toml"), "{typed}");
    }
}
