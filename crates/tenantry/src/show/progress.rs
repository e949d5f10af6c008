//! Where lines go: on a terminal above a line that is drawn anew while something works, elsewhere one after the other.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Style;
use crate::out;

/// Lines that stay, and at most one that moves.
pub struct Screen {
    style: Style,
    bar: Option<ProgressBar>,
}

impl Screen {
    /// A screen for this style.
    pub fn new(style: Style) -> Self {
        Self { style, bar: None }
    }

    /// How it prints.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Prints a line that stays.
    pub fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| out::line(line)),
            None => out::line(line),
        }
    }

    /// Prints lines that stay.
    pub fn lines(&self, lines: &[String]) {
        for line in lines {
            self.line(line);
        }
    }

    /// Shows what is being done, on a terminal only; nothing where the text is empty.
    pub fn doing(&mut self, what: &str) {
        if !self.style.live {
            return;
        }
        if what.is_empty() {
            self.done();
            return;
        }
        if let Some(bar) = self.bar.as_ref().filter(|bar| bar.message() == what) {
            bar.tick();
            return;
        }
        self.done();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let color = if self.style.color { ".cyan" } else { "" };
        if let Ok(style) = ProgressStyle::with_template(&format!("  {{spinner{color}}} {{msg}}  {{elapsed}}"))
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = Some(bar);
    }

    /// Takes the moving line away.
    pub fn done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.done();
    }
}
