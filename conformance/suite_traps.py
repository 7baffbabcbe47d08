"""Traps that real CalDAV servers fall into: each check says the right behaviour, and the RFC's section behind it."""

import re
import urllib.parse
import uuid

from harness import APPLE, CAL, CS, DAV, Suite, calendar, event, unfold

suite = Suite()
run = suite.run

CALDAV_XML = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'


def query(component, inner="", prop="<D:getetag/>", before_filter="", after_filter=""):
    return (
        f'<C:calendar-query {CALDAV_XML}><D:prop>{prop}</D:prop>{before_filter}<C:filter><C:comp-filter name="VCALENDAR">'
        f'<C:comp-filter name="{component}">{inner}</C:comp-filter></C:comp-filter></C:filter>{after_filter}</C:calendar-query>'
    )


def time_range(start, end):
    return f'<C:time-range start="{start}" end="{end}"/>'


def found(server, path, component, inner, **parts):
    """The names that a calendar-query returns."""
    return server.dav("REPORT", path, query(component, inner, **parts), depth=1).multistatus().names()


def sync(server, path, token="", limit=None, props="<D:getetag/>"):
    limit = f"<D:limit><D:nresults>{limit}</D:nresults></D:limit>" if limit else ""
    body = (
        f'<D:sync-collection {CALDAV_XML}><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{limit}'
        f"<D:prop>{props}</D:prop></D:sync-collection>"
    )
    return server.dav("REPORT", path, body, depth=0)


def proppatch(server, path, *instructions):
    body = f'<D:propertyupdate {CALDAV_XML} xmlns:A="http://apple.com/ns/ical/" xmlns:X="urn:x-test">{"".join(instructions)}</D:propertyupdate>'
    return server.dav("PROPPATCH", path, body)


# ------------------------------------------------------------------------------------------------ set-up


@suite.check("01 MKCALENDAR with an empty body (4791 5.3.1)")
def mkcalendar_empty(server):
    path = server.home() + uuid.uuid4().hex + "/"
    server.request("MKCALENDAR", path).expect(201)
    assert server.propfind(path, DAV + "resourcetype").one().has(DAV + "resourcetype", CAL + "calendar")


@suite.check("02 the default calendar takes VEVENT, VTODO, VJOURNAL and VFREEBUSY")
def default_takes_all(server):
    path = server.home() + "default/"
    parts = {
        "VEVENT": "DTSTART:20301104T090000Z\nDURATION:PT1H",
        "VTODO": "DUE:20301104T090000Z",
        "VJOURNAL": "DTSTART;VALUE=DATE:20301104",
        "VFREEBUSY": "DTSTART:20301104T000000Z\nDTEND:20301105T000000Z\nFREEBUSY:20301104T090000Z/PT1H",
    }
    for component, lines in parts.items():
        uid = f"trap-02-{component}"
        text = calendar(f"BEGIN:{component}\nUID:{uid}\nDTSTAMP:20301101T000000Z\n{lines}\nEND:{component}")
        server.put(f"{path}{uid}.ics", text).expect(201, 204)
        server.request("DELETE", f"{path}{uid}.ics").expect(204)


@suite.check("03 a deleted name is free at once, with a new incarnation whose old tokens are refused")
def deleted_name_is_free(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event("trap-03")).expect(201)
    old = sync(server, path).multistatus().sync_token
    server.request("DELETE", path + "a.ics").expect(204)
    server.put(path + "a.ics", event("trap-03")).expect(201)
    server.request("DELETE", path).expect(204)
    server.request("MKCALENDAR", path).expect(201)
    assert sync(server, path).multistatus().names() == []
    assert sync(server, path, old).precondition(403).tag == DAV + "valid-sync-token"


@suite.check("04 the ACL method works (3744 8.1) and a grant on the home reaches the calendars")
def acl_inherits(server):
    path = server.new_calendar("carol")
    server.put(path + "a.ics", event("trap-04"), user="carol").expect(201)
    server.request("GET", path + "a.ics", user="bob").expect(403, 404)
    home = server.home("carol")
    grant = (
        f'<D:acl xmlns:D="DAV:"><D:ace><D:principal><D:href>{server.principal("bob")}</D:href></D:principal>'
        "<D:grant><D:privilege><D:read/></D:privilege></D:grant></D:ace></D:acl>"
    )
    server.dav("ACL", home, grant, user="carol").expect(200, 204)
    server.request("GET", path + "a.ics", user="bob").expect(200)
    server.put(path + "b.ics", event("trap-04-b"), user="bob").expect(403)
    server.dav("ACL", home, '<D:acl xmlns:D="DAV:"/>', user="carol").expect(200, 204)
    server.request("GET", path + "a.ics", user="bob").expect(404)


# ---------------------------------------------------------------------------------------------- protocol


@suite.check("05 an unknown resource is 404, not a 207 that holds a 404")
def unknown_is_404(server):
    path = server.new_calendar()
    body = '<D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>'
    server.dav("PROPFIND", path + "none.ics", body, depth=0).expect(404)
    server.dav("PROPFIND", server.home() + "no-such-calendar/", body, depth=1).expect(404)
    server.dav("REPORT", server.home() + "no-such-calendar/", query("VEVENT"), depth=1).expect(404)
    server.request("GET", path + "none.ics").expect(404)
    server.request("DELETE", path + "none.ics").expect(404)


@suite.check("06 an error body holds the precondition element, alone")
def error_body(server):
    path = server.new_calendar()
    assert server.put(path + "a.ics", "garbage").precondition(403).tag == CAL + "valid-calendar-data"
    bad = f'<D:unknown-report xmlns:D="DAV:"/>'
    assert server.dav("REPORT", path, bad, depth=0).precondition(403).tag == DAV + "supported-report"


@suite.check("07 preconditions come with 403, 409 or 507, never 415, 400 or 500")
def precondition_status(server):
    path = server.new_calendar()
    refused = {
        "valid-calendar-data": "BEGIN:VCALENDAR\r\nnonsense",
        "valid-calendar-object-resource": calendar(
            "BEGIN:VEVENT\nUID:a\nDTSTAMP:20301101T000000Z\nDTSTART:20301104T090000Z\nEND:VEVENT",
            "BEGIN:VEVENT\nUID:b\nDTSTAMP:20301101T000000Z\nDTSTART:20301104T090000Z\nEND:VEVENT",
        ),
    }
    for name, body in refused.items():
        assert server.put(path + "a.ics", body).precondition(403, 409).tag == CAL + name, name
    typed = server.request("PUT", path + "a.ics", "hello", {"Content-Type": "text/plain"})
    assert typed.precondition(403, 409).tag in (CAL + "supported-calendar-data", CAL + "valid-calendar-data")
    todo_only = server.home() + uuid.uuid4().hex + "/"
    make = (
        f'<C:mkcalendar {CALDAV_XML}><D:set><D:prop><C:supported-calendar-component-set><C:comp name="VTODO"/>'
        "</C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>"
    )
    server.dav("MKCALENDAR", todo_only, make).expect(201)
    answer = server.put(todo_only + "a.ics", event("trap-07"))
    assert answer.precondition(403, 409).tag == CAL + "supported-calendar-component"
    server.request("MKCALENDAR", path + "inside/").expect(403, 409)


@suite.check("08 XML without a Content-Type is read as XML; calendar-query without Depth searches the calendar")
def xml_without_type(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event("trap-08")).expect(201)
    assert server.request("REPORT", path, query("VEVENT")).multistatus().names() == ["a.ics"]
    body = '<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/></D:prop></D:propfind>'
    assert server.request("PROPFIND", path, body, {"Depth": "0"}).multistatus().one().has(DAV + "resourcetype", CAL + "calendar")


@suite.check("09 PROPPATCH keeps dead properties with attributes and language; protected ones are refused inside the 207")
def dead_properties(server):
    path = server.new_calendar()
    dead = '<D:set><D:prop><X:note xml:lang="de" X:kind="a&amp;b">Grüße <X:b>fett</X:b> &lt;</X:note></D:prop></D:set>'
    answer = proppatch(server, path, dead).multistatus().one()
    assert "{urn:x-test}note" in answer.found, answer
    kept = server.propfind(path, "{urn:x-test}note").one().found["{urn:x-test}note"]
    assert kept.attrib.get("{urn:x-test}kind") == "a&b", kept.attrib
    assert kept.attrib.get("{http://www.w3.org/XML/1998/namespace}lang") == "de", kept.attrib
    assert "".join(kept.itertext()) == "Grüße fett <", "".join(kept.itertext())
    mixed = "<D:set><D:prop><X:other>1</X:other></D:prop></D:set><D:set><D:prop><D:getetag>x</D:getetag></D:prop></D:set>"
    answer = proppatch(server, path, mixed).multistatus().one()
    assert answer.missing == {"{urn:x-test}other": 424, DAV + "getetag": 403}, answer
    assert "{urn:x-test}other" in server.propfind(path, "{urn:x-test}other").one().missing


@suite.check("10 COPY and MOVE answer with Location; Content-Type makes the round trip; If-Match on a missing resource is 412")
def copy_and_move(server):
    path, other = server.new_calendar(), server.new_calendar()
    server.put(path + "a.ics", event("trap-10")).expect(201)
    copied = server.request("COPY", path + "a.ics", headers={"Destination": server.origin + other + "a.ics"}).expect(201)
    assert urllib.parse.urlsplit(copied.header("Location", "")).path == other + "a.ics", copied.headers.items()
    moved = server.request("MOVE", path + "a.ics", headers={"Destination": other + "b.ics"}).expect(201, 403, 409)
    assert moved.status != 201, "two objects with one UID in a calendar"
    server.request("DELETE", other + "a.ics").expect(204)
    moved = server.request("MOVE", path + "a.ics", headers={"Destination": other + "b.ics"}).expect(201)
    assert urllib.parse.urlsplit(moved.header("Location", "")).path == other + "b.ics", moved.headers.items()
    assert server.request("GET", other + "b.ics").expect(200).header("Content-Type").startswith("text/calendar")
    file = f"{server.files()}trap-10.png"
    server.request("PUT", file, b"\x89PNG", {"Content-Type": "image/png"}).expect(201)
    assert server.request("GET", file).expect(200).header("Content-Type") == "image/png"
    server.put(path + "none.ics", event("trap-10-b"), {"If-Match": '"x"'}).expect(412)
    server.put(path + "none.ics", event("trap-10-b"), {"If-Match": "*"}).expect(412)
    server.request("DELETE", path + "none.ics", headers={"If-Match": '"x"'}).expect(404, 412)


@suite.check("11 URLs with spaces, %, @, %0A and non-ASCII survive in every href")
def strange_names(server):
    path = server.new_calendar()
    for index, name in enumerate(["a b.ics", "50%.ics", "me@home.ics", "line\nbreak.ics", "Grüße-日本.ics", "a+b&c=d.ics", "%41.ics", "q?#.ics"]):
        href = path + urllib.parse.quote(name, safe="")
        server.put(href, event(f"trap-11-{index}")).expect(201)
        listed = server.propfind(path, DAV + "getetag", depth=1)
        assert name in listed.names(), f"{name!r} is not in {listed.names()}"
        own = next(m.href for m in listed if urllib.parse.unquote(m.href) == path + name)
        server.request("GET", own).expect(200)
        multiget = f"<C:calendar-multiget {CALDAV_XML}><D:prop><D:getetag/></D:prop><D:href>{own.replace('&', '&amp;')}</D:href></C:calendar-multiget>"
        answer = server.dav("REPORT", path, multiget, depth=1).multistatus().one()
        assert DAV + "getetag" in answer.found, (name, answer)
        assert name in sync(server, path).multistatus().names()
        server.request("DELETE", own).expect(204)


@suite.check("12 sync-collection with a limit: 507 for the collection, a token that continues, nothing dropped; unknown tokens 403")
def sync_limit(server):
    path = server.new_calendar()
    wanted = [f"e{n}.ics" for n in range(7)]
    for name in wanted:
        server.put(path + name, event("trap-12-" + name)).expect(201)
    seen, token, pages = [], "", 0
    while True:
        page = sync(server, path, token, limit=3).multistatus()
        members = [m for m in page if m.status != 507]
        assert len(members) <= 3, [m.href for m in page]
        seen += [m.href.rsplit("/", 1)[-1] for m in members]
        token, pages = page.sync_token, pages + 1
        if not any(m.status == 507 for m in page):
            break
        assert page.get(path).status == 507
        assert pages < 10, "the pages do not end"
    assert sorted(seen) == wanted and pages == 3, (seen, pages)
    assert len(sync(server, path, token).multistatus()) == 0
    for bad in ["urn:uuid:7d2e8a3c-0000-4000-8000-000000000000", "7D2E8A3C-0000-4000-8000-000000000000", "http://example.com/x", "0"]:
        assert sync(server, path, bad).precondition(403).tag == DAV + "valid-sync-token", bad


@suite.check("13 multiget answers a 404 response for each missing href")
def multiget_missing(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event("trap-13")).expect(201)
    hrefs = "".join(f"<D:href>{path}{name}</D:href>" for name in ("a.ics", "b.ics", "c.ics"))
    body = f"<C:calendar-multiget {CALDAV_XML}><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>"
    answer = server.dav("REPORT", path, body, depth=1).multistatus()
    assert len(answer) == 3
    assert answer.at(path + "b.ics").status == 404 and answer.at(path + "c.ics").status == 404
    assert CAL + "calendar-data" in answer.at(path + "a.ics").found


@suite.check("14 the CTag moves on every change, also when the same bytes come back after something else")
def ctag_moves(server):
    path, tags = server.new_calendar(), []

    def remember():
        one = server.propfind(path, CS + "getctag", DAV + "sync-token").one()
        tags.append((one.text(CS + "getctag"), one.text(DAV + "sync-token")))

    remember()
    for step in range(2):
        for summary in ("A", "B"):
            server.put(path + "a.ics", event("trap-14", summary)).expect(201, 204)
            remember()
    server.request("DELETE", path + "a.ics").expect(204)
    remember()
    server.put(path + "a.ics", event("trap-14", "A")).expect(201)
    remember()
    assert len({ctag for ctag, _ in tags}) == len(tags), tags
    assert len({token for _, token in tags}) == len(tags), tags


@suite.check("15 Prefer: depth-noroot with Depth 0 still returns the root")
def depth_noroot(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event("trap-15")).expect(201)
    headers = {"Prefer": "depth-noroot"}
    assert len(server.propfind(path, DAV + "resourcetype", depth=0, headers=headers)) == 1
    assert server.propfind(path, DAV + "resourcetype", depth=1, headers=headers).names() == ["a.ics"]


@suite.check("16 If-None-Match on GET gives 304")
def not_modified(server):
    path = server.new_calendar()
    etag = server.put(path + "a.ics", event("trap-16")).expect(201).header("ETag")
    answer = server.request("GET", path + "a.ics", headers={"If-None-Match": etag}).expect(304)
    assert answer.body == b"" and answer.header("ETag") == etag
    server.request("GET", path + "a.ics", headers={"If-None-Match": '"other"'}).expect(200)


@suite.check("17 no user, no calendar and a forbidden calendar look alike to a stranger")
def look_alike(server):
    hidden = server.new_calendar("carol")
    server.put(hidden + "a.ics", event("trap-17"), user="carol").expect(201)
    paths = [hidden, hidden + "a.ics", server.home("carol") + "nothing/", server.home("carol") + "nothing/a.ics", server.home("nobody") + "x/", server.home("nobody") + "x/a.ics"]
    body = '<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/></D:prop></D:propfind>'
    for method, content in [("GET", None), ("PROPFIND", body), ("DELETE", None), ("REPORT", query("VEVENT"))]:
        answers = {
            (answer.status, re.sub(rb"/dav/[^<]*", b"", answer.body))
            for path in paths
            for answer in [server.request(method, path, content, {"Depth": "0"}, user="bob")]
        }
        assert len(answers) == 1 and next(iter(answers))[0] == 404, (method, answers)


# ------------------------------------------------------------------------------------- calendar semantics

TIMEZONE = calendar(
    "BEGIN:VTIMEZONE\nTZID:X/East\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+1000\nTZOFFSETTO:+1000\nEND:STANDARD\nEND:VTIMEZONE"
)


@suite.check("18 CALDAV:timezone and calendar-timezone decide where floating and all-day events fall")
def floating(server):
    path = server.new_calendar()
    server.put(path + "day.ics", event("trap-18-day", start="20301104", end="20301105").replace("DTSTART:", "DTSTART;VALUE=DATE:").replace("DTEND:", "DTEND;VALUE=DATE:")).expect(201)
    server.put(path + "float.ics", event("trap-18-float", start="20301104T090000", end="20301104T100000")).expect(201)
    eastern = f"<C:timezone>{TIMEZONE}</C:timezone>"
    evening = time_range("20301103T140000Z", "20301103T150000Z")
    night = time_range("20301103T230000Z", "20301104T000000Z")
    assert found(server, path, "VEVENT", evening, after_filter=eastern) == ["day.ics"]
    assert found(server, path, "VEVENT", night, after_filter=eastern) == ["day.ics", "float.ics"]
    assert found(server, path, "VEVENT", evening) == []
    value = TIMEZONE.replace("\r\n", "&#13;\n")
    answer = proppatch(server, path, f"<D:set><D:prop><C:calendar-timezone>{value}</C:calendar-timezone></D:prop></D:set>")
    assert CAL + "calendar-timezone" in answer.multistatus().one().found
    assert found(server, path, "VEVENT", evening) == ["day.ics"]
    assert found(server, path, "VEVENT", night) == ["day.ics", "float.ics"]


@suite.check("19 alarm time-ranges work, repeated alarms too (4791 9.9)")
def alarms(server):
    path = server.new_calendar()
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:x\nTRIGGER:-PT30M\nREPEAT:2\nDURATION:PT10M\nEND:VALARM"
    server.put(path + "a.ics", event("trap-19", extra=alarm)).expect(201)

    def at(start, end):
        inner = f'<C:comp-filter name="VALARM">{time_range(start, end)}</C:comp-filter>'
        return found(server, path, "VEVENT", inner)

    assert at("20301104T082900Z", "20301104T083100Z") == ["a.ics"]
    assert at("20301104T083900Z", "20301104T084100Z") == ["a.ics"]
    assert at("20301104T084900Z", "20301104T085100Z") == ["a.ics"]
    assert at("20301104T085100Z", "20301104T085900Z") == []
    assert at("20301104T082000Z", "20301104T082900Z") == []


@suite.check("20 expand works for VTODO, all-day events and overrides; in UTC, with RECURRENCE-ID")
def expand(server):
    path = server.new_calendar()
    series = calendar(
        "BEGIN:VEVENT\nUID:trap-20\nDTSTAMP:20301101T000000Z\nDTSTART;TZID=Europe/Berlin:20301104T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:trap-20\nDTSTAMP:20301101T000000Z\nRECURRENCE-ID;TZID=Europe/Berlin:20301105T090000\nDTSTART;TZID=Europe/Berlin:20301105T140000\nDURATION:PT1H\nEND:VEVENT",
    )
    todo = calendar("BEGIN:VTODO\nUID:trap-20-todo\nDTSTAMP:20301101T000000Z\nDTSTART:20301104T090000Z\nDUE:20301104T100000Z\nRRULE:FREQ=DAILY;COUNT=3\nEND:VTODO")
    days = calendar("BEGIN:VEVENT\nUID:trap-20-day\nDTSTAMP:20301101T000000Z\nDTSTART;VALUE=DATE:20301104\nRRULE:FREQ=DAILY;COUNT=3\nEND:VEVENT")
    for name, text in {"series": series, "todo": todo, "days": days}.items():
        server.put(f"{path}{name}.ics", text).expect(201)

    def expanded(component, name, start, end):
        prop = f'<C:calendar-data><C:expand start="{start}" end="{end}"/></C:calendar-data>'
        answer = server.dav("REPORT", path, query(component, time_range(start, end), prop), depth=1).multistatus()
        lines = unfold(answer.at(path + name).text(CAL + "calendar-data"))
        assert not any(line.startswith(("RRULE", "BEGIN:VTIMEZONE")) for line in lines), lines
        pick = lambda key: sorted(line.partition(":")[2] for line in lines if line.startswith(key))
        return pick("DTSTART"), pick("RECURRENCE-ID")

    starts, ids = expanded("VEVENT", "series.ics", "20301105T000000Z", "20301107T000000Z")
    assert starts == ["20301105T130000Z", "20301106T080000Z"] and ids == ["20301105T080000Z", "20301106T080000Z"], (starts, ids)
    starts, ids = expanded("VTODO", "todo.ics", "20301105T000000Z", "20301106T000000Z")
    assert starts == ids == ["20301105T090000Z"], (starts, ids)
    starts, ids = expanded("VEVENT", "days.ics", "20301105T000000Z", "20301106T000000Z")
    assert starts == ids == ["20301105"], (starts, ids)


@suite.check("21 a VEVENT without DTEND and DURATION is fine: zero length for a date-time, a day for a date")
def no_end(server):
    path = server.new_calendar()
    server.put(path + "time.ics", event("trap-21-time", end=None)).expect(201)
    server.put(path + "date.ics", event("trap-21-date", start="20301104", end=None).replace("DTSTART:", "DTSTART;VALUE=DATE:")).expect(201)
    both = time_range("20301104T090000Z", "20301104T091500Z")
    assert found(server, path, "VEVENT", both) == ["date.ics", "time.ics"]
    assert found(server, path, "VEVENT", time_range("20301104T090001Z", "20301104T091500Z")) == ["date.ics"]
    assert found(server, path, "VEVENT", time_range("20301104T233000Z", "20301105T000000Z")) == ["date.ics"]
    assert found(server, path, "VEVENT", time_range("20301105T000000Z", "20301105T010000Z")) == []


@suite.check("22 DTSTART and DTEND of different value types are refused")
def mixed_types(server):
    path = server.new_calendar()
    mixed = event("trap-22", start="20301104", end="20301104T100000Z").replace("DTSTART:", "DTSTART;VALUE=DATE:")
    error = server.put(path + "a.ics", mixed).precondition(403)
    assert error.tag in (CAL + "valid-calendar-data", CAL + "valid-calendar-object-resource"), error.tag


@suite.check("23 a UID lives once in a collection: no-uid-conflict names the other's href")
def uid_conflict(server):
    path, other = server.new_calendar(), server.new_calendar()
    server.put(path + "a.ics", event("trap-23")).expect(201)
    error = server.put(path + "b.ics", event("trap-23")).precondition(403, 409)
    assert error.tag == CAL + "no-uid-conflict"
    assert error.findtext(DAV + "href") == path + "a.ics", error.findtext(DAV + "href")
    server.put(other + "b.ics", event("trap-23")).expect(201)


@suite.check("24 a time-range on a series tests its occurrences, overrides at their moved place, and not the excluded ones")
def series_range(server):
    path = server.new_calendar()
    server.put(path + "a.ics", calendar(
        "BEGIN:VEVENT\nUID:trap-24\nDTSTAMP:20301101T000000Z\nDTSTART:20301104T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=5\nEXDATE:20301111T090000Z\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:trap-24\nDTSTAMP:20301101T000000Z\nRECURRENCE-ID:20301118T090000Z\nDTSTART:20301120T150000Z\nDURATION:PT1H\nEND:VEVENT",
    )).expect(201)
    windows = {
        ("20301104T093000Z", "20301104T094000Z"): ["a.ics"],
        ("20301111T000000Z", "20301112T000000Z"): [],
        ("20301118T000000Z", "20301119T000000Z"): [],
        ("20301120T000000Z", "20301121T000000Z"): ["a.ics"],
        ("20301125T000000Z", "20301126T000000Z"): ["a.ics"],
        ("20301126T000000Z", "20301201T000000Z"): [],
        ("20301203T000000Z", "20311203T000000Z"): [],
    }
    for (start, end), names in windows.items():
        assert found(server, path, "VEVENT", time_range(start, end)) == names, (start, end)


@suite.check("25 expand, getetag and a prop-filter in one query")
def everything_at_once(server):
    path = server.new_calendar()
    server.put(path + "a.ics", calendar(
        "BEGIN:VEVENT\nUID:trap-25\nDTSTAMP:20301101T000000Z\nDTSTART:20301104T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY:Stand-up\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:trap-25\nDTSTAMP:20301101T000000Z\nRECURRENCE-ID:20301105T090000Z\nDTSTART:20301105T100000Z\nDURATION:PT1H\nSUMMARY:Late stand-up\nEND:VEVENT",
    )).expect(201)
    window = 'start="20301104T000000Z" end="20301108T000000Z"'
    inner = f'<C:time-range {window}/><C:prop-filter name="SUMMARY"><C:text-match>stand</C:text-match></C:prop-filter>'
    prop = f"<D:getetag/><C:calendar-data><C:expand {window}/></C:calendar-data>"
    answer = server.dav("REPORT", path, query("VEVENT", inner, prop), depth=1).multistatus().one()
    lines = unfold(answer.text(CAL + "calendar-data"))
    assert answer.text(DAV + "getetag") and lines.count("BEGIN:VEVENT") == 3, lines
    assert "DTSTART:20301105T100000Z" in lines, lines


@suite.check("26 GET returns the bytes that were PUT")
def same_bytes(server):
    path = server.new_calendar()
    text = event("trap-26", summary="Grüße", extra="X-ODD;X-P=\"a;b\":c\\nd\nx-lower:Yes\nDESCRIPTION:folded\n  line").encode()
    etag = server.put(path + "a.ics", text).expect(201).header("ETag")
    answer = server.request("GET", path + "a.ics").expect(200)
    assert answer.body == text and answer.header("ETag") == etag
    assert server.propfind(path + "a.ics", DAV + "getetag").one().text(DAV + "getetag") == etag
