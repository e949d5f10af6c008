//! What people see: words on standard output, refusals on standard error, and what the program's exit means.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Something failed, or a check found something wrong.
pub const FAILED: u8 = 1;
/// The command line or a setting is wrong; nothing was tried.
pub const USAGE: u8 = 2;
/// The process cannot go on and should be started again by its supervisor.
pub const RESTART: u8 = 70;

/// A refusal with a stable code: what was wrong, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stable code, in snake_case.
    pub code: Cow<'static, str>,
    /// What was wrong, where, and what to do next.
    pub text: String,
    /// What the process exits with.
    pub exit: u8,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for Refused {}

/// A failure: exit code 1.
pub fn failed(code: &'static str, text: impl Into<String>) -> Refused {
    Refused { code: code.into(), text: text.into(), exit: FAILED }
}

/// A wrong setting: exit code 2.
pub fn usage(code: &'static str, text: impl Into<String>) -> Refused {
    Refused { code: code.into(), text: text.into(), exit: USAGE }
}

/// The process should be started again: exit code 70.
pub fn restart(code: &'static str, text: impl Into<String>) -> Refused {
    Refused { code: code.into(), text: text.into(), exit: RESTART }
}

/// A failure that another crate told as `code: text`.
pub fn told(text: impl fmt::Display) -> Refused {
    let text = text.to_string();
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match text.split_once(": ") {
        Some((code, rest)) if code.chars().all(word) => {
            Refused { code: code.to_owned().into(), text: rest.to_owned(), exit: FAILED }
        }
        _ => failed("failed", text),
    }
}

/// A failure of the bus, which says its own code.
pub fn bus(error: tenantry_ports::BusError) -> Refused {
    told(error.0)
}

/// Writes a line to standard output. A reader that went away is no failure.
pub fn line(text: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Writes a value as one JSON document to standard output.
///
/// # Errors
/// Where the value has no JSON form, which is a defect.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes a line to standard error.
pub fn complain(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", plain(&text.to_string()));
}

/// The exit code of an error, which is written to standard error.
pub fn end(error: &anyhow::Error) -> ExitCode {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    complain(format_args!("error: {text}"));
    let exit = error.downcast_ref::<Refused>().map_or(FAILED, |refused| refused.exit);
    ExitCode::from(exit)
}

/// Text from outside without control characters (but line ends), so that nothing can rewrite a terminal.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for each in text.chars() {
        if each.is_control() && each != '\n' {
            shown.extend(each.escape_default());
        } else {
            shown.push(each);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(plain("a\u{1b}[31mb\nc\r"), "a\\u{1b}[31mb\nc\\r");
    }

    #[test]
    fn the_code_of_another_crate_is_taken_over() {
        let refused = bus(tenantry_ports::BusError("bus_unreachable: a:1: gone; look".to_owned()));
        assert_eq!((refused.code.as_ref(), refused.text.as_str()), ("bus_unreachable", "a:1: gone; look"));
        assert_eq!(told("No such: thing").code, "failed");
    }

    #[test]
    fn a_refusal_deep_inside_decides_the_exit() {
        let error = anyhow::Error::from(usage("x", "y")).context("while starting");
        assert_eq!(error.downcast_ref::<Refused>().map(|refused| refused.exit), Some(USAGE));
    }
}
