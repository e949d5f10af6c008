//! The documents that lie beside the records of a bundle, as they were when it was made.

use serde::Serialize;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paper {
    /// Where it lies among the attachments.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
}

/// Documents, and what could not be added.
#[derive(Debug, Default)]
pub(super) struct Sheaf {
    pub(super) papers: Vec<Paper>,
    /// In words: what was left out, and why.
    pub(super) left_out: Vec<String>,
}

impl Sheaf {
    /// Adds bytes as they are.
    pub(super) fn put(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.papers.push(Paper { path: path.into(), content: content.into() });
    }

    /// Adds one JSON document.
    pub(super) fn json(&mut self, path: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        self.put(path, text);
        Ok(())
    }

    /// Adds values as JSON, one a line.
    pub(super) fn lines<T: Serialize>(
        &mut self,
        path: &str,
        values: impl IntoIterator<Item = T>,
    ) -> anyhow::Result<()> {
        let mut text = Vec::new();
        for value in values {
            serde_json::to_writer(&mut text, &value)?;
            text.push(b'\n');
        }
        self.put(path, text);
        Ok(())
    }
}
