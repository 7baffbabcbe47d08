"""litmus (Debian package): the public WebDAV suite, on plain collections and resources below /dav/files/."""

import os
import re
import subprocess
import tempfile

import tools

PROGRAMS = ["basic", "copymove", "props", "locks", "http"]


def run(server):
    programs = tools.litmus()
    results = {}
    with tempfile.TemporaryDirectory(prefix="kalends-litmus-") as scratch:
        for program in PROGRAMS:
            results |= run_program(programs / program, program, server, scratch)
    return results


def run_program(path, program, server, scratch):
    """One of litmus' programs: `program/test` -> pass, warning, skipped or fail."""
    url = f"{server.origin}{server.files('alice')}"
    done = subprocess.run(
        [path, "--htdocs", "/usr/share/litmus/htdocs", url, "alice", server.users["alice"]],
        cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        env={**os.environ, "TERM": "dumb"},
    )
    results = {}
    for line in re.split(r"[\r\n]+", done.stdout):
        if found := re.match(r"\s*\d+\. (\w+)\.* (pass|FAIL|WARNING|SKIPPED)\b(.*)", line):
            name, word, note = found.groups()
            results[f"{program}/{name}"] = (worse(results.get(f"{program}/{name}"), word), note.strip(" :()"))
    if not results:
        raise RuntimeError(f"litmus {program} printed no result:\n{done.stdout}{done.stderr}")
    return results


def worse(known, word):
    """A test prints a WARNING line before its result: it keeps the warning."""
    value = {"pass": "pass", "FAIL": "fail", "WARNING": "warning", "SKIPPED": "skipped"}[word]
    return "warning" if known and known[0] == "warning" and value == "pass" else value
