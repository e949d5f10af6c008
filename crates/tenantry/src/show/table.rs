//! Tables: aligned columns, no frames, so that they can be read, grepped and cut.

use comfy_table::{ContentArrangement, Table, presets};

use super::Style;

/// A table with these headings; fill it with `add_row`.
pub fn new(style: Style, headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    // Elsewhere than on a terminal a row is a line, however long.
    table.set_content_arrangement(if style.live {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(headings);
    table
}

/// The table's lines without blanks at their ends.
pub fn lines(table: &mut Table, indent: usize) -> Vec<String> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{:indent$}{}", "", line.trim_end())).collect()
}
