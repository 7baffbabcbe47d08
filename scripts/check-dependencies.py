#!/usr/bin/env python3
"""Checks the locked dependencies against deny.toml: licences, sources and duplicate versions; no network needed.

Each direct dependency must have its reason in docs/dependencies.md. Advisories need the RustSec database, which no
package registry carries: they are checked if `cargo audit` is installed and RUSTSEC_DB names a copy of it.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
METADATA = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
# Optional dependencies are looked at too.
METADATA += ["--features", "kafka-tls"]
# Crates beside Kalends' own: nothing else of a check builds with their lock files.
BESIDE = ["benches/load/Cargo.toml", "fuzz/Cargo.toml"]


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    metadata = json.loads(subprocess.check_output(METADATA, cwd=ROOT))
    packages = [package for package in metadata["packages"] if package["source"]]
    complaints = [*licences(packages, rules), *sources(packages), *duplicates(packages, rules), *reasons(metadata)]
    complaints += [*stale_locks(), *advisories()]
    print("\n".join(complaints) or f"{len(packages)} dependencies: licences, sources, versions and reasons are in order")
    return 1 if complaints else 0


def stale_locks():
    for manifest in BESIDE:
        command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", manifest]
        if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
            yield f"{manifest}: its lock file is not of its dependencies; `cargo update --workspace --manifest-path {manifest}` mends it"


def licences(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    for package in packages:
        expression = package["license"]
        if not expression:
            yield f"{name(package)}: no licence expression"
        elif not permitted(expression, allowed):
            yield f"{name(package)}: its licence {expression!r} is not allowed by deny.toml"


def permitted(expression, allowed):
    """Evaluates an SPDX expression: `OR`, `AND`, `WITH`, parentheses, and the old `/` for `OR`."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either():
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both() or value
        return value

    def both():
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one():
        token = tokens.pop(0)
        if token == "(":
            value = either()
            tokens.pop(0)
            return value
        if tokens and tokens[0] == "WITH":
            token = " ".join([token, tokens.pop(0), tokens.pop(0)])
        return token in allowed

    return either()


def sources(packages):
    for package in packages:
        if not package["source"].startswith("registry+"):
            yield f"{name(package)}: comes from {package['source']}, not from the registry"


def duplicates(packages, rules):
    """Two versions of one crate need a reason in deny.toml's `bans.skip`."""
    skipped = {entry["crate"] for entry in rules["bans"].get("skip", [])}
    versions = {}
    for package in packages:
        versions.setdefault(package["name"], []).append(package["version"])
    for crate, found in sorted(versions.items()):
        if len(found) > 1 and crate not in skipped:
            yield f"{crate}: {len(found)} versions ({', '.join(sorted(found))}) and no reason in deny.toml"
    for crate in sorted(skipped - {crate for crate, found in versions.items() if len(found) > 1}):
        yield f"{crate}: deny.toml excuses a duplicate that is gone"


def reasons(metadata):
    page = ROOT / "docs" / "dependencies.md"
    text = page.read_text() if page.exists() else ""
    root = next(package for package in metadata["packages"] if package["id"] == metadata["resolve"]["root"])
    for crate in sorted({dependency["name"] for dependency in root["dependencies"]}):
        if f"`{crate}`" not in text:
            yield f"{crate}: docs/dependencies.md gives no reason for it"


def advisories():
    database = os.environ.get("RUSTSEC_DB")
    if not (database and shutil.which("cargo-audit")):
        print("advisories: not checked (needs cargo-audit, and RUSTSEC_DB naming a copy of the RustSec database)")
        return []
    done = subprocess.run(["cargo", "audit", "--no-fetch", "--db", database], cwd=ROOT)
    return ["cargo audit found advisories"] if done.returncode else []


def name(package):
    return f"{package['name']} {package['version']}"


if __name__ == "__main__":
    sys.exit(main())
