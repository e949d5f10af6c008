//! JSON pointers (RFC 6901) into what upstream sent, safe to print.

use std::fmt::Write;

/// The most bytes of a pointer in a refusal.
const SHOWN_BYTES: usize = 512;

/// Appends a member's name.
pub(crate) fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(c),
        }
    }
}

/// Appends an element's index.
pub(crate) fn push_index(pointer: &mut String, index: usize) {
    // Writing into a String cannot fail.
    let _ = write!(pointer, "/{index}");
}

/// The part of a pointer that may stand in a refusal: up to the first name that is no plain word, since names come
/// from outside and could hold personal data or control a terminal. What is left points to an outer value.
pub(crate) fn shown(pointer: &str) -> String {
    let mut shown = String::new();
    for name in pointer.split('/').skip(1) {
        let plain = name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~'));
        if !plain || shown.len() + name.len() >= SHOWN_BYTES {
            break;
        }
        shown.push('/');
        shown.push_str(name);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_odd_ones_are_left_out() {
        let mut pointer = String::new();
        push(&mut pointer, "a/b~c");
        push_index(&mut pointer, 3);
        assert_eq!(shown(&pointer), "/a~1b~0c/3");
        push(&mut pointer, "ada@example.com");
        push(&mut pointer, "x");
        assert_eq!(shown(&pointer), "/a~1b~0c/3");
        assert_eq!(shown(&"/abc".repeat(1000)).len(), SHOWN_BYTES);
    }
}
