//! `cairn ca dev`, the real binary: what it says, how it ends, what it refuses, and what its management interface does.

mod faults;
mod guide;
mod load;
mod manage;

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use cairn_testkit::ca::TestCa;
use cairn_testkit::dev::{self, DevCa};
use cairn_testkit::process::{Process, Signal};
use cairn_testkit::{block_on, netns, peers, test_path};
use serde_json::Value;

/// The time that a start or an end may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_says_where_it_is_in_this_order_and_ends_well_when_told_to() {
    netns::inside(test_path!(), || {
        for signal in [Signal::TERM, Signal::INT] {
            let mut process = Process::start("cairn ca dev", &mut dev::command(&[]));
            let ready = process.wait_line(PATIENCE, |line| line == "ready");
            assert!(ready.is_some(), "ready");
            let lines = process.lines();
            let root = lines[1].strip_prefix("root ").unwrap().to_owned();
            let said = [
                "directory https://127.0.0.1:14000/directory".to_owned(),
                format!("root {root}"),
                "manage http://127.0.0.1:14001".to_owned(),
                "dns 127.0.0.1:14053".to_owned(),
                String::new(),
            ];
            assert_eq!(lines[..5], said);
            for (line, client) in lines[5..8].iter().zip(["certbot", "lego", "Account::"]) {
                let whole = line.contains(client) && line.contains(&root);
                assert!(
                    whole && line.contains("https://127.0.0.1:14000/directory"),
                    "{line}"
                );
            }
            assert_eq!(lines[8..], ["ready"]);
            assert!(Path::new(&root).ends_with("root.pem") && Path::new(&root).exists());
            process.signal(signal);
            let code = process.wait(PATIENCE).unwrap().code();
            assert_eq!(code, Some(0), "{signal:?}: {:?}", process.lines());
            assert!(
                !Path::new(&root).parent().unwrap().exists(),
                "{root} is left"
            );
        }
    });
}

/// What a start that is refused says, first line first; it ends by itself with 2.
fn refused(words: &[&str]) -> String {
    let mut process = Process::start("cairn ca dev", &mut dev::command(words));
    let status = process.wait(PATIENCE);
    let said = process.lines().join("\n");
    let code = status.unwrap_or_else(|| panic!("{words:?} serves")).code();
    assert_eq!(code, Some(2), "{words:?}: {said}");
    said
}

#[test]
fn what_it_cannot_start_with_is_named_and_ends_with_2() {
    TestCa::namespace().run(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let odd = write("odd.toml", "[[fault]]\nfault = \"bad-nonse\"\n");
        let key = write("key.toml", "sead = 7\n");
        let file = write("file", "");
        let absent = folder.path().join("absent.toml");
        let absent = absent.to_str().unwrap();
        let below = format!("{file}/below");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let listening = TcpListener::bind(taken);
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        let dns = deaf.local_addr().unwrap().to_string();
        let taken = taken.to_string();
        let earnest = TestCa::builder().init();
        let earnest_dir = earnest.dir();
        let before = listed(&earnest_dir);
        let table: &[(&[&str], &[&str])] = &[
            (&["--listen", &taken], &["--listen", &taken]),
            (&["--manage", &taken], &["--manage", &taken]),
            (&["--dns", &dns], &["--dns", &dns]),
            (
                &["--fault", "bad-nonse"],
                &["--fault", "did you mean bad-nonce?"],
            ),
            (
                &["--fault", "finalize:window=a/b"],
                &["--fault", "renewalInfo"],
            ),
            (&["--scenario", absent], &["--scenario", absent]),
            (
                &["--scenario", &odd],
                &["--scenario", "did you mean bad-nonce?"],
            ),
            (&["--scenario", &key], &["--scenario", "sead"]),
            (&["--dir", &below], &["--dir", &below]),
            (
                &["--dir", earnest_dir.to_str().unwrap()],
                &["--dir", "no test CA's"],
            ),
            (&["--transcript", &below], &["transcript", &below]),
            (&["--set", "nothing.such=1"], &["nothing.such"]),
            (&["--report", "x.xml"], &["--check-client"]),
            (&["--check-client=lax"], &["--check-client"]),
            (&["--http-port", "0"], &["--http-port"]),
        ];
        let mut wrong = Vec::new();
        for (words, has) in table {
            let said = refused(words);
            let first = said.lines().next().unwrap_or_default();
            let lacks = has.iter().any(|word| !said.contains(word));
            if !first.starts_with("error: ") || lacks || said.contains("panicked") {
                wrong.push(format!("{words:?} lacks {has:?}: {said}"));
            }
        }
        drop(listening);
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert_eq!(listed(&earnest_dir), before, "a CA's directory was touched");
    });
}

/// A folder's files with what is in them.
fn listed(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        files.push((name, std::fs::read(entry.path()).unwrap_or_default()));
    }
    files.sort();
    files
}

/// The table of faults as `--list-faults --json` has it.
fn table() -> Vec<Value> {
    let output = dev::command(&["--list-faults", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_list_of_faults_has_the_same_rows_for_people_and_for_programs() {
    let output = dev::command(&["--list-faults"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = table();
    assert!(rows.len() > 20, "{rows:?}");
    assert_eq!(text.lines().count(), rows.len() + 1, "{text}");
    for (line, row) in text.lines().skip(1).zip(&rows) {
        let (fault, does) = (
            row["fault"].as_str().unwrap(),
            row["does"].as_str().unwrap(),
        );
        assert!(
            line.starts_with(fault) && line.contains(does),
            "{line}: {row}"
        );
    }
}

/// What struck, request by request, while an account is opened and orders are placed.
fn struck(seed: &str) -> Vec<(Value, Value)> {
    let ca = DevCa::start(&["--seed", seed, "--fault", "newOrder:bad-nonce=40%"]);
    block_on(async {
        let mut client = ca.client().await;
        client.new_account().await.expect(201);
        for number in 0..12 {
            client.new_order(&[&format!("n{number}.seed.test")]).await;
        }
    });
    let exchange = |one: &Value| (one["step"].clone(), one["faults"].clone());
    let all = ca.transcript().iter().map(exchange).collect();
    assert_eq!(ca.stop(Signal::TERM).0, Some(0));
    all
}

#[test]
fn the_same_seed_and_requests_meet_the_same_faults() {
    netns::inside(test_path!(), || {
        let first = struck("7");
        let hits = first
            .iter()
            .filter(|(_, faults)| *faults != Value::from([""; 0]));
        assert!(hits.count() > 2, "{first:?}");
        assert_eq!(first, struck("7"));
        assert_ne!(first, struck("8"));
    });
}

/// Takes a nonce from a test CA that checks its clients; its exit code and all that it said. Who reads nothing but the
/// directory is no client: he may wait for the server.
fn checked(words: &[&str], curl: &[&str]) -> (Option<i32>, String) {
    let ca = DevCa::start(words);
    let (root, directory) = (ca.root_path(), ca.directory());
    let nonces = directory.replace("/directory", "/acme/new-nonce");
    let mut command = peers::system("curl");
    command.args(["--silent", "--show-error", "--fail", "--cacert"]);
    command.arg(root).args(["--header", "Accept-Language: en"]);
    command.args(curl).args([directory, nonces]);
    assert!(peers::run(&mut command).status.success());
    let (code, lines) = ca.stop(Signal::TERM);
    (code, lines.join("\n"))
}

#[test]
fn a_check_of_clients_fails_by_what_they_broke_and_is_read_by_foreign_parsers() {
    netns::inside(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (xml, json, text) = (path("r.xml"), path("r.json"), path("r.txt"));
        let silent = ["--user-agent", ""];
        // Without a version, which it should have.
        let vague = ["--user-agent", "client"];
        for (words, curl, code, failures) in [
            (vec!["--check-client", "--report", &xml], &[][..], 0, 0),
            (vec!["--check-client=strict", "--report", &xml], &[], 0, 0),
            (vec!["--check-client", "--report", &xml], &vague, 0, 0),
            (
                vec!["--check-client=strict", "--report", &xml],
                &vague,
                1,
                1,
            ),
            (vec!["--check-client", "--report", &xml], &silent, 1, 1),
        ] {
            let (ended, said) = checked(&words, curl);
            assert_eq!(ended, Some(code), "{words:?} {curl:?}: {said}");
            assert_eq!(said.contains("error: a client broke the rules"), code == 1);
            let mut python = peers::command("python");
            let read = "import sys, xml.etree.ElementTree as tree\n\
                        suite = tree.parse(sys.argv[1]).getroot()\n\
                        print(suite.tag, len(suite.findall('testcase')) == int(suite.get('tests')), \
                        len(suite.findall('testcase/failure')), suite.get('failures'))";
            let output = peers::run(python.args(["-c", read, &xml]));
            let shown = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                shown.trim(),
                format!("testsuite True {failures} {failures}")
            );
        }
        let (code, _) = checked(&["--check-client", "--report", &json], &silent);
        assert_eq!(code, Some(1));
        let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["verdict"], "fail", "{report}");
        let (code, _) = checked(&["--check-client", "--report", &text], &silent);
        assert_eq!(code, Some(1));
        let report = std::fs::read_to_string(&text).unwrap();
        assert!(report.contains("user-agent (8555 §6.1, MUST)"), "{report}");
        // Nowhere else: at the end of what it says.
        let (code, said) = checked(&["--check-client"], &silent);
        assert_eq!(code, Some(1));
        assert!(said.contains("\"verdict\":\"fail\""), "{said}");
    });
}

#[test]
fn the_transcript_is_the_same_over_http_and_in_its_file() {
    netns::inside(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.jsonl");
        let ca = DevCa::start(&["--transcript", file.to_str().unwrap()]);
        let web = ca.responder();
        block_on(async {
            let mut client = ca.client().await;
            client.new_account().await.expect(201);
            client.obtain(&["a.kept.test"], &web).await;
        });
        let kept = ca.transcript();
        let steps: Vec<_> = kept.iter().filter_map(|one| one["step"].as_str()).collect();
        for step in [
            "directory",
            "newAccount",
            "newOrder",
            "finalize",
            "certificate",
        ] {
            assert!(steps.contains(&step), "{step} in {steps:?}");
        }
        let last = kept.last().unwrap()["number"].as_u64().unwrap();
        let told = ca.call("GET", &format!("/transcript?since={last}&form=text"), "");
        assert_eq!(told.status, 200);
        assert!(told.body.starts_with(&format!("#{last} ")), "{}", told.body);
        assert_eq!(ca.stop(Signal::TERM).0, Some(0));
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        assert_eq!(lines.collect::<Vec<Value>>(), kept);
    });
}
