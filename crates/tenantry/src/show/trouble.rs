//! Errors as people see them: code, what was wrong, where, and what to do next. In text and in JSON.

use serde::Serialize;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Refusal};

use super::Style;
use super::style::wrap;

/// A refusal or a failure, with its advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The stable code.
    pub code: Code,
    /// The class, for failures of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// JSON pointer to the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What was wrong.
    pub message: String,
    /// What to do next.
    pub advice: &'static str,
}

impl From<&Refusal> for Trouble {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { code, pointer, message } = refusal.clone();
        Self { code, class: None, pointer, message, advice: code.advice() }
    }
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        let Failure { code, class, pointer, message } = failure.clone();
        Self { code, class: Some(class), pointer, message, advice: code.advice() }
    }
}

impl Trouble {
    /// Something that is wrong.
    pub fn of(code: Code, pointer: Option<String>, message: String) -> Self {
        Self { code, class: None, pointer, message, advice: code.advice() }
    }

    /// Lines after `indent` blanks: code and place, what was wrong, what to do; for the failure of a step also where its
    /// page is. A refusal goes back to who asked, and is complete in itself.
    pub fn lines(&self, style: Style, indent: usize) -> Vec<String> {
        let mut lines = self.in_short(style, indent);
        if self.class.is_some() {
            lines.push(format!("{:indent$}more: tenantry explain {}", "", self.code));
        }
        lines
    }

    /// The same without the page, for lists in which a code stands often.
    pub fn in_short(&self, style: Style, indent: usize) -> Vec<String> {
        let mut head = style.red(self.code.as_str());
        if let Some(pointer) = &self.pointer {
            head.push_str(&format!(" at {pointer}"));
        }
        let mut lines = vec![format!("{:indent$}{head}", "")];
        lines.extend(wrap(&self.message, indent));
        lines.extend(wrap(&format!("next: {}", self.advice), indent));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_code_place_reason_and_what_to_do() {
        let refusal = Refusal::new(Code::SlugTaken, "the slug is held by another tenant").at("/slug");
        assert_eq!(
            Trouble::from(&refusal).lines(Style::PLAIN, 4).join("\n"),
            "    slug_taken at /slug\n    the slug is held by another tenant\n    \
             next: choose another slug, or offboard the tenant that holds it"
        );
    }

    #[test]
    fn the_failure_of_a_step_names_its_page() {
        let failure = Failure {
            code: Code::NoAnswer,
            class: Class::UnknownOutcome,
            pointer: None,
            message: "nothing came".into(),
        };
        let lines = Trouble::from(&failure).lines(Style::PLAIN, 2);
        assert_eq!(lines.last().map(String::as_str), Some("  more: tenantry explain no_answer"));
    }
}
