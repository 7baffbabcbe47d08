"""Clauses of the RFCs that are best proven over the wire. Each check begins with the RFC and the section."""

import json
import re
import urllib.parse
import uuid

from harness import CAL, CS, DAV, Suite, calendar, event, unfold

suite = Suite()
run = suite.run

NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:X="urn:x-test"'
XML = {"Content-Type": "application/xml; charset=utf-8"}


def allprop(server, path):
    body = f"<D:propfind {NAMES}><D:allprop/></D:propfind>"
    return set(server.dav("PROPFIND", path, body, 0).multistatus().one().found)


def set_property(server, path, xml, user="alice"):
    body = f"<D:propertyupdate {NAMES}><D:set><D:prop>{xml}</D:prop></D:set></D:propertyupdate>"
    return server.dav("PROPPATCH", path, body, user=user)


def lock(server, path, scope="exclusive", headers=None, user="alice"):
    body = f"<D:lockinfo {NAMES}><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>"
    return server.dav("LOCK", path, body, 0, headers, user)


def token(answer):
    return answer.expect(200, 201).header("Lock-Token").strip("<>")


def file(server, content=b"x"):
    path = f"{server.files()}{uuid.uuid4().hex}.txt"
    server.request("PUT", path, content, {"Content-Type": "text/plain"}).expect(201)
    return path


def folder(server):
    path = f"{server.files()}{uuid.uuid4().hex}/"
    server.request("MKCOL", path).expect(201)
    return path


def grant(server, path, privileges, to="bob", owner="alice"):
    """The resource's own list becomes this one entry; without privileges, none."""
    held = "".join(f"<D:privilege>{p}</D:privilege>" for p in privileges)
    ace = f"<D:ace><D:principal><D:href>{server.principal(to)}</D:href></D:principal><D:grant>{held}</D:grant></D:ace>"
    return server.dav("ACL", path, f"<D:acl {NAMES}>{ace if privileges else ''}</D:acl>", user=owner)


def query(inner, prop="<D:getetag/>", after="", component="VEVENT"):
    return (
        f'<C:calendar-query {NAMES}><D:prop>{prop}</D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="{component}">'
        f"{inner}</C:comp-filter></C:comp-filter></C:filter>{after}</C:calendar-query>"
    )


def privileges(server, path, user):
    found = server.propfind(path, DAV + "current-user-privilege-set", user=user).one().found[DAV + "current-user-privilege-set"]
    return {child.tag.partition("}")[2] for privilege in found for child in privilege}


# ------------------------------------------------------------------------------------------------- RFC 4918


@suite.check("4918 6.1 deleting or moving a lock's root ends the lock")
def lock_root_goes(server):
    for method, headers in (("DELETE", {}), ("MOVE", {"Destination": f"{server.files()}{uuid.uuid4().hex}.txt"})):
        path = file(server)
        held = token(lock(server, path))
        server.request(method, path, headers={**headers, "If": f"(<{held}>)"}).expect(201, 204)
        server.request("PUT", path, b"free again").expect(201)
        assert server.propfind(path, DAV + "lockdiscovery").one().found[DAV + "lockdiscovery"].find(DAV + "activelock") is None


@suite.check("4918 6.5 lock tokens are URIs that never come twice")
def unique_tokens(server):
    path, seen = file(server), set()
    for _ in range(20):
        held = token(lock(server, path))
        assert re.match(r"(urn:uuid|opaquelocktoken):[0-9a-f-]{36}$", held) and held not in seen, held
        seen.add(held)
        server.request("UNLOCK", path, headers={"Lock-Token": f"<{held}>"}).expect(204)


@suite.check("4918 8.1 authorization comes before conditions, bodies and Overwrite")
def authorization_first(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    grant(server, path, ["<D:read/>"]).expect(200)
    server.put(path + "a.ics", "garbage", {"If-Match": '"wrong"'}, user="bob").expect(403)
    server.request("DELETE", path + "a.ics", headers={"If-Match": '"wrong"'}, user="bob").expect(403)
    server.put(path + "a.ics", "garbage", {"If-Match": '"wrong"'}, user="carol").expect(404)
    server.put(path + "a.ics", "garbage", {"If-Match": '"wrong"'}, user=None).expect(401)


@suite.check("4918 8.4 a body that would be ignored is 415")
def unexpected_body(server):
    server.request("MKCOL", f"{server.files()}{uuid.uuid4().hex}/", "hello", {"Content-Type": "text/plain"}).expect(415)


@suite.check("4918 10.4 a malformed If header is 400")
def malformed_if(server):
    path = file(server)
    for value in ("garbage", "(<token>", "()", "<http://x/> <http://y/>"):
        server.request("PUT", path, b"y", {"If": value}).expect(400)


@suite.check("4918 10.7 Timeout is understood and capped")
def timeouts(server):
    for asked, most in (("Second-60", 60), ("Infinite, Second-4100000000", None), ("Second-4294967295", None)):
        path = file(server)
        answer = lock(server, path, headers={"Timeout": asked}).expect(200).xml()
        given = re.match(r"Second-(\d+)", answer.find(f".//{DAV}timeout").text)
        assert given and 0 < int(given[1]) <= (most or 4294967295), given


@suite.check("4918 14 unknown elements and attributes are ignored, processing instructions too")
def unknown_elements(server):
    body = f'<?xml version="1.0"?><?pi x?><D:propfind {NAMES} X:a="1"><X:before/><D:prop X:b="2"><D:resourcetype/></D:prop><X:after><D:prop/></X:after></D:propfind>'
    assert server.dav("PROPFIND", server.home(), body, 0).multistatus().one().has(DAV + "resourcetype", DAV + "collection")


@suite.check("4918 16 preconditions of WebDAV by name")
def webdav_preconditions(server):
    path = file(server)
    held = token(lock(server, path))
    error = server.request("PUT", path, b"y").precondition(423)
    assert error.tag == DAV + "lock-token-submitted" and error.findtext(DAV + "href") == path, error.tag
    assert lock(server, path).precondition(423).tag == DAV + "no-conflicting-lock"
    other = file(server)
    wrong = server.request("UNLOCK", other, headers={"Lock-Token": f"<{held}>"}).precondition(409)
    assert wrong.tag == DAV + "lock-token-matches-request-uri", wrong.tag
    infinite = server.dav("PROPFIND", server.home(), f"<D:propfind {NAMES}><D:allprop/></D:propfind>", "infinity")
    assert infinite.precondition(403).tag == DAV + "propfind-finite-depth"
    protected = set_property(server, path, "<D:getetag>x</D:getetag>")
    assert protected.status in (207, 423), protected
    server.request("UNLOCK", path, headers={"Lock-Token": f"<{held}>"}).expect(204)
    answer = set_property(server, path, "<D:getetag>x</D:getetag>").expect(207)
    assert answer.xml().find(f".//{DAV}propstat/{DAV}error/{DAV}cannot-modify-protected-property") is not None, answer


@suite.check("4918 20.6 external entities and document types are refused, and not expanded")
def entities(server):
    for declaration in ('<!DOCTYPE D:propfind [<!ENTITY x SYSTEM "file:///etc/passwd">]>', '<!DOCTYPE D:propfind [<!ENTITY x "y">]>'):
        body = f'<?xml version="1.0"?>{declaration}<D:propfind {NAMES}><D:prop><X:a>&x;</X:a></D:prop></D:propfind>'
        answer = server.dav("PROPFIND", server.home(), body, 0).expect(400, 403)
        assert b"root:" not in answer.body
        if answer.status == 403:
            assert answer.precondition(403).tag == DAV + "no-external-entities"


# ------------------------------------------------------------------------------------------------- RFC 4791

PROTECTED = ["supported-calendar-component-set", "supported-calendar-data", "max-resource-size", "min-date-time", "max-date-time", "max-instances", "max-attendees-per-instance"]


@suite.check("4791 5.2 calendar properties are shown by name, not by allprop, and protected")
def protected_properties(server):
    path = server.new_calendar()
    shown = server.propfind(path, *(CAL + name for name in PROTECTED)).one().found
    assert set(shown) == {CAL + name for name in PROTECTED}, set(shown)
    kinds = {(d.get("content-type"), d.get("version")) for d in shown[CAL + "supported-calendar-data"]}
    assert ("text/calendar", "2.0") in kinds, kinds
    hidden = {CAL + name for name in [*PROTECTED, "calendar-description", "calendar-timezone", "supported-collation-set"]}
    assert not hidden & allprop(server, path), hidden & allprop(server, path)
    for name in PROTECTED[1:]:
        answer = set_property(server, path, f"<C:{name}>1</C:{name}>").multistatus().one()
        assert answer.missing == {CAL + name: 403}, (name, answer)


@suite.check("4791 5.2.6 min-date-time and max-date-time are enforced; a rule may go beyond, an override may not")
def date_bounds(server):
    path = server.new_calendar()
    shown = server.propfind(path, CAL + "min-date-time", CAL + "max-date-time").one()
    low, high = shown.text(CAL + "min-date-time"), shown.text(CAL + "max-date-time")
    assert re.fullmatch(r"\d{8}T\d{6}Z", low) and re.fullmatch(r"\d{8}T\d{6}Z", high) and low < high
    year_before, year_after = f"{int(low[:4]) - 1:04}", f"{int(high[:4]) + 1:04}"
    if int(low[:4]) > 1:
        early = event(path + "1", start=year_before + "0601T000000Z", end=year_before + "0601T010000Z")
        assert server.put(path + "a.ics", early).precondition(403).tag == CAL + "min-date-time"
    if int(high[:4]) < 9999:
        late = event(path + "2", start=year_after + "0601T000000Z", end=year_after + "0601T010000Z")
        assert server.put(path + "a.ics", late).precondition(403).tag == CAL + "max-date-time"
    endless = event(path + "3", start="20300101T000000Z", end="20300101T010000Z", extra="RRULE:FREQ=YEARLY")
    server.put(path + "endless.ics", endless).expect(201)


@suite.check("4791 5.2.8 max-instances is enforced on rules that end")
def max_instances(server):
    path = server.new_calendar()
    most = int(server.propfind(path, CAL + "max-instances").one().text(CAL + "max-instances"))
    fits = event(path + "1", extra="RRULE:FREQ=DAILY;COUNT=100")
    server.put(path + "a.ics", fits).expect(201)
    many = event(path + "2", end="20301104T090001Z", extra=f"RRULE:FREQ=SECONDLY;COUNT={most + 1}")
    assert server.put(path + "b.ics", many).precondition(403).tag == CAL + "max-instances"


@suite.check("4791 5.2.9 max-attendees-per-instance is enforced")
def max_attendees(server):
    path = server.new_calendar()
    most = int(server.propfind(path, CAL + "max-attendees-per-instance").one().text(CAL + "max-attendees-per-instance"))
    for count, status in ((most, 201), (most + 1, 403)):
        people = "\n".join(f"ATTENDEE:mailto:a{n}@example.com" for n in range(count))
        answer = server.put(f"{path}{count}.ics", event(f"{path}{count}", extra="ORGANIZER:mailto:alice@example.com\n" + people)).expect(status)
    assert answer.precondition(403).tag == CAL + "max-attendees-per-instance"


@suite.check("4791 5.3.1 MKCALENDAR names its preconditions and is not cached")
def mkcalendar(server):
    path = server.new_calendar()
    again = server.request("MKCALENDAR", path)
    assert again.precondition(403, 405, 409).tag == DAV + "resource-must-be-null"
    for where in (path + "inside/", server.files() + "cal/", server.home() + "a/b/"):
        assert server.request("MKCALENDAR", where).precondition(403, 409).tag == CAL + "calendar-collection-location-ok", where
    zone = f'<C:mkcalendar {NAMES}><D:set><D:prop><C:calendar-timezone>BEGIN:VCALENDAR&#13;\nEND:VCALENDAR</C:calendar-timezone></D:prop></D:set></C:mkcalendar>'
    server.dav("MKCALENDAR", server.home() + uuid.uuid4().hex + "/", zone).expect(207, 403, 424)
    made = server.request("MKCALENDAR", server.home() + uuid.uuid4().hex + "/").expect(201)
    assert "no-cache" in (made.header("Cache-Control") or "").lower(), made.headers.items()
    strangers = server.request("MKCALENDAR", server.home("bob") + uuid.uuid4().hex + "/")
    strangers.expect(403, 404)


@suite.check("4791 5.3.2.1 COPY and MOVE of a calendar to where none may be is calendar-collection-location-ok")
def calendar_location(server):
    path, other = server.new_calendar(), server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    for method in ("COPY", "MOVE"):
        for where in (other + "inside/", server.files() + "inside/"):
            answer = server.request(method, path, headers={"Destination": where})
            assert answer.precondition(403, 409).tag == CAL + "calendar-collection-location-ok", (method, where)


@suite.check("4791 6.2 calendar-home-set is not in allprop")
def home_set_hidden(server):
    assert CAL + "calendar-home-set" not in allprop(server, server.principal())


@suite.check("4791 7.5.1 supported-collation-set is on calendars, not in allprop, and its collations work")
def collations(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path, "Straße")).expect(201)
    found = server.propfind(path, CAL + "supported-collation-set").one().found[CAL + "supported-collation-set"]
    names = {child.text for child in found}
    assert {"i;ascii-casemap", "i;octet"} <= names, names
    for name in names:
        test = f'<C:prop-filter name="SUMMARY"><C:text-match collation="{name}">Stra</C:text-match></C:prop-filter>'
        assert server.dav("REPORT", path, query(test), 1).multistatus().names() == ["a.ics"], name
    test = '<C:prop-filter name="SUMMARY"><C:text-match collation="i;none">x</C:text-match></C:prop-filter>'
    assert server.dav("REPORT", path, query(test), 1).precondition(403, 409).tag == CAL + "supported-collation"


@suite.check("4791 7.9 multiget on an object answers for that object, and not for others")
def multiget_on_object(server):
    path = server.new_calendar()
    for name in "ab":
        server.put(f"{path}{name}.ics", event(path + name)).expect(201)

    def ask(href):
        body = f"<C:calendar-multiget {NAMES}><D:prop><D:getetag/></D:prop><D:href>{href}</D:href></C:calendar-multiget>"
        return server.dav("REPORT", path + "a.ics", body, 0)

    assert DAV + "getetag" in ask(path + "a.ics").multistatus().one().found
    other = ask(path + "b.ics").expect(207, 400, 403)
    assert other.status != 207 or other.multistatus().one().found == {}, other


@suite.check("4791 7.10 free-busy-query without the privilege is 404, on an object 403")
def freebusy_refusals(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    body = f'<C:free-busy-query {NAMES}><C:time-range start="20301104T000000Z" end="20301105T000000Z"/></C:free-busy-query>'
    server.dav("REPORT", path, body, 1, user="bob").expect(404)
    server.dav("REPORT", path + "a.ics", body, 0).expect(403)
    grant(server, path, ["<C:read-free-busy/>"]).expect(200)
    answer = server.dav("REPORT", path, body, 1, user="bob").expect(200)
    assert answer.header("Content-Type", "").startswith("text/calendar")
    lines = unfold(answer.body)
    assert lines.count("BEGIN:VFREEBUSY") == 1 and any(line.startswith("FREEBUSY") and "20301104T090000Z/" in line for line in lines), lines
    server.request("GET", path + "a.ics", user="bob").expect(403, 404)


# ------------------------------------------------------------------------------------------------- RFC 6578


def sync(server, path, sync_token="", level="1", headers=None):
    body = f"<D:sync-collection {NAMES}><D:sync-token>{sync_token}</D:sync-token><D:sync-level>{level}</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    return server.dav("REPORT", path, body, 0, headers)


@suite.check("6578 3.2 sync-tokens are URIs")
def token_is_uri(server):
    for path in (server.new_calendar(), server.home()):
        value = sync(server, path).multistatus().sync_token
        assert re.match(r"[a-z][a-z0-9+.-]*:\S+$", value), value


@suite.check("6578 3.3 sync-level infinite on a home reports members of calendars or refuses them by name")
def sync_infinite(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    answer = sync(server, server.home(), level="infinite").expect(207, 403)
    if answer.status == 403:
        assert answer.precondition(403).tag in (DAV + "sync-traversal-supported", DAV + "supported-report")
        return
    listed = answer.multistatus()
    child = listed.at(path)
    inside = listed.get(path + "a.ics")
    refused = child.status == 403 and child.error is not None and child.error[0].tag == DAV + "sync-traversal-supported"
    assert inside is not None or refused, [m.href for m in listed]


@suite.check("6578 4 sync-token is not in allprop, and is protected")
def token_hidden(server):
    path = server.new_calendar()
    assert DAV + "sync-token" not in allprop(server, path)
    assert set_property(server, path, "<D:sync-token>x</D:sync-token>").multistatus().one().missing == {DAV + "sync-token": 403}


@suite.check("6578 5 a sync-token in the If header is a condition on the collection")
def token_condition(server):
    path = server.new_calendar()
    value = sync(server, path).multistatus().sync_token
    condition = {"If": f"<{server.origin}{path}> (<{value}>)"}
    server.put(path + "a.ics", event(path), condition).expect(201)
    server.put(path + "b.ics", event(path + "b"), condition).expect(412)
    now = sync(server, path).multistatus().sync_token
    server.put(path + "b.ics", event(path + "b"), {"If": f"<{path}> (<{now}>)"}).expect(201)


# ------------------------------------------------------------------------------------------------- RFC 3744


@suite.check("3744 3.1 the tree of privileges: all, read, write and what they hold, described in a language")
def privilege_tree(server):
    path = server.new_calendar()
    found = server.propfind(path, DAV + "supported-privilege-set").one().found[DAV + "supported-privilege-set"]
    holds = {}

    def walk(node):
        name = node.find(DAV + "privilege")[0].tag
        description = node.find(DAV + "description")
        assert description is not None and description.text and description.get("{http://www.w3.org/XML/1998/namespace}lang"), name
        children = node.findall(DAV + "supported-privilege")
        holds[name] = {name}.union(*(walk(child) for child in children))
        return holds[name]

    assert len(found.findall(DAV + "supported-privilege")) == 1
    walk(found.find(DAV + "supported-privilege"))
    named = ["read", "write", "write-properties", "write-content", "unlock", "read-acl", "read-current-user-privilege-set", "write-acl", "bind", "unbind"]
    assert {DAV + name for name in named} | {CAL + "read-free-busy"} <= holds[DAV + "all"], holds
    assert holds[DAV + "write"] >= {DAV + name for name in ("bind", "unbind", "write-properties", "write-content")}
    assert CAL + "read-free-busy" in holds[DAV + "read"]
    kinds = ["read", "write", "read-acl", "write-acl", "read-current-user-privilege-set"]
    for one in kinds:
        for other in kinds:
            if one != other and not (one == "read" and other in ("read-current-user-privilege-set", "read-acl")):
                assert DAV + other not in holds[DAV + one], f"{one} holds {other}"
    assert holds[DAV + "read"] & {DAV + "read-acl", DAV + "write-acl"} == set()


@suite.check("3744 4 principals have alternate-URI-set, principal-URL, group-member-set and group-membership")
def principal_properties(server):
    names = [DAV + name for name in ("alternate-URI-set", "principal-URL", "group-member-set", "group-membership")]
    found = server.propfind(server.principal(), *names).one()
    assert set(found.found) == set(names), found
    assert found.hrefs(DAV + "principal-URL") == [server.principal()]
    assert found.hrefs(DAV + "group-member-set") == [] == found.hrefs(DAV + "group-membership")


@suite.check("3744 5 owner, group, acl, acl-restrictions, inherited-acl-set and principal-collection-set, none in allprop")
def acl_properties(server):
    path = server.new_calendar()
    names = [DAV + name for name in ("owner", "supported-privilege-set", "current-user-privilege-set", "acl", "acl-restrictions", "inherited-acl-set", "principal-collection-set")]
    server.put(path + "a.ics", event(path)).expect(201)
    for where in (path, path + "a.ics", server.home()):
        found = server.propfind(where, *names, DAV + "group").one()
        assert set(names) <= set(found.found), (where, found.missing)
        assert found.hrefs(DAV + "owner") == [server.principal()]
        assert DAV + "group" in found.missing or found.hrefs(DAV + "group") == []
        restrictions = {child.tag for child in found.found[DAV + "acl-restrictions"]}
        assert {DAV + "grant-only", DAV + "no-invert"} <= restrictions, restrictions
        assert not set(names) & allprop(server, where), set(names) & allprop(server, where)
    assert server.home() in server.propfind(path, DAV + "inherited-acl-set").one().hrefs(DAV + "inherited-acl-set")


@suite.check("3744 5.5.1 an entry names a user, all users, those who are logged in, the owner or oneself")
def ace_principals(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    ways = {
        "<D:authenticated/>": 200, "<D:all/>": 200, f"<D:href>{server.principal('bob')}</D:href>": 200,
        f"<D:href>{server.origin}{server.principal('bob')}</D:href>": 200, "<D:property><D:owner/></D:property>": 404, f"<D:href>{server.principal('carol')}</D:href>": 404,
    }
    for principal, status in ways.items():
        ace = f"<D:ace><D:principal>{principal}</D:principal><D:grant><D:privilege><D:read/></D:privilege></D:grant></D:ace>"
        answer = server.dav("ACL", path, f"<D:acl {NAMES}>{ace}</D:acl>")
        if answer.status == 403:
            assert answer.precondition(403).tag == DAV + "allowed-principal", principal
            continue
        answer.expect(200)
        server.request("GET", path + "a.ics", user="bob").expect(status)
        shown = server.propfind(path, DAV + "acl").one().found[DAV + "acl"]
        assert len(shown.findall(DAV + "ace")) >= 1


@suite.check("3744 7.1.1 a refusal names the resource and the privilege that is missing")
def need_privileges(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    grant(server, path, ["<D:read/>"]).expect(200)
    assert "read" in privileges(server, path, "bob") and "write" not in privileges(server, path, "bob")
    requests = {
        "bind": server.put(path + "b.ics", event(path + "b"), user="bob"),
        "write-content": server.put(path + "a.ics", event(path, "Changed"), user="bob"),
        "unbind": server.request("DELETE", path + "a.ics", user="bob"),
        "write-acl": grant(server, path, ["<D:all/>"], owner="bob"),
    }
    for privilege, answer in requests.items():
        error = answer.precondition(403)
        assert error.tag == DAV + "need-privileges", answer
        named = {(r.findtext(DAV + "href"), p.tag) for r in error.findall(DAV + "resource") for p in r.find(DAV + "privilege")}
        assert any(tag == DAV + privilege for _, tag in named) and all(href.startswith(path) for href, _ in named), (privilege, named)


@suite.check("3744 7.3 MOVE keeps the entries of a calendar, COPY makes one with none")
def acl_travels(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path)).expect(201)
    grant(server, path, ["<D:read/>"]).expect(200)
    moved, copied = (server.home() + uuid.uuid4().hex + "/" for _ in range(2))
    server.request("COPY", path, headers={"Destination": copied}).expect(201)
    server.request("MOVE", path, headers={"Destination": moved}).expect(201)
    server.request("GET", moved + "a.ics", user="bob").expect(200)
    server.request("GET", copied + "a.ics", user="bob").expect(404)


# -------------------------------------------------------------------------------------- discovery and creation


@suite.check("6764 5 the well-known redirect says how long it may be cached")
def well_known(server):
    answer = server.request("GET", "/.well-known/caldav", user=None).expect(301)
    assert answer.header("Cache-Control"), answer.headers.items()


@suite.check("6764 7 an address of the user is a login as well as the name")
def login_by_address(server):
    import harness

    headers = {"Authorization": harness.basic("alice@example.com", server.users["alice"])}
    body = f"<D:propfind {NAMES}><D:prop><D:current-user-principal/></D:prop></D:propfind>"
    answer = server.dav("PROPFIND", server.root, body, 0, headers, user=None).multistatus().one()
    assert answer.hrefs(DAV + "current-user-principal") == [server.principal()]


@suite.check("5689 OPTIONS says extended-mkcol; a resourcetype that cannot be made is valid-resourcetype, and nothing is made")
def extended_mkcol(server):
    options = server.request("OPTIONS", server.home()).expect(200)
    assert "extended-mkcol" in [t.strip() for t in options.header("DAV").split(",")]
    path = server.home() + uuid.uuid4().hex + "/"
    for kind in ("<X:nonsense/>", "<D:collection/><X:nonsense/>"):
        body = f"<D:mkcol {NAMES}><D:set><D:prop><D:resourcetype>{kind}</D:resourcetype><D:displayname>x</D:displayname></D:prop></D:set></D:mkcol>"
        answer = server.dav("MKCOL", path, body).expect(207, 403, 409, 424)
        assert answer.xml().find(f".//{DAV}valid-resourcetype") is not None, answer
        server.request("GET", path).expect(404)


@suite.check("5995 add-member: on calendars, not in allprop, of this server, and POST there is guarded as PUT is")
def add_member(server):
    path = server.new_calendar()
    [href] = server.propfind(path, DAV + "add-member").one().hrefs(DAV + "add-member")
    where = urllib.parse.urlsplit(href)
    assert where.netloc in ("", f"{server.host}:{server.port}"), href
    assert DAV + "add-member" not in allprop(server, path)
    live = server.propfind(path, DAV + "supported-live-property-set").one().found[DAV + "supported-live-property-set"]
    assert live.find(f"{DAV}supported-live-property/{DAV}prop/{DAV}add-member") is not None
    target = where.path + (f"?{where.query}" if where.query else "")
    kind = {"Content-Type": "text/calendar; charset=utf-8"}
    made = server.request("POST", target, event(path), kind).expect(201)
    place = urllib.parse.urlsplit(made.header("Location")).path
    assert place.startswith(path) and server.request("GET", place).expect(200).header("ETag") == made.header("ETag")
    assert server.request("POST", target, event(path), kind).precondition(403, 409).tag == CAL + "no-uid-conflict"
    assert server.request("POST", target, "garbage", kind).precondition(403).tag == CAL + "valid-calendar-data"
    server.request("POST", target, event(path + "2"), kind, user="bob").expect(404)
    grant(server, path, ["<D:read/>"]).expect(200)
    assert server.request("POST", target, event(path + "2"), kind, user="bob").precondition(403).tag == DAV + "need-privileges"


@suite.check("4331 quota: used grows with what is stored, neither property is in allprop, both are protected")
def quota(server):
    names = (DAV + "quota-available-bytes", DAV + "quota-used-bytes")
    path = server.new_calendar()

    def used():
        found = server.propfind(server.home(), *names).one()
        return int(found.text(names[1])), int(found.text(names[0]))

    before = used()
    text = event(path, extra="DESCRIPTION:" + "x" * 20000)
    server.put(path + "a.ics", text).expect(201)
    after = used()
    assert after[0] - before[0] >= 20000 and before[1] - after[1] >= 20000, (before, after)
    for where in (server.home(), path):
        assert not set(names) & allprop(server, where)
    answer = set_property(server, path, "<D:quota-used-bytes>0</D:quota-used-bytes>").multistatus().one()
    assert answer.missing == {names[1]: 403}


# --------------------------------------------------------------------------------------- Prefer and DeltaV


@suite.check("7240 3 Preference-Applied says what was applied, and nothing else")
def preference_applied(server):
    path = server.new_calendar()
    body = f"<D:propfind {NAMES}><D:prop><D:resourcetype/><X:none/></D:prop></D:propfind>"
    answer = server.dav("PROPFIND", path, body, 1, {"Prefer": "respond-async, return=minimal; x=1, depth-noroot"}).expect(207)
    applied = answer.header("Preference-Applied", "")
    assert "return=minimal" in applied and "depth-noroot" in applied and "async" not in applied, applied
    assert server.dav("PROPFIND", path, body, 0).header("Preference-Applied") is None


@suite.check("8144 3.2 return=representation on a failed condition answers 412 with the object as it is now")
def representation_of_conflict(server):
    path = server.new_calendar()
    etag = server.put(path + "a.ics", event(path, "Now")).expect(201).header("ETag")
    headers = {"If-Match": '"stale"', "Prefer": "return=representation"}
    answer = server.put(path + "a.ics", event(path, "Late"), headers).expect(412)
    assert b"SUMMARY:Now" in answer.body and answer.header("ETag") == etag, answer
    assert answer.header("Content-Type", "").startswith("text/calendar")


@suite.check("3253 expand-property of an href that cannot be read gives its status; supported-live-property-set is there")
def expand_property(server):
    path = server.new_calendar()
    grant(server, path, ["<D:read/>"]).expect(200)
    body = f'<D:expand-property {NAMES}><D:property name="owner"><D:property name="displayname"/><D:property name="acl"/></D:property></D:expand-property>'
    answer = server.dav("REPORT", path, body, 0, user="bob").multistatus().one()
    inside = answer.found[DAV + "owner"].find(DAV + "response")
    assert inside is not None and inside.findtext(DAV + "href") == server.principal(), answer
    assert inside.find(f"{DAV}status") is not None or inside.find(f"{DAV}propstat") is not None
    live = server.propfind(path, DAV + "supported-live-property-set").one().found[DAV + "supported-live-property-set"]
    named = {prop[0].tag for prop in live.iter(DAV + "prop")}
    assert {DAV + "displayname", DAV + "resourcetype", DAV + "sync-token", CAL + "calendar-timezone"} <= named, named


# ----------------------------------------------------------------------------------- time zones and jCal

ZONED = "\r\n".join([
    "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Kalends//Conformance//EN", "BEGIN:VEVENT", "UID:{uid}", "DTSTAMP:20301101T000000Z",
    "DTSTART;TZID={zone}:20301104T090000", "DURATION:PT1H", "SUMMARY:Zoned", "END:VEVENT", "END:VCALENDAR", "",
])


@suite.check("7809 3.1.1 OPTIONS says calendar-no-timezone on the home and on calendars")
def no_timezone(server):
    for path in (server.home(), server.new_calendar()):
        tokens = [t.strip() for t in server.request("OPTIONS", path).expect(200).header("DAV").split(",")]
        assert "calendar-no-timezone" in tokens, tokens


@suite.check("7809 3.1.3 CalDAV-Timezones: T puts in the zones that are named, F leaves out those that are known")
def timezones_header(server):
    path = server.new_calendar()
    server.put(path + "a.ics", ZONED.format(uid=path, zone="Europe/Berlin")).expect(201)
    window = '<C:time-range start="20301104T000000Z" end="20301105T000000Z"/>'

    def zones(value):
        headers = {"CalDAV-Timezones": value} if value else {}
        got = server.request("GET", path + "a.ics", headers=headers).expect(200).body.decode()
        answer = server.dav("REPORT", path, query(window, "<C:calendar-data/>"), 1, headers).multistatus().one()
        data = answer.text(CAL + "calendar-data")
        assert got.count("BEGIN:VTIMEZONE") == data.count("BEGIN:VTIMEZONE"), (got, data)
        return got

    with_zone = zones("T")
    assert with_zone.count("BEGIN:VTIMEZONE") == 1 and "TZID:Europe/Berlin" in with_zone, with_zone
    assert "BEGIN:VTIMEZONE" not in zones("F")
    server.put(path + "a.ics", with_zone).expect(204, 200)
    assert "BEGIN:VTIMEZONE" not in zones("F") and "BEGIN:VTIMEZONE" in zones("T")


@suite.check("7809 3.1.4 a known zone needs no VTIMEZONE")
def zone_by_name(server):
    path = server.new_calendar()
    server.put(path + "a.ics", ZONED.format(uid=path, zone="Europe/Berlin")).expect(201)
    at = lambda hour: query(f'<C:time-range start="20301104T{hour:02}0000Z" end="20301104T{hour:02}3000Z"/>')
    assert len(server.dav("REPORT", path, at(8), 1).multistatus()) == 1
    assert len(server.dav("REPORT", path, at(9), 1).multistatus()) == 0


@suite.check("7809 3.1.6 timezone-id in a query; an unknown name is valid-timezone")
def query_by_zone(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path, start="20301104T090000", end="20301104T100000")).expect(201)
    window = '<C:time-range start="20301103T230000Z" end="20301104T000000Z"/>'
    ask = lambda zone: server.dav("REPORT", path, query(window, after=f"<C:timezone-id>{zone}</C:timezone-id>"), 1)
    assert len(ask("Australia/Brisbane").multistatus()) == 1
    assert len(ask("Europe/Berlin").multistatus()) == 0
    assert ask("Nowhere/None").precondition(403).tag == CAL + "valid-timezone"


@suite.check("7809 5.2 calendar-timezone-id is not in allprop")
def zone_hidden(server):
    path = server.new_calendar()
    set_property(server, path, "<C:calendar-timezone-id>Europe/Berlin</C:calendar-timezone-id>").multistatus()
    assert server.propfind(path, CAL + "calendar-timezone-id").one().text(CAL + "calendar-timezone-id") == "Europe/Berlin"
    assert not {CAL + "calendar-timezone-id", CAL + "calendar-timezone"} & allprop(server, path)


@suite.check("7265 7 jCal in calendar-data of a report, and of a GET")
def jcal(server):
    path = server.new_calendar()
    server.put(path + "a.ics", event(path, "As JSON")).expect(201)
    prop = '<C:calendar-data content-type="application/calendar+json"/>'
    answer = server.dav("REPORT", path, query("", prop), 1).multistatus().one()
    got = server.request("GET", path + "a.ics", headers={"Accept": "application/calendar+json"}).expect(200)
    assert got.header("Content-Type", "").startswith("application/calendar+json")
    for text in (answer.text(CAL + "calendar-data"), got.body):
        name, _, [component] = json.loads(text)
        assert name == "vcalendar" and component[0] == "vevent"
        assert ["summary", {}, "text", "As JSON"] in component[1] and ["dtstart", {}, "date-time", "2030-11-04T09:00:00Z"] in component[1]
