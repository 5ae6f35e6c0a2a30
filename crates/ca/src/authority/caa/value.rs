//! The value of `issue` and `issuewild` (RFC 8659 §4.2) with the parameters of RFC 8657.

/// A parsed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueValue<'a> {
    /// In the case that it was written in; `None` names nobody.
    pub issuer: Option<&'a str>,
    /// Tag and value, in their order, as they were written.
    pub parameters: Vec<(&'a str, &'a str)>,
}

/// Why a value is none: it then names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// Octets outside printable ASCII.
    #[error("it has octets other than printable ASCII")]
    Octets,
    /// What stands before the first semicolon is no domain name.
    #[error("what stands before the first \";\" is no domain name without a dot at its end")]
    Issuer,
    /// A semicolon with nothing after it, or two in a row.
    #[error("a parameter is empty")]
    EmptyParameter,
    /// No equals sign.
    #[error("a parameter has no \"=\"")]
    NoEquals,
    /// The tag of a parameter.
    #[error("a parameter's tag is no word of letters, digits and inner hyphens")]
    ParameterTag,
    /// A space in a value.
    #[error("a parameter's value has a space in it")]
    ParameterValue,
}

impl<'a> IssueValue<'a> {
    /// Parses `[issuer-domain] [";" [parameter *(";" parameter)]]`, spaces and tabs between.
    ///
    /// # Errors
    /// [`BadValue`] names the first fault.
    pub fn parse(value: &'a [u8]) -> Result<Self, BadValue> {
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|text| {
                text.bytes()
                    .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
            })
            .ok_or(BadValue::Octets)?;
        let (issuer, parameters) = match text.split_once(';') {
            Some((issuer, parameters)) => (trim(issuer), trim(parameters)),
            None => (trim(text), ""),
        };
        if !issuer.is_empty() && !issuer.split('.').all(is_word) {
            return Err(BadValue::Issuer);
        }
        let mut read = Vec::new();
        if !parameters.is_empty() {
            for parameter in parameters.split(';') {
                read.push(parse_parameter(trim(parameter))?);
            }
        }
        Ok(Self {
            issuer: (!issuer.is_empty()).then_some(issuer),
            parameters: read,
        })
    }

    /// Every value of a parameter. Its tag is compared without case, for else `ACCOUNTURI=` would bind nobody.
    pub fn all(&self, tag: &str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(tag))
            .map(|(_, value)| *value)
    }
}

fn parse_parameter(text: &str) -> Result<(&str, &str), BadValue> {
    if text.is_empty() {
        return Err(BadValue::EmptyParameter);
    }
    let (tag, value) = text.split_once('=').ok_or(BadValue::NoEquals)?;
    let (tag, value) = (trim(tag), trim(value));
    if !is_word(tag) {
        return Err(BadValue::ParameterTag);
    }
    if value.contains([' ', '\t']) {
        return Err(BadValue::ParameterValue);
    }
    Ok((tag, value))
}

/// The labels of a `validationmethods` value (RFC 8657 §4): `Some(&[])` for none, `None` when it does not parse.
#[must_use]
pub fn methods(value: &str) -> Option<Vec<&str>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    let labels: Vec<&str> = value.split(',').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    labels.iter().all(is_label).then_some(labels)
}

/// Letters and digits, hyphens inside.
fn is_word(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
