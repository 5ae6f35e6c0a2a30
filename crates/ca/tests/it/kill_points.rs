//! Real processes that die by SIGKILL at every step of an issuance. This program runs itself again as the server that
//! dies; then a node in this process goes on with the same directory and is asked what became of everything.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cairn_ca::{
    config::{Config, Span},
    issuance::signer::{Signable, Signer, Signing},
    model::CertificateState,
    node::Node,
    store::{FaultPoint, Filter},
};
use cairn_testkit::{
    acme::{Client, Response, csr, encode},
    http::{CHALLENGES, Reply, Responder},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    steps::{id, list},
    world::{FORKS, Site, World, parts},
};

/// Tells the child what to do; without it the child's test has nothing to do.
const TASK: &str = "CAIRN_TEST_KILL_POINT";

/// How long a child may take to its point on a crowded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The child's test.
const CHILD: &str = "kill_points::the_child_serves_until_it_dies_at_its_point";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum When {
    /// Everything is written, nothing is committed.
    BeforeCommit,
    /// Committed, and nobody knows.
    AfterCommit,
    /// Permitted, and the key was not asked.
    BeforeSign,
    /// Signed, and nobody knows the signature.
    AfterSign,
}

/// Where a process dies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    when: When,
    transaction: String,
}

impl Point {
    fn strikes(&self, point: FaultPoint, name: &str) -> bool {
        let here = matches!(
            (self.when, point),
            (When::BeforeCommit, FaultPoint::BeforeCommit)
                | (When::AfterCommit, FaultPoint::AfterCommit)
        );
        here && self.transaction == name
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    dir: PathBuf,
    config: Config,
    log: PathBuf,
    /// What it writes before it dies at its point.
    marker: PathBuf,
    point: Point,
    /// Whether it may die while it starts.
    from_the_start: bool,
}

/// Dies at the point, and leaves word that it was there.
fn die_at(marker: &Path) -> ! {
    std::fs::write(marker, b"here").unwrap();
    die()
}

fn die() -> ! {
    // Nothing is left to be done if the process cannot kill itself.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// The real signer, which writes down durably what it signed before anybody gets the signature.
struct Recording {
    real: Arc<dyn Signer>,
    log: PathBuf,
    /// When it dies, and its marker.
    dies: Option<(When, PathBuf)>,
    lies: AtomicBool,
    armed: Arc<AtomicBool>,
}

impl Signer for Recording {
    fn sign(&self, bytes: Signable, deadline: Duration) -> Signing<'_> {
        Box::pin(async move {
            let armed = self.armed.load(Ordering::SeqCst);
            let die_if = |now: When| match &self.dies {
                Some((when, marker)) if armed && *when == now => die_at(marker),
                _ => {}
            };
            die_if(When::BeforeSign);
            let signed = bytes.bytes().to_vec();
            let mut signature = self.real.sign(bytes, deadline).await?;
            let mut log = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.log)
                .unwrap();
            let length = u32::try_from(signed.len()).unwrap();
            log.write_all(&[&length.to_be_bytes()[..], &signed].concat())
                .unwrap();
            log.sync_all().unwrap();
            die_if(When::AfterSign);
            if armed && self.lies.swap(false, Ordering::SeqCst) {
                *signature.last_mut().unwrap() ^= 1;
            }
            Ok(signature)
        })
    }
}

#[test]
fn the_child_serves_until_it_dies_at_its_point() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).unwrap();
    // An orphan does not stay: the parent holds the other end.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        die();
    });
    cairn_testkit::block_on(async {
        let armed = Arc::new(AtomicBool::new(task.from_the_start));
        let mut parts = parts(&task.dir);
        parts.config = task.config;
        parts.issuer.signer = Arc::new(Recording {
            real: parts.issuer.signer,
            log: task.log,
            dies: Some((task.point.when, task.marker.clone())),
            lies: AtomicBool::new(task.point.transaction == "fail_issuance"),
            armed: Arc::clone(&armed),
        });
        let (point, marker, live) = (task.point, task.marker, Arc::clone(&armed));
        parts.faults = Some(Arc::new(move |at, name| {
            if live.load(Ordering::SeqCst) && point.strikes(at, name) {
                die_at(&marker);
            }
            None
        }));
        let _node = Node::start(parts).await.unwrap();
        armed.store(true, Ordering::SeqCst);
        let mut out = std::io::stdout();
        writeln!(out, "serving").and_then(|()| out.flush()).unwrap();
        std::future::pending::<()>().await;
    });
}

/// A child that shall die at a point.
struct Doomed {
    child: Child,
    /// Open while it may live: its end is the child's, too.
    _lifeline: ChildStdin,
    marker: PathBuf,
}

impl Doomed {
    /// Waits for its death; what is wrong with it.
    async fn died(mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                return Err("it lives on".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        match (status.signal(), self.marker.exists()) {
            (Some(9), true) => Ok(()),
            (_, there) => Err(format!("{status}; at its point: {there}")),
        }
    }
}

/// Starts the child.
async fn spawn(site: &Site, log: &Path, point: &Point, from_the_start: bool) -> Doomed {
    let marker = site.dir().join("died-at-its-point");
    let _ = std::fs::remove_file(&marker);
    let task = Task {
        dir: site.dir(),
        config: site.config.clone(),
        log: log.to_owned(),
        marker: marker.clone(),
        point: point.clone(),
        from_the_start,
    };
    let _alone = FORKS.write().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(TASK, serde_json::to_string(&task).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Doomed {
        _lifeline: child.stdin.take().unwrap(),
        child,
        marker,
    }
}

/// Reads the child's output until it serves.
fn await_serving(child: &mut Child) {
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = out.lines();
    let serving = lines.any(|line| line.unwrap().contains("serving"));
    assert!(serving, "the child ended before it served");
}

/// What a client was told.
#[derive(Debug, Default)]
struct Told {
    account: Option<String>,
    order: Option<String>,
    valid: Vec<String>,
    finalized: bool,
    certificate: Option<(String, String)>,
}

async fn ask(client: &Client, url: &str, payload: Option<Value>) -> std::io::Result<Response> {
    let payload = payload.map_or_else(Vec::new, |p| p.to_string().into_bytes());
    loop {
        let draft = client.try_draft_bytes(url, payload.clone()).await?;
        let answer = client.try_send(&draft).await?;
        if answer.problem() != "badNonce" {
            return Ok(answer);
        }
    }
}

/// Follows a resource while its status is one of these.
async fn follow(client: &Client, url: &str, while_: &[&str]) -> std::io::Result<Value> {
    loop {
        let object = ask(client, url, None).await?.expect(200).json();
        if !while_.contains(&object["status"].as_str().unwrap()) {
            return Ok(object);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Goes from wherever it stands to the certificate, noting all that is acknowledged.
async fn obtain(
    client: &mut Client,
    web: &Responder,
    name: &str,
    flaky: bool,
    told: &mut Told,
) -> std::io::Result<Value> {
    if client.kid.is_none() {
        let agreed = json!({ "termsOfServiceAgreed": true });
        let made = ask(client, &client.url("newAccount"), Some(agreed)).await?;
        assert!(made.status == 201 || made.status == 200, "{}", made.text());
        client.kid = Some(made.location());
        told.account = Some(made.location());
    }
    let url = match &told.order {
        Some(url) => url.clone(),
        None => {
            let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
            let placed = ask(client, &client.url("newOrder"), Some(wanted))
                .await?
                .expect(201);
            told.order.insert(placed.location()).clone()
        }
    };
    let mut order = ask(client, &url, None).await?.expect(200).json();
    for authorization in list(&order["authorizations"]) {
        let object = ask(client, &authorization, None).await?.expect(200).json();
        if object["status"] != "pending" {
            continue;
        }
        let challenge = &object["challenges"][0];
        let token = challenge["token"].as_str().unwrap();
        web.token(token, &client.key.authorization(token));
        if flaky {
            web.on_host(
                name,
                &format!("{CHALLENGES}{token}"),
                Reply::Times(1, Box::new(Reply::Reset)),
            );
        }
        let answer = ask(client, challenge["url"].as_str().unwrap(), Some(json!({}))).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let ended = follow(client, &authorization, &["pending"]).await?;
        assert_eq!(ended["status"], "valid", "{ended}");
        told.valid.push(authorization);
    }
    order = follow(client, &url, &["pending"]).await?;
    if order["status"] == "ready" {
        let wanted = json!({ "csr": encode(&csr(&[name]).0) });
        let answer = ask(client, order["finalize"].as_str().unwrap(), Some(wanted)).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        told.finalized = true;
        order = follow(client, &url, &["processing"]).await?;
    }
    order = match order["status"].as_str() {
        Some("processing") => follow(client, &url, &["processing"]).await?,
        _ => order,
    };
    if let Some(certificate) = order["certificate"].as_str() {
        let chain = ask(client, certificate, None).await?.expect(200).text();
        told.certificate = Some((certificate.to_owned(), chain));
    }
    Ok(order)
}

/// Whether everything that was acknowledged is there.
async fn check_told(client: &Client, told: &Told) {
    if let Some(account) = &told.account {
        ask(client, account, None).await.unwrap().expect(200);
        let mut again = client.clone();
        let found = again
            .new_account_with(json!({ "onlyReturnExisting": true }))
            .await
            .expect(200);
        assert_eq!(found.location(), *account);
    }
    for authorization in &told.valid {
        let object = ask(client, authorization, None)
            .await
            .unwrap()
            .expect(200)
            .json();
        assert_eq!(object["status"], "valid", "{object}");
    }
    if let Some(order) = &told.order {
        let object = ask(client, order, None).await.unwrap().expect(200).json();
        let status = object["status"].as_str().unwrap();
        assert!(
            !told.finalized || ["processing", "valid"].contains(&status),
            "{object}"
        );
    }
    if let Some((url, chain)) = &told.certificate {
        assert_eq!(
            ask(client, url, None).await.unwrap().expect(200).text(),
            *chain
        );
    }
}

/// The certificates' bytes that were ever signed; CRLs, whose version is no tagged field, are left out.
fn signed(log: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(log).unwrap();
    let mut rest = bytes.as_slice();
    let mut all = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (tbs, more) = more.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        let header = if tbs[1] < 0x80 {
            2
        } else {
            2 + usize::from(tbs[1] & 0x7f)
        };
        if tbs[header] == 0xa0 {
            all.push(tbs.to_vec());
        }
        rest = more;
    }
    all
}

/// Every signature has its bytes in the store; none was made twice; nothing is left in between.
async fn check_rows(world: &World, log: &Path, order: &str, unconfirmed: usize) -> Vec<String> {
    let store = &world.ca().store;
    let all = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let rows = store.list_certificates(all).await.unwrap().items;
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(text);
    let mut seen = BTreeSet::new();
    for tbs in signed(log) {
        if !rows.iter().any(|row| row.tbs == tbs) {
            fault("a signature without stored bytes".to_owned());
        }
        if !seen.insert(tbs) {
            fault("the same bytes were signed twice".to_owned());
        }
    }
    let serials: BTreeSet<_> = rows.iter().map(|row| row.key.serial).collect();
    if serials.len() != rows.len() {
        fault("a serial twice".to_owned());
    }
    let states = |state: CertificateState| {
        rows.iter()
            .filter(|r| r.order == id(order) && r.state == state)
            .count()
    };
    let found = [
        CertificateState::Permitted,
        CertificateState::Unconfirmed,
        CertificateState::Issued,
    ]
    .map(states);
    if found != [0, unconfirmed, 1] {
        fault(format!(
            "permitted, unconfirmed, issued: {found:?}, not [0, {unconfirmed}, 1]"
        ));
    }
    let listed: BTreeSet<_> = store
        .unconfirmed()
        .await
        .unwrap()
        .iter()
        .map(|c| c.key.serial)
        .collect();
    let expected: BTreeSet<_> = rows
        .iter()
        .filter(|r| r.state == CertificateState::Unconfirmed)
        .map(|r| r.key.serial)
        .collect();
    if listed != expected {
        fault("unconfirmed serials are not all listed".to_owned());
    }
    let work = store.sizes(world.ca().clock.wall()).await.unwrap().work;
    if work != 0 {
        fault(format!("{work} rows of work are left"));
    }
    faults
}

/// Kills a child at the point, goes on in this process, and says what is wrong.
async fn survive(
    site: Site,
    client: &mut Client,
    log: &Path,
    point: &Point,
    then: Option<&Point>,
    unconfirmed: usize,
) -> (Site, Vec<String>) {
    let when = format!("{:?}-{}-{}", point.when, point.transaction, then.is_some());
    let name = format!("{}.kill.test", when.to_lowercase().replace('_', "-"));
    if point.transaction == "create_account" {
        *client = client.with_key(cairn_testkit::acme::Key::es256());
    }
    let mut told = Told::default();
    let mut child = spawn(&site, log, point, false).await;
    await_serving(&mut child.child);
    let flaky = point.transaction == "note_validation_attempt";
    let ended = obtain(client, &site.web, &name, flaky, &mut told).await;
    let mut faults = Vec::new();
    if let Ok(order) = &ended {
        faults.push(format!("the point was not reached: {order}"));
        child.child.kill().unwrap();
    }
    faults.extend(child.died().await.err());
    if let Some(then) = then {
        let second = spawn(&site, log, then, true).await;
        faults.extend(second.died().await.err());
    }

    let armed = Arc::new(AtomicBool::new(false));
    let world = site
        .start(|parts| {
            parts.issuer.signer = Arc::new(Recording {
                real: Arc::clone(&parts.issuer.signer),
                log: log.to_owned(),
                dies: None,
                lies: AtomicBool::new(false),
                armed,
            });
        })
        .await;
    check_told(client, &told).await;
    let order = obtain(client, &world.web, &name, false, &mut told)
        .await
        .unwrap();
    if order["status"] != "valid" {
        faults.push(format!("it did not go on: {order}"));
    }
    faults.extend(check_rows(&world, log, told.order.as_deref().unwrap(), unconfirmed).await);
    let faults = faults
        .into_iter()
        .map(|fault| format!("{point:?} {then:?}: {fault}"))
        .collect();
    (world.stop().await, faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_an_issuance_loses_and_repeats_nothing() {
    // T-CA-50
    use When::{AfterCommit, AfterSign, BeforeCommit, BeforeSign};
    // How many serials of the order are unconfirmed in the end.
    let points = [
        (BeforeCommit, "create_account", 0),
        (AfterCommit, "create_account", 0),
        (BeforeCommit, "create_order", 0),
        (AfterCommit, "create_order", 0),
        (BeforeCommit, "begin_validation", 0),
        (AfterCommit, "begin_validation", 0),
        (BeforeCommit, "note_validation_attempt", 0),
        (AfterCommit, "note_validation_attempt", 0),
        (BeforeCommit, "conclude_validation", 0),
        (AfterCommit, "conclude_validation", 0),
        (BeforeCommit, "begin_issuance", 0),
        (AfterCommit, "begin_issuance", 1),
        (BeforeSign, "", 1),
        (AfterSign, "", 1),
        (BeforeCommit, "fail_issuance", 1),
        (AfterCommit, "fail_issuance", 1),
        (BeforeCommit, "conclude_issuance", 1),
        (AfterCommit, "conclude_issuance", 0),
    ];
    // Not held, so that every validation begins in the store.
    let world = World::with(|config| config.limits.hold = Span::from_millis(0)).await;
    let log = world.dir().join("signed.log");
    std::fs::write(&log, b"").unwrap();
    let mut client = world.subscriber().await;
    let mut site = world.stop().await;
    let mut wrong = Vec::new();
    let point = |when, transaction: &str| Point {
        when,
        transaction: transaction.to_owned(),
    };
    for (when, transaction, unconfirmed) in points {
        let faults;
        (site, faults) = survive(
            site,
            &mut client,
            &log,
            &point(when, transaction),
            None,
            unconfirmed,
        )
        .await;
        wrong.extend(faults);
    }
    // A second kill, while the next process takes over what the first one left.
    for when in [BeforeCommit, AfterCommit] {
        let (first, second) = (point(AfterSign, ""), point(when, "take_over"));
        let faults;
        (site, faults) = survive(site, &mut client, &log, &first, Some(&second), 1).await;
        wrong.extend(faults);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
