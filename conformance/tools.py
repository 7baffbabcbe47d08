"""Installs what the suites run, by name and version, once per working copy (below target/conformance/)."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent / "target" / "conformance"


class Missing(Exception):
    """Something that the suites need cannot be had on this machine."""


def python():
    """The interpreter of a virtual environment with everything of requirements.txt."""
    wanted, home = HERE / "requirements.txt", CACHE / "python"
    interpreter, stamp = home / "bin" / "python", home / "installed"
    if stamp.exists() and stamp.read_text() == digest(wanted) and interpreter.exists():
        return interpreter
    shutil.rmtree(home, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    if subprocess.run([sys.executable, "-m", "venv", home], capture_output=True).returncode != 0:
        shutil.rmtree(home, ignore_errors=True)
        debian("python3-venv")
        run([sys.executable, "-m", "venv", home], "a Python virtual environment (package python3-venv)")
    run(
        [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted],
        "the Python packages of conformance/requirements.txt",
    )
    stamp.write_text(digest(wanted))
    return interpreter


def node():
    """The Node program and the directory whose node_modules holds everything of package-lock.json."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        debian("nodejs", "npm")
    home, lock = CACHE / "node", HERE / "package-lock.json"
    stamp = home / "installed"
    if not (stamp.exists() and stamp.read_text() == digest(lock)):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(HERE / "package.json", home)
        shutil.copy(lock, home)
        run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], "the npm packages of conformance/package.json", cwd=home)
        stamp.write_text(digest(lock))
    return shutil.which("node"), home


def litmus():
    """The directory of litmus' test programs."""
    programs = pathlib.Path("/usr/libexec/litmus")
    if not programs.is_dir():
        debian("litmus")
    if not programs.is_dir():
        raise Missing("litmus was installed, but /usr/libexec/litmus is not there")
    return programs


def debian(*packages):
    """Installs Debian packages, as root or through sudo."""
    if shutil.which("apt-get") is None:
        raise Missing(f"this is no Debian: install {' '.join(packages)} by hand and run again")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*prefix, "apt-get", "update", "-qq"], "the list of Debian packages", env=quiet)
    run(
        [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        f"the Debian package(s) {' '.join(packages)}", env=quiet,
    )


def run(command, what, **options):
    """Runs an installer; its output is shown only if it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"cannot install {what}: {error}") from error
    if done.returncode != 0:
        raise Missing(f"cannot install {what}:\n{done.stdout.decode(errors='replace')[-3000:]}")


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def scenario(command, server):
    """Runs a program that prints a JSON line for each check: {"name", "ok", "note"}. It finds the server in its environment."""
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SERVER": json.dumps(
            {"origin": server.origin, "root": server.root, "users": server.users, "program": server.program, "data": server.data}
        ),
    }
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, env=environment, cwd=CACHE
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the scenario broke off (code {done.returncode}):\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
    return {line["name"]: ("pass" if line["ok"] else "fail", line["note"]) for line in lines}
