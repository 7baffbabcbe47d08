"""vdirsyncer and khal (PyPI): two machines with a directory of events each, khal on top, the server between them."""

import json
import os
import pathlib
import re
import subprocess
import tempfile

from harness import DAV, Suite, calendar, event

import tools


def run(server):
    with tempfile.TemporaryDirectory(prefix="kalends-vdirsyncer-") as scratch:
        path = server.new_calendar()
        machines = [Machine(name, pathlib.Path(scratch) / name, server, path) for name in ("desk", "lap")]
        return scenario(path, *machines).run(server)


class Machine:
    """One computer: a vdir that vdirsyncer keeps in step with the server, and khal that reads and writes it."""

    def __init__(self, name, home, server, path):
        self.bin = tools.python().parent
        self.home, self.calendar = home, path.strip("/").rsplit("/", 1)[-1]
        self.vdir = home / "calendars" / self.calendar
        home.mkdir()
        (home / "vdirsyncer.conf").write_text(vdirsyncer_configuration(home, server, self.calendar))
        (home / "khal.conf").write_text(khal_configuration(home, self.calendar))

    def vdirsyncer(self, *arguments, good=True, answer=""):
        done = self._run(self.bin / "vdirsyncer", "-c", self.home / "vdirsyncer.conf", *arguments, answer=answer)
        assert (done.returncode == 0) == good, f"vdirsyncer {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def sync(self, **options):
        return self.vdirsyncer("sync", **options)

    def khal(self, *arguments):
        done = self._run(self.bin / "khal", "-c", self.home / "khal.conf", *arguments)
        assert done.returncode == 0, f"khal {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def agenda(self, day, days="1d"):
        """What khal shows from a day on: `start title` lines."""
        lines = self.khal("list", "--day-format", "", "--format", "{start-date} {start-time} {title}", day, days).splitlines()
        return [line.strip() for line in lines if re.match(r"\d{4}-", line.strip())]

    def files(self):
        return {file.name: file.read_text() for file in sorted(self.vdir.glob("*.ics"))}

    def write(self, name, text):
        (self.vdir / name).write_text(text, newline="")

    def titled(self, title):
        """The path of the one file with this title."""
        found = [self.vdir / name for name, text in self.files().items() if f"SUMMARY:{title}" in text]
        assert len(found) == 1, f"{len(found)} files are titled {title!r}: {sorted(self.files())}"
        return found[0]

    def _run(self, *command, answer=""):
        environment = {**os.environ, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache"), "XDG_DATA_HOME": str(self.home / "data"), "TZ": "Europe/Berlin", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        environment.pop("XDG_CONFIG_HOME", None)
        return subprocess.run(command, input=answer, capture_output=True, text=True, timeout=120, env=environment, cwd=self.home)


def vdirsyncer_configuration(home, server, calendar_name):
    return f"""
[general]
status_path = {json.dumps(str(home / "status"))}

[pair calendars]
a = "local"
b = "remote"
collections = [{json.dumps(calendar_name)}]
metadata = ["color", "displayname"]

[storage local]
type = "filesystem"
path = {json.dumps(str(home / "calendars"))}
fileext = ".ics"

[storage remote]
type = "caldav"
url = {json.dumps(server.origin + server.root)}
username = "alice"
password = {json.dumps(server.users["alice"])}
"""


def khal_configuration(home, calendar_name):
    return f"""
[calendars]
[[work]]
path = {home / "calendars" / calendar_name}

[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = Europe/Berlin
default_timezone = Europe/Berlin

[default]
default_calendar = work

[sqlite]
path = {home / "khal.db"}
"""


SERIES = calendar(
    "BEGIN:VEVENT\nUID:vk-series\nDTSTAMP:20301101T000000Z\nDTSTART;TZID=Europe/Berlin:20301111T100000\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20301113T100000\nSUMMARY:Stand-up\nEND:VEVENT",
    "BEGIN:VEVENT\nUID:vk-series\nDTSTAMP:20301101T000000Z\nRECURRENCE-ID;TZID=Europe/Berlin:20301112T100000\nDTSTART;TZID=Europe/Berlin:20301112T150000\nDURATION:PT30M\nSUMMARY:Late stand-up\nEND:VEVENT",
)


def scenario(path, desk, lap):
    """The checks, in the order in which the day goes."""
    suite = Suite()

    @suite.check("discovery from the server's URL finds the calendar, on both machines")
    def discovery(server):
        for machine in (desk, lap):
            machine.vdirsyncer("discover", answer="y\n" * 8)
            machine.sync()
            machine.vdirsyncer("metasync")
            assert (machine.vdir / "displayname").read_text()

    @suite.check("discovery of a collection that only one machine has creates it on the server")
    def creation(server):
        (desk.home / "calendars" / "made-here").mkdir()
        text = (desk.home / "vdirsyncer.conf").read_text()
        both = text.replace(f'collections = ["{desk.calendar}"]', f'collections = ["{desk.calendar}", "made-here"]')
        (desk.home / "vdirsyncer.conf").write_text(both)
        try:
            desk.vdirsyncer("discover", answer="y\n" * 8)
            server.propfind(server.home() + "made-here/", DAV + "resourcetype").one()
        finally:
            (desk.home / "vdirsyncer.conf").write_text(text)
        desk.vdirsyncer("discover", answer="y\n" * 8)

    @suite.check("create with khal on one machine, read with khal on the other")
    def create(server):
        desk.khal("new", "-a", "work", "2030-11-04", "09:00", "10:00", "Breakfast", "::", "with friends")
        desk.sync()
        lap.sync()
        assert lap.agenda("2030-11-04") == ["2030-11-04 09:00 Breakfast"], lap.agenda("2030-11-04")
        assert lap.files().keys() == desk.files().keys() and len(lap.files()) == 1

    @suite.check("update on one machine reaches the other")
    def update(server):
        file = lap.titled("Breakfast")
        file.write_text(file.read_text().replace("SUMMARY:Breakfast", "SUMMARY:Brunch"), newline="")
        lap.sync()
        desk.sync()
        assert desk.agenda("2030-11-04") == ["2030-11-04 09:00 Brunch"]

    @suite.check("a series with one moved and one deleted instance arrives as it was written")
    def series(server):
        desk.write("vk-series.ics", SERIES)
        desk.sync()
        lap.sync()
        wanted = ["2030-11-11 10:00 Stand-up", "2030-11-12 15:00 Late stand-up", "2030-11-14 10:00 Stand-up"]
        for machine in (desk, lap):
            shown = [re.sub(r"[^\w:\- ]", "", line).strip() for line in machine.agenda("2030-11-10", "7d")]
            assert shown == wanted, shown
        copies = [text for machine in (desk, lap) for text in [machine.titled("Late stand-up").read_bytes()]]
        assert copies[0].split() == copies[1].split()

    @suite.check("moving and deleting further instances reaches the other machine")
    def series_again(server):
        file = lap.titled("Late stand-up")
        file.write_bytes(file.read_bytes().replace(b":20301112T150000", b":20301112T160000").replace(b"EXDATE;TZID=Europe/Berlin:20301113T100000", b"EXDATE;TZID=Europe/Berlin:20301113T100000,20301114T100000"))
        lap.sync()
        desk.sync()
        shown = [line[:16] for line in desk.agenda("2030-11-10", "7d")]
        assert shown == ["2030-11-11 10:00", "2030-11-12 16:00"], shown

    @suite.check("nothing to do: a sync after a sync changes nothing on the server")
    def idle(server):
        before = server.propfind(path, DAV + "sync-token").one().text(DAV + "sync-token")
        for machine in (desk, lap, desk, lap):
            machine.sync()
        assert server.propfind(path, DAV + "sync-token").one().text(DAV + "sync-token") == before

    @suite.check("conflict: changed on both machines, reported, nothing lost, resolved when told who wins")
    def conflict(server):
        for machine, title in ((desk, "Desk wins"), (lap, "Lap wins")):
            file = machine.titled("Brunch")
            file.write_text(file.read_text().replace("SUMMARY:Brunch", f"SUMMARY:{title}"), newline="")
        desk.sync()
        assert "conflict" in lap.sync(good=False).lower()
        lap.titled("Lap wins")
        configuration = lap.home / "vdirsyncer.conf"
        text = configuration.read_text()
        configuration.write_text(text.replace("[pair calendars]", '[pair calendars]\nconflict_resolution = "b wins"'))
        lap.vdirsyncer("discover", answer="y\n" * 8)
        lap.sync()
        configuration.write_text(text)
        lap.vdirsyncer("discover", answer="y\n" * 8)
        lap.titled("Desk wins")

    @suite.check("delta: of many changes on one machine the other gets each, and only those")
    def delta(server):
        untouched = lap.titled("Desk wins").stat().st_mtime_ns
        for n in range(12):
            desk.write(f"many-{n}.ics", event(f"vk-many-{n}", f"Many {n}"))
        desk.sync()
        lap.sync()
        assert sum("SUMMARY:Many" in text for text in lap.files().values()) == 12
        for n in range(6):
            desk.titled(f"Many {n}\n").unlink()
        desk.sync()
        lap.sync()
        assert sum("SUMMARY:Many" in text for text in lap.files().values()) == 6
        assert lap.titled("Desk wins").stat().st_mtime_ns == untouched

    @suite.check("delete on one machine reaches the other")
    def delete(server):
        lap.titled("Desk wins").unlink()
        lap.sync()
        desk.sync()
        assert not any("Desk wins" in text for text in desk.files().values())
        assert desk.agenda("2030-11-04") == [line for line in desk.agenda("2030-11-04") if "Many" in line]

    @suite.check("colour and name are kept in step by metasync")
    def metasync(server):
        (desk.vdir / "color").write_text("#AB34CD")
        (desk.vdir / "displayname").write_text("Arbeit und Büro")
        desk.vdirsyncer("metasync")
        lap.vdirsyncer("metasync")
        assert (lap.vdir / "color").read_text().upper().startswith("#AB34CD"), (lap.vdir / "color").read_text()
        assert (lap.vdir / "displayname").read_text() == "Arbeit und Büro"

    @suite.check("both machines and the server hold the same objects in the end")
    def same(server):
        uids = [sorted(re.findall(r"^UID:(\S+)", "\n".join(machine.files().values()), re.M)) for machine in (desk, lap)]
        on_server = [m for m in server.propfind(path, DAV + "getetag", depth=1) if m.href.endswith(".ics")]
        assert uids[0] == uids[1] and len(desk.files()) == len(lap.files()) == len(on_server), (uids, len(on_server))

    return suite
