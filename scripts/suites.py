#!/usr/bin/env python3
"""Runs the gate's suites one after another and prints the minutes each took.

All test programs are built by one cargo command, so that every suite shares one
feature set; they are then run one by one. A suite that fails does not stop the
ones after it, but the whole then fails. The judges come last: they judge what
the other suites issued. `seen`, after `it` by its name, compares docs/clients.md
with what the clients' tests in `it` saw.
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
# Seconds of libFuzzer for each target, in the long forms alone.
FUZZ = int(os.environ.get("CAIRN_FUZZ_SECONDS", 1200))
# What libFuzzer needs to see which branches an input takes; plain codegen flags, so stable Rust does.
COVERAGE = ("--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 "
            "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters "
            "-Cllvm-args=-sanitizer-coverage-pc-table "
            "-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1")
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
    """Builds everything; returns the test programs as (suite, program, package folder)."""
    # What is shipped where nobody tests clients; a test looks at it. Built first, since it lies where `cairn` will.
    if not run(["cargo", "build", "--workspace", "--no-default-features", "--bin", "cairn", "--locked",
                "--quiet"]):
        return None
    shutil.copy2(TARGET / "debug/cairn", TARGET / "debug/cairn-without-dev")
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


def libfuzzer():
    """Every target under libFuzzer, from the corpus of `make test`; what it finds stays in target/fuzz."""
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = host.split("host: ")[1].split()[0]
    place = TARGET / "fuzz"
    # The versions that everything else has; libFuzzer's own are added.
    shutil.copy(ROOT / "Cargo.lock", ROOT / "fuzz/libfuzzer/Cargo.lock")
    # With --target, build scripts and macros are spared the flags.
    env = dict(os.environ, RUSTFLAGS=COVERAGE, CARGO_TARGET_DIR=str(place / "build"))
    if not run(["cargo", "build", "--release", "--target", host], cwd=ROOT / "fuzz/libfuzzer",
               env=env):
        return False
    program = place / "build" / host / "release/any"
    good = True
    for seeds in sorted(path for path in (ROOT / "fuzz/corpus").iterdir() if path.is_dir()):
        name = seeds.name
        found, grown = place / name / "found", place / name / "corpus"
        found.mkdir(parents=True, exist_ok=True)
        grown.mkdir(parents=True, exist_ok=True)
        print(f"-- {name}", flush=True)
        good &= run([str(program), f"-max_total_time={FUZZ}", "-max_len=65536", "-timeout=10",
                     "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={found}/",
                     str(grown), str(seeds)],
                    env=dict(os.environ, CAIRN_FUZZ_TARGET=name))
    return good


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

    # What earlier runs issued and saw is not this run's to be judged.
    if not only:
        shutil.rmtree(TARGET / "issued", ignore_errors=True)
        shutil.rmtree(TARGET / "seen", ignore_errors=True)
    suite("format", lambda: run(["cargo", "fmt", "--all", "--check"]))
    suite("deny", lambda: run([str(PEERS / "bin/cargo-deny"), "--log-level", "warn", "--locked",
                               "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
    clippy = ["cargo", "clippy", "--workspace", "--locked", "--quiet"]
    suite("clippy", lambda: run([*clippy, "--all-targets", "--", "-D", "warnings"]) and
          run([*clippy, "--no-default-features", "--", "-D", "warnings"]))
    for name, program, folder in suite("build", build) or []:
        env = dict(os.environ, CARGO_MANIFEST_DIR=str(folder))
        if name == "cairn-interop/it":
            # Clients sleep between their questions: half the time of two tests at once is waiting.
            env.setdefault("RUST_TEST_THREADS", str(2 * (os.cpu_count() or 1)))
        suite(name, lambda: run([program], cwd=folder, env=env))
    if PATIENCE is None:
        suite("libfuzzer", libfuzzer)
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
