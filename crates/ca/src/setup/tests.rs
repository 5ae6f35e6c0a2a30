use std::{os::unix::fs::PermissionsExt, path::Path};

use cairn_acme::time::Timestamp;
use cairn_x509::key::KeyKind;

use super::*;
use crate::config::Unlock;

fn request(dir: &Path) -> InitRequest {
    InitRequest {
        dir: dir.to_owned(),
        name: "Test {{name}} ${x} %s".to_owned(),
        url: "https://ca1.widgets.internal".parse().unwrap(),
        permit_dns: vec!["Widgets.Internal".to_owned()],
        permit_ip: vec!["10.1.0.0/16".parse().unwrap()],
        key_kind: KeyKind::P256,
        unlock: Unlock::File,
        crl_shards: 1,
        ports: (None, None),
        settings: vec![("profile.default.life".to_owned(), "24h".to_owned())],
        now: Timestamp::from_seconds(1_795_600_000),
    }
}

fn made() -> (tempfile::TempDir, std::path::PathBuf, InitReport) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let report = init(&request(&dir), &mut unasked).unwrap();
    (folder, dir, report)
}

fn unasked() -> std::io::Result<Passphrase> {
    panic!("asked for a passphrase that is made")
}

fn never(_: &str) -> std::io::Result<Passphrase> {
    panic!("asked for a passphrase that lies in a file")
}

fn fault(dir: &Path) -> SetupFault {
    load(dir, &mut never).expect_err("a broken CA was loaded")
}

#[test]
fn a_new_ca_loads_and_its_parts_fit() {
    let (_folder, dir, report) = made();
    let loaded = load(&dir, &mut never).unwrap();
    assert_eq!(
        loaded.config.url.to_string(),
        "https://ca1.widgets.internal"
    );
    assert_eq!(loaded.config.profile.default.life.to_string(), "1d");
    assert_eq!(loaded.config.private_zones, ["widgets.internal"]);
    assert_eq!(loaded.config.names.len(), 1);
    assert_eq!(loaded.config.names[0].dial.len(), 4);
    let [rule] = &*loaded.config.addresses else {
        panic!("{:?}", loaded.config.addresses)
    };
    assert_eq!(rule.range.to_string(), "10.1.0.0/16");
    assert_eq!(report.permitted, ["widgets.internal"]);
    assert_eq!(report.directory, "https://ca1.widgets.internal/directory");
    assert_eq!(loaded.root_key, Some(dir.join(ROOT_KEY)));
    // The root's key is not needed to serve.
    std::fs::remove_file(dir.join(ROOT_KEY)).unwrap();
    assert_eq!(load(&dir, &mut never).unwrap().root_key, None);
}

#[test]
fn a_name_is_taken_as_it_is_and_never_expanded() {
    // T-CA-128
    let (_folder, dir, report) = made();
    assert_eq!(report.root.name, "Test {{name}} ${x} %s Root R1");
    let der = chain::from_pem(
        &dir.join("root.pem"),
        &std::fs::read(dir.join("root.pem")).unwrap(),
    )
    .unwrap();
    let text = b"Test {{name}} ${x} %s Root R1";
    assert!(der.windows(text.len()).any(|w| w == text));
    assert_eq!(read_config(&dir).unwrap().name, "Test {{name}} ${x} %s");
}

#[test]
fn every_secret_file_is_its_owners_alone() {
    // T-CA-124
    let (_folder, dir, _) = made();
    let mode = |name: &str| {
        std::fs::metadata(dir.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    for (name, wanted) in [
        ("", 0o700),
        ("keys", 0o700),
        ("keys/root.key.pem", 0o600),
        ("keys/issuing.key.pem", 0o600),
        ("keys/passphrase", 0o600),
        ("root.pem", 0o644),
        ("cairn.toml", 0o644),
    ] {
        assert_eq!(mode(name), wanted, "{name}");
    }
}

#[test]
fn init_never_overwrites() {
    let (_folder, dir, _) = made();
    let before = std::fs::read(dir.join("root.pem")).unwrap();
    assert!(matches!(
        init(&request(&dir), &mut unasked),
        Err(SetupFault::NotEmpty { .. })
    ));
    assert_eq!(std::fs::read(dir.join("root.pem")).unwrap(), before);
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("letter.txt"), "mine").unwrap();
    assert!(matches!(
        init(&request(other.path()), &mut unasked),
        Err(SetupFault::NotEmpty { .. })
    ));
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
    // An empty directory is a place that somebody prepared.
    let empty = tempfile::tempdir().unwrap();
    init(&request(empty.path()), &mut unasked).unwrap();
}

#[test]
fn a_failed_init_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    for (key, value) in [
        ("orders.live", "7d"),
        ("orders.life", "soon"),
        ("names.dial", "[]"),
        ("name", "another"),
        ("url", "https://other.example"),
        ("keys.unlock", "prompt"),
        ("preset", "public"),
    ] {
        let mut request = request(&dir);
        request.settings = vec![(key.to_owned(), value.to_owned())];
        let fault = init(&request, &mut unasked).expect_err("a wrong setting was taken");
        assert!(fault.is_configuration(), "{fault}");
        assert!(!dir.exists(), "{key}");
    }
    let mut unnamed = request(&dir);
    unnamed.url = "https://192.0.2.1".parse().unwrap();
    assert!(init(&unnamed, &mut unasked).is_err());
    assert!(!dir.exists());
}

#[test]
fn a_passphrase_is_asked_for_once_everything_else_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let mut prompted = request(&dir);
    prompted.unlock = Unlock::Prompt;
    prompted.permit_dns = vec!["-wrong-".to_owned()];
    assert!(
        init(&prompted, &mut unasked)
            .unwrap_err()
            .is_configuration()
    );
    prompted.permit_dns.clear();
    // Nobody gives one: nothing is left.
    let mut refuse = || Err(std::io::ErrorKind::InvalidInput.into());
    let fault = init(&prompted, &mut refuse).unwrap_err();
    assert!(fault.is_configuration(), "{fault}");
    assert!(!dir.exists());
    let mut give = || Ok(Passphrase::from_line(b"a passphrase of words").unwrap());
    init(&prompted, &mut give).unwrap();
}

#[test]
fn a_backup_is_restored_only_beside_its_own_keys_and_certificates() {
    let (_one, first, _) = made();
    let (_two, second, _) = made();
    let backup = first.join("cairn.db");
    check_restore(&backup, &first).unwrap();
    let fault = check_restore(&backup, &second).unwrap_err();
    assert!(matches!(fault, SetupFault::OtherCa { .. }), "{fault}");
    let noise = first.join("noise.db");
    std::fs::write(
        &noise,
        "no database, but long enough to be taken for one".repeat(99),
    )
    .unwrap();
    let fault = check_restore(&noise, &first).unwrap_err().to_string();
    assert!(fault.contains("noise.db"), "{fault}");
    for name in ["root.pem", "keys/passphrase"] {
        std::fs::remove_file(first.join(name)).unwrap();
    }
    let fault = check_restore(&backup, &first).unwrap_err();
    assert!(fault.is_configuration());
    let said = fault.to_string();
    assert!(
        said.contains("root.pem") && said.contains("keys/passphrase"),
        "{said}"
    );
    assert!(!said.contains("issuing.pem"), "{said}");
}

#[test]
fn exposed_keys_stop_the_start() {
    // T-CA-124
    for name in ["keys/issuing.key.pem", "keys/passphrase"] {
        let (_folder, dir, _) = made();
        let path = dir.join(name);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let said = fault(&dir);
        assert!(said.to_string().contains("0644"), "{said}");
        assert_eq!(
            said.hint().unwrap(),
            format!("chmod 600 {}", path.display())
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let aside = dir.join("aside");
        std::fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        assert!(fault(&dir).to_string().contains("symbolic link"), "{name}");
    }
}

#[test]
fn keys_and_certificates_of_two_cas_do_not_mix() {
    // T-CA-100
    let (_one, first, _) = made();
    let (_two, second, _) = made();
    for name in ["keys/passphrase", "keys/issuing.key.pem"] {
        std::fs::copy(second.join(name), first.join(name)).unwrap();
    }
    assert!(matches!(fault(&first), SetupFault::Mismatch { .. }));
    let (_three, third, _) = made();
    std::fs::copy(second.join("root.pem"), third.join("root.pem")).unwrap();
    assert!(matches!(
        fault(&third),
        SetupFault::Mismatch { .. } | SetupFault::Content { .. }
    ));
}

#[test]
fn a_wrong_passphrase_is_said_so() {
    let (_folder, dir, _) = made();
    std::fs::write(dir.join("keys/passphrase"), "something else\n").unwrap();
    assert!(matches!(fault(&dir), SetupFault::WrongPassphrase(_)));
    std::fs::write(dir.join("keys/passphrase"), "\n").unwrap();
    assert!(matches!(fault(&dir), SetupFault::EmptyPassphrase(_)));
}

#[test]
fn preset_public_is_refused_at_start_with_all_that_is_missing() {
    let (_folder, dir, _) = made();
    let path = dir.join("cairn.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("preset = \"private\"", "preset = \"public\"");
    std::fs::write(&path, text).unwrap();
    let said = fault(&dir).to_string();
    for word in ["DNSSEC", "Transparency", "MPIC", "dial"] {
        assert!(said.contains(word), "{word} not in {said}");
    }
    // What only reads the directory works all the same.
    root(&dir).unwrap();
}

#[test]
fn no_text_of_a_loaded_ca_shows_its_secrets() {
    // T-CA-125
    let (_folder, dir, report) = made();
    let passphrase = std::fs::read_to_string(dir.join("keys/passphrase")).unwrap();
    let loaded = load(&dir, &mut never).unwrap();
    let shown = format!(
        "{loaded:?} {:?} {report:?} {:?}",
        loaded.issuer.key,
        request(&dir)
    );
    assert!(!shown.contains(passphrase.trim()), "{shown}");
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[test]
fn keys_of_every_kind_serve() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ca");
        let request = InitRequest {
            key_kind: kind,
            permit_dns: Vec::new(),
            ..request(&dir)
        };
        init(&request, &mut unasked).unwrap();
        load(&dir, &mut never).unwrap();
    }
}

fn add(dir: &Path, name: &str, key_kind: KeyKind) -> Result<IssuerReport, SetupFault> {
    let request = IssuerRequest {
        dir: dir.to_owned(),
        name: name.to_owned(),
        key_kind,
        root_key: None,
        now: Timestamp::from_seconds(1_795_600_000),
    };
    add_issuer(&request, &mut never)
}

/// The first CA's issuer under the second's root.
fn cross(dir: &Path, other: &Path, file: &Path) -> Result<CrossReport, SetupFault> {
    let request = CrossRequest {
        dir: dir.to_owned(),
        issuer: None,
        root: other.join("root.pem"),
        root_key: other.join(ROOT_KEY),
        file: file.to_owned(),
        now: Timestamp::from_seconds(1_795_600_000),
    };
    let passphrase = std::fs::read(other.join("keys/passphrase")).unwrap();
    let mut ask = |_: &str| Ok(Passphrase::from_line(&passphrase).unwrap());
    cross_sign(&request, &mut ask)
}

fn edit(dir: &Path, change: impl FnOnce(String) -> String) {
    let path = dir.join("cairn.toml");
    let text = change(std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, text).unwrap();
}

#[test]
fn an_issuer_is_made_beside_the_first_with_its_name_constraints_and_overwrites_nothing() {
    // T-CA-124
    let (_folder, dir, _) = made();
    let report = add(&dir, "rsa", KeyKind::Rsa2048).unwrap();
    assert_eq!(report.issuing.name, "Test {{name}} ${x} %s Issuing rsa");
    let mode = std::fs::metadata(&report.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // It signs nothing before the file names it.
    assert!(load(&dir, &mut never).unwrap().issuers.is_empty());
    edit(&dir, |text| format!("{text}\n{}\n", report.table));
    let loaded = load(&dir, &mut never).unwrap();
    let [other] = loaded.issuers.as_slice() else {
        panic!("{loaded:?}")
    };
    assert_eq!(other.leaf_keys, [crate::config::LeafKey::Rsa]);
    let parsed = |der: &[u8]| cairn_x509::certificate::Certificate::parse(der).unwrap();
    let (first, second) = (
        parsed(&loaded.issuer.certificate),
        parsed(&other.certificate),
    );
    assert_eq!(first.constraints(), second.constraints());
    assert_eq!(first.permitted_dns(), ["widgets.internal"]);
    assert_eq!(needed_files(&dir).unwrap().len(), 7);
    for name in ["rsa", "default", "UPPER", "a/b", "", "issuing"] {
        assert!(add(&dir, name, KeyKind::P256).is_err(), "{name}");
    }
    // The root's key belongs offline: without it nothing is made.
    std::fs::rename(dir.join(ROOT_KEY), dir.join("aside")).unwrap();
    assert!(add(&dir, "more", KeyKind::P256).is_err());
    assert!(!dir.join("more.pem").exists() && !dir.join("keys/more.key.pem").exists());
    std::fs::copy(dir.join("keys/issuing.key.pem"), dir.join(ROOT_KEY)).unwrap();
    let fault = add(&dir, "more", KeyKind::P256).unwrap_err();
    assert!(matches!(fault, SetupFault::Mismatch { .. }), "{fault}");
}

#[test]
fn issuers_and_chains_that_do_not_fit_stop_the_start() {
    // T-CA-100
    let (_one, first, _) = made();
    let (_two, second, _) = made();
    cross(&first, &second, &first.join("cross.pem")).unwrap();
    assert!(cross(&first, &second, &first.join("cross.pem")).is_err());
    let table = add(&first, "rsa", KeyKind::Rsa2048).unwrap().table;
    let read = |name: &str| std::fs::read_to_string(first.join(name)).unwrap();
    let (good, toml) = (read("cross.pem"), read("cairn.toml"));
    let with = |chain: &str, toml: &str| {
        std::fs::write(first.join("cross.pem"), chain).unwrap();
        std::fs::write(first.join("cairn.toml"), toml).unwrap();
        load(&first, &mut never)
    };
    let alternate = toml.replace("\nalternates = []", "\nalternates = [\"cross.pem\"]");
    assert_ne!(alternate, toml);
    let loaded = with(&good, &format!("{alternate}\n{table}\n")).unwrap();
    let chains: Vec<usize> = [&loaded.issuer, &loaded.issuers[0]]
        .iter()
        .map(|issuer| issuer.chains.len())
        .collect();
    assert_eq!(chains, [2, 1]);
    // The root is not sent.
    let sent = &loaded.issuer.chains[1].pem;
    assert!(good.starts_with(sent.as_str()) && good.len() > sent.len());
    assert_eq!(sent.matches("BEGIN").count(), 1);

    let cut = |text: &str| {
        let end = text.find("-----END CERTIFICATE-----\n").unwrap() + 26;
        (text[..end].to_owned(), text[end..].trim_start().to_owned())
    };
    let (crossed, other_root) = cut(&good);
    let own_root = read("root.pem");
    let of_rsa = table.replace("rsa.pem", "issuing.pem");
    let first_again = of_rsa.replace("keys/rsa.key.pem", "keys/issuing.key.pem");
    let rows = [
        (
            "the root is missing",
            crossed.clone(),
            alternate.clone(),
            "ends with its root",
        ),
        (
            "only the root",
            other_root.clone(),
            alternate.clone(),
            "ends with its root",
        ),
        (
            "another root",
            format!("{crossed}{own_root}"),
            alternate.clone(),
            "was not issued by",
        ),
        (
            "the wrong way round",
            format!("{other_root}{crossed}"),
            alternate.clone(),
            "does not end with a root",
        ),
        (
            "another issuer's",
            format!("{}{own_root}", read("rsa.pem")),
            alternate.clone(),
            "another name or key",
        ),
        (
            "no certificate",
            "nothing".to_owned(),
            alternate.clone(),
            "holds no certificate",
        ),
        (
            "too many",
            own_root.repeat(9),
            alternate.clone(),
            "at most 8",
        ),
        (
            "another issuer's certificate",
            good.clone(),
            format!("{toml}\n{of_rsa}\n"),
            "has the key of issuer",
        ),
        (
            "the same issuer twice",
            good.clone(),
            format!("{toml}\n{first_again}\n"),
            "has the key of issuer",
        ),
        (
            "another root's issuer",
            good.clone(),
            format!("{toml}\n{table}\nroot = \"cross.pem\"\n"),
            "more than one certificate",
        ),
        (
            "another issuer's key",
            good.clone(),
            format!(
                "{toml}\n{}\n",
                table.replace("keys/rsa.key.pem", "keys/issuing.key.pem")
            ),
            "is not the key of",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, chain, toml, part) in rows {
        match with(&chain, &toml) {
            Ok(_) => wrong.push(format!("{what}: loaded")),
            Err(fault) if !fault.to_string().contains(part) => {
                wrong.push(format!("{what}: {fault}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_ring_lies_beside_the_keys_and_a_ca_without_one_gets_it() {
    // T-CA-36 T-CA-124
    use crate::id::ExternalKeyId;
    let (_folder, dir, _) = made();
    let path = dir.join("keys/ring.key.pem");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let id = ExternalKeyId::from_bytes([1; 16]);
    let key = cairn_acme::jws::MacKey::new(vec![7; 64].into());
    let opened = |sealed: &[u8]| {
        let ring = load(&dir, &mut never).unwrap().ring;
        ring.open_external(id, sealed).is_ok()
    };
    let sealed = load(&dir, &mut never).unwrap().ring;
    let sealed = sealed.seal_external(id, &key).unwrap();
    assert!(opened(&sealed), "the next start opens it");
    // A CA from before there was a ring.
    std::fs::remove_file(&path).unwrap();
    assert!(!opened(&sealed), "another ring");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let later = load(&dir, &mut never).unwrap().ring;
    let later = later.seal_external(id, &key).unwrap();
    assert!(opened(&later));
    // What is no ring is none, and others must not be able to read it.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(fault(&dir).to_string().contains("0640"));
    std::fs::copy(dir.join("keys/issuing.key.pem"), &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let said = fault(&dir).to_string();
    assert!(said.contains("no key ring"), "{said}");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(fault(&dir), SetupFault::Content { .. }));
}
