//! Every setting once: meaning, unit, default and reason. The sample file, `docs/configuration.md` and the nearest
//! key of a wrong one are made from this table; a test holds it to the structs.

use std::fmt::Write;

use super::profiles::DEFAULT;

/// One setting of `cairn.toml`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `""`, `"listen"`, `"profile.default"` …; `"names"` is a list of tables.
    pub table: &'static str,
    /// The key within the table.
    pub key: &'static str,
    /// What may stand there.
    pub unit: &'static str,
    /// The default as TOML; empty where there is none.
    pub default: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Why the default is what it is.
    pub reason: &'static str,
}

impl Setting {
    /// Whether its table is one of many, of which a file begins with none.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        REPEATED.contains(&self.table)
    }

    /// The dotted path: `orders.life`.
    #[must_use]
    pub fn path(&self) -> String {
        match self.table {
            "" => self.key.to_owned(),
            table => format!("{table}.{}", self.key),
        }
    }
}

/// Where the settings of all `[issuer.NAME]` are described.
const ISSUER: &str = "issuer.NAME";

/// Lists of tables and tables of the operator's own naming: a file begins without any.
const REPEATED: [&str; 4] = [ISSUER, "directory", "names", "addresses"];

/// Tables in the order of the file, with their heading.
const TABLES: [(&str, &str); 16] = [
    ("", "The CA"),
    ("listen", "Where it listens"),
    ("tls", "The certificate of its own listener"),
    (
        "keys",
        "Keys and certificates; paths are relative to this file's directory",
    ),
    (
        ISSUER,
        "Issuers beside the one of [keys], each with a table of its own, such as [issuer.rsa]; `cairn ca key add` makes one. Its keys open with the passphrase of [keys]",
    ),
    ("dns", "Whom it asks for names"),
    ("accounts", "Accounts"),
    ("orders", "Orders and authorizations"),
    (
        "profile.default",
        "What certificates look like. Further tables [profile.NAME] with the same settings and defaults make profiles that orders ask for by name",
    ),
    ("crl", "Revocation lists"),
    (
        "limits",
        "What it takes on at once; over it a client is told when to come again",
    ),
    ("log", "Log lines, on standard error"),
    ("sweep", "What is forgotten; certificates never are"),
    (
        "directory",
        "Directories beside the first, for clients that shall have other terms, profiles or challenges; accounts of one are none in another. What is not here holds for all",
    ),
    (
        "names",
        "Which names are issued for and where they may lead, by suffix; the longest suffix that fits decides, other names lead to global addresses",
    ),
    (
        "addresses",
        "Which addresses are issued for, by range; the longest prefix that fits decides, of others only global ones are",
    ),
];

const fn s(
    table: &'static str,
    key: &'static str,
    unit: &'static str,
    default: &'static str,
    about: &'static str,
    reason: &'static str,
) -> Setting {
    Setting {
        table,
        key,
        unit,
        default,
        about,
        reason,
    }
}

/// All settings, in the order of the file.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    s("", "name", "text, 50 characters", "", "The CA's name, as its certificates say it.", "set by `cairn ca init`; certificates keep the name they were made with"),
    s("", "url", "https://HOST or https://HOST:PORT", "", "Where clients reach the CA. URLs of accounts, CRLs and issuers are made from it, never from a request.", "set by `cairn ca init` and kept for ever: certificates carry URLs made from it"),
    s("", "publication_url", "http://HOST or http://HOST:PORT", "", "Where certificates say that CRLs and the issuing certificate are: the host of `url`. Unset: the first port of listen.publication.", "set by `cairn ca init` and kept for ever: certificates carry it. The listener may move behind a proxy"),
    s("", "preset", "\"private\" or \"public\"", "\"private\"", "The set of rules. `public` is what the CA/Browser Forum demands; it refuses to start until all of that is there.", "most CAs serve one house"),
    s("", "private_zones", "list of domain names", "[]", "Zones of your own, unknown to the public DNS: a climb through the DNS stops at their apex.", "only you know which zones are yours"),
    s("", "caa_identities", "list of domain names", "[]", "The CA's own names in CAA records (RFC 8659); the directory publishes them as caaIdentities. Empty: the host of `url`.", "who restricts issuance has to be able to name you; the first one is what refusals recommend"),
    s("", "caa_account_prefixes", "list of URLs", "[]", "Account URLs of earlier times, up to the account's id: `accounturi` in a CAA record may name an account by them too.", "a CA that never moved has none"),

    s("", "forbidden_names", "list of domain names", "[]", "Names that are never issued for, whatever a rule allows: `bank.example` that name alone, `.bank.example` all below it too. A wildcard that would cover one is refused as well.", "whose impersonation would hurt you most, only you know"),

    s("", "website", "URL", "", "A page about the CA, which the directory names. Unset: none.", "people who find the CA in a client's list want to know whose it is"),

    s("listen", "subscribers", "list of ADDRESS:PORT", "[]", "ACME over TLS. An IPv6 address takes IPv6 alone. Empty: all addresses, the port of `url`.", "clients come to the URL's port"),
    s("listen", "publication", "list of ADDRESS:PORT", "[]", "CRLs, the issuing and the root certificate over plain HTTP. Empty: all addresses, port 80, or 14480 if `url` has a port of its own.", "who checks a certificate can't check the server's first"),

    s("tls", "certificate", "path", "", "PEM chain of the subscribers' listener. Unset: the CA issues its own and renews it at a third of its life.", "a CA can look after its own certificate"),
    s("tls", "key", "path", "", "PEM key of that certificate; both or none.", "see certificate"),

    s("keys", "unlock", "\"prompt\", \"file\" or \"systemd-creds\"", "\"prompt\"", "Where the passphrase of the issuing key comes from: the terminal (or standard input), a file, or systemd's credentials.", "a passphrase that lies nowhere can't be copied"),
    s("keys", "passphrase_file", "path", "\"keys/passphrase\"", "With unlock = \"file\": its first line is the passphrase. Mode 0600, owned by who runs the server.", "beside the key it protects backups of the key alone, no more"),
    s("keys", "credential", "text", "\"cairn-ca\"", "With unlock = \"systemd-creds\": the credential's name.", "what `cairn ca init` prints for the unit"),
    s("keys", "issuing_key", "path", "\"keys/issuing.key.pem\"", "The issuing key: encrypted PKCS#8 PEM, mode 0600, no symbolic link.", "written by `cairn ca init`"),
    s("keys", "ring_key", "path", "\"keys/ring.key.pem\"", "The key ring's secret, which seals the secrets of external accounts in the store: encrypted like the issuing key, under the same passphrase. Made at the first start if it is not there.", "written by `cairn ca init`; belongs to the keys, not to the backups of the store"),
    s("keys", "issuing_certificate", "path", "\"issuing.pem\"", "The issuing certificate.", "written by `cairn ca init`"),
    s("keys", "root_certificate", "path", "\"root.pem\"", "The root certificate. Its key is not needed to serve.", "written by `cairn ca init`"),
    s("keys", "alternates", "list of paths", "[]", "Further chains that are offered beside the first: PEM, a certificate of the same key and name signed by another root, what lies between, and that root, which is checked and not sent. One that has ended is left out.", "old devices trust other roots than new ones; `cairn ca key cross-sign` makes one"),
    s("keys", "blocked_keys", "path", "", "Keys that are never certified: one SHA-256 of a SubjectPublicKeyInfo a line, in hex; `#` begins a comment.", "lists of known weak keys are large and yours to choose"),

    s("issuer.NAME", "key", "path", "", "The issuing key: encrypted PKCS#8 PEM, mode 0600, no symbolic link.", "written by `cairn ca key add`"),
    s("issuer.NAME", "certificate", "path", "", "The issuing certificate; certificates between it and the root follow in the same file.", "written by `cairn ca key add`"),
    s("issuer.NAME", "root", "path", "", "The root that the chain ends in. Unset: the root of [keys].", "most CAs have one root"),
    s("issuer.NAME", "for", "list of \"rsa\" and \"ecdsa\"", "[]", "Certificates for keys of these kinds are signed by this issuer; each kind by one. What no table claims, [keys] signs. Empty: it signs its revocation lists alone, and what a profile names it for.", "a new issuer signs nothing until you say so, and a retired one only goes on with its lists"),
    s("issuer.NAME", "alternates", "list of paths", "[]", "Further chains, as keys.alternates.", "see keys"),

    s("dns", "servers", "list of ADDRESS or ADDRESS:PORT", "[]", "Recursive name servers for validation. Empty: those of /etc/resolv.conf.", "the machine's own are right until they are not"),
    s("dns", "timeout", "duration", "\"3s\"", "For one query to one server.", "a validation has 20s in all"),
    s("dns", "dnssec", "\"off\" or \"trust-resolver\"", "\"off\"", "Who judges DNSSEC. `trust-resolver`: the servers named in `dns.servers` validate, and their AD bit is believed and kept as evidence; name only servers that validate and that you reach over a network of your own. `off`: nobody, which departs from RFC 8657 §5.6. An answer that is bogus to the resolver fails either way.", "whether your resolver validates, and who can write on the way to it, only you know"),
    s("dns", "inquire", "true or false", "true", "After a validation that failed in the DNS, ask once more why: the resolver with DNSSEC checking off, and the name's own name servers on port 53, at addresses that the CA may connect to. Each such failure costs 40 questions and 5s at most. `false`: the texts say what the one look-up showed.", "a subscriber who reads the cause mends it without asking you"),

    s("accounts", "terms", "URL", "", "Terms of service that a new account must agree to. Unset: none.", "a CA for one house needs none"),
    s("accounts", "terms_enforced_from", "time, such as \"2027-01-01T00:00:00Z\"", "", "From then on an account that has not agreed to `terms` as they are now can order nothing until it does. Unset: never; an account that agreed once goes on.", "a change of terms would stop every renewal at once: give people time, and a date"),
    s("accounts", "contacts_max", "number", "10", "Contacts that one account may name.", "more are a mistake or an abuse"),
    s("accounts", "external", "\"off\", \"optional\" or \"required\"", "\"off\"", "External account binding: `required` makes no account without a key that you gave out (`cairn ca eab add`); with `optional` a binding that is sent has to verify, and binds; with `off` it is ignored.", "control of a name is what most networks ask for; keys say who asks"),
    s("accounts", "external_source", "text, one line", "\"ask the operator of this CA for one (cairn ca eab add)\"", "Where such a key comes from, as refusals tell it to whoever has none or a spent one. Fits into \"for another key, …\".", "who is refused needs a person or a page to turn to"),

    s("orders", "life", "duration", "\"7d\"", "How long an order may stay unfinished.", "a person may have to change a DNS record by hand"),
    s("orders", "authorization_life", "duration", "\"30d\"", "How long a proof of control may be used again by the same account.", "names change hands; clients don't notice a new proof"),
    s("orders", "pending_authorization_life", "duration", "\"7d\"", "How long an authorization may stay unanswered.", "as long as its order"),
    s("orders", "names_max", "number, 1 to 100", "100", "Names of one order.", "what public CAs take"),
    s("orders", "challenges", "list of \"http-01\", \"dns-01\", \"tls-alpn-01\"", "[\"http-01\", \"dns-01\", \"tls-alpn-01\"]", "How control may be shown. Wildcards need dns-01; addresses need one of the other two.", "each suits somebody, and none is weaker than the DNS that all of them rest on"),

    s("profile.default", "description", "text, one line", "", "What the directory says of the profile; may be the URL of a page. Unset: its life and uses in words.", "people choose by it"),
    s("profile.default", "life", "duration, at least 1m", "\"90d\"", "How long a certificate is valid. Not longer than the issuing certificate.", "short enough to be renewed by machines only"),
    s("profile.default", "backdate", "duration", "\"1m\"", "How far notBefore lies before the moment of issuance. At most a tenth of `life` is used.", "clients' clocks are a little behind"),
    s("profile.default", "common_name", "true or false", "false", "Whether the first name is also the subject's common name.", "clients read subjectAltName since 2000; true helps programs older than that"),
    s("profile.default", "key_encipherment", "true or false", "false", "Whether certificates of RSA keys allow keyEncipherment.", "only the RSA key exchange of TLS 1.2 and older needs it"),
    s("profile.default", "server_auth", "true or false", "true", "Certificates are for TLS servers.", "what ACME proves: control of a server's name"),
    s("profile.default", "client_auth", "true or false", "false", "Certificates are for TLS clients too.", "a server's name is seldom what a client should be trusted for"),
    s("profile.default", "policies", "list of object identifiers", "[]", "Certificate policies.", "mean something only where somebody wrote a policy"),
    s("profile.default", "issuer", "an issuer's name", "", "Who signs certificates of this profile, whatever their keys: \"default\" is the issuer of [keys]. Unset: by the kind of the key.", "clients want a chain of the kind that they use anyway"),
    s("profile.default", "identifiers", "list of \"dns\" and \"ip\"", "[]", "Which types of identifiers may be ordered. Empty: all.", "names and addresses are judged by rules of their own"),
    s("profile.default", "challenges", "list of \"http-01\", \"dns-01\" and \"tls-alpn-01\"", "[]", "Which challenge types an order is offered, of those that the CA has. Empty: all.", "each shows control of the name"),
    s("profile.default", "accounts", "list of accounts' ids", "[]", "Which accounts may order it. Empty: all.", "a profile is a form, seldom a privilege"),

    s("crl", "life", "duration", "\"7d\"", "How long a revocation list may be used.", "a CA that is down for a long weekend stays trusted"),
    s("crl", "every", "duration", "\"1d\"", "How often a new list is signed, with or without news. Shorter than `life`.", "six tries before a list runs out"),

    s("limits", "requests_in_flight", "number", "1024", "Requests in work at once.", "more would only wait, and cost memory meanwhile"),
    s("limits", "queue_age", "duration", "\"500ms\"", "When the oldest waiting transaction is older, new requests are turned away before their signature is checked.", "a busy disk is felt here first"),
    s("limits", "pending_orders", "number", "1000", "Unfinished orders of one account.", "honest clients finish theirs; rows of others would pile up"),
    s("limits", "pending_authorizations", "number", "2000", "Unanswered authorizations of one account. At least orders.names_max.", "twenty orders of the largest size"),
    s("limits", "bad_signatures_per_minute", "number", "60", "Bad signatures from one address (IPv6: one /64) before it must wait.", "a broken client retries about once a second"),
    s("limits", "hold", "duration, at most 10s", "\"2s\"", "How long an answer is held back while the work that it asks about runs. \"0s\": never.", "most work ends within it, and the client needn't ask again"),
    s("limits", "holds_per_account", "number", "128", "Held answers of one account.", "a hundred names at once, and some"),
    s("limits", "holds_per_address", "number", "256", "Held answers for one address (IPv6: one /64).", "several accounts behind one address"),
    s("limits", "holds", "number", "4096", "Held answers in all.", "a held answer costs about 10 KiB"),

    s("log", "format", "\"text\" or \"json\"", "\"text\"", "Lines of key=value, or of one JSON object each.", "people read it first"),
    s("log", "level", "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"", "\"info\"", "The least of what is worth a line.", "each issuance and each refusal has its line"),

    s("sweep", "orders_after", "duration", "\"30d\"", "Orders and authorizations go this long after they ended. Certificates keep their evidence.", "long enough to ask what went wrong"),
    s("sweep", "audit_after", "duration", "\"730d\"", "Audit rows go at this age.", "two years is what auditors of public CAs ask for"),

    s("directory", "name", "text", "", "Its path is `/acme/NAME/directory`.", "each directory has its own"),
    s("directory", "terms", "URL", "", "Terms of service that its accounts must agree to. Unset: none.", "see accounts.terms"),
    s("directory", "terms_enforced_from", "time", "", "As accounts.terms_enforced_from.", "see there"),
    s("directory", "website", "URL", "", "A page about it. Unset: none.", "see website"),
    s("directory", "external", "\"off\", \"optional\" or \"required\"", "", "As accounts.external, of which it is in place; keys are made for it by `cairn ca eab add --directory NAME`. Unset: what accounts.external says.", "one directory for strangers, another for who was given a key"),
    s("directory", "profiles", "list of profiles' names", "[]", "Profiles on offer; an order that names none gets the first. Empty: all, and `default`.", "most directories differ in nothing else"),
    s("directory", "challenges", "list of \"http-01\", \"dns-01\", \"tls-alpn-01\"", "[]", "How control may be shown here, of what orders.challenges has. Empty: all of that.", "inside hosts may have no port open to the CA"),

    s("names", "suffix", "domain name", "", "Names at and below it come under this rule.", "each rule has its own"),
    s("names", "exact", "true or false", "false", "The rule is for the suffix itself, not for names below it or its wildcard.", "most rules are for a zone"),
    s("names", "allow", "true or false", "", "Whether these names are issued for. Unset: as a rule for a shorter suffix says, else yes. Once one rule says true, names that no such rule covers are refused. A rule that says true with a public suffix as its own is needed to issue for that suffix or its wildcard.", "a CA issues to whoever shows control, until you draw a border"),
    s("names", "dial", "list of address ranges", "[]", "Where these names may lead besides global addresses.", "inside addresses only where you say so, or the CA could be made to knock at them"),
    s("names", "http_port", "port", "80", "Where http-01 connects first.", "RFC 8555 §8.3"),
    s("names", "tls_port", "port", "443", "Where tls-alpn-01, and a redirect to https, connects.", "RFC 8737 §3"),

    s("addresses", "range", "address range", "", "Addresses in it come under this rule, and validation may connect to them.", "inside addresses only where you say so, or the CA could be made to knock at them"),
    s("addresses", "allow", "true or false", "", "Whether these addresses are issued for. Unset: as a rule for a larger range says, else yes. Once one rule says true, addresses that no such rule covers are refused.", "addresses change hands faster than names; draw a border where you know who has which"),
    s("addresses", "http_port", "port", "80", "Where http-01 connects first.", "RFC 8555 §8.3"),
    s("addresses", "tls_port", "port", "443", "Where tls-alpn-01, and a redirect to https, connects.", "RFC 8737 §3"),
];

/// A path as the table has it, and the table of the file that it came from where that has another name there.
struct Documented {
    path: String,
    /// (as documented, as written)
    table: Option<(String, String)>,
}

/// The path as the table has it: `names[0].dial` is `names.dial`, the settings of `[profile.NAME]` are those of the default,
/// and those of `[issuer.NAME]` are described once. A name that is nearly "default" is no profile but a slip.
fn as_documented(path: &str) -> Documented {
    let path = without_indexes(path);
    let plain = |path| Documented { path, table: None };
    let tables = [("profile.", DEFAULT), ("issuer.", "NAME")];
    let Some((prefix, documented)) = tables.into_iter().find(|(p, _)| path.starts_with(p)) else {
        return plain(path);
    };
    let rest = path.get(prefix.len()..).unwrap_or_default();
    let (name, key) = match rest.split_once('.') {
        Some((name, key)) => (name, Some(key)),
        None => (rest, None),
    };
    let nearly = || strsim::damerau_levenshtein(&name.to_lowercase(), documented) <= 2;
    if name == documented || (documented == DEFAULT && nearly()) {
        return plain(path);
    }
    let (table, written) = (format!("{prefix}{documented}"), format!("{prefix}{name}"));
    Documented {
        path: match key {
            Some(key) => format!("{table}.{key}"),
            None => table.clone(),
        },
        table: Some((table, written)),
    }
}

/// The settings with this dotted path; `names[0].dial` is `names.dial`.
pub(super) fn find(path: &str) -> Option<&'static Setting> {
    let path = as_documented(path).path;
    SETTINGS.iter().find(|s| s.path() == path)
}

/// Whether the path is a setting or a table that holds some.
pub(super) fn is_known(path: &str) -> bool {
    let path = as_documented(path).path;
    let below = format!("{path}.");
    SETTINGS
        .iter()
        .any(|s| s.path() == path || s.path().starts_with(&below))
}

/// The valid key that was probably meant: near in the same table, else the same or a near one elsewhere.
#[must_use]
pub fn nearest(path: &str) -> Option<String> {
    let Documented { path, table } = as_documented(path);
    let found = nearest_documented(&path)?;
    let as_written = table.and_then(|(documented, written)| {
        let key = found.strip_prefix(&documented)?;
        Some(format!("{written}{key}"))
    });
    Some(as_written.unwrap_or(found))
}

fn nearest_documented(path: &str) -> Option<String> {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let distance =
        |a: &str, b: &str| strsim::damerau_levenshtein(&a.to_lowercase().replace('-', "_"), b);
    // A third of its letters may be wrong; of the shortest keys, one.
    let near = |d: &usize, word: &str| *d <= (word.len() / 3).max(1);
    let within = SETTINGS
        .iter()
        .filter(|s| s.table == table)
        .map(|s| (distance(key, s.key), s.path()));
    let within = within
        .min()
        .filter(|(d, _)| near(d, key))
        .map(|(_, found)| found);
    let tables = TABLES
        .iter()
        .filter(|(t, _)| !t.is_empty())
        .map(|(t, _)| (distance(path, t), (*t).to_owned()));
    let whole = || {
        SETTINGS
            .iter()
            .map(|s| (distance(path, &s.path()), s.path()))
            .chain(tables)
            .min()
            .filter(|(d, _)| near(d, path))
            .map(|(_, found)| found)
    };
    let elsewhere = || {
        let found = SETTINGS
            .iter()
            .map(|s| (distance(key, s.key), s.path()))
            .min();
        found.filter(|(d, _)| near(d, key)).map(|(_, found)| found)
    };
    within.or_else(whole).or_else(elsewhere)
}

fn without_indexes(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| match c {
            '[' => {
                inside = true;
                false
            }
            ']' => {
                inside = false;
                false
            }
            _ => !inside,
        })
        .collect()
}

/// One rule of a repeated table: the TOML value of each key.
pub type Rule = Vec<(&'static str, String)>;

/// A whole `cairn.toml`, every setting commented. `values` are (dotted path, TOML) instead of defaults; `names` and
/// `addresses` are rules.
#[must_use]
pub fn sample(values: &[(&str, String)], names: &[Rule], addresses: &[Rule]) -> String {
    let mut text = String::from(
        "# Cairn's certificate authority. Every setting with its unit, default and reason; what is set here is what\n\
         # `cairn ca init` chose or the default. SIGHUP makes a running server read it again; a wrong file changes nothing.\n",
    );
    for (table, heading) in TABLES {
        let _ = write!(text, "\n# {heading}.\n");
        let settings = SETTINGS.iter().filter(|s| s.table == table);
        if REPEATED.contains(&table) {
            rule_comments(&mut text, settings);
            let (example, rules) = match table {
                ISSUER => (
                    "#[issuer.rsa]\n#key = \"keys/rsa.key.pem\"\n#certificate = \"rsa.pem\"\n#for = [\"rsa\"]\n",
                    &[][..],
                ),
                "directory" => ("#[[directory]]\n#name = \"team\"\n", &[][..]),
                "names" => (
                    "#[[names]]\n#suffix = \"internal.example\"\n#dial = [\"10.0.0.0/8\"]\n",
                    names,
                ),
                _ => ("#[[addresses]]\n#range = \"10.0.0.0/8\"\n", addresses),
            };
            if rules.is_empty() {
                text.push_str(example);
            }
            for rule in rules {
                let _ = writeln!(text, "\n[[{table}]]");
                for (key, value) in rule {
                    let _ = writeln!(text, "{key} = {value}");
                }
            }
            continue;
        }
        if !table.is_empty() {
            let _ = writeln!(text, "[{table}]");
        }
        for setting in settings {
            let path = setting.path();
            let value = values
                .iter()
                .find(|(key, _)| *key == path)
                .map(|(_, value)| value.as_str());
            comment(&mut text, setting);
            match value.or(Some(setting.default).filter(|d| !d.is_empty())) {
                Some(value) => {
                    let _ = writeln!(text, "{} = {value}", setting.key);
                }
                None => {
                    let _ = writeln!(text, "#{} =", setting.key);
                }
            }
        }
    }
    text
}

fn comment(text: &mut String, setting: &Setting) {
    let default = match setting.default {
        "" => String::new(),
        default => format!(", default {default}"),
    };
    let _ = write!(
        text,
        "\n# {}\n# {}{default}: {}.\n",
        setting.about, setting.unit, setting.reason
    );
}

/// Comments once for all rules of a kind.
fn rule_comments<'a>(text: &mut String, settings: impl Iterator<Item = &'a Setting>) {
    for setting in settings {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("; default {}", setting.default)
        };
        let _ = writeln!(
            text,
            "# {}: {} ({}{default}; {})",
            setting.key, setting.about, setting.unit, setting.reason
        );
    }
}

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# cairn.toml\n\nThe CA's configuration, in the directory given to `cairn ca init`, which writes it with every setting \
         commented. This page is made from the same table as that file and the error messages; a test compares them.\n\n\
         Durations are a whole number and a unit: `250ms`, `2s`, `15m`, `36h`, `90d`. Paths are relative to the file's directory. \
         A wrong key, type or combination is refused with path, line, column and the nearest valid key. `SIGHUP` makes a running \
         server read the file again; a wrong one leaves the old in force and is logged. A change of `url`, `[listen]`, `[tls]`, \
         `[keys]`, `[issuer.NAME]`, `[dns]` or `[log]` needs a restart; the files that `[tls]` names are read again.\n",
    );
    for (table, heading) in TABLES {
        let title = match table {
            "" => "Top of the file".to_owned(),
            "directory" | "names" | "addresses" => format!("[[{table}]]"),
            _ => format!("[{table}]"),
        };
        let _ = write!(
            text,
            "\n## {title}\n\n{heading}.\n\n| Setting | Value | Default | Meaning | Why |\n|---|---|---|---|---|\n"
        );
        for s in SETTINGS.iter().filter(|s| s.table == table) {
            let default = if s.default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", s.default)
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {default} | {} | {} |",
                s.key, s.unit, s.about, s.reason
            );
        }
    }
    text
}
