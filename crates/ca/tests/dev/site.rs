//! What every test here has: a test CA on ports of its own, a DNS server that knows all names below `test`, and a web server
//! that they lead to.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use cairn_ca::{
    config::NameRule,
    dev::{
        Conduct, FaultId, Finding, Level, Ports, Scenario, Settings, TestCa, Transcript, transcript,
    },
    node::Ca,
};
use cairn_testkit::{
    acme::{Client, csr},
    dns, free_port,
    http::Responder,
};
use serde_json::Value;

pub(crate) struct Site {
    pub(crate) ca: TestCa,
    pub(crate) web: Responder,
    pub(crate) dns: dns::Server,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// With that scenario in force.
    pub(crate) async fn with(scenario: &str) -> Self {
        Self::tuned(|settings, _| settings.scenario = Scenario::parse(scenario).unwrap()).await
    }

    /// With its transcript in a file too.
    pub(crate) async fn written(scenario: &str, file: Option<PathBuf>) -> Self {
        Self::tuned(|settings, _| {
            settings.scenario = Scenario::parse(scenario).unwrap();
            settings.transcript = Some(transcript::Settings { file });
        })
        .await
    }

    /// That behaves so.
    pub(crate) async fn behaving(conduct: Conduct) -> Self {
        Self::tuned(|settings, _| settings.conduct = conduct).await
    }

    /// With settings of the test's own, which are told the ports of the web server.
    pub(crate) async fn tuned(tune: impl FnOnce(&mut Settings, Ports)) -> Self {
        let (web, dns) = (Responder::local(), dns::Server::local());
        dns.add_wildcard("test", Ipv4Addr::LOCALHOST);
        let mut settings = Settings::local(free_port(), free_port()).unwrap();
        settings.config.dns.servers = vec![dns.address()];
        settings.config.names.push(NameRule {
            suffix: "test".to_owned(),
            dial: vec!["127.0.0.0/8".parse().unwrap()],
            http_port: Some(web.address().port()),
            ..NameRule::default()
        });
        settings.config.limits.queue_age = cairn_ca::config::Span::from_secs(60);
        settings.transcript = Some(transcript::Settings::default());
        let port = web.address().port();
        let ports = Ports {
            http: port,
            tls: port,
        };
        tune(&mut settings, ports);
        Self {
            ca: TestCa::start(settings).await.unwrap(),
            web,
            dns,
        }
    }

    pub(crate) fn node(&self) -> &Ca {
        self.ca.node().ca()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        *self.ca.node().subscribers.first().unwrap()
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        self.ca.transcript().unwrap()
    }

    /// What was found that is a MUST.
    pub(crate) fn musts(&self) -> Vec<Finding> {
        let mut found = self.transcript().findings();
        found.retain(|finding| finding.check().level == Level::Must);
        found
    }

    /// How often that check was broken.
    pub(crate) fn broken(&self, name: &str) -> usize {
        let found = self.transcript().findings();
        found.iter().filter(|f| f.check().name == name).count()
    }

    /// Puts a fault in force.
    pub(crate) fn fault(&self, text: &str) -> FaultId {
        self.ca.doors().add(text.parse().unwrap())
    }

    /// How many requests the fault was for, and how many it struck.
    pub(crate) fn counts(&self, id: FaultId) -> (u64, u64) {
        let all = self.ca.doors().list();
        let found = all.iter().find(|listed| listed.id == id).unwrap();
        (found.met, found.struck)
    }

    /// A client without an account, whose chains nobody judges: some are wrong on purpose.
    pub(crate) async fn stranger(&self) -> Client {
        let client = Client::connect(self.ca.directory(), self.ca.root_pem()).await;
        client.unjudged()
    }

    /// A client with an account.
    pub(crate) async fn subscriber(&self) -> Client {
        let mut client = self.stranger().await;
        client.new_account().await.expect(201);
        client
    }

    /// An order whose authorizations are all valid: its URL and the object.
    pub(crate) async fn ready(&self, client: &Client, name: &str) -> (String, Value) {
        let placed = client.new_order(&[name]).await.expect(201);
        let authorization = first(&placed.json());
        if let Some(answer) = client.answer(&authorization, &self.web).await {
            answer.expect(200);
        }
        let order = client.poll(&placed.location(), &["pending"]).await;
        assert_eq!(order["status"], "ready", "{order}");
        (placed.location(), order)
    }
}

/// An order's first authorization.
pub(crate) fn first(order: &Value) -> String {
    order["authorizations"][0].as_str().unwrap().to_owned()
}

/// The answer to finalize with a new key.
pub(crate) async fn finalize(
    client: &Client,
    order: &Value,
    name: &str,
) -> cairn_testkit::acme::Response {
    client.finalize(order, &csr(&[name]).0).await
}
