//! Names as people see them: what is allowed in one, and when two look the same (Unicode Technical Standard 39).

use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};
use unicode_security::general_security_profile::IdentifierType;
use unicode_security::{
    GeneralSecurityProfile, MixedScript, RestrictionLevel, RestrictionLevelDetection, skeleton,
};

/// The most characters of a display name.
const LONGEST: usize = 200;

/// Checks a display name and reduces it to its skeleton: equal skeletons look alike.
///
/// # Errors
/// `name_invalid` at `/name`. The message never repeats the name.
pub(crate) fn display_name(name: &str) -> Answer<String> {
    let no = |message: &str| Err(Trouble::no_at(Code::NameInvalid, Class::Validation, "/name", message));
    if name.trim().is_empty() || name.chars().count() > LONGEST {
        return no("a name has 1 to 200 characters");
    }
    if let Some(odd) = name.chars().find(|c| invisible(*c)) {
        let message = format!("the name holds U+{:04X}, which nobody can see; remove it", u32::from(odd));
        return no(&message);
    }
    // Word by word: a name may have words of several scripts, a word that mixes look-alike scripts is a trap.
    if name.split(|c: char| !c.is_alphanumeric()).any(|word| !sane(word)) {
        return no("a word of the name mixes scripts that look alike; write each word in one script");
    }
    // Case is folded first, so that `ACME` is `acme`. The price: a capital I is an i, and no longer looks like an l.
    let words: Vec<_> = name.split_whitespace().collect();
    let reduced: String = skeleton(&words.join(" ").to_lowercase()).collect();
    Ok(reduced.to_lowercase())
}

/// Control characters, directions, joiners, fillers, private use, line separators.
fn invisible(c: char) -> bool {
    // What the table does not list is unassigned or for private use.
    let kind = c.identifier_type().unwrap_or(IdentifierType::Not_Character);
    matches!(
        kind,
        IdentifierType::Not_Character | IdentifierType::Default_Ignorable | IdentifierType::Deprecated
    ) || c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn sane(word: &str) -> bool {
    word.is_single_script() || word.check_restriction_level(RestrictionLevel::ModeratelyRestrictive)
}

/// Checks a host name; answers it in lower case.
///
/// # Errors
/// `domain_invalid` at `/domain`.
pub(crate) fn domain(text: &str) -> Answer<String> {
    let host = text.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let numeric = host.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if host.len() <= 253 && host.contains('.') && host.split('.').all(label) && !numeric {
        return Ok(host);
    }
    let message = "a domain is a host name of ASCII letters, digits and hyphens, such as acme.example.com";
    Err(Trouble::no_at(Code::DomainInvalid, Class::Validation, "/domain", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        let acme = display_name("Acme Intel").unwrap();
        for twin in ["ACME  intel", " acme intel ", "Acme\u{a0}Intel", "Acrne Intel"] {
            assert_eq!(display_name(twin).unwrap(), acme, "{twin}");
        }
        // All Cyrillic: sane as a word, and it still looks like the Latin one.
        assert_eq!(display_name("Расе").unwrap(), display_name("Pace").unwrap());
        assert_eq!(display_name("rnicro").unwrap(), display_name("micro").unwrap());
        assert_ne!(acme, display_name("Acme Intelligence").unwrap());
    }

    #[test]
    fn names_of_many_scripts_and_hostile_ones_are_allowed() {
        for good in [
            "Acme Intel",
            "O'Reilly & Söhne GmbH",
            "株式会社ABC",
            "Яндекс Cloud",
            "Ελληνική Τράπεζα",
            "מגדל",
            "a\"; DROP SCHEMA public CASCADE;--",
            "$$",
            "1-2-3",
            "Łódź №1 ☕",
        ] {
            assert!(display_name(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn invisible_characters_and_mixed_words_are_refused() {
        for bad in [
            "",
            "  ",
            "Acme\n",
            "Ac\u{0}me",
            "acme\u{200d}",
            "acme\u{200b}",
            "\u{202e}emca",
            "ac\u{ad}me",
            "acme\u{e000}",
            "acme\u{2028}x",
            "acme\u{fe0f}",
            "аcme",
            "paypаl",
            &"x".repeat(201),
        ] {
            let no = display_name(bad).unwrap_err();
            assert!(
                matches!(&no, Trouble::No { code: Code::NameInvalid, pointer: Some(at), .. } if at == "/name"),
                "{bad:?}"
            );
            assert!(bad.trim().len() < 3 || !no.to_string().contains(bad));
        }
    }

    #[test]
    fn a_domain_is_a_host_name() {
        assert_eq!(domain("Acme.Example.COM").unwrap(), "acme.example.com");
        for bad in [
            "acme",
            "acme.",
            ".acme.com",
            "a..b",
            "-a.com",
            "a_b.com",
            "1.2.3.4",
            "acme.com/x",
            "аcme.com",
            "*.a.com",
        ] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
