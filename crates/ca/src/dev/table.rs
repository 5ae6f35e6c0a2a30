//! The table of faults: every one that there is, in one line.

use super::Step;

/// Where a fault takes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// In place of the server's work: nothing is done.
    Instead,
    /// Before it: what the server then does, it does rightly.
    Before,
    /// On its answer: what was done is done.
    After,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What its value is; empty for none.
    pub value: &'static str,
    /// An example of its value.
    pub example: &'static str,
    /// Where it takes hold.
    pub hook: Hook,
    /// The steps that it knows; none named: all.
    pub steps: &'static [Step],
    /// What it does.
    pub does: &'static str,
}

const ORDER: &[Step] = &[Step::Order, Step::Finalize];
const AUTHORIZATION: &[Step] = &[
    Step::Authorization,
    Step::Challenge,
    Step::Order,
    Step::Finalize,
];
const UNDER_WAY: &[Step] = &[
    Step::Order,
    Step::Finalize,
    Step::Authorization,
    Step::Challenge,
];
const SIGNED: &[Step] = &[
    Step::NewAccount,
    Step::NewOrder,
    Step::NewAuthz,
    Step::KeyChange,
    Step::RevokeCert,
    Step::Account,
    Step::Orders,
    Step::Order,
    Step::Finalize,
    Step::Authorization,
    Step::Challenge,
    Step::Certificate,
];

macro_rules! rows {
    ($($name:literal, $value:literal, $example:literal, $hook:ident, $steps:expr, $does:literal;)+) => {
        &[$(Row {
            name: $name,
            value: $value,
            example: $example,
            hook: Hook::$hook,
            steps: $steps,
            does: $does,
        }),+]
    };
}

/// Every fault.
pub const FAULTS: &[Row] = rows! {
    "bad-nonce", "", "", Instead, SIGNED,
        "the request is refused with badNonce and its nonce spent; the answer has a good one";
    "refuse", "STATUS[/TYPE[/RETRY-AFTER]]", "429/rateLimited/30", Instead, &[],
        "the request is refused with that status, problem type and Retry-After as written; `503` alone is short for it";
    "cut", "", "", Instead, &[],
        "the connection ends without an answer, and nothing was done";
    "down", "DURATION", "250ms", Instead, &[],
        "the connection ends, and for that time new connections are refused and kept ones end";
    "delay", "DURATION", "300ms", Before, &[],
        "the server waits before it looks at the request";
    "slow-signing", "DURATION", "2s", Before, &[Step::Finalize],
        "the certificate is signed so much later, 45 s at most, and the order stays in processing for that time";
    "advance", "DURATION", "30d", Before, &[],
        "time passes before the server looks at the request: expiry, windows, CRLs, nonces and certificates follow";
    "end-authorization", "revoked|expired|deactivated", "revoked", Before, AUTHORIZATION,
        "the authorization, or the order's first one, takes that end";
    "end-order", "", "", Before, ORDER,
        "the order becomes invalid, unless it has ended";
    "lost", "", "", After, &[],
        "the request is done, and the connection ends without an answer";
    "status", "STATUS", "500", After, &[],
        "the answer has another status; the rest stays";
    "header", "NAME: VALUE", "Retry-After: soon", After, &[],
        "the answer has this header, in place of any of the name";
    "no-header", "NAME", "Replay-Nonce", After, &[],
        "the answer lacks this header";
    "json", "POINTER=JSON", "/status=\"odd\"", After, &[],
        "the JSON value at that pointer (RFC 6901) is this one, also where there was none";
    "no-json", "POINTER", "/status", After, &[],
        "the JSON value at that pointer is taken out";
    "body", "TEXT", "<html>busy</html>", After, &[],
        "the answer has this body; its headers stay";
    "pad", "OCTETS", "100000", After, &[],
        "the body is followed by so many spaces";
    "processing", "LOOKS", "2", After, UNDER_WAY,
        "what has ended is shown as under way, for so many looks at each order, authorization or challenge; what finalize and challenge answer themselves counts as none";
    "chain", "no-intermediate|other-issuer|reversed|empty|other-key|other-name|expired|with-key|leaf-twice",
        "other-key", After, &[Step::Certificate],
        "the certificate's chain is wrong in that way";
    "window", "START/END", "2030-01-01T00:00:00Z/soon", After, &[Step::RenewalInfo],
        "the renewal window has these ends, as written";
    "cut-after", "OCTETS", "10", After, &[],
        "the connection ends after so many octets of the answer's body";
    "drip", "OCTETS/DURATION", "40/10ms", After, &[],
        "the answer's body comes so many octets at a time, with that pause between";
};

/// The table for `docs/faults.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| fault | does | at |\n|---|---|---|\n");
    for row in FAULTS {
        let value = match row.value {
            "" => String::new(),
            value => format!("={value}"),
        };
        let steps: Vec<_> = row.steps.iter().map(|step| step.name()).collect();
        let at = match row.steps {
            [] => "every step".to_owned(),
            steps if steps == SIGNED => "every signed step".to_owned(),
            _ => steps.join(", "),
        };
        let value = value.replace('|', "\\|");
        text.push_str(&format!(
            "| `{}{value}` | {} | {at} |\n",
            row.name, row.does
        ));
    }
    text
}
