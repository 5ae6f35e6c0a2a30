//! instant-acme, the Rust library: every challenge, ES256 accounts, key change, renewal information with `replaces`. It
//! leaves answers and CSRs to its user, which are the test's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ::instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy, RevocationReason,
    RevocationRequest,
};
use cairn_testkit::http::Responder;
use cairn_testkit::seen::What;
use cairn_testkit::tls_alpn::{Answer, TlsServer};
use cairn_testkit::{block_on, issued, test_path};

use super::stand::{
    ADDRESS, Client, Key, Stand, Tried, beside_cairn, beside_pebble, pairs, said, serial,
};
use crate::renewal::named;
use crate::world::names;

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// Who answers for the client at the real ports.
struct Servers<'a> {
    stand: &'a Stand,
    web: Responder,
    tls: TlsServer,
}

impl<'a> Servers<'a> {
    fn start(stand: &'a Stand) -> Self {
        let at = |port| {
            format!("{ADDRESS}:{port}")
                .parse::<std::net::SocketAddr>()
                .unwrap()
        };
        Self {
            stand,
            web: Responder::start(at(80)),
            tls: TlsServer::start(at(443)),
        }
    }

    fn present(&self, how: What, challenge: &::instant_acme::ChallengeHandle<'_>) {
        let answer = challenge.key_authorization();
        let name = match challenge.identifier().identifier {
            Identifier::Dns(name) => name.clone(),
            Identifier::Ip(address) => address.to_string(),
            other => panic!("{other:?} was not ordered"),
        };
        match how {
            What::Http01 => {
                self.web.token(&challenge.token, answer.as_str());
            }
            What::Dns01 => {
                let record = format!("_acme-challenge.{name}");
                self.stand.dns.add_txt(&record, &answer.dns_value());
            }
            _ => {
                // RFC 8738 section 6: an address's server name is its reverse name.
                let server = match name.as_str() {
                    ADDRESS => "4.0.41.198.in-addr.arpa",
                    name => name,
                };
                self.tls
                    .present(server, Answer::challenge(&name, answer.as_str()));
            }
        }
    }
}

async fn register(stand: &Stand, key: Option<&ExternalAccountKey>) -> Account {
    let builder = Account::builder_with_root(stand.root()).unwrap();
    let new = NewAccount {
        contact: &["mailto:one@example.org"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, _) = builder.create(&new, stand.directory(), key).await.unwrap();
    account
}

/// Orders, answers every authorization by this challenge, and collects; the chain's file.
async fn obtains(
    client: &Client<'_>,
    servers: &Servers<'_>,
    account: &Account,
    (how, key): (What, Key),
    names: &[&str],
    replaces: Option<CertificateIdentifier<'_>>,
) -> PathBuf {
    let identifier = |name: &&str| match name.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns((*name).to_owned()),
    };
    let identifiers: Vec<_> = names.iter().map(identifier).collect();
    let mut new = NewOrder::new(&identifiers);
    if let Some(replaces) = replaces {
        new = new.replaces(replaces);
    }
    let mut order = account.new_order(&new).await.unwrap();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.unwrap();
        // Cairn uses what this account showed lately.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind = match how {
            What::Http01 => ChallengeType::Http01,
            What::Dns01 => ChallengeType::Dns01,
            _ => ChallengeType::TlsAlpn01,
        };
        let mut challenge = authorization.challenge(kind).unwrap();
        servers.present(how, &challenge);
        challenge.set_ready().await.unwrap();
    }
    let policy = RetryPolicy::default();
    assert_eq!(order.poll_ready(&policy).await.unwrap(), OrderStatus::Ready);
    let stand = client.stand;
    order
        .finalize_csr(&der(stand, &stand.csr(&stand.key(key), names)))
        .await
        .unwrap();
    let chain = order.poll_certificate(&policy).await.unwrap();
    let file = stand
        .folder()
        .join(format!("{}.chain.pem", issued::serial(&chain).unwrap()));
    fs::write(&file, chain).unwrap();
    client.obtained(&file, names, how, key);
    file
}

/// Revocation by the account, its contact, its key, its end.
async fn account_ends(
    client: &Client<'_>,
    servers: &Servers<'_>,
    mut account: Account,
    chain: &Path,
) {
    let stand = client.stand;
    let leaf = issued::leaf(&fs::read_to_string(chain).unwrap());
    let request = RevocationRequest {
        certificate: &leaf,
        reason: Some(RevocationReason::Superseded),
    };
    stand.assert_revoked(chain, false);
    account.revoke(&request).await.unwrap();
    stand.assert_revoked(chain, true);
    client.does(What::Revocation);
    account
        .update_contacts(&["mailto:two@example.org"])
        .await
        .unwrap();
    client.does(What::Update);
    let before = account.key_thumbprint().to_owned();
    let credentials = account.update_key().await.unwrap();
    assert_ne!(before, account.key_thumbprint());
    let http = (What::Http01, Key::P256);
    obtains(client, servers, &account, http, &["k.instant.test"], None).await;
    client.does(What::KeyChange);
    account.deactivate().await.unwrap();
    let builder = Account::builder_with_root(stand.root()).unwrap();
    let gone = builder.from_credentials(credentials).await.unwrap();
    let name = [Identifier::Dns("d.instant.test".to_owned())];
    let refused = gone.new_order(&NewOrder::new(&name)).await.err();
    assert!(
        refused.is_some_and(|e| e.to_string().contains("unauthorized")),
        "an order of a deactivated account"
    );
    client.does(What::Deactivation);
}

/// A CSR or certificate of a PEM file.
fn der(stand: &Stand, csr: &Path) -> Vec<u8> {
    let file = stand.folder().join("csr.der");
    let mut openssl = stand.system("openssl");
    openssl
        .args(["req", "-outform", "DER", "-in"])
        .arg(csr)
        .arg("-out")
        .arg(&file);
    said(&mut openssl).expect_good("openssl req");
    fs::read(file).unwrap()
}

fn client(stand: &Stand) -> Client<'_> {
    // What the build took.
    let lock = include_str!("../../../Cargo.lock");
    let (_, rest) = lock
        .split_once("name = \"instant-acme\"\nversion = \"")
        .unwrap();
    stand.client("instant-acme", rest.split_once('"').unwrap().0)
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let servers = Servers::start(stand);
    let good = block_on(try_one(stand, &servers)).is_ok();
    (client(stand), good)
}

async fn try_one(stand: &Stand, servers: &Servers<'_>) -> Result<(), ::instant_acme::Error> {
    let new = NewAccount {
        contact: &["mailto:one@example.org"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(stand.root())?;
    let (account, _) = builder.create(&new, stand.directory(), None).await?;
    let name = [Identifier::Dns("a.instant.test".to_owned())];
    let mut order = account.new_order(&NewOrder::new(&name)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge.expect("http-01 is offered");
        servers.present(What::Http01, &challenge);
        challenge.set_ready().await?;
    }
    let policy = RetryPolicy::default();
    order.poll_ready(&policy).await?;
    let csr = stand.csr(&stand.key(Key::P256), &["a.instant.test"]);
    order.finalize_csr(&der(stand, &csr)).await?;
    order.poll_certificate(&policy).await?;
    Ok(())
}

#[test]
fn instant_acme_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        let servers = Servers::start(stand);
        block_on(async {
            let account = register(stand, None).await;
            client.does(What::AccountP256);
            for (number, with) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
                let names = [
                    format!("a{number}.instant.test"),
                    format!("b{number}.instant.test"),
                ];
                obtains(
                    &client,
                    &servers,
                    &account,
                    with,
                    &[&names[0], &names[1]],
                    None,
                )
                .await;
            }
            let hundred = names(100, "instant");
            let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
            let http = (What::Http01, Key::P256);
            obtains(&client, &servers, &account, http, &hundred, None).await;
            let wild = ["*.w.instant.test", "w.instant.test"];
            obtains(
                &client,
                &servers,
                &account,
                (What::Dns01, Key::P256),
                &wild,
                None,
            )
            .await;
            let address = [ADDRESS];
            obtains(
                &client,
                &servers,
                &account,
                (What::TlsAlpn01, Key::P256),
                &address,
                None,
            )
            .await;

            // Moved by the operator, it is due, and its successor says whom it replaces.
            let name = ["r.instant.test"];
            let chain = obtains(&client, &servers, &account, http, &name, None).await;
            let id = named(&fs::read_to_string(&chain).unwrap());
            let (key_id, number) = id.split_once('.').unwrap();
            let id = CertificateIdentifier {
                authority_key_identifier: key_id.into(),
                serial: number.into(),
            };
            let now = || {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .as_secs()
            };
            let window = async || {
                let (info, _) = account.renewal_info(&id).await.unwrap();
                u64::try_from(info.suggested_window.end.unix_timestamp()).unwrap()
            };
            assert!(window().await > now());
            let (status, out, err) = stand.cairn().command(&["ari", "move", &serial(&chain)]);
            assert!(status.success(), "{out}{err}");
            assert!(window().await <= now());
            client.does(What::RenewalInfo);
            let next = obtains(&client, &servers, &account, http, &name, Some(id.clone())).await;
            client.does(What::Renewal);

            account_ends(&client, &servers, account, &next).await;
            let (id, secret) = stand.external_key();
            let secret = data_encoding::BASE64URL_NOPAD
                .decode(secret.as_bytes())
                .unwrap();
            register(stand, Some(&ExternalAccountKey::new(id.clone(), &secret))).await;
            client.opened_with(&id);
        });
        // Known to the compiler: its keys are P-256, and `revoke` is a function of an account.
        for what in [
            What::AccountRsa,
            What::AccountP384,
            What::RevocationByKey,
            What::AlternateChain,
        ] {
            client.has_no(what);
        }
    });
}

#[test]
fn instant_acme_obtains_by_every_challenge_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let servers = Servers::start(stand);
        block_on(async {
            let account = register(stand, None).await;
            for with in CHALLENGES.into_iter().zip(KEYS) {
                let name = format!("{:?}.instant.test", with.0).to_lowercase();
                obtains(&client, &servers, &account, with, &[&name], None).await;
            }
            let http = (What::Http01, Key::P256);
            let name = ["r.instant.test"];
            let chain = obtains(&client, &servers, &account, http, &name, None).await;
            account_ends(&client, &servers, account, &chain).await;
        });
    });
}
