//! The `acme` library (PyPI), driven by `peers/acme_client.py`.

use cairn_testkit::{issued, peers, test_path};

use crate::world::{assert_good, inside, names};

#[test]
fn the_python_library_gets_certificates_with_every_key_type() {
    inside(test_path!(), |world| {
        for (count, key) in [(1, "es256"), (2, "es384"), (100, "rs256")] {
            let names = names(count, key);
            let chain = world.folder.path().join(format!("{key}.chain.pem"));
            let mut command = peers::command("python");
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/acme_client.py"));
            command
                .args([&world.ca.directory(), key])
                .arg(&chain)
                .args(&names);
            let output = peers::run(peers::trust(&mut command, &world.ca.root_path()));
            assert!(output.status.success(), "{key}");
            issued::keep_chain(&std::fs::read_to_string(&chain).unwrap());
            assert_good(&chain, &world.ca.root_path(), &names);
        }
    });
}
