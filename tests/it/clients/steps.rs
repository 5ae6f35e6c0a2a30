//! A library's program of ours in `peers/`: each run of it is one step of an account's life. Its words are the same for
//! every library: `DIRECTORY ACCOUNT-KEY STEP…`.

use std::path::{Path, PathBuf};
use std::process::Command;

use cairn_testkit::process::Process;
use cairn_testkit::seen::What;

use super::stand::{ADDRESS, Client, Key, Said, pairs, said, serial};
use crate::other_root;

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// The program, and who answers for it at the real ports.
pub(crate) struct Program<'a> {
    client: &'a Client<'a>,
    command: &'a dyn Fn() -> Command,
    accounts: [(Key, PathBuf); 3],
    _servers: [Process; 2],
}

impl<'a> Program<'a> {
    /// A program that is started so, its words not yet said.
    pub(crate) fn new(client: &'a Client<'a>, command: &'a dyn Fn() -> Command) -> Self {
        let stand = client.stand;
        let alpn = stand.folder().join("alpn");
        std::fs::create_dir(&alpn).unwrap();
        Self {
            client,
            command,
            accounts: KEYS.map(|key| (key, stand.key(key))),
            _servers: [stand.serve_webroot(), stand.serve_alpn(&alpn)],
        }
    }

    fn step(&self, account: &Path, words: &[&str]) -> Said {
        said(self.program(account).args(words))
    }

    fn program(&self, account: &Path) -> Command {
        let stand = self.client.stand;
        let mut command = (self.command)();
        command
            .env("ALPN", stand.folder().join("alpn"))
            .arg(stand.directory())
            .arg(account);
        command
    }

    /// The key of the account that has such a key.
    fn account(&self, key: Key) -> &Path {
        let (_, file) = self.accounts.iter().find(|(of, _)| *of == key).unwrap();
        file
    }

    /// The chain, and the certificate's key.
    fn obtains(
        &self,
        account: &Path,
        (how, key): (What, Key),
        names: &[&str],
    ) -> (PathBuf, PathBuf) {
        let private = self.client.stand.key(key);
        let chain = private.with_extension("chain.pem");
        let words = [
            "obtain",
            how.title(),
            private.to_str().unwrap(),
            chain.to_str().unwrap(),
        ];
        self.step(account, &[&words, names].concat())
            .expect_good(how.title());
        self.client.obtained(&chain, names, how, key);
        (chain, private)
    }

    /// One order, whatever becomes of it.
    pub(crate) fn tries(&self) -> bool {
        let private = self.client.stand.key(Key::P256);
        let mut program = self.program(self.account(Key::P256));
        program.args(["obtain", What::Http01.title()]);
        program
            .arg(&private)
            .arg(private.with_extension("chain.pem"));
        said(program.arg("a.steps.test")).is_good()
    }

    /// Every challenge with every key, an account for each type of key.
    pub(crate) fn obtains_by_every_challenge(&self) {
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let names = [
                format!("a{number}.steps.test"),
                format!("b{number}.steps.test"),
            ];
            self.obtains(self.account(key), (how, key), &[&names[0], &names[1]]);
            self.client.does(key.account());
        }
    }

    /// What Pebble has not: addresses that it reads so, a second chain, keys of an operator.
    pub(crate) fn goes_beyond_pebble(&self) {
        let first = self.account(Key::P256);
        self.obtains(first, (What::Http01, Key::P256), &[ADDRESS]);
        self.prefers_the_other_chain();
        self.opens_with_a_key();
    }

    /// Wildcard, renewal, revocation (by the certificate's key where the library can), then what becomes of the account.
    pub(crate) fn lives_on(&self, revokes_by_key: bool) {
        let (client, first) = (self.client, self.account(Key::P256));
        let plain = (What::Http01, Key::P256);
        let wild = ["*.w.steps.test", "w.steps.test"];
        self.obtains(first, (What::Dns01, Key::P256), &wild);

        let (old, _) = self.obtains(first, plain, &["r.steps.test"]);
        let (chain, private) = self.obtains(first, plain, &["r.steps.test"]);
        assert_ne!(serial(&old), serial(&chain), "a new certificate");
        client.does(What::Renewal);

        let by_account = ["revoke", old.to_str().unwrap()];
        client.stand.assert_revoked(&old, false);
        self.step(first, &by_account).expect_good("revoke");
        client.stand.assert_revoked(&old, true);
        client.does(What::Revocation);
        if revokes_by_key {
            let by_key = ["revoke", chain.to_str().unwrap(), private.to_str().unwrap()];
            self.step(first, &by_key).expect_good("revoke by key");
            client.stand.assert_revoked(&chain, true);
            client.does(What::RevocationByKey);
        }

        let contact = "mailto:two@example.org";
        let said = self.step(first, &["update", contact]).expect_good("update");
        assert!(said.contains(contact), "{said}");
        client.does(What::Update);

        let new = client.stand.key(Key::P384);
        let roll = ["roll", new.to_str().unwrap()];
        self.step(first, &roll).expect_good("roll");
        self.step(first, &["update", contact])
            .expect_bad("the old key");
        self.step(&new, &["update", contact])
            .expect_good("the new key");
        client.does(What::KeyChange);

        self.step(&new, &["deactivate"]).expect_good("deactivate");
        self.step(&new, &["update", contact])
            .expect_bad("a deactivated account");
        client.does(What::Deactivation);
    }

    fn prefers_the_other_chain(&self) {
        let (name, private) = ("other.steps.test", self.client.stand.key(Key::P256));
        let chain = private.with_extension("chain.pem");
        let mut program = self.program(self.account(Key::P256));
        program.env("PREFERRED", other_root::NAME);
        program.args(["obtain", What::Http01.title()]);
        said(program.args([&private, &chain]).arg(name)).expect_good("the other chain");
        self.client.prefers(&chain, name);
    }

    /// An account that is bound to a key of the operator's.
    fn opens_with_a_key(&self) {
        let stand = self.client.stand;
        let (id, secret) = stand.external_key();
        let (account, private) = (stand.key(Key::P256), stand.key(Key::P256));
        let chain = private.with_extension("chain.pem");
        let mut program = self.program(&account);
        program.env("EAB", format!("{id}:{secret}"));
        program.args(["obtain", What::Http01.title()]);
        program.args([&private, &chain]).arg("bound.steps.test");
        said(&mut program).expect_good("an account with a key");
        self.client.opened_with(&id);
    }
}
