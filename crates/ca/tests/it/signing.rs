//! Signers that are slow, silent, late, broken, busy or lying: nothing unverified leaves, no bytes are signed twice, and
//! an order ends valid or with a reason.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn_ca::{
    config::Config,
    id::OrderId,
    issuance::signer::{Signable, Signer, SignerFault, Signing, SoftwareSigner},
    model::{Certificate, CertificateState},
    node::{Node, NodeParts},
    store::{BeginIssuance, Filter, Store, TxError},
};
use cairn_testkit::acme::csr;
use cairn_x509::{
    certificate::Certificate as Parsed,
    key::{KeyKind, PrivateKey},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    steps::{finish, id, ready},
    world::{FORKS, World, parts},
};

/// What the signer does with one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Sign,
    Slow,
    /// Never answers, whatever the deadline.
    Hang,
    /// Signs, and answers after the deadline.
    Late,
    Fail,
    /// Answers with a signature that has one bit wrong.
    Lie,
    /// Answers with a good signature over other bytes.
    Other,
    Busy,
}

/// One request to the signer.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) bytes: Vec<u8>,
    /// Whether the store held these bytes, permitted and unsigned, before the key was asked.
    pub(crate) was_stored: bool,
}

/// The real signer behind a script; without one it signs.
pub(crate) struct Scripted {
    real: Arc<dyn Signer>,
    script: Mutex<VecDeque<Act>>,
    calls: Mutex<Vec<Call>>,
    store: OnceLock<Store>,
    on: AtomicBool,
}

impl Scripted {
    /// Puts itself before the parts' signer.
    pub(crate) fn before(parts: &mut NodeParts) -> Arc<Self> {
        let scripted = Arc::new(Self {
            real: Arc::clone(&parts.issuer.signer),
            script: Mutex::default(),
            calls: Mutex::default(),
            store: OnceLock::new(),
            on: AtomicBool::new(false),
        });
        parts.issuer.signer = Arc::<Self>::clone(&scripted);
        scripted
    }

    /// Counts from here on, and looks into the store.
    pub(crate) fn watch(&self, world: &World) {
        // A second node of one test brings its own store.
        let _ = self.store.set(world.ca().store.clone());
        self.on.store(true, Ordering::SeqCst);
    }

    fn play(&self, script: &[Act]) {
        self.calls.lock().unwrap().clear();
        *self.script.lock().unwrap() = script.iter().copied().collect();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    async fn note(&self, bytes: &[u8]) {
        let newest = Filter {
            limit: 1000,
            ..Filter::default()
        };
        let stored = self
            .store
            .get()
            .unwrap()
            .list_certificates(newest)
            .await
            .unwrap()
            .items;
        let was_stored = stored.iter().any(|c| {
            c.tbs == bytes && c.state == CertificateState::Permitted && c.signature.is_none()
        });
        self.calls.lock().unwrap().push(Call {
            bytes: bytes.to_vec(),
            was_stored,
        });
    }
}

impl Signer for Scripted {
    fn sign(&self, bytes: Signable, deadline: Duration) -> Signing<'_> {
        Box::pin(async move {
            if !self.on.load(Ordering::SeqCst) {
                return self.real.sign(bytes, deadline).await;
            }
            self.note(bytes.bytes()).await;
            let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Sign);
            match act {
                Act::Sign => self.real.sign(bytes, deadline).await,
                Act::Slow => {
                    tokio::time::sleep(deadline / 8).await;
                    self.real.sign(bytes, deadline).await
                }
                Act::Hang => std::future::pending().await,
                Act::Late => {
                    let signature = self.real.sign(bytes, deadline).await;
                    tokio::time::sleep(deadline * 2).await;
                    signature
                }
                Act::Fail => Err(SignerFault::Failed("the token was pulled out".to_owned())),
                Act::Lie => {
                    let mut signature = self.real.sign(bytes, deadline).await?;
                    *signature.last_mut().unwrap() ^= 1;
                    Ok(signature)
                }
                Act::Other => {
                    let other = PrivateKey::generate(KeyKind::P256).unwrap();
                    Ok(other.sign(bytes.bytes()).unwrap())
                }
                Act::Busy => Err(SignerFault::Busy),
            }
        })
    }
}

/// A world whose signer is scripted, with a deadline that tests can wait for.
async fn scripted(change: impl FnOnce(&mut Config)) -> (World, Arc<Scripted>) {
    let mut signer = None;
    let world = World::with_parts(change, |parts| {
        parts.timing.sign = Duration::from_secs(3);
        signer = Some(Scripted::before(parts));
    })
    .await;
    let signer = signer.unwrap();
    signer.watch(&world);
    (world, signer)
}

/// The serials that an order was given, oldest first, from the rows.
async fn serials(world: &World, order: OrderId) -> Vec<Certificate> {
    let all = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let page = world.ca().store.list_certificates(all).await.unwrap();
    let mut of_order: Vec<_> = page
        .items
        .into_iter()
        .filter(|c| c.order == order)
        .collect();
    of_order.reverse();
    of_order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signer_that_is_gone_is_told_as_the_cas_fault_with_a_number_for_its_operator() {
    // F-98
    let (world, signer) = scripted(|_| {}).await;
    let client = world.subscriber().await;
    let order = ready(&world, &client, &["gone.signing.test"]).await;
    signer.play(&[Act::Fail; 3]);
    let ended = finish(&client, &order, &["gone.signing.test"]).await;
    let error = &ended["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:serverInternal");
    let number = order.0.rsplit('/').next().unwrap();
    let says = format!("give the CA's operator this order's number, {number}.");
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains(&says), "{ended}");
    assert!(
        !detail.contains("token"),
        "the reason is the operator's: {ended}"
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_signer_does_an_order_ends_with_a_verified_certificate_or_a_reason() {
    // T-CA-50 T-CA-100 8555-7.4-14
    use Act::{Busy, Fail, Hang, Late, Lie, Other, Sign, Slow};
    use CertificateState::{Issued, Unconfirmed};
    struct Case {
        script: &'static [Act],
        /// What becomes of the serials, in turn.
        want: &'static [CertificateState],
        calls: usize,
    }
    let cases = [
        Case {
            script: &[Sign],
            want: &[Issued],
            calls: 1,
        },
        Case {
            script: &[Slow],
            want: &[Issued],
            calls: 1,
        },
        Case {
            script: &[Busy, Busy, Sign],
            want: &[Issued],
            calls: 3,
        },
        Case {
            script: &[Hang, Sign],
            want: &[Unconfirmed, Issued],
            calls: 2,
        },
        Case {
            script: &[Late, Sign],
            want: &[Unconfirmed, Issued],
            calls: 2,
        },
        Case {
            script: &[Fail, Sign],
            want: &[Unconfirmed, Issued],
            calls: 2,
        },
        Case {
            script: &[Lie, Sign],
            want: &[Unconfirmed, Issued],
            calls: 2,
        },
        Case {
            script: &[Other, Sign],
            want: &[Unconfirmed, Issued],
            calls: 2,
        },
        Case {
            script: &[Lie, Fail, Sign],
            want: &[Unconfirmed, Unconfirmed, Issued],
            calls: 3,
        },
        Case {
            script: &[Fail, Fail, Fail],
            want: &[Unconfirmed; 3],
            calls: 3,
        },
        Case {
            script: &[Lie, Other, Hang],
            want: &[Unconfirmed; 3],
            calls: 3,
        },
    ];
    let (world, signer) = scripted(|_| {}).await;
    let client = world.subscriber().await;
    let issuer = Arc::clone(world.ca().issuance.issuers().first());
    let mut wrong = Vec::new();
    let mut unconfirmed = 0;
    for (number, case) in cases.iter().enumerate() {
        let name = format!("case{number}.signing.test");
        let order = ready(&world, &client, &[&name]).await;
        signer.play(case.script);
        let ended = finish(&client, &order, &[&name]).await;
        let calls = signer.calls();
        let given = serials(&world, id(&order.0)).await;
        unconfirmed += case.want.iter().filter(|s| **s == Unconfirmed).count();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{:?}: {what}: {ended}", case.script));
            }
        };
        let states: Vec<_> = given.iter().map(|c| c.state).collect();
        check(states == case.want, &format!("serials {states:?}"));
        check(calls.len() == case.calls, &format!("{} calls", calls.len()));
        check(
            calls.iter().all(|c| c.was_stored),
            "the key was asked before the bytes were stored",
        );
        let mut bytes: Vec<_> = calls.iter().map(|c| &c.bytes).collect();
        bytes.dedup();
        check(
            bytes.len() == given.len(),
            "bytes of a given-up serial were offered again",
        );
        check(
            given
                .iter()
                .all(|c| (c.state == Issued) == c.signature.is_some()),
            "a signature is stored beside a serial that was given up",
        );
        for gone in given.iter().filter(|c| c.state == Unconfirmed) {
            let url = world.ca().snapshot.load().urls.certificate(gone.key.serial);
            let answer = client.fetch(&url).await;
            check(
                answer.status == 404,
                "an unconfirmed certificate was handed out",
            );
        }
        match given.last().filter(|c| c.state == Issued) {
            Some(_) => {
                check(ended["status"] == "valid", "not valid");
                let chain = client
                    .fetch(ended["certificate"].as_str().unwrap())
                    .await
                    .expect(200);
                let leaf = CertificateDer::from_pem_slice(&chain.body).unwrap();
                let leaf = Parsed::parse(&leaf).unwrap();
                check(
                    leaf.verify_issued_by(&issuer.certificate).is_ok(),
                    "does not verify",
                );
                check(
                    leaf.tbs_der() == given.last().unwrap().tbs,
                    "other bytes than were stored",
                );
            }
            None => {
                check(ended["status"] == "invalid", "not invalid");
                check(
                    ended["error"]["detail"]
                        .as_str()
                        .is_some_and(|d| d.contains("signer")),
                    "no reason",
                );
                check(ended.get("certificate").is_none(), "a certificate's URL");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        world.ca().store.unconfirmed().await.unwrap().len(),
        unconfirmed
    );
    assert_eq!(
        world
            .ca()
            .store
            .sizes(world.ca().clock.wall())
            .await
            .unwrap()
            .work,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_finalizes_of_one_order_are_one_signature() {
    // T-CA-41 8555-7.4-16 8555-7.4-9
    let (world, signer) = scripted(|_| {}).await;
    let client = world.subscriber().await;
    let names = ["many.signing.test"];
    let (url, order) = ready(&world, &client, &names).await;
    signer.play(&[Act::Slow]);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, order, request) = (client.clone(), order.clone(), csr(&names).0);
        asked.spawn(async move { client.finalize(&order, &request).await });
    }
    let answers = asked.join_all().await;
    let granted = answers.iter().filter(|a| a.status == 200).count();
    let refused = answers
        .iter()
        .filter(|a| a.status == 403 && a.problem() == "orderNotReady")
        .count();
    assert_eq!((granted, refused), (1, 49));
    assert_eq!(client.poll(&url, &["processing"]).await["status"], "valid");
    assert_eq!(signer.calls().len(), 1);
    assert_eq!(serials(&world, id(&url)).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_our_lints_refuse_never_reaches_the_signer() {
    // T-CA-98
    let (world, signer) = scripted(|_| {}).await;
    let client = world.subscriber().await;
    let good = world.ca().snapshot.load_full();
    let mut wrong = Vec::new();
    type Spoil = fn(&mut Config);
    let profiles: [(&str, Spoil); 2] = [
        ("no purpose", |c| c.profile.default.server_auth = false),
        ("a policy that is no identifier", |c| {
            c.profile.default.policies = vec!["none".to_owned()]
        }),
    ];
    for (number, (what, spoil)) in profiles.into_iter().enumerate() {
        let mut config = good.config.clone();
        spoil(&mut config);
        world
            .node
            .reload(config, good.blocked.clone())
            .await
            .unwrap();
        let name = format!("lint{number}.signing.test");
        let order = ready(&world, &client, &[&name]).await;
        let answer = client.finalize(&order.1, &csr(&[&name]).0).await;
        if (answer.status, answer.problem().as_str()) != (500, "serverInternal") {
            wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
        }
        if !serials(&world, id(&order.0)).await.is_empty() {
            wrong.push(format!("{what}: a serial was given"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(signer.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serial_that_was_given_is_not_given_again() {
    // T-CA-94
    let (world, signer) = scripted(|_| {}).await;
    let client = world.subscriber().await;
    let first = ready(&world, &client, &["first.signing.test"]).await;
    finish(&client, &first, &["first.signing.test"]).await;
    let issued = serials(&world, id(&first.0)).await.remove(0);

    let second = ready(&world, &client, &["second.signing.test"]).await;
    let order = world
        .ca()
        .store
        .order(issued.account, id(&second.0))
        .await
        .unwrap()
        .unwrap();
    // What a random source that repeats itself would lead to: other names, the same serial.
    let again = BeginIssuance {
        account: order.account,
        order: order.id,
        resumes: None,
        grant: None,
        certificate: Certificate {
            order: order.id,
            state: CertificateState::Permitted,
            names: order.identifiers.clone(),
            signature: None,
            issued_at: None,
            spki_sha256: [7; 32],
            ..issued.clone()
        },
        caa: vec![None; order.identifiers.len()],
        boot: world.ca().boot,
        lease: Duration::from_secs(60),
        now: world.ca().clock.wall(),
    };
    let refused = world.ca().store.transact(again).await;
    assert!(matches!(refused, Err(TxError::Collision)), "{refused:?}");
    assert!(serials(&world, order.id).await.is_empty());
    assert_eq!(serials(&world, issued.order).await.len(), 1);
    let ended = finish(&client, &second, &["second.signing.test"]).await;
    assert_eq!(
        ended["status"], "valid",
        "the order was left as it was: {ended}"
    );
    assert_eq!(signer.calls().len(), 2);
    let given = serials(&world, order.id).await.remove(0);
    assert_ne!(given.key.serial, issued.key.serial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_the_issuers_issues_nothing() {
    // T-CA-100
    let stranger = || {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        Arc::new(SoftwareSigner::start(Arc::new(key)).unwrap())
    };
    let world = World::start().await;
    // With a listener's certificate of before, the node starts and serves; what it signs is thrown away.
    let world = world
        .restarted(|parts| parts.issuer.signer = stranger())
        .await;
    let client = world.subscriber().await;
    let order = ready(&world, &client, &["swapped.signing.test"]).await;
    let ended = finish(&client, &order, &["swapped.signing.test"]).await;
    assert_eq!(ended["status"], "invalid", "{ended}");
    assert_eq!(world.ca().store.unconfirmed().await.unwrap().len(), 3);

    // Without one it cannot even serve.
    let mut swapped = parts(&world.dir());
    swapped.config = world.ca().snapshot.load().config.clone();
    swapped.issuer.signer = stranger();
    std::fs::remove_file(world.dir().join("keys/listener.pem")).unwrap();
    let _quiet = FORKS.read().await;
    world.node.shutdown().await;
    let refused = Node::start(swapped).await.unwrap_err().to_string();
    assert!(refused.contains("signer"), "{refused}");
    assert!(!world.web.log().is_empty());
}
