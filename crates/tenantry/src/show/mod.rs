//! What people see: one look for every command. Pure where it can be: values in, lines out.

pub mod code;
pub mod outputs;
pub mod progress;
pub mod sheet;
pub mod story;
pub mod style;
pub mod table;
#[cfg(test)]
pub(crate) mod thread;
pub mod timeline;
pub mod trouble;
pub mod turn;
pub mod which;

pub use style::Style;
