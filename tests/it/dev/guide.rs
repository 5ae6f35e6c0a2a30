//! `docs/testing-clients.md` and its examples: what they say can be said, and what they show runs.

#[expect(
    unreachable_pub,
    reason = "an example for other people's crates, as they take it"
)]
#[path = "../../../docs/examples/cairn_ca.rs"]
mod cairn_ca;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cairn_testkit::dev::{self, DevCa};
use cairn_testkit::process::{Process, Signal};
use cairn_testkit::{netns, peers, places, test_path};
use serde_json::Value;

use super::PATIENCE;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(docs(name)).unwrap()
}

/// A command's words as a shell reads them.
fn words(line: &str) -> Vec<String> {
    let mut shell = peers::system("sh");
    let output = shell
        .args(["-c", &format!("printf '%s\\n' {line}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}");
    let words = String::from_utf8(output.stdout).unwrap();
    words.lines().map(str::to_owned).collect()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn every_option_of_the_guide_is_there_and_its_values_are_taken() {
    netns::inside(test_path!(), || {
        let guide = text("testing-clients.md");
        let help = dev::command(&["--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let known = |option: &str| {
            let name = option.split('=').next().unwrap();
            help.split_whitespace()
                .any(|word| word.split(['[', '=']).next() == Some(name))
        };
        let spans = guide.split('`').skip(1).step_by(2);
        let (mut given, mut unknown, mut seen) = (Vec::new(), Vec::new(), 0);
        for span in spans.filter(|span| span.starts_with("--")) {
            let span = words(span);
            seen += 1;
            unknown.extend(span.first().filter(|option| !known(option)).cloned());
            if span[0] == "--set" || span[0] == "--fault" {
                given.extend(span);
            }
        }
        for line in guide
            .lines()
            .filter_map(|line| line.strip_prefix("cairn ca dev "))
        {
            seen += 1;
            let options = words(line)
                .into_iter()
                .filter(|word| word.starts_with("--"));
            unknown.extend(options.filter(|option| !known(option)));
        }
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(seen > 15 && given.len() > 10, "{seen} {given:?}");
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        assert_eq!(DevCa::start(&given).stop(Signal::TERM).0, Some(0));
    });
}

#[test]
fn every_call_of_the_guide_is_answered_well() {
    netns::inside(test_path!(), || {
        let ca = DevCa::start(&[]);
        let guide = text("testing-clients.md");
        let calls: Vec<&str> = guide
            .lines()
            .filter(|line| line.starts_with("curl "))
            .collect();
        assert!(calls.len() > 4, "{calls:?}");
        for call in calls {
            let call = call.replace("curl ", "curl --silent --show-error --fail ");
            let output = peers::run(peers::system("sh").args(["-c", &call]));
            assert!(output.status.success(), "{call}");
        }
        // And the table has every call that `GET /` names.
        let named = ca.call("GET", "/", "").body;
        let named = named.split(|c: char| c.is_whitespace() || c == ',');
        for call in named.filter(|word| word.len() > 1 && word.starts_with('/')) {
            assert!(call == "/health/ready" || guide.contains(call), "{call}");
        }
    });
}

#[test]
fn the_fixture_gives_a_ca_and_fails_what_breaks_a_must() {
    // There is no pytest here: its fixture's function is run as it stands.
    const RUN: &str = r#"
import http.client, ssl, sys, types, urllib.parse
sys.modules["pytest"] = types.SimpleNamespace(fixture=lambda function: function)
import conftest

def use(headers):
    fixture = conftest.ca()
    ca = next(fixture)
    ca.fault("directory:503 once")
    url = urllib.parse.urlsplit(ca.directory)
    statuses = []
    for _ in range(2):
        trust = ssl.create_default_context(cafile=ca.root)
        connection = http.client.HTTPSConnection(url.netloc, context=trust)
        connection.request("GET", url.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    assert statuses == [503, 200], statuses
    assert [one["answer"]["status"] for one in ca.transcript()] == statuses
    connection.request("HEAD", "/acme/new-nonce", headers=headers)
    connection.getresponse().read()
    ca.advance("30d")
    assert '"ahead_seconds":2592000' in ca.call("GET", "/clock")
    try:
        next(fixture)
    except StopIteration:
        return "good"
    except AssertionError:
        return "bad"

print(use({"User-Agent": "client/1.0", "Accept-Language": "en"}), use({}))
"#;
    netns::inside(test_path!(), || {
        let mut python = peers::command("python");
        python
            .env("CAIRN", places::cairn())
            .env("PYTHONPATH", docs("examples"));
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        let output = peers::run(python.args(["-c", RUN]));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "good bad");
    });
}

#[test]
fn gos_helper_and_its_test_run() {
    netns::inside(test_path!(), || {
        let mut go = peers::system("go");
        go.args(["test", "-count=1", "-v"])
            .arg(docs("examples/cairn_ca_test.go"));
        go.envs([("GO111MODULE", "off"), ("GOFLAGS", "")]);
        go.env("GOCACHE", places::peers().join("go-cache"));
        let output = peers::run(go.env("CAIRN", places::cairn()));
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("--- PASS: TestDirectoryComesBackAfterA503"),
            "{said}"
        );
    });
}

#[test]
fn rusts_helper_starts_asks_and_ends_one() {
    netns::inside(test_path!(), || {
        let ca = cairn_ca::Ca::start(places::cairn(), &["--fault", "directory:503"]).unwrap();
        let clock = ca.call("POST", "/clock", r#"{"advance": "1h"}"#).unwrap();
        assert!(clock.contains("\"ahead_seconds\":3600"), "{clock}");
        let status = |ca: &cairn_ca::Ca| {
            let mut curl = peers::system("curl");
            curl.args([
                "--silent",
                "--write-out",
                "%{http_code}",
                "--output",
                "/dev/null",
            ]);
            let output = peers::run(curl.args(["--cacert", &ca.root, &ca.directory]));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(status(&ca), "503");
        ca.call("DELETE", "/faults", "").unwrap();
        assert_eq!(status(&ca), "200");
        let directory = ca.directory.clone();
        drop(ca);
        let gone = peers::run(peers::system("curl").args(["--insecure", &directory]));
        assert_eq!(gone.status.code(), Some(7), "nobody listens any more");
    });
}

/// The list behind an instruction of the container's recipe.
fn instruction(recipe: &str, name: &str) -> Vec<String> {
    let line = recipe.lines().find_map(|line| line.strip_prefix(name));
    serde_json::from_str(line.unwrap()).unwrap()
}

#[test]
fn the_containers_command_serves_where_there_is_the_c_library_and_nothing_else() {
    netns::inside(test_path!(), || {
        let recipe = text("examples/Containerfile");
        let command = [
            instruction(&recipe, "ENTRYPOINT "),
            instruction(&recipe, "CMD "),
        ]
        .concat();
        let place = recipe
            .lines()
            .find_map(|line| line.strip_prefix("COPY --from=build "));
        let place = place.unwrap().split_once(' ').unwrap().1;
        assert!(place.ends_with(&format!("/{}", command[0])), "{place}");

        let image = tempfile::tempdir().unwrap();
        let put = |from: &Path, to: &str| {
            let to = image.path().join(to.trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        };
        std::fs::create_dir(image.path().join("tmp")).unwrap();
        put(&places::cairn(), place);
        let mut ldd = peers::system("ldd");
        let needs = said(&ldd.arg(places::cairn()).output().unwrap());
        for library in needs
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            // What Debian's slim image has.
            let slim = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
            assert!(slim.iter().any(|name| library.contains(name)), "{library}");
            put(Path::new(library), library);
        }
        let mut chroot = peers::system("chroot");
        chroot.arg(image.path()).arg(place).args(&command[1..]);
        let mut process = Process::start("cairn ca dev in a chroot", &mut chroot);
        process
            .wait_line(PATIENCE, |line| line == "ready")
            .expect("ready");
        let lines = process.lines();
        assert_eq!(lines[0], "directory https://cairn:14000/directory");
        let root = lines[1].strip_prefix("root /").unwrap();
        let mut curl = peers::system("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"]);
        curl.arg(image.path().join(root));
        curl.args([
            "--resolve",
            "cairn:14000:127.0.0.1",
            &lines[0]["directory ".len()..],
        ]);
        assert!(peers::run(&mut curl).status.success());
        process.signal(Signal::TERM);
        assert_eq!(process.wait(PATIENCE).unwrap().code(), Some(0));
    });
}

#[test]
fn the_workflows_commands_pass_a_good_client_and_fail_a_bad_one() {
    const READ: &str =
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    netns::inside(test_path!(), || {
        let mut python = peers::command("python");
        let output = python
            .args(["-c", READ])
            .arg(docs("examples/github-actions.yml"));
        let output = output.output().unwrap();
        let workflow: Value = serde_json::from_slice(&output.stdout).unwrap();
        let steps = workflow["jobs"]["client"]["steps"].as_array().unwrap();
        let run = steps
            .iter()
            .find(|step| step["name"] == "The client's tests")
            .unwrap();
        let script = run["run"].as_str().unwrap();
        for (agent, good) in [("client/1.0", true), ("", false)] {
            let folder = tempfile::tempdir().unwrap();
            let tests = folder.path().join("client-tests");
            let client = format!(
                "#!/bin/sh\nexec curl --silent --fail --user-agent '{agent}' --cacert \"$ROOT\" \"$DIRECTORY\" \"${{DIRECTORY%directory}}acme/new-nonce\"\n"
            );
            std::fs::write(&tests, client).unwrap();
            assert!(
                Command::new("chmod")
                    .arg("+x")
                    .arg(&tests)
                    .status()
                    .unwrap()
                    .success()
            );
            let mut bash = peers::system("bash");
            bash.args(["-e", "-c", script]).current_dir(folder.path());
            bash.env("RUNNER_TEMP", folder.path());
            let path = std::env::var("PATH").unwrap();
            let own = places::cairn().parent().unwrap().display().to_string();
            let output = peers::run(bash.env("PATH", format!("{own}:{path}")));
            assert_eq!(output.status.success(), good, "{agent}: {}", said(&output));
            let report = std::fs::read_to_string(folder.path().join("client.xml")).unwrap();
            assert_eq!(report.contains("<failure"), !good, "{report}");
        }
    });
}
