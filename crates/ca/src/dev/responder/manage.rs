//! The management calls: a POST of JSON to a path each. Their names, members and answers are those of
//! `pebble-challtestsrv`; where its versions differ, 2.10's.

use super::{
    data::{Caa, Data, Tables},
    go_json::{BadBody, Members},
    history::Kind,
};

/// What a call belongs to: without that server there is no such call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Records.
    Dns,
    /// Tokens and redirects.
    Http,
    /// Key authorizations by name.
    TlsAlpn,
    /// What was asked of all of them.
    History,
}

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Of the body, if there is one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: String,
    /// What was done, for the log.
    pub did: Option<String>,
}

/// Of errors, as Go's server has it.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

const JSON: &str = "application/json; charset=utf-8";

/// Why a call did nothing.
enum Refusal {
    /// A member is missing; the other program says no more either.
    Missing,
    /// Said with its reason.
    Because(String),
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        Self::Because(bad.to_string())
    }
}

/// What a call did: something for the log, or something to tell.
enum Done {
    Did(String),
    Told(String),
}

type Call = fn(&Data, &Members) -> Result<Done, Refusal>;

const CALLS: [(&str, Part, Call); 24] = [
    ("/set-default-ipv4", Part::Dns, set_default_ipv4),
    ("/set-default-ipv6", Part::Dns, set_default_ipv6),
    ("/set-txt", Part::Dns, set_txt),
    ("/clear-txt", Part::Dns, clear_txt),
    ("/add-a", Part::Dns, add_a),
    ("/clear-a", Part::Dns, clear_a),
    ("/add-aaaa", Part::Dns, add_aaaa),
    ("/clear-aaaa", Part::Dns, clear_aaaa),
    ("/add-caa", Part::Dns, add_caa),
    ("/clear-caa", Part::Dns, clear_caa),
    ("/set-cname", Part::Dns, set_cname),
    ("/clear-cname", Part::Dns, clear_cname),
    ("/set-servfail", Part::Dns, set_servfail),
    ("/clear-servfail", Part::Dns, clear_servfail),
    ("/add-http01", Part::Http, add_http01),
    ("/del-http01", Part::Http, del_http01),
    ("/add-redirect", Part::Http, add_redirect),
    ("/del-redirect", Part::Http, del_redirect),
    ("/add-tlsalpn01", Part::TlsAlpn, add_tlsalpn01),
    ("/del-tlsalpn01", Part::TlsAlpn, del_tlsalpn01),
    ("/clear-request-history", Part::History, clear_history),
    ("/http-request-history", Part::History, http_history),
    ("/dns-request-history", Part::History, dns_history),
    ("/tlsalpn01-request-history", Part::History, tlsalpn_history),
];

/// Does what a path and a body say; `None` where no call is at that path. Methods are all one to it, as they were.
#[must_use]
pub fn manage(data: &Data, path: &str, body: &[u8]) -> Option<Answer> {
    let (_, _, call) = CALLS.iter().find(|(known, ..)| *known == path)?;
    let done = Members::read(body)
        .map_err(Refusal::from)
        .and_then(|members| call(data, &members));
    let (status, content_type, body, did) = match done {
        Ok(Done::Did(did)) => (200, None, String::new(), Some(did)),
        Ok(Done::Told(json)) => (200, Some(JSON), json, None),
        Err(Refusal::Missing) => (400, None, String::new(), None),
        Err(Refusal::Because(reason)) => (400, Some(TEXT), format!("{reason}\n"), None),
    };
    Some(Answer {
        status,
        content_type,
        body,
        did,
    })
}

impl Part {
    /// What the call at a path belongs to.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let call = CALLS.iter().find(|(known, ..)| *known == path)?;
        Some(call.1)
    }
}

/// A member that must not be empty.
fn needed(members: &Members, member: &'static str) -> Result<String, Refusal> {
    let text = members.text(member)?;
    match text.is_empty() {
        true => Err(Refusal::Missing),
        false => Ok(text),
    }
}

fn set_default_ipv4(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let ip = members.text("ip")?;
    let did = format!("Set default IPv4 address for DNS A queries to {ip:?}");
    data.tables().default_ipv4 = ip;
    Ok(Done::Did(did))
}

fn set_default_ipv6(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let ip = members.text("ip")?;
    let did = format!("Set default IPv6 address for DNS AAAA queries to {ip:?}");
    data.tables().default_ipv6 = ip;
    Ok(Done::Did(did))
}

fn set_txt(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, value) = both(members, "host", "value")?;
    let did = format!("Added TXT response for Host {host:?} - Value {value:?}");
    data.tables().change(&host, |r| r.txt.push(value));
    Ok(Done::Did(did))
}

fn clear_txt(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let host = needed(members, "host")?;
    data.tables().change(&host, |r| r.txt.clear());
    Ok(Done::Did(format!("Removed TXT response for Host {host:?}")))
}

fn add_a(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, addresses, did) = added_addresses(members, "A")?;
    data.tables().change(&host, |r| r.a.extend(addresses));
    Ok(did)
}

fn add_aaaa(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, addresses, did) = added_addresses(members, "AAAA")?;
    data.tables().change(&host, |r| r.aaaa.extend(addresses));
    Ok(did)
}

fn added_addresses(members: &Members, kind: &str) -> Result<(String, Vec<String>, Done), Refusal> {
    let host = members.text("host")?;
    let addresses = members.texts("addresses")?;
    if host.is_empty() || addresses.is_empty() {
        return Err(Refusal::Missing);
    }
    let all = addresses.join(", ");
    let did = format!(
        "Added response for DNS {kind} queries to {host:?} : {}",
        all.escape_debug()
    );
    Ok((host, addresses, Done::Did(did)))
}

fn clear_a(data: &Data, members: &Members) -> Result<Done, Refusal> {
    cleared(data, members, "A", |tables, host| {
        tables.change(host, |r| r.a.clear());
    })
}

fn clear_aaaa(data: &Data, members: &Members) -> Result<Done, Refusal> {
    cleared(data, members, "AAAA", |tables, host| {
        tables.change(host, |r| r.aaaa.clear());
    })
}

fn clear_caa(data: &Data, members: &Members) -> Result<Done, Refusal> {
    cleared(data, members, "CAA", |tables, host| {
        tables.change(host, |r| r.caa.clear());
    })
}

fn clear_cname(data: &Data, members: &Members) -> Result<Done, Refusal> {
    cleared(data, members, "CNAME", |tables, host| {
        tables.change(host, |r| r.cname = None);
    })
}

fn cleared(
    data: &Data,
    members: &Members,
    kind: &str,
    clear: fn(&mut Tables, &str),
) -> Result<Done, Refusal> {
    let host = needed(members, "host")?;
    clear(&mut data.tables(), &host);
    Ok(Done::Did(format!(
        "Removed response for DNS {kind} queries to {host:?}"
    )))
}

fn add_caa(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let host = members.text("host")?;
    let policies = members.objects("policies", |policy| {
        Ok(Caa {
            tag: policy.text("tag")?,
            value: policy.text("value")?,
        })
    })?;
    if host.is_empty() || policies.is_empty() {
        return Err(Refusal::Missing);
    }
    data.tables().change(&host, |r| r.caa.extend(policies));
    Ok(Done::Did(format!(
        "Added response for DNS CAA queries to {host:?}"
    )))
}

fn set_cname(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, target) = both(members, "host", "target")?;
    let did = format!("Added response for DNS CNAME queries to {host:?} targeting {target:?}");
    data.tables().change(&host, |r| r.cname = Some(target));
    Ok(Done::Did(did))
}

fn set_servfail(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let host = needed(members, "host")?;
    data.tables().change(&host, |r| r.servfail = true);
    Ok(Done::Did(format!(
        "Added SERVFAIL response for DNS queries to {host:?}"
    )))
}

fn clear_servfail(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let host = needed(members, "host")?;
    data.tables().change(&host, |r| r.servfail = false);
    Ok(Done::Did(format!(
        "Removed SERVFAIL response for DNS queries to {host:?}"
    )))
}

fn add_http01(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (token, content) = both(members, "token", "content")?;
    let did = format!("Added HTTP-01 challenge for token {token:?} - key auth {content:?}");
    data.tables().tokens.insert(token, content);
    Ok(Done::Did(did))
}

fn del_http01(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let token = needed(members, "token")?;
    data.tables().tokens.remove(&token);
    Ok(Done::Did(format!(
        "Removed HTTP-01 challenge for token {token:?}"
    )))
}

fn add_redirect(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (path, target) = both(members, "path", "targetURL")?;
    let did = format!("Added HTTP redirect for path {path:?} to {target:?}");
    data.tables().redirects.insert(path, target);
    Ok(Done::Did(did))
}

fn del_redirect(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let path = needed(members, "path")?;
    data.tables().redirects.remove(&path);
    Ok(Done::Did(format!(
        "Removed HTTP redirect for path {path:?}"
    )))
}

fn add_tlsalpn01(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, content) = both(members, "host", "content")?;
    let did = format!("Added TLS-ALPN-01 challenge for host {host:?} - key auth {content:?}");
    data.tables().set_alpn(&host, Some(content));
    Ok(Done::Did(did))
}

fn del_tlsalpn01(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let host = needed(members, "host")?;
    data.tables().set_alpn(&host, None);
    Ok(Done::Did(format!(
        "Removed TLS-ALPN-01 challenge for host {host:?}"
    )))
}

/// Two members that must not be empty; a wrong kind is told before an absence.
fn both(
    members: &Members,
    first: &'static str,
    second: &'static str,
) -> Result<(String, String), Refusal> {
    let both = (members.text(first)?, members.text(second)?);
    match both.0.is_empty() || both.1.is_empty() {
        true => Err(Refusal::Missing),
        false => Ok(both),
    }
}

fn clear_history(data: &Data, members: &Members) -> Result<Done, Refusal> {
    let (host, kind) = (members.text("host")?, members.text("type")?);
    if host.is_empty() {
        return Err(Refusal::Because(
            "host parameter must not be empty".to_owned(),
        ));
    }
    let known = match kind.as_str() {
        "http" => Kind::Http,
        "dns" => Kind::Dns,
        "tlsalpn" => Kind::TlsAlpn,
        _ => return Err(Refusal::Because(format!("{kind:?} event type unknown"))),
    };
    data.forget(&host, known);
    Ok(Done::Did(format!(
        "Cleared challenge server request history for {host:?} {kind:?} events"
    )))
}

fn http_history(data: &Data, members: &Members) -> Result<Done, Refusal> {
    history(data, members, Kind::Http)
}

fn dns_history(data: &Data, members: &Members) -> Result<Done, Refusal> {
    history(data, members, Kind::Dns)
}

fn tlsalpn_history(data: &Data, members: &Members) -> Result<Done, Refusal> {
    history(data, members, Kind::TlsAlpn)
}

fn history(data: &Data, members: &Members, kind: Kind) -> Result<Done, Refusal> {
    let host = members.text("host")?;
    if host.is_empty() {
        return Err(Refusal::Because(
            "host parameter of POST body must not be empty".to_owned(),
        ));
    }
    Ok(Done::Told(data.asked_of(&host, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(data: &Data, path: &str, body: &str) -> (u16, String) {
        let answer = manage(data, path, body.as_bytes()).unwrap();
        (answer.status, answer.body)
    }

    #[test]
    fn what_is_set_is_there_until_it_is_taken_back() {
        let data = Data::default();
        let host = r#"{"host":"a.test"}"#;
        let rows = [
            ("/set-txt", r#"{"host":"A.test","value":"v"}"#, "/clear-txt"),
            (
                "/add-a",
                r#"{"host":"a.test.","addresses":["192.0.2.1"]}"#,
                "/clear-a",
            ),
            (
                "/add-aaaa",
                r#"{"host":"a.test","addresses":["::2"]}"#,
                "/clear-aaaa",
            ),
            (
                "/add-caa",
                r#"{"host":"a.test","policies":[{"tag":"issue","value":"x"}]}"#,
                "/clear-caa",
            ),
            (
                "/set-cname",
                r#"{"host":"a.test","target":"b.test"}"#,
                "/clear-cname",
            ),
            ("/set-servfail", host, "/clear-servfail"),
        ];
        for (set, body, clear) in rows {
            let before = data.tables().of("a.test");
            assert_eq!(call(&data, set, body), (200, String::new()), "{set}");
            assert_ne!(data.tables().of("a.test"), before, "{set}");
            assert_eq!(call(&data, clear, host), (200, String::new()), "{clear}");
            assert_eq!(data.tables().of("a.test"), before, "{clear}");
        }
    }

    #[test]
    fn a_call_without_its_members_does_nothing() {
        let data = Data::default();
        for (path, part, _) in CALLS {
            let (status, body) = call(&data, path, "{}");
            let default = path.starts_with("/set-default");
            assert_eq!(status, if default { 200 } else { 400 }, "{path}");
            assert_eq!(body.is_empty(), part != Part::History, "{path}: {body}");
            assert_eq!(Part::of(path), Some(part));
            assert_eq!(call(&data, path, "").0, 400, "{path}");
        }
        assert_eq!(manage(&data, "/nothing", b"{}"), None);
        assert_eq!(Part::of("/nothing"), None);
    }

    #[test]
    fn lines_for_the_log_stay_lines() {
        let data = Data::default();
        let body = "{\"host\":\"a\\nb\",\"addresses\":[\"x\\ny\"]}";
        let did = manage(&data, "/add-a", body.as_bytes()).unwrap().did;
        assert_eq!(
            did.as_deref(),
            Some("Added response for DNS A queries to \"a\\nb\" : x\\ny")
        );
    }

    proptest::proptest! {
        #[test]
        fn every_call_answers_whatever_the_octets(body: Vec<u8>, text: String) {
            let data = Data::default();
            let good = serde_json::json!({
                "host": text, "type": text, "value": text, "target": text, "token": text, "content": text,
                "path": text, "targetURL": text, "addresses": [text], "policies": [{ "tag": text }],
            });
            for (path, ..) in CALLS {
                for body in [body.as_slice(), good.to_string().as_bytes()] {
                    let answer = manage(&data, path, body).unwrap();
                    proptest::prop_assert!(matches!(answer.status, 200 | 400));
                    let did = answer.did.unwrap_or_default();
                    proptest::prop_assert!(!did.contains(['\n', '\r', '\u{1b}']), "{}", did);
                }
            }
        }
    }
}
