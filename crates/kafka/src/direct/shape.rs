//! Whether an answer can hold what it claims. The codec makes room for as many elements as an answer says it has before
//! it reads the first; so the counts are walked through before.

/// Walks over a whole answer in flexible form: `b` a byte, `h` two, `i` four, `l` eight, `s` a text or bytes with their
/// length, `[...]` structures, `(.)` plain values. `None` where the bytes cannot hold what they claim.
pub(crate) fn check(bytes: &[u8], shape: &str) -> Option<()> {
    let mut rest = Rest(bytes);
    rest.fields(shape.as_bytes())?;
    rest.tags()
}

/// Sees that an error code is followed by the number of elements of a list, and by `least` bytes for each.
pub(crate) fn list(bytes: &[u8], least: usize) -> Option<()> {
    let (_, bytes) = bytes.split_at_checked(2)?;
    let (count, elements) = bytes.split_first_chunk()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).unwrap_or_default();
    (count.checked_mul(least)? <= elements.len()).then_some(())
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn fields(&mut self, mut shape: &[u8]) -> Option<()> {
        while let Some((field, after)) = shape.split_first() {
            shape = after;
            match field {
                b'b' => self.skip(1)?,
                b'h' => self.skip(2)?,
                b'i' => self.skip(4)?,
                b'l' => self.skip(8)?,
                b's' => {
                    let length = self.varint()?.saturating_sub(1);
                    self.skip(length)?;
                }
                open => {
                    let (element, after) = shape.split_at_checked(closing(shape)?)?;
                    shape = after.get(1..)?;
                    let count = self.varint()?.saturating_sub(1);
                    if count > self.0.len() {
                        return None;
                    }
                    for _ in 0..count {
                        self.fields(element)?;
                        if *open == b'[' {
                            self.tags()?;
                        }
                    }
                }
            }
        }
        Some(())
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= usize::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// Where the bracket that was opened just before `shape` closes.
fn closing(shape: &[u8]) -> Option<usize> {
    let mut open = 1;
    shape.iter().position(|field| {
        match field {
            b'[' | b'(' => open += 1,
            b']' | b')' => open -= 1,
            _ => {}
        }
        open == 0
    })
}
