"""caldav-server-tester (PyPI): what a server does, feature by feature, as the python-caldav project sees it."""

import ast
import json
import os
import subprocess
import tempfile

import tools


def run(server):
    interpreter = tools.python()
    with tempfile.TemporaryDirectory(prefix="kalends-server-tester-") as scratch:
        config = os.path.join(scratch, "calendar.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(sections(server))
        command = [
            interpreter, "-m", "caldav_server_tester.caldav_server_tester", "--format", "hints",
            *(option for user in server.users for option in ("--config-section", user)),
        ]
        done = subprocess.run(
            command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
            env={**os.environ, "CALDAV_CONFIG_FILE": config, "HOME": scratch, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    start = done.stdout.find("{\n")
    if start < 0:
        raise RuntimeError(f"caldav-server-tester reported nothing:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    features = ast.literal_eval(done.stdout[start:])
    return {name: result(found) for name, found in features.items() if is_feature(found)}


def sections(server):
    """The library's configuration file: JSON, one section for each account."""
    return json.dumps(
        {
            user: {"caldav_url": server.origin + server.root, "caldav_username": user, "caldav_password": password}
            for user, password in server.users.items()
        }
    )


def is_feature(found):
    """Leaves out the tester's notes to itself, which say nothing about the server's support."""
    return "support" in found


def result(found):
    return found["support"], found.get("behaviour", found.get("description", ""))
