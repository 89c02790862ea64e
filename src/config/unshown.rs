//! What the command line says of a mistake, without showing what was given: it may be a secret in the wrong place.

use clap::Error;
use clap::error::{ContextKind, ContextValue};

/// Stands for what is not shown.
const UNSHOWN: &str = "…";

/// Takes values out of an error of the command line, and arguments that are not plainly a misspelt option or command.
#[must_use]
pub fn without_values(mut error: Error) -> Error {
    for (kind, is_shown) in [
        (ContextKind::InvalidValue, str::is_empty as fn(&str) -> bool),
        (ContextKind::InvalidArg, is_word),
        (ContextKind::InvalidSubcommand, is_word),
    ] {
        let Some(ContextValue::String(given)) = error.get(kind) else { continue };
        // Of an argument that is known this is its usage, as in `--listen <LISTEN>`.
        let is_known = kind == ContextKind::InvalidArg && error.kind() != clap::error::ErrorKind::UnknownArgument;
        if !is_known && !is_shown(given) {
            error.insert(kind, ContextValue::String(UNSHOWN.to_owned()));
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Returns whether an argument is no more than a word, as options and commands are.
fn is_word(argument: &str) -> bool {
    let word = argument.trim_start_matches('-');
    word.len() <= 32 && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
}
