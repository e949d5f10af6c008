//! A slug for a name that came without one.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::{Code, Refusal, Slug};

/// The most bytes of a slug.
const SLUG_BYTES: usize = 32;

/// Derives a slug: compatibility decomposition, marks dropped, lower-case ASCII kept, everything between as one
/// hyphen, at most 32 bytes. A name that begins with a digit gets `t-` before it.
///
/// # Errors
/// `slug_underivable` where fewer than three characters remain, `slug_reserved`.
pub fn derive(name: &str) -> Result<Slug, Refusal> {
    let mut slug = String::with_capacity(SLUG_BYTES);
    for c in name.nfkd() {
        match c {
            'a'..='z' | '0'..='9' | 'A'..='Z' => {
                if slug.is_empty() && c.is_ascii_digit() {
                    slug.push_str("t-");
                }
                slug.push(c.to_ascii_lowercase());
            }
            '\'' | '\u{2018}' | '\u{2019}' => {}
            _ if is_combining_mark(c) => {}
            _ => match letters(c) {
                Some(letters) => slug.push_str(letters),
                None if slug.is_empty() || slug.ends_with('-') => {}
                None => slug.push('-'),
            },
        }
    }
    slug.truncate(SLUG_BYTES);
    let slug = slug.trim_end_matches('-');
    Slug::parse(slug).map_err(|refusal| match refusal.code {
        Code::SlugReserved => refusal,
        _ => Refusal::new(Code::SlugUnderivable, "too few ASCII letters and digits remain of the name"),
    })
}

/// Letters of Latin alphabets that do not decompose.
fn letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ł' | 'Ł' => "l",
        'þ' | 'Þ' => "th",
        'ħ' | 'Ħ' => "h",
        'ŧ' | 'Ŧ' => "t",
        'ŋ' | 'Ŋ' => "n",
        'ĸ' => "k",
        'ı' => "i",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_yield_the_slugs_that_people_expect() {
        let cases = [
            ("Acme Corp", "acme-corp"),
            ("  Müller & Söhne GmbH ", "muller-sohne-gmbh"),
            ("O’Neil's", "oneils"),
            ("Straße Øst", "strasse-ost"),
            ("3M", "t-3m"),
            ("ＡＣＭＥ", "acme"),
            ("Acme\u{2011}Intel", "acme-intel"),
            ("A very long name that does not fit here", "a-very-long-name-that-does-not-f"),
            ("Thirty-one characters and a hyph en", "thirty-one-characters-and-a-hyph"),
        ];
        for (name, slug) in cases {
            assert_eq!(derive(name).unwrap().as_str(), slug, "{name}");
        }
        for name in ["", "株式会社", "Акме", "--", "ab", "…"] {
            assert_eq!(derive(name).unwrap_err().code, Code::SlugUnderivable, "{name}");
        }
        assert_eq!(derive("Admin").unwrap_err().code, Code::SlugReserved);
    }

    proptest! {
        #[test]
        fn what_is_derived_keeps_to_the_grammar_and_derives_itself(name in ".{0,80}") {
            match derive(&name) {
                Ok(slug) => {
                    prop_assert_eq!(Slug::parse(slug.as_str()).unwrap(), slug.clone());
                    prop_assert_eq!(derive(slug.as_str()).unwrap(), slug);
                }
                Err(refusal) => prop_assert!(matches!(refusal.code, Code::SlugUnderivable | Code::SlugReserved)),
            }
        }

        #[test]
        fn latin_names_of_three_letters_always_yield_one(name in "[A-Za-zÀ-ÖØ-öø-ž]{3,60}") {
            prop_assert!(derive(&name).is_ok() || derive(&name).unwrap_err().code == Code::SlugReserved);
        }
    }
}
