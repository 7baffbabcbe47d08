"""The request sequences of real clients, shaped as they send them, and what each needs to see in the answers.

Checks with a number are needs that several clients share; the others replay one client's whole sequence.
"""

import re
import urllib.parse
import uuid

from harness import APPLE, CAL, CS, DAV, ME, Suite, event

suite = Suite()
run = suite.run

NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/"'
APPLE_HEADERS = {
    "User-Agent": "macOS/26.1 (25B78) accountsd/1.0", "Accept": "*/*", "Content-Type": "text/xml", "Brief": "t",
    "Prefer": "return=minimal", "Accept-Encoding": "gzip, deflate, br",
}
WHO = (DAV + "current-user-principal", DAV + "principal-URL", DAV + "resourcetype")
WELL_KNOWN = "/.well-known/caldav"


def propfind_body(*names):
    inner = "".join("<" + n + "/>" for n in names)
    return f'<?xml version="1.0" encoding="UTF-8"?><D:propfind {NAMES}><D:prop>{inner}</D:prop></D:propfind>'


def query(component, time_range=""):
    return (
        f"<C:calendar-query {NAMES}><D:prop><D:getetag/></D:prop><C:filter><C:comp-filter name=\"VCALENDAR\">"
        f'<C:comp-filter name="{component}">{time_range}</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>'
    )


def multiget(*hrefs, props="<D:getetag/><C:calendar-data/>"):
    inner = "".join(f"<D:href>{href}</D:href>" for href in hrefs)
    return f"<C:calendar-multiget {NAMES}><D:prop>{props}</D:prop>{inner}</C:calendar-multiget>"


def sync(token="", level="<D:sync-level>1</D:sync-level>", props="<D:getetag/>"):
    return f"<D:sync-collection {NAMES}><D:sync-token>{token}</D:sync-token>{level}<D:prop>{props}</D:prop></D:sync-collection>"


def mkcalendar(props, root="C:mkcalendar"):
    return f"<{root} {NAMES}><D:set><D:prop>{props}</D:prop></D:set></{root}>"


def new_path(server):
    return f"{server.home()}{str(uuid.uuid4()).upper()}/"


def filled(server, count=3):
    """A calendar with events e0.ics, e1.ics, …"""
    path = server.new_calendar()
    for n in range(count):
        server.put(f"{path}e{n}.ics", event(f"{path}-{n}")).expect(201)
    return path


def dav_tokens(answer):
    return {token.strip() for token in (answer.header("DAV") or "").split(",")}


def follow(server, method, path, body=None, headers=None, user="alice"):
    """As a client that follows redirects by itself, sending the body again."""
    for _ in range(5):
        answer = server.request(method, path, body, headers, user)
        if answer.status not in (301, 302, 303, 307):
            return answer, path
        path = urllib.parse.urlsplit(urllib.parse.urljoin(path, answer.header("Location"))).path
    raise AssertionError("more than five redirects")


def principal_and_home(server):
    """What every client does after log-in."""
    principal = server.propfind(server.root, *WHO).one().hrefs(DAV + "current-user-principal")[0]
    homes = server.propfind(principal, CAL + "calendar-home-set").one().hrefs(CAL + "calendar-home-set")
    return principal, homes


# ------------------------------------------------------------------- discovery and authentication: points 1 to 7


@suite.check("01 the well-known URL answers 301 to PROPFIND, GET and HEAD, with or without credentials")
def well_known(server):
    for user in (None, "alice"):
        for method, body in (("PROPFIND", propfind_body("D:current-user-principal")), ("GET", None), ("HEAD", None)):
            answer = server.request(method, WELL_KNOWN, body, {"Depth": "0"}, user).expect(301)
            assert urllib.parse.urlsplit(answer.header("Location")).path == server.root, answer.header("Location")


@suite.check("02 PROPFIND on the paths that Apple probes never answers 403, 405 or 5xx")
def probes(server):
    for path in ("/", "/principals/", "/calendar/dav/alice/user/", "/dav/principals/", "/caldav/v2", "/principals/users/alice/"):
        for user in (None, "alice"):
            server.request("PROPFIND", path, propfind_body("D:current-user-principal"), {**APPLE_HEADERS, "Depth": "0"}, user).expect(207, 401, 404)


@suite.check("03 current-user-principal asked anonymously is 401 with WWW-Authenticate")
def anonymous_principal(server):
    answer = server.request("PROPFIND", server.root, propfind_body("D:current-user-principal"), {"Depth": "0"}, None).expect(401)
    assert answer.header("WWW-Authenticate", "").startswith("Basic realm="), answer.header("WWW-Authenticate")


@suite.check("04 requests without credentials are never throttled, and the realm never changes")
def stable_realm(server):
    path, realms = filled(server, 1), set()
    for n in range(60):
        where = [server.root, path, path + "e0.ics", server.principal(), server.home("nobody")][n % 5]
        answer = server.request("PROPFIND", where, propfind_body("D:resourcetype"), {"Depth": "0"}, None).expect(401)
        realms.add(answer.header("WWW-Authenticate"))
    assert len(realms) == 1, realms
    server.request("GET", path + "e0.ics").expect(200)


@suite.check("05 OPTIONS without credentials is 200 with calendar-access, on principal, home, calendar and object")
def options(server):
    path = filled(server, 1)
    for where in (server.root, server.principal(), server.home(), path, path + "e0.ics"):
        for user in (None, "alice"):
            answer = server.request("OPTIONS", where, headers={"Accept-Encoding": "identity"}, user=user).expect(200)
            assert {"1", "2", "3", "access-control", "calendar-access"} <= dav_tokens(answer), (where, dav_tokens(answer))
    allowed = {method.strip() for method in server.request("OPTIONS", path).header("Allow", "").split(",")}
    assert {"PUT", "DELETE", "PROPFIND", "PROPPATCH", "REPORT"} <= allowed, allowed


@suite.check("06 calendar-home-set holds one href, which is a home and no calendar")
def one_home(server):
    _, homes = principal_and_home(server)
    assert len(homes) == 1, homes
    found = server.propfind(homes[0], DAV + "resourcetype").one()
    assert found.has(DAV + "resourcetype", DAV + "collection") and not found.has(DAV + "resourcetype", CAL + "calendar")


@suite.check("07 calendar-user-address-set holds a mailto:, preferred first and last")
def addresses(server):
    found = server.propfind(server.principal(), CAL + "calendar-user-address-set").one().found[CAL + "calendar-user-address-set"]
    hrefs = found.findall(DAV + "href")
    assert hrefs and hrefs[0].text == hrefs[-1].text == "mailto:alice@example.com", [h.text for h in hrefs]
    assert any(h.get("preferred") == "1" for h in hrefs), [h.attrib for h in hrefs]


# ----------------------------------------------------------------------------------------- properties: 8 to 13


@suite.check("08 privileges are listed one by one, not only as all")
def privileges(server):
    path = filled(server, 1)
    for where in (path, server.home(), path + "e0.ics"):
        found = server.propfind(where, DAV + "current-user-privilege-set").one().found[DAV + "current-user-privilege-set"]
        held = {child.tag for privilege in found for child in privilege}
        wanted = {DAV + name for name in ("read", "write", "write-properties", "write-content")}
        wanted |= {DAV + "bind", DAV + "unbind"} if where.endswith("/") else set()
        assert wanted <= held, (where, wanted - held)


@suite.check("09 every response has resourcetype and displayname")
def always_there(server):
    path = filled(server, 2)
    for where in (server.root, server.principal(), server.home(), path, path + "e0.ics"):
        for found in server.propfind(where, DAV + "resourcetype", DAV + "displayname", depth=1):
            assert DAV + "resourcetype" in found.found, found.href
    for where in (server.principal(), server.home(), path):
        assert server.propfind(where, DAV + "displayname").one().text(DAV + "displayname"), where


@suite.check("10 no collection is a calendar and a schedule-outbox at once")
def outbox(server):
    for found in server.propfind(server.home(), DAV + "resourcetype", depth=1):
        both = found.has(DAV + "resourcetype", CAL + "calendar") and found.has(DAV + "resourcetype", CAL + "schedule-outbox")
        assert not both, found.href


@suite.check("11 PROPPATCH of a protected property is a 207; what Apple stores is stored, attributes too")
def apple_properties(server):
    path = server.new_calendar()
    valarm = "BEGIN:VALARM&#13;\nX-WR-ALARMUID:8A6B&#13;\nACTION:NONE&#13;\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z&#13;\nEND:VALARM&#13;\n"
    zone = "BEGIN:VCALENDAR&#13;\nVERSION:2.0&#13;\nPRODID:-//x//EN&#13;\nBEGIN:VTIMEZONE&#13;\nTZID:X&#13;\nBEGIN:STANDARD&#13;\nDTSTART:19700101T000000&#13;\nTZOFFSETFROM:+0100&#13;\nTZOFFSETTO:+0100&#13;\nEND:STANDARD&#13;\nEND:VTIMEZONE&#13;\nEND:VCALENDAR&#13;\n"
    sent = {
        APPLE + "calendar-order": "<A:calendar-order>7</A:calendar-order>",
        DAV + "displayname": "<D:displayname>Büro &amp; Heim</D:displayname>",
        APPLE + "calendar-color": '<A:calendar-color symbolic-color="custom">#882F00FF</A:calendar-color>',
        CAL + "calendar-timezone": f"<C:calendar-timezone>{zone}</C:calendar-timezone>",
        CAL + "schedule-calendar-transp": "<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>",
        CAL + "default-alarm-vevent-date": f"<C:default-alarm-vevent-date>{valarm}</C:default-alarm-vevent-date>",
        CAL + "default-alarm-vevent-datetime": f"<C:default-alarm-vevent-datetime>{valarm}</C:default-alarm-vevent-datetime>",
    }
    for where in (path, server.home()):
        for name, xml in sent.items():
            if where == server.home() and name in (CAL + "calendar-timezone", CAL + "schedule-calendar-transp"):
                continue
            body = f"<D:propertyupdate {NAMES}><D:set><D:prop>{xml}</D:prop></D:set></D:propertyupdate>"
            server.request("PROPPATCH", where, body, APPLE_HEADERS).expect(200, 207)
            assert name in server.propfind(where, name).one().found, (where, name)
    color = server.propfind(path, APPLE + "calendar-color").one().found[APPLE + "calendar-color"]
    assert color.text == "#882F00FF" and color.get("symbolic-color") == "custom", color.attrib
    assert server.propfind(path, CAL + "schedule-calendar-transp").one().has(CAL + "schedule-calendar-transp", CAL + "transparent")
    protected = f"<D:propertyupdate {NAMES}><D:set><D:prop><D:getetag>x</D:getetag></D:prop></D:set></D:propertyupdate>"
    assert server.dav("PROPPATCH", path, protected).multistatus().one().missing == {DAV + "getetag": 403}


@suite.check("12 getctag and sync-token are on calendars and on the home, and move together")
def tags(server):
    path = server.new_calendar()
    before = [server.propfind(where, CS + "getctag", DAV + "sync-token").one() for where in (path, server.home())]
    server.put(path + "a.ics", event(path)).expect(201)
    after = [server.propfind(where, CS + "getctag", DAV + "sync-token").one() for where in (path, server.home())]
    for old, new in zip(before, after):
        assert old.text(CS + "getctag") != new.text(CS + "getctag"), old.href
        assert old.text(DAV + "sync-token") != new.text(DAV + "sync-token"), old.href


@suite.check("13 getcontenttype of an object starts with text/calendar")
def content_type(server):
    found = server.propfind(filled(server, 1) + "e0.ics", DAV + "getcontenttype").one()
    assert found.text(DAV + "getcontenttype").startswith("text/calendar")


# -------------------------------------------------------------------------------------------- reports: 14 to 18


@suite.check("14 sync-collection with Depth 1, 0 or none, without sync-level, and with calendar-data")
def sync_shapes(server):
    path = filled(server)
    for depth in (0, 1, None):
        for level in ("<D:sync-level>1</D:sync-level>", ""):
            answer = server.dav("REPORT", path, sync(level=level), depth).multistatus()
            assert answer.names() == ["e0.ics", "e1.ics", "e2.ics"] and answer.sync_token, (depth, level, answer.names())
    answer = server.dav("REPORT", path, sync(props="<D:getetag/><C:calendar-data/>"), 1).multistatus()
    assert "BEGIN:VEVENT" in answer.at(path + "e0.ics").text(CAL + "calendar-data")


@suite.check("15 multiget with Depth 0, 1 or none; Windows' calendar-query with Depth 0; PROPFIND without Depth on a principal")
def depth_shapes(server):
    path = filled(server)
    for depth in (0, 1, None):
        answer = server.dav("REPORT", path, multiget(path + "e0.ics", path + "e2.ics"), depth).multistatus()
        assert answer.names() == ["e0.ics", "e2.ics"], depth
    windows = {"User-Agent": "MSFT-WP/10.0.19041"}
    assert len(server.dav("REPORT", path, query("VEVENT"), 0, windows).multistatus()) == 3
    assert len(server.dav("REPORT", path, query("VEVENT"), None).multistatus()) == 3
    server.dav("PROPFIND", server.principal(), propfind_body("C:calendar-home-set"), None).multistatus()


@suite.check("16 a time-range with a start and no end; nothing found is an empty 207")
def open_range(server):
    path = filled(server)
    assert len(server.dav("REPORT", path, query("VEVENT", '<C:time-range start="20300101T000000Z"/>'), 1).multistatus()) == 3
    assert len(server.dav("REPORT", path, query("VEVENT", '<C:time-range start="20400101T000000Z"/>'), 1).multistatus()) == 0
    assert len(server.dav("REPORT", path, query("VTODO"), 1).multistatus()) == 0


@suite.check("17 a bad sync-token is 403 with valid-sync-token, on calendars and on the home")
def bad_token(server):
    for where in (server.new_calendar(), server.home()):
        for token in ("6D5A7D6E-4F0E-4F0B-9C54-0D7C9C4B8C11", "data:,1", "http://other.example/sync/1"):
            assert server.dav("REPORT", where, sync(token), 1).precondition(403).tag == DAV + "valid-sync-token", token


@suite.check("18 expand-property answers 207 even if there is nothing in it")
def expand_property(server):
    group = '<D:property name="calendar-proxy-{}-for" namespace="http://calendarserver.org/ns/"><D:property name="calendar-user-address-set" namespace="urn:ietf:params:xml:ns:caldav"/><D:property name="displayname" namespace="DAV:"/></D:property>'
    body = f'<D:expand-property xmlns:D="DAV:">{group.format("read")}{group.format("write")}</D:expand-property>'
    for headers in ({}, APPLE_HEADERS):
        server.dav("REPORT", server.principal(), body, None, headers).multistatus()


# --------------------------------------------------------------------------------------------- writes: 19 to 23


@suite.check("19 MKCALENDAR without and with resourcetype and subscribed; extended MKCOL without a trailing slash")
def creations(server):
    components = '<C:supported-calendar-component-set><C:comp name="{}"/></C:supported-calendar-component-set>'
    apple = f'<A:calendar-order>3</A:calendar-order>{components.format("VEVENT")}<A:calendar-color symbolic-color="custom">#2BA6FFFF</A:calendar-color><D:displayname>Work</D:displayname><C:schedule-calendar-transp><C:opaque/></C:schedule-calendar-transp>'
    path = new_path(server)
    server.request("MKCALENDAR", path, mkcalendar(apple), APPLE_HEADERS).expect(201)
    found = server.propfind(path, DAV + "displayname", APPLE + "calendar-color", CAL + "supported-calendar-component-set").one()
    assert found.text(DAV + "displayname") == "Work"
    assert [c.get("name") for c in found.found[CAL + "supported-calendar-component-set"]] == ["VEVENT"]
    kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"
    davx5 = f'{kind}<D:displayname>Tasks</D:displayname><C:calendar-description>x</C:calendar-description><A:calendar-color>#FF00AAFF</A:calendar-color>{components.format("VTODO")}'
    path = new_path(server)
    server.dav("MKCALENDAR", path, mkcalendar(davx5)).expect(201)
    assert server.propfind(path, DAV + "resourcetype").one().has(DAV + "resourcetype", CAL + "calendar")
    path = new_path(server)
    subscription = "<D:resourcetype><D:collection/><CS:subscribed/></D:resourcetype><CS:source><D:href>webcal://example.com/a.ics</D:href></CS:source><D:displayname>Feed</D:displayname>"
    server.request("MKCALENDAR", path, mkcalendar(subscription), APPLE_HEADERS).expect(201)
    found = server.propfind(path, DAV + "resourcetype", CS + "source").one()
    assert found.has(DAV + "resourcetype", CS + "subscribed"), "the subscription is no subscription"
    assert found.hrefs(CS + "source") == ["webcal://example.com/a.ics"]
    path = new_path(server).rstrip("/")
    server.dav("MKCOL", path, mkcalendar(kind + "<D:displayname>vdirsyncer</D:displayname>", "D:mkcol")).expect(201)
    found = server.propfind(path + "/", DAV + "resourcetype", DAV + "displayname").one()
    assert found.has(DAV + "resourcetype", CAL + "calendar") and found.text(DAV + "displayname") == "vdirsyncer"


@suite.check("20 PUT answers the ETag that listings, multiget, GET and HEAD show")
def same_etag(server):
    path = server.new_calendar()
    etag = server.put(path + "a.ics", event(path), {"If-None-Match": "*"}).expect(201).header("ETag")
    assert etag and not etag.startswith("W/"), etag
    listed = server.propfind(path, DAV + "getetag", depth=1).at(path + "a.ics").text(DAV + "getetag")
    got = server.dav("REPORT", path, multiget(path + "a.ics"), 1).multistatus().one().text(DAV + "getetag")
    heads = [server.request(method, path + "a.ics").expect(200).header("ETag") for method in ("GET", "HEAD")]
    assert {listed, got, *heads} == {etag}, (listed, got, heads, etag)
    changed = server.put(path + "a.ics", event(path, "Changed"), {"If-Match": etag}).expect(204, 200).header("ETag")
    assert changed and changed != etag
    server.put(path + "a.ics", event(path, "Late"), {"If-Match": etag}).expect(412)
    server.put(path + "a.ics", event(path, "Again"), {"If-None-Match": "*"}).expect(412)


@suite.check("21 doubled charset, Depth 0 on DELETE of a collection, path-only Destination, %40 and @ alike")
def oddities(server):
    path = server.new_calendar()
    doubled = {"Content-Type": "text/calendar; charset=utf-8; charset=utf-8", "Depth": "0", "X-Requested-With": "XMLHttpRequest"}
    server.request("PUT", path + "me@home.ics", event(path), doubled).expect(201)
    server.request("GET", path + "me%40home.ics").expect(200)
    assert len(server.dav("REPORT", path, multiget(path + "me%40home.ics"), None).multistatus()) == 1
    server.request("MOVE", path + "me%40home.ics", headers={"Destination": path + "b.ics"}).expect(201)
    server.request("DELETE", path, headers={"Depth": "0"}).expect(204)
    server.request("GET", path + "b.ics").expect(404)


@suite.check("22 an update without If-Match is taken")
def blind_update(server):
    path = filled(server, 1)
    server.put(path + "e0.ics", event(f"{path}-0", "Evolution"), {"Prefer": "return=minimal"}).expect(204, 200)
    server.request("DELETE", path + "e0.ics").expect(204)


@suite.check("23 the answers do not depend on the User-Agent")
def user_agents(server):
    path = filled(server)
    agents = [None, "macOS/26.5.1 (25F80) remindd/3976", "iOS/15.7 (19H12) dataaccessd/1.0", "DAVx5/4.5 (at.bitfire.davdroid)", "CalDavSynchronizer/4.4", "Mozilla/5.0 Thunderbird/153.0"]
    bodies = set()
    for agent in agents:
        answer = server.dav("REPORT", path, query("VEVENT"), 1, {"User-Agent": agent} if agent else {}).expect(207)
        bodies.add(answer.body)
    assert len(bodies) == 1, "the answers differ"


@suite.check("24 a calendar as a feed: GET and HEAD without Accept, ETag, 304, Cache-Control, names and refresh hints")
def feed(server):
    path = filled(server)
    answer = server.request("GET", path).expect(200)
    assert answer.header("Content-Type", "").startswith("text/calendar"), answer.header("Content-Type")
    assert answer.body.count(b"BEGIN:VEVENT") == 3 and answer.body.count(b"BEGIN:VCALENDAR") == 1
    assert answer.header("ETag") and answer.header("Cache-Control"), answer.headers.items()
    server.request("HEAD", path).expect(200)
    server.request("GET", path, headers={"If-None-Match": answer.header("ETag")}).expect(304)
    assert b"X-WR-CALNAME" in answer.body and b"REFRESH-INTERVAL" in answer.body and b"X-PUBLISHED-TTL" in answer.body
    server.put(path + "e0.ics", event(f"{path}-0", "Moved")).expect(204, 200)
    server.request("GET", path, headers={"If-None-Match": answer.header("ETag")}).expect(200)
    server.request("GET", "/robots.txt", user=None).expect(200, 404)


# --------------------------------------------------------------------------------------- whole client sequences


@suite.check("macOS and iOS: account set-up, from the well-known URL to the proxies")
def apple_setup(server):
    body = propfind_body("D:current-user-principal", "D:principal-URL", "D:resourcetype")
    headers = {**APPLE_HEADERS, "Depth": "0"}
    redirect = server.request("PROPFIND", WELL_KNOWN, body, headers, None).expect(301)
    where = urllib.parse.urlsplit(redirect.header("Location")).path
    server.request("PROPFIND", where, body, headers, None).expect(401)
    principal = server.request("PROPFIND", where, body, headers).multistatus().one().hrefs(DAV + "current-user-principal")[0]
    for user in (None, "alice"):
        assert "calendar-access" in dav_tokens(server.request("OPTIONS", principal, headers=APPLE_HEADERS, user=user).expect(200))
    asked = propfind_body(
        "C:calendar-home-set", "C:calendar-user-address-set", "D:current-user-principal", "D:displayname", "CS:dropbox-home-URL",
        "CS:email-address-set", "CS:notification-URL", "D:principal-collection-set", "D:principal-URL", "D:resource-id",
        "C:schedule-inbox-URL", "C:schedule-outbox-URL", "D:supported-report-set",
    )
    found = server.request("PROPFIND", principal, asked, headers).multistatus().one()
    home = found.hrefs(CAL + "calendar-home-set")[0]
    collection = found.hrefs(DAV + "principal-collection-set")[0]
    assert found.found[DAV + "supported-report-set"].findall(f"{DAV}supported-report/{DAV}report/*")
    report = '<D:principal-search-property-set xmlns:D="DAV:"/>'
    assert server.request("REPORT", collection, report, headers).expect(200).xml().tag == DAV + "principal-search-property-set"
    listed = server.request("PROPFIND", home, apple_home_list(), {**headers, "Depth": "1"}).multistatus()
    calendars = [m for m in listed if m.has(DAV + "resourcetype", CAL + "calendar")]
    assert calendars and all(CS + "getctag" in m.found for m in calendars)
    reports = listed.at(home).found[DAV + "supported-report-set"]
    assert reports.find(f"{DAV}supported-report/{DAV}report/{DAV}sync-collection") is not None, "Calendar syncs only if the home does"
    answer = server.request("REPORT", home, sync(props="<D:getetag/><CS:getctag/><D:resourcetype/>"), {**APPLE_HEADERS, "Depth": "1"}).multistatus()
    assert answer.sync_token


def apple_home_list():
    return propfind_body(
        "D:add-member", "CS:allowed-sharing-modes", "D:current-user-privilege-set", "D:displayname", "D:owner", "D:quota-available-bytes",
        "D:quota-used-bytes", "D:resource-id", "D:resourcetype", "D:supported-report-set", "D:sync-token", "A:calendar-color", "A:calendar-order",
        "C:calendar-description", "C:calendar-free-busy-set", "C:calendar-timezone", "C:default-alarm-vevent-date", "C:default-alarm-vevent-datetime",
        "C:max-attendees-per-instance", "C:schedule-calendar-transp", "C:schedule-default-calendar-URL", "C:supported-calendar-component-set",
        "C:supported-calendar-component-sets", "CS:getctag", "CS:invite", "CS:pushkey", "CS:push-transports", "CS:source", "CS:subscribed-strip-alarms",
        "CS:xmpp-server", "CS:xmpp-uri",
    )


@suite.check("macOS: a working day, with sync without sync-level, multiget in batches and a move between calendars")
def apple_day(server):
    path, other = filled(server), server.new_calendar()
    headers = {**APPLE_HEADERS, "Depth": "1"}
    first = server.request("REPORT", path, sync(level="", props="<D:getetag/><D:getcontenttype/>"), headers).multistatus()
    assert len(first) == 3
    hrefs = [m.href for m in first]
    assert len(server.request("REPORT", path, multiget(*hrefs, props="<D:getetag/><C:calendar-data/><C:schedule-tag/>"), headers).multistatus()) == 3
    server.request("MOVE", hrefs[0], headers={**APPLE_HEADERS, "Destination": server.origin + other + "e0.ics"}).expect(201)
    second = server.request("REPORT", path, sync(first.sync_token, level=""), headers).multistatus()
    assert [(m.href, m.status) for m in second] == [(hrefs[0], 404)]
    assert server.propfind(other, DAV + "getetag", depth=1).names() == sorted([other.strip("/").rsplit("/", 1)[-1], "e0.ics"])


@suite.check("DAVx5: detection, refresh, the 90-day query and batches of multiget without Depth")
def davx5(server):
    who = propfind_body("D:resourcetype", "D:displayname", "D:current-user-principal", "D:current-user-privilege-set", "C:calendar-home-set")
    answer, _ = follow(server, "PROPFIND", WELL_KNOWN, who, {"Depth": "0", "Content-Type": "application/xml; charset=utf-8"})
    principal = answer.multistatus().one().hrefs(DAV + "current-user-principal")[0]
    asked = propfind_body("D:displayname", "D:group-membership", "D:resourcetype", "C:calendar-home-set", "CS:calendar-proxy-read-for", "CS:calendar-proxy-write-for")
    home = server.dav("PROPFIND", principal, asked, 0).multistatus().one().hrefs(CAL + "calendar-home-set")[0]
    asked = propfind_body("D:current-user-privilege-set", "D:displayname", "D:owner", "D:resourcetype", "A:calendar-color", "C:calendar-description", "C:calendar-timezone", "C:calendar-timezone-id", "C:supported-calendar-component-set", "CS:source")
    for found in server.dav("PROPFIND", home, asked, 1).multistatus():
        if found.has(DAV + "resourcetype", CAL + "calendar"):
            assert found.hrefs(DAV + "owner") == [principal], found.href
    path = filled(server, 12)
    asked = propfind_body("D:supported-report-set", "D:sync-token", "CS:getctag", "C:max-resource-size")
    found = server.dav("PROPFIND", path, asked, 0).multistatus().one()
    reports = {r.tag for r in found.found[DAV + "supported-report-set"].iterfind(f"{DAV}supported-report/{DAV}report/*")}
    assert {DAV + "sync-collection", CAL + "calendar-query", CAL + "calendar-multiget"} <= reports, reports
    assert int(found.text(CAL + "max-resource-size")) > 0
    hrefs = []
    for component in ("VEVENT", "VTODO", "VJOURNAL"):
        hrefs += [m.href for m in server.dav("REPORT", path, query(component, '<C:time-range start="20300823T000000Z"/>'), 1).multistatus()]
    assert len(hrefs) == 12
    props = "<D:getcontenttype/><D:getetag/><C:schedule-tag/><C:calendar-data/>"
    for batch in (hrefs[:10], hrefs[10:]):
        for found in server.dav("REPORT", path, multiget(*batch, props=props), None).multistatus():
            assert DAV + "getetag" in found.found and CAL + "calendar-data" in found.found


@suite.check("Thunderbird: detection, read-only test, OPTIONS on the home without credentials, sync with Depth 1")
def thunderbird(server):
    asked = propfind_body("D:resourcetype", "D:owner", "D:displayname", "D:current-user-principal", "D:current-user-privilege-set", "A:calendar-color", "C:calendar-home-set")
    answer, where = follow(server, "PROPFIND", WELL_KNOWN, asked, {"Depth": "0"}, None)
    realm = answer.expect(401).header("WWW-Authenticate")
    found = server.dav("PROPFIND", where, asked, 0).multistatus().one()
    assert DAV + "resourcetype" in found.found
    principal = found.hrefs(DAV + "current-user-principal")[0]
    home = server.dav("PROPFIND", principal, propfind_body("D:resourcetype", "C:calendar-home-set"), 0).multistatus().one().hrefs(CAL + "calendar-home-set")[0]
    for found in server.dav("PROPFIND", home, propfind_body("D:resourcetype", "D:displayname", "D:current-user-privilege-set", "A:calendar-color"), 1).multistatus():
        assert DAV + "resourcetype" in found.found, found.href
    path = filled(server)
    assert server.dav("PROPFIND", path, asked, 0, user=None).expect(401).header("WWW-Authenticate") == realm
    assert "calendar-access" in dav_tokens(server.request("OPTIONS", home, user=None).expect(200))
    first = server.dav("REPORT", path, sync(props="<D:getcontenttype/><D:getetag/>"), 1).multistatus()
    assert all(m.text(DAV + "getcontenttype").startswith("text/calendar") for m in first)
    server.put(path + "new.ics", event(path + "new"), {"If-None-Match": "*"}).expect(201)
    assert len(server.dav("REPORT", path, multiget(path + "new.ics"), 1).multistatus()) == 1
    etag = server.request("HEAD", path + "new.ics").expect(200).header("ETag")
    server.request("DELETE", path + "new.ics", headers={"If-Match": '"stale"'}).expect(412)
    server.request("DELETE", path + "new.ics", headers={"If-Match": etag}).expect(204)
    server.request("DELETE", path + "e1.ics").expect(204)
    second = server.dav("REPORT", path, sync(first.sync_token, props="<D:getcontenttype/><D:getetag/>"), 1).multistatus()
    assert (path + "e1.ics", 404) in [(m.href, m.status) for m in second]


@suite.check("Evolution: discovery from a URL, ctag and calendar-query, an unchanged ctag means nothing changed")
def evolution(server):
    asked = propfind_body("D:resourcetype", "D:current-user-principal", "D:principal-URL", "C:calendar-home-set", "C:calendar-user-address-set")
    server.dav("PROPFIND", server.root, asked, 0, user=None).expect(401)
    principal = server.dav("PROPFIND", server.root, asked, 0).multistatus().one().hrefs(DAV + "current-user-principal")[0]
    found = server.dav("PROPFIND", principal, propfind_body("C:calendar-home-set", "C:calendar-user-address-set"), 0).multistatus().one()
    home = found.hrefs(CAL + "calendar-home-set")[0]
    asked = propfind_body("D:resourcetype", "CS:source", "C:supported-calendar-component-set", "D:displayname", "D:getetag", "CS:getctag", "D:getcontenttype", "D:getcontentlength", "D:creationdate", "D:getlastmodified", "C:calendar-description", "A:calendar-color", "A:calendar-order")
    server.dav("PROPFIND", home, asked, 1).multistatus()
    server.request("PROPFIND", "/.well-known/webdav/Notes/", propfind_body("D:resourcetype"), {"Depth": "0"}).expect(404)
    path = filled(server)
    allow = {m.strip() for m in server.request("OPTIONS", path).expect(200).header("Allow").split(",")}
    assert {"PUT", "DELETE"} <= allow
    ctag = server.propfind(path, CS + "getctag").one().text(CS + "getctag")
    window = '<C:time-range start="20301001T000000Z" end="20301210T000000Z"/>'
    assert len(server.dav("REPORT", path, query("VEVENT", window), 1).multistatus()) == 3
    assert server.propfind(path, CS + "getctag").one().text(CS + "getctag") == ctag
    minimal = {"Prefer": "return=minimal"}
    server.put(path + "e0.ics", event(f"{path}-0", "Changed"), minimal).expect(200, 204)
    assert server.propfind(path, CS + "getctag").one().text(CS + "getctag") != ctag
    search = f'<D:principal-property-search {NAMES}><D:apply-to-principal-collection-set/><D:property-search><D:prop><C:calendar-user-address-set/></D:prop><D:match>bob@example.com</D:match></D:property-search><D:prop><D:displayname/></D:prop></D:principal-property-search>'
    server.dav("REPORT", path, search, 0).multistatus()
    server.propfind(path, DAV + "acl").one()
    server.request("DELETE", path, headers={"Depth": "infinity"}).expect(204)


@suite.check("Outlook CalDav Synchronizer: well-known, resource tests, 403 for a stale token, Location and colour")
def outlook(server):
    headers = {"User-Agent": "CalDavSynchronizer/4.4", "Content-Type": "application/xml; charset=utf-8", "Depth": "0", "Connection": "close"}
    body = propfind_body("D:current-user-principal", "D:principal-URL", "D:resourcetype")
    answer, _ = follow(server, "PROPFIND", WELL_KNOWN, body, headers)
    principal = answer.multistatus().one().hrefs(DAV + "current-user-principal")[0]
    home = server.dav("PROPFIND", principal, propfind_body("C:calendar-home-set"), 0).multistatus().one().hrefs(CAL + "calendar-home-set")[0]
    for found in server.dav("PROPFIND", home, propfind_body("D:resourcetype", "D:displayname", "A:calendar-color", "C:supported-calendar-component-set"), 1).multistatus():
        assert DAV + "displayname" in found.found, found.href
    path = new_path(server)
    kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"
    server.dav("MKCOL", path, mkcalendar(kind, "D:mkcol")).expect(201)
    update = f"<D:propertyupdate {NAMES}><D:set><D:prop><D:displayname>Outlook</D:displayname><A:calendar-color>#AABBCCFF</A:calendar-color></D:prop></D:set></D:propertyupdate>"
    assert len(server.dav("PROPPATCH", path, update).multistatus().one().found) == 2
    server.put(path + "a.ics", event(path), {"If-None-Match": "*"}).expect(201)
    window = '<C:time-range start="20301001T000000Z" end="20301210T000000Z"/>'
    assert len(server.dav("REPORT", path, query("VEVENT", window), 1).multistatus()) == 1
    assert server.dav("REPORT", path, sync("urn:gone"), 0).precondition(403).tag == DAV + "valid-sync-token"
    got = server.dav("REPORT", path, multiget(path + "a.ics", props="<D:getetag/><D:displayname/><C:calendar-data/>"), 1).multistatus().one()
    assert CAL + "calendar-data" in got.found
    search = f'<D:principal-property-search {NAMES} test="anyof"><D:property-search><D:prop><D:displayname/></D:prop><D:match match-type="equals">nobody</D:match></D:property-search><D:prop><D:displayname/></D:prop></D:principal-property-search>'
    server.dav("REPORT", server.principal().rsplit("/", 2)[0] + "/", search, 0).multistatus()


@suite.check("KDE: every request first without credentials, then with")
def kde(server):
    def twice(method, path, body, depth, headers=None):
        server.dav(method, path, body, depth, headers, user=None).expect(401)
        return server.dav(method, path, body, depth, headers)

    found = twice("PROPFIND", server.root, propfind_body("C:calendar-home-set", "D:current-user-principal", "D:principal-URL"), 0).multistatus().one()
    principal = found.hrefs(DAV + "current-user-principal")[0]
    home = twice("PROPFIND", principal, propfind_body("C:calendar-home-set"), 0).multistatus().one().hrefs(CAL + "calendar-home-set")[0]
    twice("PROPFIND", home, propfind_body("D:displayname", "D:resourcetype", "A:calendar-color", "C:supported-calendar-component-set", "D:current-user-privilege-set", "CS:getctag"), 1).multistatus()
    path = server.new_calendar()
    name = path + "1795356688.R267.ics"
    server.put(name, event(path), {"If-None-Match": "*"}, user=None).expect(401)
    server.put(name, event(path), {"If-None-Match": "*"}).expect(201)
    server.request("GET", name).expect(200)
    for component, count in (("VEVENT", 1), ("VTODO", 0)):
        assert len(twice("REPORT", path, query(component), 1).multistatus()) == count
    assert len(twice("REPORT", path, multiget(name), 0).multistatus()) == 1


@suite.check("dav and tsdav: well-known without Depth, comma text inside prop, sync without Depth asking calendar-data")
def node_clients(server):
    body = propfind_body("D:current-user-principal")
    answer, _ = follow(server, "PROPFIND", WELL_KNOWN, body, {"Content-Type": "application/xml; charset=utf-8"})
    assert answer.multistatus().members[0].hrefs(DAV + "current-user-principal")
    comma = f"<D:propfind {NAMES}><D:prop><C:calendar-home-set/>,<D:displayname/></D:prop></D:propfind>"
    found = server.dav("PROPFIND", server.principal(), comma, None).multistatus().at(server.principal())
    assert found.hrefs(CAL + "calendar-home-set")
    path = filled(server)
    answer = server.dav("REPORT", path, sync(props="<D:getetag/>,<C:calendar-data/>"), None).multistatus()
    assert len(answer) == 3 and all(CAL + "calendar-data" in m.found for m in answer)
    assert "calendar-access" in dav_tokens(server.request("OPTIONS", "/").expect(200))
    etag = server.put(path + "z.ics", event(path + "z")).expect(201).header("ETag")
    assert etag, "tsdav needs the ETag"


@suite.check("Nextcloud's library: Depth 0 on every request, MKCOL without slash, then PROPFIND with it")
def nextcloud(server):
    path = new_path(server)
    kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>cdav</D:displayname>"
    headers = {"Depth": "0", "X-Requested-With": "XMLHttpRequest"}
    server.dav("MKCOL", path.rstrip("/"), mkcalendar(kind, "D:mkcol"), 0, headers).expect(201)
    found = server.dav("PROPFIND", path, propfind_body("D:displayname", "D:current-user-privilege-set", "D:resourcetype"), 0).multistatus().one()
    assert found.href == path and found.text(DAV + "displayname") == "cdav"
    server.request("PUT", path + "a.ics", event(path), {**headers, "Content-Type": "text/calendar; charset=utf-8"}).expect(201)
    kind = server.propfind(path + "a.ics", DAV + "getcontenttype").one().text(DAV + "getcontenttype")
    again = {**headers, "Content-Type": kind + "; charset=utf-8"}
    server.request("PUT", path + "a.ics", event(path, "Again"), again).expect(200, 204)
    server.request("DELETE", path + "a.ics", headers=headers).expect(204)
