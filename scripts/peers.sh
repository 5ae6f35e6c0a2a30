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
)
missing=()
for pair in "${wanted[@]}"; do
  read -r program package <<<"$pair"
  command -v "$program" >/dev/null || missing+=("$package")
done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

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

# The stamp is the list itself, so a changed list is installed anew.
list=tests/peers/requirements.txt
if ! cmp -s "$list" "$peers/installed.txt" || ! "$peers/bin/python" -c '' 2>/dev/null; then
  echo "peers: Python environment in $peers"
  rm -rf "$peers"
  python3 -m venv "$peers"
  "$peers/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
  cp "$list" "$peers/installed.txt"
fi
