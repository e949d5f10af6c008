//! Colours, marks and units. Colours only on a terminal, and never where `NO_COLOR` is set or `TERM` is `dumb`.

use std::io::IsTerminal;

use crate::out::plain;

/// The widest line that is printed; a plain terminal has so many columns.
pub const WIDTH: usize = 80;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// On a terminal, where a line can be drawn anew.
    pub live: bool,
}

impl Style {
    /// No colours, lines that stay: logs, files, pipes, tests.
    pub const PLAIN: Self = Self { color: false, live: false };

    /// As the standard output is.
    pub fn detect() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colorless = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self { color: terminal && !dumb && !colorless, live: terminal && !dumb }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Good.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// A person should look.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Beside the point.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// The point.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A heading of a command's output.
    pub fn title(self, text: &str) -> String {
        self.paint("1;36", text)
    }
}

/// Milliseconds as people say them: `12 ms`, `1.4 s`, `2 min 5 s`, `3 h 7 min`, `2 d 4 h`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", s, ms % 1000 / 100),
        60_000..3_600_000 => format!("{min} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", min % 60),
        _ => format!("{} d {} h", h / 24, h % 24),
    }
}

/// A count with its thing: `1 record`, `2 records`. For things whose plural ends in *s*.
pub fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// Text in lines of at most [`WIDTH`] columns, each after `indent` blanks; words longer than a line stay
/// whole. What could control a terminal is shown, not obeyed.
pub fn wrap(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in plain(text).split_whitespace() {
        let wide = indent + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && wide > WIDTH {
            lines.push(format!("{:indent$}{line}", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(format!("{:indent$}{line}", ""));
    }
    lines
}

/// A line of a page: its name in a column of twelve, then its value.
pub fn field(name: &str, value: &str) -> String {
    format!("  {name:<12}{value}")
}

/// A named text, wrapped under its value's column.
pub fn labelled(name: &str, text: &str) -> Vec<String> {
    let mut lines = wrap(text, 14);
    if let Some(first) = lines.first_mut() {
        *first = field(name, first.trim_start());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let cases = [
            (-1, "0 ms"),
            (999, "999 ms"),
            (1_450, "1.4 s"),
            (125_000, "2 min 5 s"),
            (3_720_000, "1 h 2 min"),
            (187_200_000, "2 d 4 h"),
        ];
        for (ms, want) in cases {
            assert_eq!(duration(ms), want);
        }
    }

    #[test]
    fn no_wrapped_line_is_wider_than_a_plain_terminal_unless_it_is_one_word() {
        let text = "word ".repeat(50) + &"x".repeat(100);
        let lines = wrap(&text, 6);
        assert!(lines.iter().all(|line| line.starts_with("      ")));
        assert!(lines[..lines.len() - 1].iter().all(|line| line.len() <= WIDTH));
        assert_eq!(lines.last().map(String::len), Some(106));
        assert!(wrap("", 2).is_empty());
    }

    #[test]
    fn a_plain_style_prints_no_escape_sequences() {
        assert_eq!(Style::PLAIN.red("no"), "no");
        assert_eq!(Style { color: true, live: true }.red("no"), "\u{1b}[31mno\u{1b}[0m");
    }
}
