//! `make up` and `make down` as a newcomer meets them, from a copy of their scripts.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use cairn_testkit::{netns::Namespace, peers, places, test_path};

/// Runs a command in the copy's folder with programs that are built already; what it said.
fn run(place: &Path, command: &mut Command) -> (Output, String) {
    let page = places::cairn().with_file_name("examples").join("up");
    let path = std::env::var("PATH").unwrap();
    command
        .current_dir(place)
        .env("CAIRN_BIN", places::cairn())
        .env("CAIRN_PAGE", page)
        .env(
            "PATH",
            format!("{}:{path}", places::peers().join("bin").display()),
        );
    let output = peers::run(command);
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    (output, String::from_utf8(said).unwrap())
}

#[test]
fn up_twice_shows_the_page_its_printed_lines_work_and_down_ends_it() {
    Namespace::new().run(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::create_dir(place.join("scripts")).unwrap();
        for script in ["up.sh", "up-lib.sh", "down.sh"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
            std::fs::copy(from.join(script), place.join("scripts").join(script)).unwrap();
        }
        let script = |name: &str| run(place, &mut Command::new(place.join("scripts").join(name)));
        let root = || std::fs::read(place.join(".cairn-up/root.pem")).unwrap();

        let (up, said) = script("up.sh");
        assert!(up.status.success() && said.contains("Cairn is up."));
        let first = root();
        // The lines after "Try" work as they stand.
        let tries: Vec<&str> = said
            .lines()
            .skip_while(|line| !line.starts_with("Try"))
            .take_while(|line| !line.starts_with("Stop"))
            .map(|line| line.trim_start_matches("Try").trim())
            .collect();
        assert_eq!(tries.len(), 2, "{said}");
        for (line, says) in tries.iter().zip(["demo.localhost", "two.demo.localhost"]) {
            let (done, said) = run(place, Command::new("bash").args(["-c", line]));
            assert!(done.status.success() && said.contains(says), "{line}");
        }

        // Again: the same CA.
        let (up, _) = script("up.sh");
        assert!(up.status.success());
        assert_eq!(first, root());
        let (page, _) = run(place, Command::new("bash").args(["-c", tries[0]]));
        assert!(page.status.success());

        let (down, said) = script("down.sh");
        assert!(down.status.success() && said.contains("Cairn is down."));
        let (page, _) = run(place, Command::new("bash").args(["-c", tries[0]]));
        assert!(!page.status.success(), "the page is still served");

        // A port that another has is named with its owner, and nothing is started.
        let taken = TcpListener::bind("127.0.0.1:8443").unwrap();
        let (up, said) = script("up.sh");
        let owner = format!("port 8443 is taken by pid {}:", std::process::id());
        assert!(!up.status.success() && said.contains(&owner), "{said}");
        drop(taken);
        let (down, said) = script("down.sh");
        assert!(down.status.success() && said.contains("Cairn was not up."));
    });
}
