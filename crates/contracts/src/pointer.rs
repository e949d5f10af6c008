//! JSON pointers (RFC 6901) into what upstream sent, safe to print.

use std::fmt::Write;

/// The most bytes of a pointer in a refusal.
const SHOWN_BYTES: usize = 512;

/// Appends a member's name.
pub fn push(pointer: &mut String, name: &str) {
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
pub fn push_index(pointer: &mut String, index: usize) {
    // Writing into a String cannot fail.
    let _ = write!(pointer, "/{index}");
}

/// The part of a pointer that may stand in a refusal: up to the first name that is no plain word, since names come
/// from outside and could hold personal data or control a terminal. What is left points to an outer value.
pub fn shown(pointer: &str) -> String {
    let mut shown = String::new();
    for name in pointer.split('/').skip(1) {
        if !(name.is_empty() || plain(name)) || shown.len() + name.len() >= SHOWN_BYTES {
            break;
        }
        shown.push('/');
        shown.push_str(name);
    }
    shown
}

/// Whether a name from outside may stand in a message: a short word of plain characters.
pub fn plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~'))
}

/// Whether `pointer` leads to what `outer` leads to, or to something inside it.
pub fn within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    #[test]
    fn a_pointer_lies_within_another_member_by_member() {
        assert!(within("/a/b", "/a/b") && within("/a/b/c", "/a") && within("/a", ""));
        assert!(!within("/ab", "/a") && !within("/a", "/a/b"));
        assert!(plain("primaryColor") && !plain("") && !plain("a b") && !plain(&"x".repeat(65)));
    }
}
