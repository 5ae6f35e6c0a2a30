use std::path::Path;

use super::*;

const HEAD: &str = "name = \"T\"\nurl = \"https://ca.example.org\"\n";

fn fault(text: &str) -> ConfigFault {
    Config::parse(text, Path::new("dir/cairn.toml")).expect_err("a wrong file was taken")
}

fn head(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

/// Each text, below name and URL, is refused at its line, column and key, in words that have this part.
pub(super) fn assert_refused(cases: &[(&str, usize, usize, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, line, column, key, part) in cases {
        let fault = fault(&head(text));
        let told = fault.to_string();
        let place = format!("dir/cairn.toml:{line}:{column}: ");
        if !told.starts_with(&place)
            || fault.key != *key
            || !told.contains(part)
            || told.contains('\n')
        {
            wrong.push(format!("{text:?}: {told} (key {})", fault.key));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_file_is_refused_with_line_key_and_nearest_key() {
    // (text, line, column, key, part of the text)
    let cases: &[(&str, usize, usize, &str, &str)] = &[
        (
            "[orders]\nlive = \"7d\"",
            4,
            1,
            "orders.live",
            "did you mean orders.life?",
        ),
        (
            "[order]\nlife = \"7d\"",
            3,
            2,
            "order",
            "did you mean orders?",
        ),
        (
            "[orders]\nlife = \"7d\"\nlife = \"8d\"",
            5,
            1,
            "life",
            "duplicate key",
        ),
        (
            "presett = \"private\"",
            3,
            1,
            "presett",
            "did you mean preset?",
        ),
        ("hold = \"2s\"", 3, 1, "hold", "did you mean limits.hold?"),
        (
            "[limits]\nqueue-age = \"1s\"",
            4,
            1,
            "limits.queue-age",
            "did you mean limits.queue_age?",
        ),
        (
            "[[names]]\nsuffix = \"a\"\n[[names]]\nsufix = \"b\"",
            6,
            1,
            "names[1].sufix",
            "names.suffix",
        ),
        (
            "[profile.defualt]\nlife = \"1d\"",
            3,
            10,
            "profile.defualt",
            "profile.default",
        ),
        ("[xyzzy]\nq = 1", 3, 2, "xyzzy", "no such setting"),
        (
            "[orders]\nlife = 7",
            4,
            8,
            "orders.life",
            "a duration with its unit",
        ),
        ("[orders]\nlife = \"7 d\"", 4, 8, "orders.life", "\"90d\""),
        (
            "[orders]\nnames_max = \"100\"",
            4,
            13,
            "orders.names_max",
            "expected a whole number",
        ),
        (
            "[orders]\nnames_max = -1",
            4,
            13,
            "orders.names_max",
            "number",
        ),
        (
            "[orders]\nnames_max = 101",
            4,
            1,
            "orders.names_max",
            "from 1 to 100",
        ),
        (
            "[keys]\nunlock = \"pin\"",
            4,
            10,
            "keys.unlock",
            "systemd-creds",
        ),
        (
            "[keys]\nunlock = \"file\"\npassphrase_file = \"\"",
            5,
            1,
            "keys.passphrase_file",
            "needs one",
        ),
        (
            "[keys]\ncredential = \"../x\"",
            4,
            1,
            "keys.credential",
            "one file name",
        ),
        ("[tls]\nkey = \"k\"", 4, 1, "tls.key", "both or none"),
        (
            "[tls]\ncertificate = \"k\"",
            4,
            1,
            "tls.certificate",
            "both or none",
        ),
        (
            "[listen]\nsubscribers = [\"443\"]",
            4,
            16,
            "listen.subscribers",
            "socket address",
        ),
        (
            "[listen]\nsubscribers = [\"0.0.0.0:80\"]",
            3,
            2,
            "listen.publication",
            "port already",
        ),
        (
            "[dns]\nservers = [\"ns1\"]",
            4,
            11,
            "dns.servers",
            "no address of a name server",
        ),
        (
            "[[names]]\ndial = [\"10.0.0.0/8\"]",
            3,
            1,
            "names",
            "suffix",
        ),
        (
            "[[names]]\nsuffix = \"*.a\"",
            4,
            1,
            "names[0].suffix",
            "without a dot or a star",
        ),
        (
            "[[names]]\nsuffix = \"A\"\n[[names]]\nsuffix = \"a\"",
            6,
            1,
            "names[1].suffix",
            "same suffix",
        ),
        (
            "[[names]]\nsuffix = \"a\"\ndial = [\"10.0.0.0/33\"]",
            5,
            9,
            "names[0].dial",
            "address ranges",
        ),
        (
            "[[names]]\nsuffix = \"a\"\nhttp_port = 0",
            5,
            1,
            "names[0].http_port",
            "65535",
        ),
        (
            "caa_identities = [\"ca.example.\"]",
            3,
            1,
            "caa_identities",
            "without a dot at its ends",
        ),
        (
            "caa_account_prefixes = [\"http://old.example/acme/\"]",
            3,
            1,
            "caa_account_prefixes",
            "is an https URL",
        ),
        (
            "[dns]\ndnssec = \"trust-resolver\"",
            4,
            1,
            "dns.dnssec",
            "goes with dns.servers",
        ),
        (
            "[[names]]\nsuffix = \"a\"\n[[names]]\nsuffix = \"a\"\nexact = 1",
            7,
            9,
            "names[1].exact",
            "true or false",
        ),
        (
            "[[addresses]]\nrange = \"10.0.0.0/8\"\n[[addresses]]\nrange = \"10.1.0.0/8\"",
            6,
            1,
            "addresses[1].range",
            "same range",
        ),
        (
            "[[addresses]]\nrange = \"10.0.0.0/8\"\ntls_port = 0",
            5,
            1,
            "addresses[0].tls_port",
            "65535",
        ),
        (
            "forbidden_names = [\"*.a\"]",
            3,
            1,
            "forbidden_names",
            "a dot in front",
        ),
        (
            "[orders]\nchallenges = []",
            4,
            1,
            "orders.challenges",
            "nobody could show",
        ),
        (
            "[orders]\nchallenges = [\"http-02\"]",
            4,
            15,
            "orders.challenges",
            "tls-alpn-01",
        ),
        (
            "private_zones = [\".\"]",
            3,
            1,
            "private_zones",
            "domain name",
        ),
        (
            "[crl]\nevery = \"7d\"",
            4,
            1,
            "crl.every",
            "shorter than crl.life",
        ),
        (
            "[crl]\nlife = \"1h\"",
            3,
            2,
            "crl.every",
            "shorter than crl.life",
        ),
        (
            "[profile.default]\nserver_auth = false",
            4,
            1,
            "profile.default.server_auth",
            "a use",
        ),
        (
            "[profile.default]\npolicies = [\"1.40\"]",
            4,
            1,
            "profile.default.policies",
            "object identifier",
        ),
        (
            "[profile.default]\nbackdate = \"3d\"",
            4,
            1,
            "profile.default.backdate",
            "2d",
        ),
        (
            "[profile.default]\nlife = \"59s\"",
            4,
            1,
            "profile.default.life",
            "at least 1m",
        ),
        (
            "[profile.short]\nlive = \"1h\"",
            4,
            1,
            "profile.short.live",
            "did you mean profile.short.life?",
        ),
        (
            "[profile.a]\n[profile.b]\nclient-auth = true",
            5,
            1,
            "profile.b.client-auth",
            "did you mean profile.b.client_auth?",
        ),
        (
            "[profile.short]\nlife = 60",
            4,
            8,
            "profile.short.life",
            "a duration with its unit",
        ),
        (
            "[profile.a]\n[profile.b]\nserver_auth = false",
            5,
            1,
            "profile.b.server_auth",
            "a use",
        ),
        (
            "[profile.Short]\nlife = \"1h\"",
            3,
            10,
            "profile.Short",
            "lower-case",
        ),
        (
            "[profile.defaults]\nlife = \"1h\"",
            3,
            10,
            "profile.defaults",
            "profile.default",
        ),
        (
            "[profile.x]\nidentifiers = [\"email\"]",
            4,
            16,
            "profile.x.identifiers",
            "list of \"dns\" and \"ip\"",
        ),
        (
            "[profile.x]\nchallenges = [\"http-01\", \"http-01\"]",
            4,
            1,
            "profile.x.challenges",
            "each type once",
        ),
        (
            "[profile.x]\naccounts = [\"alice\"]",
            4,
            1,
            "profile.x.accounts",
            "last part of its URL",
        ),
        (
            "[profile.x]\ndescription = \"a\\nb\"",
            4,
            1,
            "profile.x.description",
            "one line",
        ),
        ("profile = 1", 3, 11, "profile", "[profile.NAME]"),
        (
            "[accounts]\nterms = \"javascript:x\"",
            4,
            1,
            "accounts.terms",
            "URL of a page",
        ),
        (
            "[limits]\npending_orders = 0",
            4,
            1,
            "limits.pending_orders",
            "refuse everybody",
        ),
        ("[log]\nlevel = \"loud\"", 4, 9, "log.level", "trace"),
        ("preset = \"open\"", 3, 10, "preset", "private"),
        ("[orders\nlife", 3, 8, "", "unclosed"),
    ];
    assert_refused(cases);
}

#[test]
fn name_and_url_are_demanded_and_judged() {
    for (text, key) in [
        ("url = \"https://ca\"", "name"),
        ("name = \"x\"", "url"),
        ("name = \"\"\nurl = \"https://ca\"", "name"),
        ("name = \"a\\u001b\"\nurl = \"https://ca\"", "name"),
        ("name = \"x\"\nurl = \"http://ca\"", "url"),
        ("name = \"x\"\nurl = \"https://ca/acme\"", "url"),
        ("name = \"x\"\nurl = \"https://[::1]\"", "url"),
    ] {
        assert_eq!(fault(text).key, key, "{text}");
    }
    assert_eq!(
        fault(&format!(
            "name = \"{}\"\nurl = \"https://ca\"",
            "x".repeat(51)
        ))
        .key,
        "name"
    );
}

#[test]
fn a_fault_prints_no_control_character() {
    // T-CA-119
    let said = fault(&head("\"a\\nlevel=audit \\u001b[31m\" = 1")).to_string();
    assert!(!said.chars().any(char::is_control), "{said:?}");
    assert!(said.contains("\\n"), "{said}");
}

#[test]
fn the_smallest_file_has_the_documented_defaults() {
    let config = Config::parse(HEAD, Path::new("cairn.toml")).unwrap();
    assert_eq!(
        config
            .listen
            .subscribers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["0.0.0.0:443", "[::]:443"]
    );
    assert_eq!(config.listen.publication[0].port(), 80);
    let other = HEAD.replace("example.org", "example.org:8443");
    let other = Config::parse(&other, Path::new("cairn.toml")).unwrap();
    assert_eq!(
        (
            other.listen.subscribers[1].port(),
            other.listen.publication[1].port()
        ),
        (8443, 14480)
    );
}

#[test]
fn the_sample_parses_and_equals_the_defaults() {
    let values = [
        ("name", "\"T\"".to_owned()),
        ("url", "\"https://ca.example.org\"".to_owned()),
    ];
    let text = sample(&values, &[], &[]);
    let sample = Config::parse(&text, Path::new("cairn.toml")).unwrap();
    let least = Config::parse(HEAD, Path::new("cairn.toml")).unwrap();
    assert_eq!(sample, least);
}

#[test]
fn profiles_have_documented_defaults_and_survive_writing() {
    let text = head(
        "[profile.default]\nlife = \"30d\"\n[profile.short]\nlife = \"1m\"\nidentifiers = [\"ip\"]\n[profile.client]\nclient_auth = true\n",
    );
    let config = Config::parse(&text, Path::new("cairn.toml")).unwrap();
    let names: Vec<&str> = config.profile.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["default", "client", "short"]);
    // Not what [profile.default] says.
    assert_eq!(
        config.profile.others["client"],
        ProfileSettings {
            client_auth: true,
            ..ProfileSettings::default()
        }
    );
    let written = toml::to_string(&config).unwrap();
    assert_eq!(
        Config::parse(&written, Path::new("cairn.toml")).unwrap(),
        config
    );
}

#[test]
fn a_name_rule_of_the_sample_is_read_back() {
    let rule = vec![
        ("suffix", "\"LocalHost\"".to_owned()),
        ("dial", "[\"127.0.0.0/8\"]".to_owned()),
        ("http_port", "14480".to_owned()),
    ];
    let values = [
        ("name", "\"T\"".to_owned()),
        ("url", "\"https://ca.example.org\"".to_owned()),
    ];
    let config = Config::parse(&sample(&values, &[rule], &[]), Path::new("cairn.toml")).unwrap();
    assert_eq!(config.names.len(), 1);
    assert_eq!(config.names[0].suffix, "localhost");
    assert_eq!(config.names[0].http_port, Some(14480));
}

#[test]
fn challenges_stand_once_each_and_in_the_fixed_order_whatever_the_file_says() {
    // 8555-7.1.4-1
    use cairn_acme::challenge::ChallengeType::{Dns01, Http01, TlsAlpn01};
    let parsed = |text: &str| {
        let text = head(&format!("[orders]\nchallenges = {text}\n"));
        let config = Config::parse(&text, Path::new("cairn.toml")).unwrap();
        config.orders.challenges
    };
    let reversed = parsed("[\"tls-alpn-01\", \"dns-01\", \"http-01\"]");
    assert_eq!(reversed, [Http01, Dns01, TlsAlpn01]);
    assert_eq!(parsed("[\"dns-01\", \"dns-01\"]"), [Dns01]);
}

#[test]
fn a_suffix_may_have_an_exact_rule_beside_the_one_for_all_below_it() {
    // T-CA-62
    let text =
        head("[[names]]\nsuffix = \"a\"\n[[names]]\nsuffix = \"a\"\nexact = true\nallow = false\n");
    let config = Config::parse(&text, Path::new("cairn.toml")).unwrap();
    let said: Vec<_> = config.names.iter().map(|r| (r.exact, r.allow)).collect();
    assert_eq!(said, [(false, None), (true, Some(false))]);
}

/// Every key of the structs, dotted, by writing a full configuration out.
fn keys_of_the_structs() -> Vec<String> {
    let mut config = Config::parse(HEAD, Path::new("cairn.toml")).unwrap();
    config.tls = Tls {
        certificate: Some("a".into()),
        key: Some("a".into()),
    };
    config.keys.blocked_keys = Some("a".into());
    config.accounts.terms = Some("https://t".into());
    let since = Timestamp::from_seconds(1_800_000_000);
    config.accounts.terms_enforced_from = Some(since);
    config.website = Some("https://w".into());
    config.directory = vec![DirectorySettings {
        name: "a".into(),
        terms: Some("https://t".into()),
        terms_enforced_from: Some(since),
        website: Some("https://w".into()),
        external: Some(External::Off),
        profiles: vec![],
        challenges: vec![],
    }];
    config.profile.default = ProfileSettings {
        description: Some("a".into()),
        issuer: Some("a".into()),
        identifiers: vec![IdentifierType::Dns],
        challenges: vec![cairn_acme::challenge::ChallengeType::Http01],
        accounts: vec!["a".into()],
        ..ProfileSettings::default()
    };
    config.issuer.insert(
        "NAME".into(),
        IssuerSettings {
            key: "a".into(),
            certificate: "a".into(),
            root: Some("a".into()),
            leaf_keys: vec![],
            alternates: vec![],
        },
    );
    config.publication_url = Some("http://ca.example.org".parse().unwrap());
    config.names = vec![NameRule {
        suffix: "a".into(),
        exact: false,
        allow: Some(true),
        dial: vec![],
        http_port: Some(1),
        tls_port: Some(1),
    }];
    config.addresses = vec![AddressRule {
        range: "10.0.0.0/8".parse().unwrap(),
        allow: Some(true),
        http_port: Some(1),
        tls_port: Some(1),
    }];
    fn collect(value: &toml::Value, prefix: &str, into: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    collect(value, &path, into);
                }
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                items.iter().for_each(|item| collect(item, prefix, into));
            }
            _ => into.push(prefix.to_owned()),
        }
    }
    let mut keys = Vec::new();
    collect(&toml::Value::try_from(&config).unwrap(), "", &mut keys);
    keys.sort();
    keys
}

#[test]
fn every_setting_is_documented_and_every_documented_setting_exists() {
    let mut documented: Vec<String> = SETTINGS
        .iter()
        .map(|s| {
            if s.table.is_empty() {
                s.key.to_owned()
            } else {
                format!("{}.{}", s.table, s.key)
            }
        })
        .collect();
    documented.sort();
    assert_eq!(documented, keys_of_the_structs());
}

#[test]
fn documented_defaults_are_the_real_ones() {
    // Each default alone, in its own table, changes nothing.
    let least = Config::parse(HEAD, Path::new("cairn.toml")).unwrap();
    for s in SETTINGS
        .iter()
        .filter(|s| !s.default.is_empty() && !s.is_repeated())
    {
        let table = if s.table.is_empty() {
            String::new()
        } else {
            format!("[{}]\n", s.table)
        };
        let text = head(&format!("{table}{} = {}\n", s.key, s.default));
        assert_eq!(
            Config::parse(&text, Path::new("cairn.toml")).unwrap(),
            least,
            "{text}"
        );
    }
}

#[test]
fn the_reference_page_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        std::fs::write(&path, markdown()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        page,
        markdown(),
        "run the test with CAIRN_BLESS=1 to write docs/configuration.md anew"
    );
}

#[test]
fn the_publication_url_follows_from_the_listener_until_it_is_written_down() {
    let of = |rest: &str| {
        let config = Config::parse(&head(rest), Path::new("cairn.toml"));
        config.map(|c| c.publication().to_string())
    };
    let listen = "[listen]\npublication = [\"127.0.0.1:8080\"]\n";
    assert_eq!(of("").unwrap(), "http://ca.example.org");
    assert_eq!(of(listen).unwrap(), "http://ca.example.org:8080");
    let written = format!("publication_url = \"http://ca.example.org\"\n{listen}");
    assert_eq!(of(&written).unwrap(), "http://ca.example.org");
    let fault = fault(&head("publication_url = \"http://other.example.org\""));
    assert_eq!(fault.key, "publication_url");
}

#[test]
fn preset_public_parses_and_names_all_that_is_missing() {
    let text = head(
        "preset = \"public\"\nprivate_zones = [\"internal\"]\n[profile.default]\nlife = \"300d\"\n[profile.client]\nclient_auth = true\n[[names]]\nsuffix = \"internal\"\ndial = [\"10.0.0.0/8\"]\nhttp_port = 8080\n[[addresses]]\nrange = \"10.0.0.0/8\"\n",
    );
    let config = Config::parse(&text, Path::new("cairn.toml")).unwrap();
    let missing = config.missing_for_preset().join("\n");
    for word in [
        "DNSSEC",
        "MPIC",
        "Transparency",
        "global",
        "200d",
        "private_zones",
        "http_port",
        "dial",
        "profile.client.client_auth",
    ] {
        assert!(missing.contains(word), "{word} not in:\n{missing}");
    }
    assert!(
        Config::parse(HEAD, Path::new("cairn.toml"))
            .unwrap()
            .missing_for_preset()
            .is_empty()
    );
}
