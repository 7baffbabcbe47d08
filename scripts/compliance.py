#!/usr/bin/env python3
"""Writes docs/compliance.md: every clause of the RFCs that Kalends speaks, and the tests that prove it.

    scripts/compliance.py           write it
    scripts/compliance.py --check   fail if it is stale, if a test named is not there, or if a clause is open
    scripts/compliance.py --tests   list all Rust tests with the RFC sections that their comments name

The clauses are in docs/compliance/*.txt:

    title: RFC 4791: …
    5.3.1-a  What the clause asks for, in our words.
      = put::a_rust_test, traps:07, litmus:props/propget
      ! why it is not done

A Rust test is `module::function`, the module being any part of its file's path. A check of a conformance suite is
`suite:beginning of its name`, and must be pinned as good in conformance/expect/. Rust tests may also name their clause
themselves, by a comment `// clause 4791/5.3.1-a` above them.
"""

import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compliance.md"
ORDER = ["rfc4918", "rfc4791", "rfc6578", "ctag", "rfc3744", "rfc5397", "rfc6764", "rfc5689", "rfc5995", "rfc4331", "rfc7240", "rfc3253", "rfc7809", "rfc7265"]
GOOD = {"pass", "full"}
TEST = re.compile(
    r"((?:^[ \t]*//[^\n]*\n)*)((?:^[ \t]*#\[[^\n]*\n|^[ \t]*//[^\n]*\n)*)^[ \t]*(?:pub )?(?:async )?fn (\w+)\(", re.M
)


@dataclasses.dataclass
class Clause:
    id: str
    text: str
    proofs: list
    reason: str | None = None


@dataclasses.dataclass
class RustTest:
    path: str
    name: str
    comment: str

    def link(self):
        return f"[`{self.path.removesuffix('.rs').removeprefix('tests/').removeprefix('src/')}::{self.name}`](../{self.path})"


def main():
    tests = rust_tests()
    if "--tests" in sys.argv:
        for test in tests:
            sections = re.findall(r"RFC \d+[^.;]{0,40}", test.comment)
            print(f"{test.path}::{test.name}  {'; '.join(sections)}")
        return 0
    checks, complaints, parts = conformance(), [], []
    for key in ORDER:
        title, clauses = read(ROOT / "docs" / "compliance" / f"{key}.txt")
        parts.append((title, clauses))
        for clause in clauses:
            clause.proofs += [test for test in tests if f"clause {key.removeprefix('rfc')}/{clause.id}" in test.comment]
            clause.proofs = list(dict.fromkeys(show(proof, tests, checks, complaints, f"{key}/{clause.id}") for proof in clause.proofs))
            if not clause.proofs and not clause.reason:
                complaints.append(f"{key}/{clause.id} is open: {clause.text}")
    page = render(parts)
    if "--check" not in sys.argv:
        PAGE.write_text(page)
    elif not PAGE.exists() or PAGE.read_text() != page:
        complaints.append("docs/compliance.md is stale: run scripts/compliance.py")
    print("\n".join(complaints) or f"{sum(len(c) for _, c in parts)} clauses, each with its tests or its reason")
    return 1 if complaints else 0


def read(path):
    lines = path.read_text().splitlines()
    title, clauses = lines[0].removeprefix("title: "), []
    for line in lines[1:]:
        if line.startswith("  = "):
            clauses[-1].proofs += [proof.strip() for proof in line[4:].split(", ")]
        elif line.startswith("  ! "):
            clauses[-1].reason = line[4:]
        elif line.strip():
            name, text = line.split(maxsplit=1)
            clauses.append(Clause(name, text, []))
    return title, clauses


def rust_tests():
    found = []
    for path in sorted([*(ROOT / "tests").rglob("*.rs"), *(ROOT / "src").rglob("*.rs")]):
        for match in TEST.finditer(path.read_text()):
            comment, attributes, name = match.groups()
            if re.search(r"#\[(tokio::)?test\b", attributes):
                found.append(RustTest(str(path.relative_to(ROOT)), name, comment + attributes))
    return found


def conformance():
    """Suite -> its checks that are pinned as good."""
    pinned = {}
    for path in sorted((ROOT / "conformance" / "expect").glob("*.txt")):
        lines = [line.partition("  # ")[0].split("\t") for line in path.read_text().splitlines() if line.strip()]
        pinned[path.stem] = [check for value, check in lines if value in GOOD]
    return pinned


def show(proof, tests, checks, complaints, where):
    """The proof as a link; complains if it is not there."""
    if isinstance(proof, RustTest):
        return proof.link()
    if "::" in proof:
        module, name = proof.rsplit("::", 1)
        wanted = set(module.split("/"))
        found = [test for test in tests if test.name == name and wanted <= set(re.split(r"[/._]", test.path) + re.split(r"[/.]", test.path))]
        if len(found) != 1:
            complaints.append(f"{where}: {len(found)} Rust tests are called {proof}")
            return f"`{proof}`"
        return found[0].link()
    suite, _, start = proof.partition(":")
    if not any(check.startswith(start) for check in checks.get(suite, [])):
        complaints.append(f"{where}: no check of {suite} that is good begins with {start!r}")
    return f"[{suite}](../conformance/expect/{suite}.txt)" + (f" {start}" if start else "")


def render(parts):
    total = sum(len(clauses) for _, clauses in parts)
    excused = sum(clause.reason is not None for _, clauses in parts for clause in clauses)
    lines = [
        "# Compliance", "",
        "What each RFC asks for, in our words, and the tests that prove it. Written by `scripts/compliance.py` from",
        "`docs/compliance/*.txt` and the tests themselves; `scripts/test docs` fails when it is stale or a test is gone.", "",
        f"{total} clauses, {total - excused} proven, {excused} not done for a reason.", "",
    ]
    for title, clauses in parts:
        lines += [f"## {title}", "", "| clause | what it asks for | proof |", "|---|---|---|"]
        for clause in clauses:
            proof = ", ".join(clause.proofs)
            if clause.reason:
                proof = (proof + "; " if proof else "") + "not done: " + clause.reason
            lines.append(f"| {clause.id} | {clause.text} | {(proof or '**open**').replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
