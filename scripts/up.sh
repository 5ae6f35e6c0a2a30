#!/usr/bin/env bash
# `make up`: a CA at https://localhost:14443, a certificate obtained from it through ACME, a page
# over HTTPS. No root, nothing outside .cairn-up. Run again: the same CA, a fresh certificate.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/up-lib.sh

ports=("$ca_port" "$publication_port" "$page_port" "$http_port")
# Before minutes of building, unless it is ours that runs.
if ! running ca >/dev/null && ! running page >/dev/null; then
  free "${ports[@]}"
fi

mkdir -p -m 700 "$up"
# The tests name programs that are built already.
cairn=${CAIRN_BIN:-} page=${CAIRN_PAGE:-}
if [[ -z $cairn || -z $page ]]; then
  target=${CARGO_TARGET_DIR:-target}
  cargo build --quiet --locked --workspace --bin cairn --example up
  cairn=$target/debug/cairn page=$target/debug/examples/up
fi

stop page
stop ca
free "${ports[@]}"

if [[ ! -f $up/ca/cairn.toml ]]; then
  "$cairn" ca init "$up/ca" --name "Cairn Up" --url "https://localhost:$ca_port" \
    --permit-dns localhost --http-port "$http_port" --tls-port "$tls_port" --unlock file \
    --set profile.default.life=24h \
    --set "listen.publication=[\"127.0.0.1:$publication_port\"]" >"$up/init.log" 2>&1 ||
    { cat "$up/init.log" >&2; exit 1; }
fi
cp -f "$up/ca/root.pem" "$up/root.pem"

# As a shell takes it, whatever the path has.
root=$(printf '%q' "$here/root.pem")
cat >"$up/env" <<END
# Makes programs trust the CA of \`make up\`:  . .cairn-up/env
export SSL_CERT_FILE=$root
export REQUESTS_CA_BUNDLE=$root
END
cat >"$up/certbot.ini" <<END
# certbot at the CA of \`make up\`, without root.
server = https://localhost:$ca_port/directory
http-01-port = $http_port
config-dir = $here/certbot
work-dir = $here/certbot/work
logs-dir = $here/certbot/logs
register-unsafely-without-email = true
agree-tos = true
non-interactive = true
END

start ca 'serving https://' "$cairn" ca serve --dir "$up/ca"
start page 'serving https://' "$page" \
  "https://localhost:$ca_port/directory" "$up/root.pem" demo.localhost "$http_port" "$page_port"

cat <<END
Cairn is up.
  CA        https://localhost:$ca_port/directory     root: ./$up/root.pem
  Page      https://demo.localhost:$page_port/          certificate from that CA, 24 h
Try        curl --cacert $up/root.pem https://demo.localhost:$page_port/
           (. $up/env && certbot -c $up/certbot.ini certonly --standalone -d two.demo.localhost)
Stop       make down
END
