//! The grammars of what a request says in words. Each function takes what was said and gives what is kept.

use unicode_normalization::UnicodeNormalization;

use crate::{Code, Refusal};

/// The most characters of a name.
const NAME_CHARS: usize = 200;
/// The most entries of a list.
const LIST_ENTRIES: usize = 100;

/// A display name, a person's name: printable text of one line, in Unicode's composed form, trimmed. Spaces and hyphens
/// that only look different (word processors put them there) become plain ones.
pub(super) fn name(text: &str) -> Result<String, Refusal> {
    let plain = |c| match c {
        '\u{2010}' | '\u{2011}' => '-',
        c if c.is_whitespace() && !is_hidden(c) => ' ',
        c => c,
    };
    let name: String = text.trim().nfc().map(plain).collect();
    let sound = (1..=NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(is_hidden);
    if sound {
        return Ok(name);
    }
    let message = format!("a name has 1 to {NAME_CHARS} printable characters of one line");
    Err(Refusal::new(Code::NameInvalid, message))
}

/// Characters that print nothing or change how their neighbours are read.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFF}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{10FFFF}')
}

/// An e-mail address as mail systems take it, the domain in lower case. Whether it exists only a mail can tell.
pub(super) fn email(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    let refused = || Refusal::new(Code::EmailInvalid, "no address of the form local@domain");
    let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
    let domain = domain.to_ascii_lowercase();
    let odd = |c: char| c.is_whitespace() || is_hidden(c) || "@,;:<>()[]\\\"".contains(c);
    let sound = (1..=64).contains(&local.len())
        && text.len() <= 254
        && !local.chars().any(odd)
        && !local.split('.').any(str::is_empty)
        && is_host(&domain);
    if sound { Ok(format!("{local}@{domain}")) } else { Err(refused()) }
}

/// A host name of the tenant's own.
pub(super) fn domain(text: &str) -> Result<String, Refusal> {
    if is_host(text) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        Code::DomainInvalid,
        "no lower-case host name of two labels or more; addresses are none",
    ))
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone would make it an IPv4 address.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_lowercase())
}

/// A word of some catalogue (plan, region, module): 1 to 64 ASCII letters, digits, `-`, `_`, `.`.
pub(super) fn word(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    let sound = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if sound {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        Code::FieldInvalid,
        "expected 1 to 64 ASCII letters, digits, hyphens, underscores, dots",
    ))
}

/// A word in lower case.
pub(super) fn lower(text: &str) -> Result<String, Refusal> {
    word(text).map(|word| word.to_ascii_lowercase())
}

/// A word in upper case.
pub(super) fn upper(text: &str) -> Result<String, Refusal> {
    word(text).map(|word| word.to_ascii_uppercase())
}

/// One of a few words, in any case.
pub(super) fn one_of(text: &str, words: &'static [&'static str]) -> Result<String, Refusal> {
    let lower = text.trim().to_ascii_lowercase();
    if words.contains(&lower.as_str()) {
        return Ok(lower);
    }
    Err(Refusal::new(Code::FieldInvalid, format!("expected one of: {}", words.join(", "))))
}

/// An entry of a list that people name freely (features, integrations).
pub(super) fn label(text: &str) -> Result<String, Refusal> {
    name(text).map_err(|refusal| Refusal::new(Code::FieldInvalid, refusal.message))
}

/// Every entry by one grammar, repeats left out, with the entry's own pointer where one is refused.
pub(super) fn list(
    entries: &[String],
    at: &str,
    grammar: impl Fn(&str) -> Result<String, Refusal>,
) -> Result<Vec<String>, Refusal> {
    if entries.len() > LIST_ENTRIES {
        return Err(Refusal::new(Code::FieldInvalid, format!("more than {LIST_ENTRIES} entries")).at(at));
    }
    let mut kept = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let entry = grammar(entry).map_err(|refusal| refusal.at(format!("{at}/{index}")))?;
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_text_of_one_line() {
        for (said, kept) in [
            ("Acme Corp", "Acme Corp"),
            (" Zoë ", "Zoë"),
            ("Zoe\u{308}", "Zoë"),
            ("株式会社", "株式会社"),
            ("Acme\u{202F}Corp", "Acme Corp"),
            ("Acme\u{2011}Intel", "Acme-Intel"),
        ] {
            assert_eq!(name(said).unwrap(), kept);
        }
        let long = "x".repeat(201);
        for bad in ["", "  ", "a\nb", "a\u{202E}b", "a\u{2066}b", "a\u{200B}b", "\u{7}", "a\u{E0041}", &long]
        {
            assert_eq!(name(bad).unwrap_err().code, Code::NameInvalid, "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_sane() {
        assert_eq!(email("Ada.L+x@Example.COM").unwrap(), "Ada.L+x@example.com");
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "a b@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a..b@example.com",
            "ada@-x.com",
            "ada@10.0.0.1",
            "ada@exa_mple.com",
            "ada@example.com\n<x@y.z>",
            "<ada@example.com>",
            "ada@exаmple.com",
        ] {
            assert_eq!(email(bad).unwrap_err().code, Code::EmailInvalid, "{bad:?}");
        }
    }

    #[test]
    fn domains_are_host_names() {
        for good in ["acme.inosec.com", "a-b.example.org", "xn--mller-kva.example", "3com.net"] {
            assert_eq!(domain(good).unwrap(), good);
        }
        for bad in [
            "",
            "acme",
            "Acme.com",
            "acme.com.",
            ".acme.com",
            "a..b",
            "-a.com",
            "a-.com",
            "127.0.0.1",
            "::1",
            "[::1]",
            "a_b.com",
            "acme\u{2011}x.com",
            "http://acme.com",
            "acme.com/x",
            "acme.com:80",
            "*.acme.com",
        ] {
            assert_eq!(domain(bad).unwrap_err().code, Code::DomainInvalid, "{bad:?}");
        }
    }
}
