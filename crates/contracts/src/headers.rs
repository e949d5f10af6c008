//! Headers of records: names and values, in order.
//!
//! Every record has eight of them or so, and nearly all have names of the house: such a name is borrowed, and the values
//! of a record of ours lie in one piece of memory.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use bytes::Bytes;

/// The headers of a record, in order. A name may stand twice.
pub type Headers = Vec<(Name, Bytes)>;

/// A header's name.
pub type Name = Cow<'static, str>;

/// Declares the names of the house.
macro_rules! known {
    ($($name:literal)*) => {
        /// A name as it was read: borrowed where it is one of the house.
        pub fn name(text: &str) -> Name {
            match text {
                $($name => Cow::Borrowed($name),)*
                other => Cow::Owned(other.to_owned()),
            }
        }
    };
}

known! {
    "ce_specversion" "ce_id" "ce_source" "ce_type" "ce_time" "ce_subject" "ce_partitionkey" "content-type"
    "id" "type" "tenant" "saga" "row" "token" "deadline" "traceparent"
}

/// Headers of a record of ours while they are written.
#[derive(Debug)]
pub struct Writing {
    /// Each name, and where its value ends.
    names: Vec<(&'static str, usize)>,
    values: String,
}

impl Writing {
    /// Room for so many headers, with so many bytes of values; it grows where that is too little.
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self { names: Vec::with_capacity(headers), values: String::with_capacity(bytes) }
    }

    /// The next header.
    pub fn put(&mut self, name: &'static str, value: &str) {
        self.values.push_str(value);
        self.names.push((name, self.values.len()));
    }

    /// The next header, with a value that is still to be formatted.
    pub fn put_fmt(&mut self, name: &'static str, value: impl Display) {
        // A `String` takes everything.
        let _ = write!(self.values, "{value}");
        self.names.push((name, self.values.len()));
    }

    /// The headers.
    pub fn finish(self) -> Headers {
        let values = Bytes::from(self.values);
        let mut from = 0;
        let header = |(name, to)| (Cow::Borrowed(name), values.slice(std::mem::replace(&mut from, to)..to));
        self.names.into_iter().map(header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_out_as_they_were_put() {
        let mut writing = Writing::with_capacity(2, 3);
        writing.put("id", "seven");
        writing.put("row", "");
        writing.put_fmt("token", format_args!("{}:{}", 1, "é"));
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let expected: Headers =
            vec![("id".into(), text("seven")), ("row".into(), text("")), ("token".into(), text("1:é"))];
        assert_eq!(writing.finish(), expected);
        assert!(matches!((name("ce_id"), name("ce_ID")), (Cow::Borrowed("ce_id"), Cow::Owned(_))));
    }
}
