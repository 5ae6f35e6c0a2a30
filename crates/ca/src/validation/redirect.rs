//! Where a request goes, and where a Location header may send it (T-CA-67); pure.

use std::fmt;

use cairn_acme::identifier::DnsName;

use super::host::Host;
use super::rules::NameRules;

/// The scheme of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// One hop's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// The port that the URL names, if it names one that is not the scheme's own.
    named_port: Option<u16>,
    /// Path and query, beginning with a slash.
    pub(super) path: String,
}

impl Target {
    /// The target that RFC 8555 section 8.3 fixes.
    pub(super) fn first(host: &Host, token: &str) -> Self {
        Self {
            scheme: Scheme::Http,
            host: host.clone(),
            named_port: None,
            path: format!("/.well-known/acme-challenge/{token}"),
        }
    }

    /// The port to connect to: a rule's own port stands for the scheme's.
    pub(super) fn port(&self, rules: &NameRules) -> u16 {
        match (self.named_port, self.scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => rules.http_port(&self.host),
            (None, Scheme::Https) => rules.tls_port(&self.host),
        }
    }

    /// The value of Host; RFC 8555 section 8.3 wants the domain there and RFC 8738 section 5 the address, so a rule's port, which
    /// only maps the usual one, does not show.
    pub(super) fn host_header(&self) -> String {
        match self.named_port {
            Some(port) => format!("{}:{port}", self.host.in_url()),
            None => self.host.in_url(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

/// Why a Location is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotFollowed {
    #[error("there is no Location header, or more than one")]
    NoLocation,
    #[error("the Location is too long")]
    TooLong,
    #[error("the Location contains characters that no URL has")]
    Characters,
    #[error("the Location is neither an http or https URL nor a path")]
    Scheme,
    #[error("the Location carries a user name")]
    UserInfo,
    #[error("the Location does not lead to a host name; addresses are not followed")]
    Host,
    #[error("the Location leads to a port that validation does not use")]
    Port,
    #[error("it leads back to a URL that was asked before")]
    Loop,
    #[error("there were more than {REDIRECTS_MAX} redirects")]
    TooMany,
}

/// Resolves a Location against the target that sent it.
pub(super) fn follow(
    from: &Target,
    location: &[u8],
    rules: &NameRules,
) -> Result<Target, NotFollowed> {
    if location.len() > LOCATION_MAX {
        return Err(NotFollowed::TooLong);
    }
    // RFC 3986 has only these; a backslash is a slash to some and a host's part to others.
    let is_fine = |octet: &u8| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(octet);
    if !location.iter().all(is_fine) {
        return Err(NotFollowed::Characters);
    }
    let text = std::str::from_utf8(location).map_err(|_| NotFollowed::Characters)?;
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        _ => (from.scheme, text),
    };
    let Some(rest) = rest.strip_prefix("//") else {
        if !text.starts_with('/') {
            return Err(NotFollowed::Scheme);
        }
        return Ok(Target {
            path: text.to_owned(),
            ..from.clone()
        });
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(NotFollowed::UserInfo);
    }
    let (host, port) = match own_address(from, authority) {
        Some(port) => (from.host.clone(), port),
        None => named_host(authority)?,
    };
    let (usual, rules_own) = match scheme {
        Scheme::Http => (80, rules.rule_for(&host).and_then(|rule| rule.http_port)),
        Scheme::Https => (443, rules.rule_for(&host).and_then(|rule| rule.tls_port)),
    };
    let named_port = match port {
        None | Some("") => None,
        Some(port) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => {
            match port.parse::<u16>() {
                Ok(port) if port == usual => None,
                Ok(port) if Some(port) == rules_own => Some(port),
                _ => return Err(NotFollowed::Port),
            }
        }
        Some(_) => return Err(NotFollowed::Port),
    };
    let path = match path.chars().next() {
        Some('/') => path.to_owned(),
        Some(_) => format!("/{path}"),
        None => "/".to_owned(),
    };
    Ok(Target {
        scheme,
        host,
        named_port,
        path,
    })
}

/// An address may redirect to itself, to https for example; the part after it, without its colon. Any other address is
/// never a target.
fn own_address<'a>(from: &Target, authority: &'a str) -> Option<Option<&'a str>> {
    if !matches!(from.host, Host::Address(_)) {
        return None;
    }
    match authority.strip_prefix(from.host.in_url().as_str())? {
        "" => Some(None),
        rest => rest.strip_prefix(':').map(Some),
    }
}

fn named_host(authority: &str) -> Result<(Host, Option<&str>), NotFollowed> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let host = DnsName::parse(host).map_err(|_| NotFollowed::Host)?;
    Ok((Host::Name(host), port))
}

/// Redirects followed in one attempt (8555-8.3-4).
pub(super) const REDIRECTS_MAX: usize = 10;
/// The longest Location.
const LOCATION_MAX: usize = 2048;

#[cfg(test)]
mod tests;
