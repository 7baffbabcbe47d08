#!/usr/bin/env python3
"""Runs the conformance suites, each against a fresh Kalends, and compares with what is pinned.

    conformance/run.py                      all suites
    conformance/run.py litmus traps         these only
    conformance/run.py --pin traps          write the results down as the new expectation (never a worse one)
    conformance/run.py --server URL --user alice:secret --home '/{user}/' traps
                                            against a server that runs already; compares with nothing
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import harness
import tools

SUITES = [
    "litmus", "traps", "clients", "rfc", "corpus", "server_tester", "python_caldav", "vdirsyncer_khal", "tsdav", "webhooks",
]
EXPECTATIONS = tools.HERE / "expect"
GOOD = {"pass", "full"}


def main():
    options = arguments()
    names = options.suites or SUITES
    failed, passed = [], 0
    for name in names:
        started = time.monotonic()
        try:
            results = run_suite(name, options)
        except (tools.Missing, RuntimeError) as error:
            failed.append(name)
            print(f"{name}: cannot run: {error}", flush=True)
            continue
        complaints = [] if options.server else judge(name, results, options.pin)
        if options.server or options.verbose:
            show(results, everything=options.verbose)
        good = sum(value in GOOD for value, _ in results.values())
        passed += good
        for complaint in complaints:
            print(f"  {name}: {complaint}")
        if complaints:
            failed.append(name)
        word = "DIFFERS" if complaints else "ok"
        print(f"{name}: {good} of {len(results)} good, {word} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"conformance: {len(names) - len(failed)} suites as pinned, {len(failed)} not; {passed} checks good")
    return 1 if failed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--pin", action="store_true", help="write down better results")
    parser.add_argument("--verbose", action="store_true", help="print every result")
    parser.add_argument("--server", metavar="URL", help="use this server instead of a fresh Kalends")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    parser.add_argument("--home", default="/dav/calendars/{user}/", metavar="TEMPLATE")
    parser.add_argument("--principal", default="/dav/principals/{user}/", metavar="TEMPLATE")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    return options


def run_suite(name, options):
    """The suite's results: name of the check -> (result, what to know about it)."""
    suite = __import__("suite_" + name)
    with running(options) as server:
        return suite.run(server)


@contextlib.contextmanager
def running(options):
    if options.server:
        url = urllib.parse.urlsplit(options.server)
        users = dict(pair.split(":", 1) for pair in options.user)
        yield harness.Server(url.hostname, url.port or 80, users, options.home, options.principal)
    else:
        with harness.fresh_server() as server:
            yield server


def judge(name, results, pin):
    """Compares with the pinned expectation; with `pin` writes it, unless something got worse."""
    path = EXPECTATIONS / f"{name}.txt"
    expected = read(path)
    complaints = []
    for check, (value, note) in results.items():
        known, _ = expected.get(check, (None, ""))
        if known is None:
            complaints += [] if pin and value in GOOD else [f"{check}: {value}, not pinned yet. {note}"]
        elif known != value and not (pin and known not in GOOD):
            better = value in GOOD and known not in GOOD
            complaints.append(f"{check}: {value} instead of {known}{', pin it' if better else ''}. {note}")
    complaints += [f"{check}: pinned as {value}, but it did not run" for check, (value, _) in expected.items() if check not in results]
    if pin and not complaints:
        write(path, results, expected)
    return complaints


def read(path):
    """Lines `result<TAB>check`, after `#` the reason for a result that is not good."""
    expected = {}
    if path.exists():
        for line in path.read_text().splitlines():
            content, _, reason = line.partition("  # ")
            if content and not content.startswith("#"):
                value, check = content.split("\t")
                expected[check] = (value, reason)
    return expected


def write(path, results, expected):
    lines = []
    for check, (value, _) in results.items():
        reason = expected.get(check, ("", ""))[1] if value not in GOOD else ""
        lines.append(f"{value}\t{check}" + (f"  # {reason}" if reason else ""))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def show(results, everything):
    for check, (value, note) in results.items():
        if everything or value not in GOOD:
            print(f"  {value:12} {check}  {note}")


if __name__ == "__main__":
    sys.exit(main())
