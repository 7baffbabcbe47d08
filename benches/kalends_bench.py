"""What scripts/bench stands on: servers under test, a client, a generated calendar, and a table of figures."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time

PASSWORD = "correct-horse-battery"
# 2026-01-05, a Monday: the measured weeks begin here, in each calendar with the same events.
MONDAY = datetime.datetime(2026, 1, 5, tzinfo=datetime.timezone.utc)


# ---------------------------------------------------------------------------------------------- the table


class Table:
    """Rows of figure, target, measured, ratio, and whether the target is reached."""

    def __init__(self):
        self.rows = []

    def at_most(self, figure, target, ratio, measured):
        self.rows.append((figure, f"<= {target:.4g}", measured, f"{ratio:.4g}", "ok" if ratio <= target else "**not**"))

    def at_least(self, figure, target, ratio, measured):
        self.rows.append((figure, f">= {target:.4g}", measured, f"{ratio:.4g}", "ok" if ratio >= target else "**not**"))

    def part(self, figure, parts, share, measured):
        """A share that must be at most 1/parts."""
        said = f"1/{1 / share:,.0f}" if share else "0"
        self.rows.append((figure, f"<= 1/{parts:,}", measured, said, "ok" if share * parts <= 1 else "**not**"))

    def missing(self, figure, why):
        self.rows.append((figure, "", why, "", "**not**"))

    def note(self, figure, measured):
        self.rows.append((figure, "", measured, "", ""))

    def markdown(self):
        head = ["| figure | target | measured | ratio | |", "| --- | --- | --- | ---: | --- |"]
        return "\n".join(head + ["| " + " | ".join(row) + " |" for row in self.rows])


# ---------------------------------------------------------------------------------------------- servers


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree_bytes(directory):
    """Bytes on disk, blocks counted, below a directory."""
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
    return total


class Process:
    """A server that this program started."""

    def __init__(self, command, port, log, environment=None):
        self.port, self.started = port, time.monotonic()
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )

    @property
    def pid(self):
        return self.child.pid

    def wait_ready(self, probe, patience=120):
        """Seconds from the start to the first good answer."""
        while time.monotonic() - self.started < patience:
            if self.child.poll() is not None:
                raise RuntimeError(f"the server ended with code {self.child.returncode}; see its log")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if probe():
                    return time.monotonic() - self.started
            time.sleep(0.005)
        raise RuntimeError("the server did not become ready")

    def cpu_seconds(self):
        """CPU time of all its threads; nanoseconds where the kernel counts them for living threads, else clock ticks."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def settle(self, patience=30):
        """Waits until it has nothing more to do, such as flushing what was written before."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            before = self.cpu_seconds()
            time.sleep(0.3)
            if self.cpu_seconds() - before < 0.003:
                return

    def memory(self, what="VmRSS"):
        """MB resident now (VmRSS) or at most since the last `forget_peak` (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s+(\d+)", status, re.M)[1]) / 1024

    def forget_peak(self):
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Kalends:
    """A Kalends on a fresh directory."""

    def __init__(self, binary, data, users=("user01",), engine=None):
        self.binary, self.data, self.port = str(binary), pathlib.Path(data), free_port()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        self.environment = {"KALENDS_DATA": str(self.data), "KALENDS_LOG_LEVEL": "warn"}
        if engine:
            self.environment["KALENDS_STORE_ENGINE"] = engine
        self.process = None
        for user in users:
            self.command("user", "add", user, "--password-stdin", text=PASSWORD + "\n")

    def command(self, *words, text=None):
        done = subprocess.run(
            [self.binary, *words], input=text, capture_output=True, text=True, env={**os.environ, **self.environment}
        )
        if done.returncode != 0:
            raise RuntimeError(f"kalends {' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done

    def start(self):
        """Seconds until it serves."""
        log = (self.data.parent / f"{self.data.name}.log").open("ab")
        self.process = Process([self.binary, "serve", "--listen", f"127.0.0.1:{self.port}"], self.port, log, self.environment)
        return self.process.wait_ready(lambda: Client(self.port, None).request("GET", "/readyz")[0] == 200)

    def stop(self):
        if self.process:
            self.process.stop()

    def peer(self):
        return {
            "name": "kalends", "base_url": f"http://127.0.0.1:{self.port}", "make_calendar": "MKCALENDAR",
            "calendar_home_template": "/dav/calendars/{user}/", "user": "user01", "password": PASSWORD,
            "pid": self.process.pid, "data_dir": str(self.data),
        }


class Radicale:
    """A Radicale on a fresh directory, as its documentation sets it up."""

    def __init__(self, python, home, users=("user01",)):
        self.port = free_port()
        home = pathlib.Path(home)
        shutil.rmtree(home, ignore_errors=True)
        (home / "data").mkdir(parents=True)
        (home / "users").write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
        (home / "config").write_text(
            f"[server]\nhosts = 127.0.0.1:{self.port}\nmax_connections = 64\n"
            f"[auth]\ntype = htpasswd\nhtpasswd_filename = {home / 'users'}\nhtpasswd_encryption = plain\n"
            f"[storage]\nfilesystem_folder = {home / 'data'}\n[logging]\nlevel = error\n"
        )
        self.home, self.python, self.process = home, python, None

    def start(self):
        log = (self.home / "log").open("ab")
        self.process = Process([str(self.python), "-m", "radicale", "--config", str(self.home / "config")], self.port, log)
        self.process.wait_ready(lambda: Client(self.port, "user01").request("OPTIONS", "/")[0] == 200)

    def stop(self):
        if self.process:
            self.process.stop()

    def peer(self):
        return {
            "name": "radicale", "base_url": f"http://127.0.0.1:{self.port}", "make_calendar": "MKCALENDAR",
            "calendar_home_template": "/{user}/", "user": "user01", "password": PASSWORD,
            "pid": self.process.pid, "data_dir": str(self.home / "data"),
        }


class Client:
    """One keep-alive connection."""

    def __init__(self, port, user):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.headers = {}
        if user:
            token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
            self.headers["Authorization"] = f"Basic {token}"

    def request(self, method, path, body=None, **headers):
        self.connection.request(method, path, body, {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = self.connection.getresponse()
        return answer.status, answer.read()


# ---------------------------------------------------------------------------------------------- the calendar


def stamp(time):
    return time.strftime("%Y%m%dT%H%M%SZ")


def event(uid, start, rule="", revision=0):
    """About 1 KB, an hour long."""
    filler = "".join(f"Line {n} of the agenda of {uid} revision {revision}\\n" for n in range(14))[:640]
    lines = [
        "BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", f"DTSTART:{stamp(start)}",
        f"DTEND:{stamp(start + datetime.timedelta(hours=1))}", f"SEQUENCE:{revision}",
        f"SUMMARY:Meeting {uid}", "LOCATION:Room 4\\, second floor", f"DESCRIPTION:{filler}",
        *([f"RRULE:{rule}"] if rule else []),
        "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "DESCRIPTION:Soon", "END:VALARM", "END:VEVENT",
    ]
    return "".join(fold(line) for line in lines)


def fold(line):
    return "\r\n ".join(line[at : at + 74] for at in range(0, len(line), 74)) + "\r\n"


def wrap(events):
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//bench//EN\r\n" + "".join(events) + "END:VCALENDAR\r\n"


def calendar(count, revision=0):
    """`count` events of which a fifth recur, a fifth of those for twenty years. What falls into the four weeks from MONDAY is the
    same for every count: 40 single events, and 20 series from 2006. All else lies before or after, or passes over them."""
    day = datetime.timedelta(days=1)
    events = [event(f"near-{n}", MONDAY + day * (n % 28) + datetime.timedelta(minutes=30 * (n % 16) + 480), "", revision) for n in range(40)]
    old = MONDAY.replace(year=2006, month=1, day=2)
    events += [event(f"series-{n}", old + datetime.timedelta(days=n % 5, minutes=30 * n + 420), "FREQ=WEEKLY", revision) for n in range(20)]
    for n in range(count - len(events)):
        minutes = datetime.timedelta(minutes=15 * (n % 40) + 420)
        if n % 25 == 0:
            # Yearly since 2006, in some month from March to October: twenty years old, and alive.
            at = old.replace(month=3 + n // 25 % 8, day=1 + n // 200 % 28) + minutes
            events.append(event(f"far-{n}", at, "FREQ=YEARLY", revision))
        elif n % 25 in (5, 10, 15, 20):
            # Weekly for half a year, over before the measured weeks.
            events.append(event(f"far-{n}", old + day * (n * 37 % 6_900) + minutes, "FREQ=WEEKLY;COUNT=26", revision))
        else:
            at = MONDAY + day * (60 + n * 11 % 7_000) if n % 2 else MONDAY - day * (30 + n * 11 % 7_000)
            events.append(event(f"far-{n}", at + minutes, "", revision))
    return wrap(events)


def timed(process, count, operation):
    """Median milliseconds by the clock, and milliseconds of the server's CPU, of one operation."""
    operation(-1)
    walls, before = [], process.cpu_seconds()
    for n in range(count):
        start = time.perf_counter()
        operation(n)
        walls.append((time.perf_counter() - start) * 1000)
    return statistics.median(walls), (process.cpu_seconds() - before) * 1000 / count
