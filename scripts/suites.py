#!/usr/bin/env python3
"""Runs the gate's suites one after another and prints the minutes each took.

All test programs are built by one cargo command, so that every suite shares one
feature set; they are then run one by one. A suite that fails does not stop the
ones after it, but the whole then fails. The judges come last: they judge what
the other suites issued.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = pathlib.Path(os.environ.get("CAIRN_PEERS", TARGET / "peers"))
# Seconds after which a suite hangs.
PATIENCE = None if os.environ.get("CAIRN_SOAK") == "1" else 1800
# The quick ones first; what is not named here runs before `cairn-interop`.
ORDER = ["cairn-acme", "cairn-x509", "cairn-testkit", "cairn-fuzz", "cairn-ca", "cairn"]


def run(command, cwd=ROOT, **options):
    """Runs one command with its output passed through; true if it succeeded in time."""
    sys.stdout.flush()
    try:
        return subprocess.run(command, cwd=cwd, timeout=PATIENCE, check=False,
                              **options).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"killed: it ran longer than {PATIENCE} s")
        return False


def build():
    """Builds every target; returns the test programs as (suite, program, package folder)."""
    command = ["cargo", "build", "--workspace", "--all-targets", "--locked",
               "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return None
    suites = []
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact" or not message["executable"]:
            continue
        if not message["profile"]["test"]:
            continue
        target, folder = message["target"], pathlib.Path(message["manifest_path"]).parent
        package = message["package_id"].split("#")[-1].split("@")[0]
        if not package.startswith("cairn"):  # `path+file:///…/crates/cairn#0.1.0`
            package = folder.name
        kind = target["kind"][0]
        unit = kind in ("lib", "bin", "example", "bench")
        name = package if unit else f"{package}/{target['name']}"
        if unit and kind != "lib" and target["name"] != package:
            name = f"{package}/{target['name']}"
        suites.append((name, message["executable"], folder))
    return sorted(suites, key=rank)


def rank(suite):
    """Order of a suite: by package, units before integration tests, judges last."""
    package, _, test = suite[0].partition("/")
    place = ORDER.index(package) if package in ORDER else len(ORDER) + (package == "cairn-interop")
    return (test == "judges", place, test != "", test)


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    rows = []

    def suite(name, step):
        if only and only not in name and name != "build":
            return None
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        result = step()
        good = result is not None and result is not False
        rows.append((name, (time.monotonic() - start) / 60, good))
        return result

    # What earlier runs issued is not this run's to be judged.
    if not only:
        shutil.rmtree(TARGET / "issued", ignore_errors=True)
    suite("format", lambda: run(["cargo", "fmt", "--all", "--check"]))
    suite("deny", lambda: run([str(PEERS / "bin/cargo-deny"), "--log-level", "warn", "--locked",
                               "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
    suite("clippy", lambda: run(["cargo", "clippy", "--workspace", "--all-targets", "--locked",
                                 "--quiet", "--", "-D", "warnings"]))
    for name, program, folder in suite("build", build) or []:
        env = dict(os.environ, CARGO_MANIFEST_DIR=str(folder))
        suite(name, lambda: run([program], cwd=folder, env=env))
    suite("doc", lambda: run(["cargo", "test", "--workspace", "--doc", "--locked", "--quiet"]))

    print(f"\n{'suite':<28}{'minutes':>8}")
    for name, minutes, good in rows:
        print(f"{name:<28}{minutes:>8.2f}{'' if good else '  FAILED'}")
    print(f"{'sum':<28}{sum(row[1] for row in rows):>8.2f}")
    failed = [name for name, _, good in rows if not good]
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
