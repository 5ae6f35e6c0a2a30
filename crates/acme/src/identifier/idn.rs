//! Whether the A-labels of a name are the encodings of valid U-labels (IDNA2008, RFC 5890 to 5893; T-CA-59).
//!
//! The crate `idna` implements UTS 46, which takes symbols and emoji that IDNA2008 does not; those blocks and the
//! contextual rules of RFC 5892 appendix A are judged here. Left out: single disallowed code points of blocks that
//! are otherwise letters.

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};

/// Judges a whole lower-cased name: the rule for right-to-left scripts looks across labels (RFC 5893).
pub(super) fn is_valid(name: &str) -> bool {
    let mut unicode = String::with_capacity(name.len() * 2);
    for label in name.split('.') {
        if !unicode.is_empty() {
            unicode.push('.');
        }
        match label.strip_prefix("xn--") {
            None => unicode.push_str(label),
            Some(encoded) => match idna::punycode::decode_to_string(encoded) {
                Some(decoded) if is_u_label(&decoded) => unicode.push_str(&decoded),
                _ => return false,
            },
        }
    }
    let back = Uts46::new().to_ascii(
        unicode.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Check,
        DnsLength::Verify,
    );
    back.is_ok_and(|back| back == name)
}

fn is_u_label(label: &str) -> bool {
    !label.is_ascii() && !label.chars().any(is_symbol) && context_allows(label)
}

/// Code points of the symbol and punctuation blocks, which IDNA2008 disallows, without the letters among them.
fn is_symbol(c: char) -> bool {
    match c {
        '\u{b7}' | '\u{200c}' | '\u{200d}' | '\u{214e}' | '\u{2184}' => false,
        '\u{80}'..='\u{bf}' | '\u{d7}' | '\u{f7}' => true,
        '\u{2000}'..='\u{2bff}' | '\u{2e00}'..='\u{2e2e}' | '\u{2e30}'..='\u{3004}' => true,
        '\u{3008}'..='\u{3029}' | '\u{302e}'..='\u{303b}' | '\u{303d}'..='\u{303f}' => true,
        '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe6f}' => true,
        '\u{fff0}'..='\u{ffff}' | '\u{1d000}'..='\u{1d24f}' | '\u{1d2c0}'..='\u{1d7ff}' => true,
        '\u{1f000}'..='\u{1fbff}' | '\u{e0000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

/// The rules of RFC 5892 appendix A.3 to A.9; the joiners of A.1 and A.2 are `idna`'s.
fn context_allows(label: &str) -> bool {
    let chars: Vec<char> = label.chars().collect();
    let has = |range: std::ops::RangeInclusive<char>| chars.iter().any(|c| range.contains(c));
    chars.iter().enumerate().all(|(index, c)| {
        let before = index.checked_sub(1).and_then(|index| chars.get(index));
        let after = chars.get(index + 1);
        match c {
            '\u{b7}' => before == Some(&'l') && after == Some(&'l'),
            '\u{375}' => after.is_some_and(|c| is_greek(*c)),
            '\u{5f3}' | '\u{5f4}' => before.is_some_and(|c| ('\u{590}'..='\u{5ff}').contains(c)),
            '\u{30fb}' => chars.iter().any(|c| is_kana_or_han(*c)),
            '\u{660}'..='\u{669}' => !has('\u{6f0}'..='\u{6f9}'),
            '\u{6f0}'..='\u{6f9}' => !has('\u{660}'..='\u{669}'),
            _ => true,
        }
    })
}

fn is_greek(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')
}

fn is_kana_or_han(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}'
        | '\u{30fd}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3005}' | '\u{3007}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}
