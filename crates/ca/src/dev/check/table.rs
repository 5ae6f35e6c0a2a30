//! The table of checks: every one that there is, in one line.

/// How binding what was broken is. A line that is this project's reading, and no keyword of the document, is a SHOULD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A MUST or MUST NOT, or what the document's syntax asks for.
    Must,
    /// A SHOULD or SHOULD NOT, and what a good client does: advice.
    Should,
}

impl Level {
    /// As the documents say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Which.
    pub rule: Rule,
    /// Its name.
    pub name: &'static str,
    /// The line of `docs/conformance.md`'s numbering.
    pub line: &'static str,
    /// Document and section.
    pub section: &'static str,
    /// How binding.
    pub level: Level,
    /// What a client does that breaks it.
    pub wrong: &'static str,
}

macro_rules! checks {
    ($($rule:ident $name:literal $line:literal $section:literal $level:ident $wrong:literal;)+) => {
        /// The name of a check in the code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $wrong] $rule,)+
        }

        /// Every check.
        pub const CHECKS: &[Check] = &[$(Check {
            rule: Rule::$rule,
            name: $name,
            line: $line,
            section: $section,
            level: Level::$level,
            wrong: $wrong,
        }),+];

        impl Rule {
            /// Its row.
            #[must_use]
            pub const fn check(self) -> &'static Check {
                match self {
                    $(Self::$rule => {
                        const ROW: &Check = &Check {
                            rule: Rule::$rule,
                            name: $name,
                            line: $line,
                            section: $section,
                            level: Level::$level,
                            wrong: $wrong,
                        };
                        ROW
                    })+
                }
            }
        }
    };
}

checks! {
    Utf8 "utf-8" "8555-5-1" "8555 §5" Must "sent a body, header or payload that is not UTF-8";
    DuplicateMember "duplicate-member" "8555-5-1" "7515 §4" Must "named a member of the protected header twice";
    AgentMissing "user-agent" "8555-6.1-2" "8555 §6.1" Must "sent no User-Agent";
    AgentVague "user-agent-version" "8555-6.1-2" "8555 §6.1" Should "sent a User-Agent without name and version";
    Language "accept-language" "8555-6.1-3" "8555 §6.1" Should "sent no Accept-Language";
    Base64 "base64url" "8555-6.1-5" "8555 §6.1" Must "sent base64 with padding or of another alphabet where base64url is due";
    JwsForm "jws-form" "8555-6.2-1" "8555 §6.2" Must "sent a body that is no JWS in flattened JSON serialization, or one with other members";
    HeaderMembers "protected-header" "8555-6.2-3" "8555 §6.2" Must "sent a protected header without alg, nonce, url or exactly one of jwk and kid";
    MacOrNone "signature-algorithm" "8555-6.2-4" "8555 §6.2" Must "signed with \"none\" or a MAC";
    JwkForKid "jwk-for-kid" "8555-6.2-5" "8555 §6.2" Must "sent its jwk where the account's URL is due as kid";
    KidForJwk "kid-for-jwk" "8555-6.2-5" "8555 §6.2" Must "sent a kid to newAccount, where the jwk is due";
    KidAltered "kid-altered" "8555-6.2-5" "8555 §6.2" Must "sent a kid that is not the account's URL as Location gave it";
    ContentType "content-type" "8555-6.2-7" "8555 §6.2" Must "sent a JWS with another Content-Type than application/jose+json";
    AlgorithmAgain "algorithm-again" "8555-6.2-9" "8555 §6.2" Should "signed again with an algorithm that was refused, though the answer named others";
    EmptyObject "post-as-get-payload" "8555-6.3-2" "8555 §6.3" Must "sent POST-as-GET with {} or another payload in place of an empty one";
    PlainGet "plain-get" "8555-6.3-2" "8555 §6.3" Must "asked by GET for what is read by POST-as-GET";
    UrlHeader "signed-url" "8555-6.4-1" "8555 §6.4" Must "signed another url than the one that it asked";
    NonceTwice "nonce-twice" "8555-6.5-5" "8555 §6.5" Should "sent a nonce twice";
    NonceUnknown "nonce-unknown" "8555-6.5-5" "8555 §6.5" Should "sent a nonce that no answer contained";
    NonceInvalid "nonce-invalid" "8555-6.5.1-1" "8555 §6.5.1" Must "used a Replay-Nonce that is not base64url, which it must ignore";
    NonceHeader "nonce-header" "8555-6.5.1-1" "8555 §6.5.1" Should "sent Replay-Nonce in a request";
    BadNonceRetry "bad-nonce-retry" "8555-6.5-4" "8555 §6.5" Should "tried again after badNonce with another nonce than that answer's";
    RetryAfter "retry-after" "8555-6.6-2" "8555 §6.6, 9110 §10.2.3" Should "asked the same again before the Retry-After of a 429 or 503 had passed";
    HotLoop "hot-loop" "8555-6.6-2" "8555 §6.6" Should "asked the same again and again without a pause";
    UrlBuilt "url-built" "8555-7.1-3" "8555 §7.1" Must "built a URL that no answer contained";
    OrderChanged "order-changed" "8555-7.1.3-2" "8555 §7.1.3" Should "finalized an order whose identifiers or authorizations had changed";
    NameNotAscii "name-a-label" "8555-7.1.4-2" "8555 §7.1.4" Must "ordered a DNS name that is not in A-labels";
    AccountObject "account-object" "8555-7.3-1" "8555 §7.3" Must "sent newAccount with a payload or member of the wrong type";
    Contact "contact" "8555-7.3-5" "8555 §7.3" Must "sent a mailto contact with header fields or several addresses";
    ActionRequired "action-required" "8555-7.3.3-1" "8555 §7.3.3" Should "tried again at once where a human has to act";
    Binding "external-account" "8555-7.3.4-1" "8555 §7.3.4" Must "sent an external account binding of the wrong form";
    KeyChange "key-change" "8555-7.3.5-1" "8555 §7.3.5" Must "sent a key change of the wrong form";
    OrderObject "order-object" "8555-7.4-1" "8555 §7.4" Must "sent newOrder with a payload or member of the wrong type";
    FinalizeEarly "finalize-early" "8555-7.4-8" "8555 §7.4" Should "finalized an order that was not ready";
    FinalizeCsr "finalize-csr" "8555-7.4-8" "8555 §7.4" Must "finalized with something else than a CSR in DER, base64url";
    PollOrder "poll-order" "8555-7.4-8" "8555 §7.4" Should "polled an order before its Retry-After had passed";
    CsrNames "csr-names" "8555-7.4-11" "8555 §7.4" Must "finalized with a CSR for other names than the order's";
    FinalizeEnded "finalize-ended" "8555-7.4-15" "8555 §7.4" Should "finalized an order again that was processing or had ended";
    PollEnded "poll-ended" "8555-7.4-15" "8555 §7.4" Should "went on polling what had ended";
    NewAuthz "new-authz" "8555-7.4.1-2" "8555 §7.4.1" Should "asked for newAuthz, which the directory does not have";
    AnsweredEnded "challenge-ended" "8555-7.5-1" "8555 §7.5" Should "answered a challenge of an authorization that had ended";
    ChallengePayload "challenge-payload" "8555-7.5.1-1" "8555 §7.5.1" Must "answered a challenge with a payload that is no JSON object";
    ChallengeMembers "challenge-members" "8737-3-1" "8555 §8.3, 8737 §3" Should "answered a challenge with more than {}";
    PollAuthz "poll-authorization" "8555-7.5.1-3" "8555 §7.5.1" Should "polled an authorization before its Retry-After had passed";
    Revocation "revocation" "8555-7.6-1" "8555 §7.6" Must "sent a revocation of the wrong form";
    BadToken "bad-token" "8555-8.3-1" "8555 §8.3" Should "answered a challenge whose token is not base64url";
    CsrAccountKey "csr-account-key" "8555-11.1-1" "8555 §11.1" Must "finalized with a CSR for its account's key";
    KeyReused "key-reused" "8555-11.1-2" "8555 §11.1" Must "changed its key to one that was an account's before";
    IpText "ip-text" "8738-3-1" "8738 §3" Must "ordered an IP address in another form than its one text";
    IpAsName "ip-as-name" "8738-3-2" "8738 §3" Should "sent a CSR that names an IP address as a DNS name";
    RenewalUrl "renewal-url" "9773-3-1" "9773 §4.1" Must "asked for renewal information at another URL than the directory's with a certificate's name behind it";
    CertId "certificate-name" "9773-4.1-1" "9773 §4.1" Must "named a certificate in a form that is none";
    RenewalPost "renewal-post" "9773-4.1-3" "9773 §4.1" Must "asked for renewal information by something else than GET";
    RenewalEarly "renewal-early" "9773-4.3-1" "9773 §4.3.2" Should "asked for renewal information before its Retry-After had passed";
    RenewalHot "renewal-hot" "9773-4.3-3" "9773 §4.3.3" Should "asked for renewal information again and again after errors without a pause";
    ReplacesUnoffered "replaces-unoffered" "9773-5-1" "9773 §5" Should "sent replaces where the directory has no renewalInfo";
    ReplacesAgain "replaces-again" "9773-5-1" "9773 §5" Should "sent replaces for a certificate that it knows replaced";
    ProfileUnknown "profile-unknown" "PROF-4-1" "profiles §4" Should "asked for a profile that the directory does not have";
    ResourceMember "resource-member" "V1-4" "8555 §7.1" Should "sent the member resource of ACME v1";
}

/// The table for `docs/checks.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| check | section | | a client breaks it that |\n|---|---|---|---|\n");
    for check in CHECKS {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            check.name,
            check.section,
            check.level.word(),
            check.wrong
        ));
    }
    text
}
