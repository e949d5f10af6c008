//! How a board looks: the same drawing on a terminal and, for scripts and tests, as plain lines.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use tenantry_contracts::{State, Time};

use super::board::Board;
use crate::out::plain;
use crate::show::style::duration;

/// The columns of a plain frame.
const WIDTH: u16 = 100;
/// A lane whose owner has said nothing for so long is not served: three of its touches.
const SILENT_MS: i64 = 15_000;
/// A question that is open for so long deserves a look.
const LONG_MS: i64 = 60_000;

/// What the person at the keys chose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// How many of the parked tenants are scrolled past.
    pub(super) past: usize,
    /// Nothing is fetched.
    pub(super) paused: bool,
    /// Without colours.
    pub(super) plain: bool,
}

/// Draws the board.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, view: View) {
    let wrong = u16::try_from(board.wrong.len().min(3)).unwrap_or(3);
    let lanes = u16::try_from(lane_rows(board)).unwrap_or(u16::MAX).min(8);
    let workers = u16::try_from(board.workers.len()).unwrap_or(u16::MAX).saturating_add(3);
    let [head, states, trouble, parked, works, served, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Length(wrong),
        Constraint::Min(4),
        Constraint::Length(workers),
        Constraint::Length(lanes + 2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let paint = Paint(!view.plain);
    let paused = if view.paused { "   PAUSED" } else { "" };
    let title = format!("tenantry top   {}{paused}", board.at);
    frame.render_widget(Paragraph::new(title).style(paint.bold()), head);
    frame.render_widget(Paragraph::new(states_line(board, paint)), states);
    let lines: Vec<Line<'_>> = board.wrong.iter().take(3).map(|text| Line::from(plain(text))).collect();
    frame.render_widget(Paragraph::new(lines).style(paint.color(Color::Red)), trouble);
    draw_parked(frame, parked, board, view, paint);
    draw_workers(frame, works, board, paint);
    draw_lanes(frame, served, board, paint);
    let keys = "q quit   r refresh   p pause   up/down scroll   next: tenantry why <slug>";
    frame.render_widget(Paragraph::new(keys).style(paint.dim()), foot);
}

/// One frame as lines without blanks at their ends.
pub(super) fn lines(board: &Board) -> Vec<String> {
    let rows = board.parked.len() + board.workers.len() + lane_rows(board).min(8) + 14;
    let height = u16::try_from(rows).unwrap_or(u16::MAX).max(30);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(WIDTH, height));
    let view = View { plain: true, ..View::default() };
    let Ok(done) = terminal.draw(|frame| draw(frame, board, view));
    let width = usize::from(WIDTH);
    let text = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    let mut lines: Vec<String> = done.buffer.content.chunks(width).map(text).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn color(self, color: Color) -> Style {
        if self.0 { Style::new().fg(color) } else { Style::new() }
    }

    fn bold(self) -> Style {
        if self.0 { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() }
    }

    fn dim(self) -> Style {
        if self.0 { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
    }

    fn state(self, state: State) -> Style {
        match state {
            State::Active => self.color(Color::Green),
            state if state.is_parked() => self.color(Color::Yellow),
            State::Rejected | State::RolledBack => self.dim(),
            _ => Style::new(),
        }
    }
}

fn states_line(board: &Board, paint: Paint) -> Line<'static> {
    if board.states.is_empty() {
        return Line::from("no tenants");
    }
    let mut spans = Vec::new();
    for (state, count) in &board.states {
        spans.push(Span::styled(format!("{state} {count}"), paint.state(*state)));
        spans.push(Span::raw("   "));
    }
    Line::from(spans)
}

fn headings(names: &[&'static str], paint: Paint) -> Row<'static> {
    Row::new(names.iter().map(|name| Cell::from(*name)).collect::<Vec<_>>()).style(paint.dim())
}

fn draw_parked(frame: &mut Frame<'_>, area: Rect, board: &Board, view: View, paint: Paint) {
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let past = view.past.min(board.parked.len().saturating_sub(1));
    let words = match board.parked_all {
        0 => "WAITS FOR A PERSON: nobody".to_owned(),
        n => format!("WAITS FOR A PERSON: {n}, the oldest first"),
    };
    frame.render_widget(Paragraph::new(words).style(paint.bold()), title);
    if board.parked.is_empty() {
        return;
    }
    let rows = board.parked.iter().skip(past).map(|parked| {
        Row::new([
            Cell::from(parked.slug.clone()),
            Cell::from(parked.state.as_str()).style(paint.state(parked.state)),
            Cell::from(duration(board.at.since(parked.since))),
            Cell::from(plain(&parked.reason)),
        ])
    });
    let columns =
        [Constraint::Length(32), Constraint::Length(9), Constraint::Length(13), Constraint::Min(20)];
    let table = Table::new(rows, columns).header(headings(&["SLUG", "STATE", "FOR", "WHY"], paint));
    frame.render_widget(table, rest);
}

fn draw_workers(frame: &mut Frame<'_>, area: Rect, board: &Board, paint: Paint) {
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let cut = if board.cut { " (open: of the newest tenants under way)" } else { "" };
    let words = match board.processes {
        0 => format!("WORKERS: no process told its metrics; give --metrics{cut}"),
        _ => format!("WORKERS: {} run, {} wait for their turn{cut}", board.load.0, board.load.1),
    };
    frame.render_widget(Paragraph::new(words).style(paint.bold()), title);
    let rows = board.workers.iter().map(|worker| {
        let age = worker.oldest.map(|at| board.at.since(at));
        let old = age.filter(|age| *age > LONG_MS).map_or(Style::new(), |_| paint.color(Color::Yellow));
        let breaker = match worker.breaker {
            _ if worker.paused => Cell::from("paused").style(paint.color(Color::Yellow)),
            state if state >= 2.0 => Cell::from("OPEN").style(paint.color(Color::Red)),
            state if state >= 1.0 => Cell::from("probing").style(paint.color(Color::Yellow)),
            _ => Cell::from("closed"),
        };
        Row::new([
            Cell::from(worker.name.clone()),
            Cell::from(worker.open.to_string()),
            Cell::from(age.map(duration).unwrap_or_default()).style(old),
            Cell::from(worker.pace.rate.map(|rate| format!("{rate:.1}/s")).unwrap_or_default()),
            Cell::from(worker.pace.p99_ms.map(duration).unwrap_or_default()),
            Cell::from(worker.failed.to_string()),
            Cell::from(worker.letters.to_string()),
            breaker,
        ])
    });
    let columns = [
        Constraint::Length(14),
        Constraint::Length(6),
        Constraint::Length(13),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Min(8),
    ];
    let names = ["WORKER", "OPEN", "OLDEST", "RATE", "P99", "FAILED", "LETTERS", "BREAKER"];
    frame.render_widget(Table::new(rows, columns).header(headings(&names, paint)), rest);
}

/// Two lanes stand beside each other.
fn lane_rows(board: &Board) -> usize {
    board.lanes.len().div_ceil(2)
}

fn draw_lanes(frame: &mut Frame<'_>, area: Rect, board: &Board, paint: Paint) {
    let [title, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let silent = |seen_at: Time| board.at.since(seen_at) > SILENT_MS;
    let unserved = board.lanes.iter().filter(|lane| silent(lane.seen_at)).count();
    let words = match unserved {
        0 => format!("LANES: {}, all served", board.lanes.len()),
        n => format!("LANES: {}, of which {n} silent for more than 15 s", board.lanes.len()),
    };
    let style = if unserved == 0 { paint.bold() } else { paint.color(Color::Red) };
    frame.render_widget(Paragraph::new(words).style(style), title);
    let half = lane_rows(board);
    let cells = |at: usize| {
        board.lanes.get(at).map_or_else(Vec::new, |lane| {
            let seen = format!("{} ago", duration(board.at.since(lane.seen_at)));
            let style = if silent(lane.seen_at) { paint.color(Color::Red) } else { Style::new() };
            vec![
                Cell::from(lane.lane.to_string()),
                Cell::from(lane.n.to_string()),
                Cell::from(lane.unspoken.to_string()),
                Cell::from(seen).style(style),
            ]
        })
    };
    let rows =
        (0..half).map(|at| Row::new(cells(at).into_iter().chain(cells(half + at)).collect::<Vec<_>>()));
    let each = [Constraint::Length(6), Constraint::Length(14), Constraint::Length(9), Constraint::Length(16)];
    let columns: Vec<Constraint> = each.into_iter().chain(each).collect();
    let names = ["LANE", "ROWS", "UNSAID", "SEEN", "LANE", "ROWS", "UNSAID", "SEEN"];
    let shown = if board.lanes.len() > 1 { &names[..] } else { &names[..4] };
    frame.render_widget(Table::new(rows, columns).header(headings(shown, paint)), rest);
}

#[cfg(test)]
mod tests {
    use super::super::board::{Lane, Parked, Worker};
    use super::super::workers::Pace;
    use super::*;

    fn board() -> Board {
        Board {
            at: Time(100_000),
            states: vec![(State::Held, 1), (State::Active, 12)],
            parked: vec![Parked {
                slug: "acme".into(),
                state: State::Held,
                since: Time(40_000),
                reason: "database: misconfigured\u{1b}[2J".into(),
            }],
            parked_all: 1,
            workers: vec![Worker {
                name: "database".into(),
                open: 3,
                oldest: Some(Time(95_000)),
                pace: Pace { rate: Some(2.5), p99_ms: Some(910) },
                failed: 1.0,
                letters: 0.0,
                breaker: 2.0,
                paused: false,
            }],
            lanes: vec![
                Lane { lane: 0, n: 40, unspoken: 0, seen_at: Time(99_000) },
                Lane { lane: 1, n: 7, unspoken: 2, seen_at: Time(70_000) },
            ],
            processes: 1,
            ..Board::default()
        }
    }

    #[test]
    fn a_plain_frame_has_everything_and_obeys_nothing() {
        let lines = lines(&board());
        let has = |words: &[&str]| {
            let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
            assert!(found, "{words:?} stand on no line of\n{}", lines.join("\n"));
        };
        has(&["HELD 1", "ACTIVE 12"]);
        has(&["acme", "HELD", "1 min 0 s", "database: misconfigured\\u{1b}[2J"]);
        has(&["database", "3", "5.0 s", "2.5/s", "910 ms", "OPEN"]);
        has(&["LANES: 2, of which 1 silent"]);
        has(&["q quit"]);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn a_small_terminal_is_no_reason_to_fail() {
        for (width, height) in [(1, 1), (20, 5), (80, 24)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &board(), View { past: 9, ..View::default() })).unwrap();
        }
    }
}
