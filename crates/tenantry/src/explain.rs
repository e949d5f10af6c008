//! `tenantry explain`: the runbook's page of a code, from inside the program, so that it is there when nothing else is.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::Code;

use crate::out::{self, Refused, usage};
use crate::show::Style;
use crate::show::table;

/// Explain a code: its cause, what to look at, what to do; without a code, list them all
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A code, as errors begin with
    code: Option<String>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
}

/// A code as a program reads it.
#[derive(Debug, Serialize)]
struct Explained {
    code: Code,
    meaning: &'static str,
    advice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

impl Explained {
    fn of(code: Code, page: bool) -> Self {
        let page = page.then(|| code.page());
        Self { code, meaning: code.meaning().trim(), advice: code.advice(), page }
    }
}

/// Prints the page, or the list.
///
/// # Errors
/// `code_unknown`, with the codes that look like it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let style = Style::detect();
    match &args.code {
        Some(text) => {
            let code = find(text)?;
            if args.json {
                out::json(&Explained::of(code, true))?;
            } else {
                lines(style, code).iter().for_each(out::line);
            }
        }
        None if args.json => {
            out::json(&Code::ALL.iter().map(|code| Explained::of(*code, false)).collect::<Vec<_>>())?;
        }
        None => {
            let mut rows = table::new(Style::PLAIN, &["CODE", "MEANING"]);
            for code in Code::ALL {
                rows.add_row([code.as_str(), code.meaning().trim()]);
            }
            table::lines(&mut rows, 0).iter().for_each(out::line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page with its headings painted.
fn lines(style: Style, code: Code) -> Vec<String> {
    let painted = |line: &str| match line.strip_prefix("## ") {
        Some(heading) => style.bold(heading),
        None => match line.strip_prefix("# ") {
            Some(title) => style.title(title.trim_matches('`')),
            None => line.to_owned(),
        },
    };
    code.page().lines().map(painted).collect()
}

fn find(text: &str) -> Result<Code, Refused> {
    // As errors print it: `slug_taken:`; or as a person types it.
    let text = text.trim_end_matches(':').to_ascii_lowercase().replace('-', "_");
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == text) {
        return Ok(*code);
    }
    let words: Vec<&str> = text.split('_').filter(|word| word.len() > 2).collect();
    let like = |code: &&Code| words.iter().any(|word| code.as_str().contains(word));
    let near: Vec<&str> = Code::ALL.iter().filter(like).map(|code| code.as_str()).collect();
    let hint = match near.as_slice() {
        [] => "`tenantry explain` lists them".to_owned(),
        near => format!("do you mean {}?", near.join(", ")),
    };
    Err(usage("code_unknown", format!("no tenant's code is called {text}; {hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_as_it_is_printed_and_one_that_is_near_is_named() {
        assert_eq!(find("slug_taken:").unwrap(), Code::SlugTaken);
        assert_eq!(find("SLUG-TAKEN").unwrap(), Code::SlugTaken);
        let refused = find("slug").unwrap_err();
        assert_eq!(refused.code, "code_unknown");
        assert!(refused.text.contains("slug_reserved"), "{refused}");
        assert!(find("zzz").unwrap_err().text.contains("lists them"));
    }

    #[test]
    fn a_page_begins_with_its_code() {
        for code in Code::ALL {
            assert_eq!(lines(Style::PLAIN, *code).first().map(String::as_str), Some(code.as_str()), "{code}");
        }
    }
}
