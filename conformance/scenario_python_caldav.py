"""A day with python-caldav: each step is a check, run in order on one calendar. Prints a JSON line for each."""

import contextlib
import datetime
import json
import logging
import os
import sys
import uuid

import caldav
from caldav.elements import cdav, dav, ical
from caldav.lib import error

sys.path.insert(0, os.path.dirname(__file__))
import harness

logging.disable(logging.CRITICAL)
UTC = datetime.timezone.utc
SERVER = json.loads(os.environ["SERVER"])
STEPS = []


def day(d, hour=0, minute=0):
    return datetime.datetime(2030, 11, d, hour, minute, tzinfo=UTC)


def client(user="alice"):
    return caldav.DAVClient(url=SERVER["origin"] + SERVER["root"], username=user, password=SERVER["users"][user])


def step(name):
    def register(function):
        STEPS.append((name, function))
        return function

    return register


@contextlib.contextmanager
def refused(*kinds):
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"none of {[kind.__name__ for kind in kinds]} was raised")


def summaries(objects):
    return sorted(str(o.icalendar_component["SUMMARY"]) for o in objects)


class State:
    """What the steps hand on to each other."""


@step("discovery: principal, name, address and home")
def discovery(s):
    s.client = client()
    s.principal = s.client.principal()
    assert s.client.check_dav_support() and s.client.check_cdav_support()
    assert s.principal.get_display_name()
    assert "mailto:alice@example.com" in s.principal.calendar_user_address_set()
    assert any(c.url.path.endswith("/default/") for c in s.principal.get_calendars())


@step("a wrong password and an unknown user are authorization errors")
def wrong_password(s):
    for user, password in (("alice", "wrong"), ("nobody", "wrong")):
        with refused(error.AuthorizationError):
            caldav.DAVClient(url=SERVER["origin"] + SERVER["root"], username=user, password=password).principal()


@step("make a calendar, find it by name and id")
def make(s):
    s.name = "python " + uuid.uuid4().hex[:8]
    s.calendar = s.principal.make_calendar(name=s.name, cal_id=uuid.uuid4().hex)
    assert s.principal.calendar(name=s.name).url == s.calendar.url
    assert s.calendar.get_display_name() == s.name
    assert {"VEVENT", "VTODO", "VJOURNAL"} <= set(s.calendar.get_supported_components())


@step("properties: colour, order, description and rename")
def properties(s):
    s.calendar.set_properties([ical.CalendarColor("#112233FF"), ical.CalendarOrder("5"), cdav.CalendarDescription("Beschreibung äöü")])
    found = s.calendar.get_properties([ical.CalendarColor(), cdav.CalendarDescription()])
    assert found[ical.CalendarColor.tag] == "#112233FF" and found[cdav.CalendarDescription.tag] == "Beschreibung äöü"
    s.calendar.set_properties([dav.DisplayName(s.name + " renamed")])
    assert s.principal.calendar(name=s.name + " renamed").url == s.calendar.url


@step("create and read an event")
def create(s):
    s.event = s.calendar.add_event(uid="py-1", summary="Breakfast", dtstart=day(4, 8), dtend=day(4, 9), location="Küche")
    got = s.calendar.get_event_by_uid("py-1")
    assert str(got.icalendar_component["SUMMARY"]) == "Breakfast" and str(got.icalendar_component["LOCATION"]) == "Küche"
    assert len(s.calendar.get_events()) == 1
    assert s.event.get_property(dav.GetEtag())


@step("update an event")
def update(s):
    s.event.load()
    with s.event.edit_icalendar_component() as component:
        component["SUMMARY"] = "Late breakfast"
    s.event.save()
    assert summaries([s.calendar.get_event_by_uid("py-1")]) == ["Late breakfast"]


@step("conflict: an update and a delete with a stale ETag are refused, create-only refuses to overwrite")
def conflict(s):
    url = str(s.event.url)
    stale = s.client.request(url, "GET").headers["ETag"]
    text = harness.event("py-1", "Someone else", "20301104T080000Z", "20301104T090000Z")
    kind = {"Content-Type": "text/calendar; charset=utf-8"}
    assert s.client.put(url, text, {**kind, "If-Match": stale}).status in (200, 204)
    for headers in ({"If-Match": stale}, {"If-None-Match": "*"}):
        try:
            status = s.client.put(url, text, {**kind, **headers}).status
        except error.PutError as refusal:
            status = 412 if "412" in str(refusal) else str(refusal)
        assert status == 412, (headers, status)
    assert s.client.request(url, "DELETE", headers={"If-Match": stale}).status == 412
    with refused(error.ConsistencyError):
        s.calendar.add_event(uid="py-1", summary="Again", dtstart=day(4, 8), dtend=day(4, 9), no_overwrite=True)


@step("a series with one moved and one deleted instance, as one object")
def series(s):
    text = harness.calendar(
        "BEGIN:VEVENT\nUID:py-series\nDTSTAMP:20301101T000000Z\nDTSTART;TZID=Europe/Berlin:20301104T100000\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=Europe/Berlin:20301106T100000\nSUMMARY:Stand-up\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:py-series\nDTSTAMP:20301101T000000Z\nRECURRENCE-ID;TZID=Europe/Berlin:20301107T100000\nDTSTART;TZID=Europe/Berlin:20301107T150000\nDURATION:PT30M\nSUMMARY:Late stand-up\nEND:VEVENT",
    )
    s.calendar.add_event(text)
    assert len(s.calendar.get_event_by_uid("py-series").icalendar_instance.walk("VEVENT")) == 2


@step("search with server-side expand gives each occurrence once, where it is now")
def expand(s):
    found = s.calendar.search(event=True, start=day(4), end=day(9), server_expand=True)
    starts = sorted(
        o.icalendar_component["DTSTART"].dt.astimezone(UTC) for o in found if str(o.icalendar_component["UID"]) == "py-series"
    )
    assert starts == [day(4, 9), day(5, 9), day(7, 14), day(8, 9)], starts
    for o in found:
        assert "RRULE" not in o.icalendar_component


@step("search finds a series by the window of one occurrence, and not by an excluded one")
def windows(s):
    def uids(start, end):
        return {str(o.icalendar_component["UID"]) for o in s.calendar.search(event=True, start=start, end=end, expand=False)}

    assert uids(day(8, 9), day(8, 10)) == {"py-series"}
    assert uids(day(6), day(7)) == set()
    assert uids(day(7, 9), day(7, 10)) == set()
    assert uids(day(7, 14), day(7, 15)) == {"py-series"}


@step("search by text, category and class")
def text_search(s):
    s.calendar.add_event(uid="py-cat", summary="Concert", dtstart=day(20, 19), dtend=day(20, 22), categories=["FUN", "MUSIC"], **{"class": "PRIVATE"})
    assert summaries(s.calendar.search(event=True, summary="Conc")) == ["Concert"]
    assert summaries(s.calendar.search(event=True, categories=["MUSIC"])) == ["Concert"]
    assert summaries(s.calendar.search(event=True, no_class=True, summary="Concert")) == []
    assert s.calendar.search(event=True, summary="absent") == []


@step("change one occurrence through the library")
def one_occurrence(s):
    found = s.calendar.search(event=True, start=day(5), end=day(6), expand=True)
    occurrence = next(o for o in found if str(o.icalendar_component["UID"]) == "py-series")
    occurrence.icalendar_component["SUMMARY"] = "Special stand-up"
    occurrence.save(only_this_recurrence=True)
    again = s.calendar.search(event=True, start=day(5), end=day(6), expand=True)
    assert "Special stand-up" in summaries(again), summaries(again)
    assert "Stand-up" in summaries(s.calendar.search(event=True, start=day(4), end=day(5), expand=True))


@step("todos: create, list pending, complete, list all")
def todos(s):
    todo = s.calendar.add_todo(uid="py-todo", summary="Pay bills", due=day(10, 12), priority=1)
    s.calendar.add_todo(uid="py-todo-2", summary="Undated")
    assert summaries(s.calendar.get_todos()) == ["Pay bills", "Undated"]
    todo.complete()
    assert summaries(s.calendar.get_todos()) == ["Undated"]
    assert summaries(s.calendar.get_todos(include_completed=True)) == ["Pay bills", "Undated"]
    assert summaries(s.calendar.search(todo=True, start=day(10), end=day(11), include_completed=True)) == ["Pay bills", "Undated"]


@step("a recurring todo: completing one leaves the series pending")
def recurring_todo(s):
    todo = s.calendar.add_todo(uid="py-rtodo", summary="Water plants", dtstart=day(10, 8), due=day(10, 9), rrule={"FREQ": "WEEKLY", "COUNT": 4})
    todo.complete(handle_rrule=True)
    assert "Water plants" in summaries(s.calendar.get_todos())


@step("journals: create and read")
def journals(s):
    s.calendar.add_journal(uid="py-journal", summary="Diary", dtstart=datetime.date(2030, 11, 4), description="A long day")
    assert summaries(s.calendar.get_journals()) == ["Diary"]
    assert s.calendar.get_journal_by_uid("py-journal").icalendar_component["DTSTART"].dt == datetime.date(2030, 11, 4)


@step("free-busy query")
def freebusy(s):
    found = s.calendar.freebusy_request(day(4), day(5)).icalendar_instance.walk("VFREEBUSY")[0]
    periods = found["FREEBUSY"] if isinstance(found["FREEBUSY"], list) else [found["FREEBUSY"]]
    busy = sorted(p.dt if hasattr(p, "dt") else p for line in periods for p in (line.dts if hasattr(line, "dts") else [line]))
    starts = [start for start, _ in busy]
    assert starts == [day(4, 8)], busy
    end = busy[0][1]
    assert (end if isinstance(end, datetime.datetime) else starts[0] + end) == day(4, 9, 30), busy


@step("sync tokens: nothing, an addition, a change, a removal")
def sync(s):
    mine = s.calendar.get_objects_by_sync_token(load_objects=False, disable_fallback=True)
    assert len(list(mine)) >= 6
    token = mine.sync_token
    assert len(list(s.calendar.get_objects_by_sync_token(token, disable_fallback=True))) == 0
    s.calendar.add_event(uid="py-sync", summary="New", dtstart=day(25, 8), dtend=day(25, 9))
    s.event.load()
    with s.event.edit_icalendar_component() as component:
        component["SUMMARY"] = "Changed again"
    s.event.save()
    s.calendar.get_event_by_uid("py-cat").delete()
    delta = s.calendar.get_objects_by_sync_token(token, load_objects=True, disable_fallback=True)
    uids = sorted(str(o.icalendar_component["UID"]) for o in delta if o.data)
    assert uids == ["py-1", "py-sync"], uids
    gone = [o for o in delta if not o.data]
    assert len(gone) == 1, [str(o.url) for o in gone]
    updated, deleted = mine.sync()
    assert {str(o.icalendar_component["UID"]) for o in updated} == {"py-1", "py-sync"} and len(list(deleted)) == 1


@step("a foreign sync token is an error, not an answer")
def foreign_token(s):
    with refused(error.DAVError):
        s.calendar.get_objects_by_sync_token("urn:foreign", disable_fallback=True)


@step("multiget of several URLs")
def multiget(s):
    urls = [e.url for e in s.calendar.get_events()]
    assert len(list(s.calendar.multiget(urls))) == len(urls)


@step("delete an event, then it is not found")
def delete(s):
    s.event.delete()
    with refused(error.NotFoundError):
        s.calendar.get_event_by_uid("py-1")


@step("another user sees nothing of it")
def stranger(s):
    with refused(error.NotFoundError, error.AuthorizationError):
        other = client("bob").calendar(url=s.calendar.url)
        other.get_properties([dav.DisplayName()])
    principals = [c.url.path for c in client("bob").principal().get_calendars()]
    assert not any("/alice/" in path for path in principals)


@step("principal search finds oneself by name, and does not give away others")
def principal_search(s):
    def paths(**query):
        return [p.url.path for p in s.client.search_principals(**query)]

    assert paths(name="alice") == [s.principal.url.path], paths(name="alice")
    assert paths(name="bob") == [] and not any("/bob/" in path for path in paths())


@step("a calendar for todos only refuses events")
def restricted(s):
    tasks = s.principal.make_calendar(name="Tasks", cal_id=uuid.uuid4().hex, supported_calendar_component_set=["VTODO"])
    assert tasks.get_supported_components() == ["VTODO"]
    tasks.add_todo(uid="py-task", summary="Fine")
    with refused(error.PutError, error.AuthorizationError):
        tasks.add_event(uid="py-event", summary="No", dtstart=day(4, 8), dtend=day(4, 9))
    tasks.delete()


@step("delete the calendar, then it is gone")
def delete_calendar(s):
    s.calendar.delete()
    assert s.calendar.url not in [c.url for c in s.principal.get_calendars()]


def main():
    state = State()
    for name, function in STEPS:
        try:
            function(state)
            print(json.dumps({"name": name, "ok": True, "note": ""}))
        except Exception as problem:
            print(json.dumps({"name": name, "ok": False, "note": harness.explain(problem)[:1500]}))


if __name__ == "__main__":
    main()
