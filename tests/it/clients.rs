//! Real clients, one file each: every challenge and key type that the client has, and what else of RFC 8555 it can. Each
//! runs in a namespace of its own at real ports, against Cairn and, where RFC 8555 is all that is asked, against Debian's
//! Pebble too: a script that fails there is wrong. What is seen is kept, and `docs/clients.md` is compared with it.

mod acme_library;
mod acme_tiny;
mod acmetool;
mod ansible;
mod apache;
mod caddy;
mod certbot;
mod checked;
mod dehydrated;
pub(crate) mod go;
mod instant_acme;
mod lacme;
mod lego;
mod npm;
mod served;
mod stand;
mod steps;
mod traefik;
mod uacme;
