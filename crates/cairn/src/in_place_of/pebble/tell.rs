//! What Pebble says on standard output, line for line: scripts wait for it. Said when it is true.

use cairn_ca::{
    clock::{Clock, SystemClock},
    dev::Made,
};
use data_encoding::HEXLOWER;

use super::{environment::Environment, settings::Plan};
use crate::ui::Ui;

/// Writes lines as Go's `log` package does with Pebble's prefix; the time is UTC.
pub(super) struct Teller<'a> {
    ui: &'a Ui,
    clock: SystemClock,
}

impl<'a> Teller<'a> {
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            clock: SystemClock::default(),
        }
    }

    /// One line.
    pub(super) fn line(&self, text: &str) {
        let now = go_time(&self.clock.wall().to_string());
        self.ui.out(&format!("Pebble {now} {text}"));
    }

    /// A certificate of the CA's own.
    pub(super) fn issuer(&self, role: &str, made: &Made) {
        let certificate = made.certificate();
        self.line(&format!(
            "Generated new {role} issuer CN={} with serial {} and SKI {}",
            made.name,
            HEXLOWER
                .encode(certificate.serial())
                .trim_start_matches('0'),
            HEXLOWER.encode(certificate.key_id()),
        ));
    }

    /// How the server behaves.
    pub(super) fn ways(&self, plan: &Plan, environment: &Environment) {
        for (name, seconds) in &plan.lives {
            self.line(&match name {
                Some(name) => format!(
                    "Loaded profile {name:?} with certificate validity period of {seconds} seconds"
                ),
                None => format!("Using certificate validity period of {seconds} seconds"),
            });
        }
        self.line(&match &plan.dns {
            Some(server) => format!("Using custom DNS resolver for ACME challenges: {server}"),
            None => "Using system DNS resolver for ACME challenges".to_owned(),
        });
        match environment.pause {
            None => self.line("Disabling random VA sleeps"),
            Some(most) if environment.pause_is_set => {
                self.line(&format!(
                    "Setting maximum random VA sleep time to {most} seconds"
                ));
            }
            Some(_) => {}
        }
        if environment.always_valid {
            self.line("Disabling VA challenge requests. VA always returns valid");
        }
        self.line(&format!(
            "Configured to reject {}% of good nonces",
            environment.nonces_refused
        ));
        self.line(&format!(
            "Configured to attempt authz reuse for each identifier {}% of the time",
            environment.reuse
        ));
        self.line(&format!(
            "Configured to show {} orders per page",
            environment.orders_per_page
        ));
    }

    /// Where the management interface is.
    pub(super) fn managed(&self, address: &str, roots: usize) {
        self.line(&format!("Management interface listening on: {address}"));
        self.line(&format!(
            "Root CA certificate available at: https://{address}/roots/0"
        ));
        for place in 1..roots {
            self.line(&format!(
                "Alternate ({place}) root CA certificate available at: https://{address}/roots/{place}"
            ));
        }
    }
}

/// `2026/11/29 10:00:00` of `2026-11-29T10:00:00Z`.
fn go_time(rfc3339: &str) -> String {
    rfc3339
        .trim_end_matches('Z')
        .replace('-', "/")
        .replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_as_gos_log_has_it() {
        assert_eq!(go_time("2026-11-29T10:00:00Z"), "2026/11/29 10:00:00");
    }
}
