//! Every fault of the table at two clients that people use: certbot and instant-acme. What they make of it is theirs; they
//! come to an end, the transcript shows that the fault struck, and the server answers whoever comes next.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cairn_testkit::dev::DevCa;
use cairn_testkit::process::{Process, Signal};
use cairn_testkit::{acme, block_on, issued, netns, peers, test_path, wait_for};
use instant_acme::{
    Account, CertificateIdentifier, ChallengeType, Error, Identifier, NewAccount, NewOrder,
    RetryPolicy,
};
use serde_json::Value;

use super::table;
use crate::renewal::named;

/// Within which a client ends, alone on a slow machine: what it waits for in vain is shorter.
const PATIENCE: Duration = Duration::from_secs(150);

/// Servers beside each other: most of the time their clients wait.
const BESIDE: u16 = 11;

/// A row's example, where it strikes in earnest: at finalize if it strikes anywhere.
fn fault(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap();
    let step = row["at"][0].as_str().unwrap_or("finalize");
    let fault = match text("example") {
        "" => text("fault").to_owned(),
        example => format!("{}={}", text("fault"), Value::from(example)),
    };
    format!("{step}:{fault}")
}

/// One order of certbot's.
const ORDER: &[&str] = &[
    "certonly",
    "--standalone",
    "--agree-tos",
    "--register-unsafely-without-email",
    "-d",
    "a.certbot.test",
];

/// What it asks before it renews.
const RENEW: &[&str] = &["renew", "--no-random-sleep-on-renew"];

/// certbot, to its end.
fn certbot(words: &[&str], ca: &DevCa, folder: &Path) -> Result<(), String> {
    let mut command = peers::command("certbot");
    command
        .args(words)
        .args(["--non-interactive", "--server", &ca.directory()]);
    command
        .arg("--http-01-port")
        .arg(ca.http_port().to_string());
    for kind in ["config", "work", "logs"] {
        command.arg(format!("--{kind}-dir")).arg(folder.join(kind));
    }
    peers::trust(&mut command, &ca.root_path());
    let mut process = Process::start("certbot", &mut command);
    match process.wait(PATIENCE) {
        Some(_) => Ok(()),
        None => Err(format!(
            "certbot {} does not end: {:?}",
            words[0],
            process.lines()
        )),
    }
}

/// Whether a fault struck a client in one of the exchanges.
fn struck(transcript: &[Value], name: &str, client: &str) -> bool {
    transcript.iter().any(|one| {
        let by = one["user_agent"].as_str().unwrap_or_default();
        let faults = one["faults"].as_array().unwrap();
        by.to_lowercase().contains(client) && faults.iter().any(|fault| fault == name)
    })
}

/// instant-acme, to its end: an account, one order, the window of what it got.
async fn instant_acme(ca: &DevCa) -> Result<(), Error> {
    let new = NewAccount {
        contact: &[],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(ca.root_path())?;
    let (account, _) = builder.create(&new, ca.directory(), None).await?;
    let web = ca.responder();
    web.answer_for(account.key_thumbprint());
    let name = "a.instant.test";
    let names = [Identifier::Dns(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) {
            challenge.set_ready().await?;
        }
    }
    let policy = RetryPolicy::default();
    order.poll_ready(&policy).await?;
    order.finalize_csr(&acme::csr(&[name]).0).await?;
    let chain = order.poll_certificate(&policy).await?;
    if issued::serial(&chain).is_some() {
        let id = named(&chain);
        let (key_id, number) = id.split_once('.').unwrap();
        let id = CertificateIdentifier {
            authority_key_identifier: key_id.into(),
            serial: number.into(),
        };
        account.renewal_info(&id).await?;
    }
    Ok(())
}

/// One fault at both clients; what is wrong with it.
fn fired(number: u16, row: &Value) -> Vec<String> {
    let name = row["fault"].as_str().unwrap();
    let fault = fault(row);
    let folder = tempfile::tempdir().unwrap();
    let ca = DevCa::at(number, &[]);
    ca.fault(&fault);
    let mut wrong = Vec::new();
    let mut told = |what: String| wrong.push(format!("{fault}: {what}"));
    for words in [ORDER, RENEW] {
        if struck(&ca.transcript(), name, "certbot") {
            break;
        }
        if let Err(what) = certbot(words, &ca, folder.path()) {
            told(what);
        }
    }
    // An outage that certbot met is over before the next one comes.
    let directory = ca.directory();
    let host = directory.split('/').nth(2).unwrap();
    if wait_for(PATIENCE, || TcpStream::connect(host).ok()).is_none() {
        told("takes no connections any more".to_owned());
    }
    let within = block_on(async { tokio::time::timeout(PATIENCE, instant_acme(&ca)).await });
    if within.is_err() {
        told("instant-acme does not end".to_owned());
    }
    let transcript = ca.transcript();
    for client in ["certbot", "instant-acme"] {
        if !struck(&transcript, name, client) {
            let seen: Vec<_> = transcript
                .iter()
                .map(|one| format!("{} {} {}", one["user_agent"], one["step"], one["faults"]))
                .collect();
            told(format!("did not strike {client}: {}", seen.join("\n")));
        }
    }
    assert_eq!(ca.call("DELETE", "/faults", "").status, 200);
    // An outage may last a little longer than the fault.
    let answers = wait_for(Duration::from_secs(30), || {
        let mut curl = peers::system("curl");
        curl.args(["--silent", "--fail", "--max-time", "10", "--cacert"]);
        curl.arg(ca.root_path()).arg(ca.directory());
        curl.output().unwrap().status.success().then_some(())
    });
    if answers.is_none() {
        told("the server does not answer any more".to_owned());
    }
    let (code, lines) = ca.stop(Signal::TERM);
    if code != Some(0) {
        told(format!("ends with {code:?}: {lines:?}"));
    }
    wrong
}

#[test]
fn every_fault_strikes_certbot_and_instant_acme_and_leaves_a_server_that_answers() {
    netns::Namespace::new().seconds(600).run(test_path!(), || {
        let rows = Mutex::new(VecDeque::from(table()));
        let wrong = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for number in 1..=BESIDE {
                let (rows, wrong) = (&rows, &wrong);
                scope.spawn(move || {
                    loop {
                        let row = rows.lock().unwrap().pop_front();
                        let Some(row) = row else { break };
                        wrong.lock().unwrap().extend(fired(number, &row));
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    });
}
