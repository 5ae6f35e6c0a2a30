#!/usr/bin/env bash
# Installs what the tests run against: Debian's programs (root only) and a Python
# environment in the target directory. A second run finds all there and says nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
peers="${CAIRN_PEERS:-${CARGO_TARGET_DIR:-target}/peers}"

# program, then the Debian package that has it
wanted=(
  "cc gcc" "pebble pebble" "openssl openssl" "ip iproute2" "unshare util-linux"
  "mount mount" "timeout coreutils" "python3 python3" "strace strace" "curl curl"
  "certbot certbot" "lego lego" "uacme uacme" "dehydrated dehydrated" "acme-tiny acme-tiny"
  "acmetool acmetool" "/usr/sbin/lacme lacme" "lacme-accountd lacme-accountd"
  "apache2 apache2" "nginx nginx" "node nodejs" "npm npm" "go golang-go"
  "/usr/share/gocode/src/golang.org/x/crypto/acme golang-golang-x-crypto-dev"
)
missing=()
for pair in "${wanted[@]}"; do
  read -r program package <<<"$pair"
  command -v "$program" >/dev/null || [[ -d $program ]] || missing+=("$package")
done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
# lacme-accountd reads RSA keys with what its package only recommends.
perl -MCrypt::OpenSSL::RSA -MCrypt::OpenSSL::Bignum -e1 2>/dev/null ||
  missing+=(libcrypt-openssl-rsa-perl libcrypt-openssl-bignum-perl)

if ((${#missing[@]})); then
  if [[ $(id -u) != 0 ]]; then
    echo "error: the tests need programs that are not installed" >&2
    echo "install them as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "peers: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  # Servers and timers among them are for the tests to start: invoke-rc.d asks this program, where there is none yet.
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
fi

# The stamp is the lists themselves, so a changed list is installed anew.
lists=(tests/peers/{requirements.txt,collections.txt,package-lock.json})
if ! cmp -s <(cat "${lists[@]}") "$peers/installed.txt" || ! "$peers/bin/python" -c '' 2>/dev/null; then
  echo "peers: packages of Python and Node.js in $peers"
  rm -rf "$peers"
  python3 -m venv "$peers"
  pip=("$peers/bin/pip" --quiet --disable-pip-version-check)
  "${pip[@]}" install --requirement tests/peers/requirements.txt
  # Of Ansible's hundred collections one is wanted: the wheel is read, not installed (20,000 files, half a minute).
  "${pip[@]}" download --no-deps --dest "$peers/wheels" --requirement tests/peers/collections.txt
  "$peers/bin/python" - "$peers" <<'PYTHON'
import pathlib, sys, zipfile
peers = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(peers.glob("wheels/ansible-*.whl")))
wanted = [name for name in wheel.namelist() if name.startswith("ansible_collections/community/crypto/")]
wheel.extractall(peers / "ansible", wanted)
PYTHON
  rm -r "$peers/wheels"
  cp tests/peers/package.json tests/peers/package-lock.json "$peers"
  npm ci --prefix "$peers" --ignore-scripts --no-audit --no-fund --silent
  cat "${lists[@]}" >"$peers/installed.txt"
fi
