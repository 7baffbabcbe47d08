"""What every suite stands on: a fresh Kalends, an HTTP client that hides nothing, and named checks.

Standard library only. A suite is a list of named checks; each gets the server and either returns or raises.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import traceback
import urllib.parse
import uuid
import zlib
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
USERS = {"alice": "alice-correct-horse", "bob": "bob-battery-staple", "carol": "carol-paper-clip"}

DAV = "{DAV:}"
CAL = "{urn:ietf:params:xml:ns:caldav}"
CS = "{http://calendarserver.org/ns/}"
APPLE = "{http://apple.com/ns/ical/}"
ME = "{http://me.com/_namespace/}"


# ---------------------------------------------------------------------------------------------- the server


class Server:
    """A running server: where it listens, whom it knows and where its collections are."""

    def __init__(self, host, port, users, home="/dav/calendars/{user}/", principal="/dav/principals/{user}/"):
        self.host, self.port, self.users = host, port, users
        self._home, self._principal = home, principal
        # Where the program and the data directory are, of a server that was started here.
        self.program = self.data = None

    @property
    def origin(self):
        return f"http://{self.host}:{self.port}"

    def home(self, user="alice"):
        return self._home.format(user=user)

    def principal(self, user="alice"):
        return self._principal.format(user=user)

    @property
    def root(self):
        """The path that a person pastes into a client."""
        return "/dav/" if self._home.startswith("/dav/") else "/"

    def files(self, user="alice"):
        return f"/dav/files/{user}/"

    def request(self, method, path, body=None, headers=None, user="alice"):
        """One request on its own connection. `user=None` sends no credentials. Adds no header of its own
        but Host, Content-Length and Authorization."""
        if isinstance(body, str):
            body = body.encode()
        headers = dict(headers or {})
        if user is not None:
            headers.setdefault("Authorization", basic(user, self.users[user]))
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body is not None:
                connection.send(body)
            answer = connection.getresponse()
            return Response(method, path, answer.status, answer.headers, plain(answer.headers, answer.read()))
        finally:
            connection.close()

    def dav(self, method, path, body, depth=None, headers=None, user="alice"):
        """A request with an XML body, `Depth` only if given."""
        headers = {"Content-Type": "application/xml; charset=utf-8", **(headers or {})}
        if depth is not None:
            headers["Depth"] = str(depth)
        return self.request(method, path, body, headers, user)

    def propfind(self, path, *properties, depth=0, user="alice", headers=None):
        """PROPFIND of the named properties (Clark notation), which must be answered with 207."""
        names = "".join(element(name) for name in properties)
        body = f'<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>{names}</D:prop></D:propfind>'
        return self.dav("PROPFIND", path, body, depth, headers, user).multistatus()

    def new_calendar(self, user="alice"):
        """A calendar of the check's own, so that checks do not see each other's objects."""
        path = f"{self.home(user)}check-{uuid.uuid4().hex[:12]}/"
        self.request("MKCALENDAR", path, user=user).expect(201)
        return path

    def put(self, path, data, headers=None, user="alice"):
        return self.request("PUT", path, data, {"Content-Type": "text/calendar; charset=utf-8", **(headers or {})}, user)


def plain(headers, body):
    """The body without its content coding, for checks that ask for one as their client does."""
    coding = headers.get("Content-Encoding", "identity")
    if coding == "identity" or not body:
        return body
    return zlib.decompress(body, wbits=47)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def element(clark):
    """An empty XML element of the name in Clark notation."""
    match = re.fullmatch(r"\{(.*)\}(.+)", clark)
    return f'<{match[2]} xmlns="{match[1]}"/>'


def binary():
    """The program under test: `KALENDS_BIN`, else the release build of this working copy."""
    if chosen := os.environ.get("KALENDS_BIN"):
        return pathlib.Path(chosen)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "kalends"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def fresh_server():
    """A Kalends with a data directory of its own, three users, on a free port; stopped and removed at the end."""
    program, port = binary(), free_port()
    if not program.exists():
        raise SystemExit(f"{program} is missing: run `cargo build --release` first, or set KALENDS_BIN")
    data = pathlib.Path(tempfile.mkdtemp(prefix="kalends-conformance-"))
    log = open(data / "server.log", "wb")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KALENDS_")}
    try:
        serve = [program, "serve", "--listen", f"127.0.0.1:{port}", "--data", data / "store"]
        process = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            server = Server("127.0.0.1", port, USERS)
            server.program, server.data = str(program), str(data / "store")
            wait_until_up(server, process, data / "server.log")
            for name, password in USERS.items():
                add_user(program, data / "store", name, password, environment)
            yield server
            if process.poll() is not None:
                raise RuntimeError(f"the server ended by itself with code {process.returncode}:\n{tail(data / 'server.log')}")
        finally:
            stop(process)
    finally:
        log.close()
        shutil.rmtree(data, ignore_errors=True)


def add_user(program, data, name, password, environment):
    """A user, made by the command while the server runs."""
    done = subprocess.run(
        [program, "user", "add", name, "--email", f"{name}@example.com", "--password-stdin", "--data", data],
        input=password + "\n", capture_output=True, text=True, env=environment, timeout=60,
    )
    if done.returncode != 0:
        raise RuntimeError(f"`kalends user add {name}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def wait_until_up(server, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server did not start (code {process.returncode}):\n{tail(log)}")
        with contextlib.suppress(OSError), socket.create_connection((server.host, server.port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not listen within 30 s:\n{tail(log)}")


def stop(process):
    """Asks the server to end, and insists after ten seconds."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(path, lines=20):
    return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])


# --------------------------------------------------------------------------------------------- the answers


@dataclasses.dataclass
class Response:
    method: str
    path: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def __str__(self):
        return f"{self.method} {self.path} -> {self.status} {self.body[:600].decode(errors='replace')}"

    def expect(self, *statuses):
        assert self.status in statuses, f"expected {' or '.join(map(str, statuses))}: {self}"
        return self

    def header(self, name, default=None):
        return self.headers.get(name, default)

    def xml(self):
        try:
            return ET.fromstring(self.body)
        except ET.ParseError as error:
            raise AssertionError(f"no XML ({error}): {self}") from error

    def multistatus(self):
        self.expect(207)
        return Multistatus(self.xml())

    def precondition(self, *statuses):
        """The one element inside DAV:error, after checking the status."""
        self.expect(*statuses)
        root = self.xml()
        assert root.tag == DAV + "error", f"the body is no DAV:error: {self}"
        children = list(root)
        assert len(children) == 1, f"the error holds {len(children)} elements: {self}"
        return children[0]


@dataclasses.dataclass
class Member:
    """One DAV:response: `status` is its own (None if it has propstats), `found` its properties with 200."""

    href: str
    status: int | None
    found: dict
    missing: dict
    error: ET.Element | None

    def text(self, name):
        assert name in self.found, f"{self.href} has no {name}; it has {sorted(self.found)}, not {self.missing}"
        return self.found[name].text or ""

    def hrefs(self, name):
        assert name in self.found, f"{self.href} has no {name}; not found: {self.missing}"
        return [href.text for href in self.found[name].iter(DAV + "href")]

    def has(self, name, child):
        return name in self.found and self.found[name].find(child) is not None


class Multistatus:
    def __init__(self, root):
        assert root.tag == DAV + "multistatus", f"the answer is {root.tag}"
        self.root = root
        self.members = [member(response) for response in root.findall(DAV + "response")]
        self.sync_token = root.findtext(DAV + "sync-token")

    def __iter__(self):
        return iter(self.members)

    def __len__(self):
        return len(self.members)

    def one(self):
        assert len(self.members) == 1, f"expected one response, got {[m.href for m in self.members]}"
        return self.members[0]

    def get(self, href):
        """The response for this href, compared decoded; None if there is none."""
        wanted = urllib.parse.unquote(href)
        return next((m for m in self.members if urllib.parse.unquote(m.href) == wanted), None)

    def at(self, href):
        found = self.get(href)
        assert found is not None, f"no response for {href}; there are {[m.href for m in self.members]}"
        return found

    def names(self):
        """The last segments of all hrefs, decoded."""
        return sorted(urllib.parse.unquote(m.href.rstrip("/").rsplit("/", 1)[-1]) for m in self.members)


def member(response):
    href = path_of(response.findtext(DAV + "href"))
    found, missing = {}, {}
    for propstat in response.findall(DAV + "propstat"):
        code = code_of(propstat.findtext(DAV + "status"))
        for prop in propstat.find(DAV + "prop"):
            if code == 200:
                found[prop.tag] = prop
            else:
                missing[prop.tag] = code
    status = response.findtext(DAV + "status")
    return Member(href, code_of(status) if status else None, found, missing, response.find(DAV + "error"))


def path_of(href):
    return urllib.parse.urlsplit(href.strip()).path


def code_of(status):
    match = re.match(r"HTTP/1\.1 (\d{3})", status.strip())
    assert match, f"a status element holds {status!r}"
    return int(match[1])


# ---------------------------------------------------------------------------------------------- the checks


class Suite:
    """Named checks in the order of their definition."""

    def __init__(self):
        self.checks = []

    def check(self, name):
        def register(function):
            assert name not in (known for known, _ in self.checks), f"two checks are called {name!r}"
            self.checks.append((name, function))
            return function

        return register

    def run(self, server):
        results = {}
        for name, function in self.checks:
            try:
                function(server)
                results[name] = ("pass", "")
            except Exception as error:
                results[name] = ("fail", explain(error))
        return results


def explain(error):
    frame = traceback.extract_tb(error.__traceback__)
    own = [f for f in frame if "conformance" in f.filename and not f.filename.endswith("harness.py")]
    where = f" (line {own[-1].lineno}: {own[-1].line})" if own else ""
    return f"{type(error).__name__}: {error}{where}"


# --------------------------------------------------------------------------------------------- the objects


def event(uid, summary="Event", start="20301104T090000Z", end="20301104T100000Z", extra=""):
    """One VEVENT as a whole iCalendar object with CRLF line ends; `extra` are more property lines."""
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Kalends//Conformance//EN", "BEGIN:VEVENT", f"UID:{uid}",
        "DTSTAMP:20301101T000000Z", f"DTSTART:{start}", *([f"DTEND:{end}"] if end else []), f"SUMMARY:{summary}",
        *extra.split("\n"), "END:VEVENT", "END:VCALENDAR", "",
    ]
    return "\r\n".join(line for i, line in enumerate(lines) if line or i == len(lines) - 1)


def calendar(*components):
    """An iCalendar object of these components, given as text with any line ends."""
    text = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Kalends//Conformance//EN", *components, "END:VCALENDAR", ""])
    return "\r\n".join(line.strip() for line in text.split("\n") if line.strip()) + "\r\n"


def unfold(text):
    """Logical iCalendar lines."""
    if isinstance(text, bytes):
        text = text.decode()
    return re.sub(r"\r?\n[ \t]", "", text).replace("\r\n", "\n").strip().split("\n")
