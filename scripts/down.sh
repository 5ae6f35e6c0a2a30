#!/usr/bin/env bash
# `make down`: stops what `make up` started, by its pid files, and removes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/up-lib.sh

was=
for name in page ca; do
  if running "$name" >/dev/null; then was=yes; fi
  stop "$name"
done
if [[ $was ]]; then echo "Cairn is down."; else echo "Cairn was not up."; fi
if [[ -d $up ]]; then
  echo "  left: $up (the CA with its keys, logs, certificates); make up goes on with it"
  echo "        to forget it: rm -r $up"
fi
