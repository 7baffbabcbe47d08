"""Every file of tests/data/ics: it comes back byte for byte, or it is refused with the right precondition; never a 5xx."""

from harness import CAL, DAV, ROOT, Suite

CORPUS = ROOT / "tests" / "data" / "ics"
REFUSALS = {
    CAL + "valid-calendar-data", CAL + "valid-calendar-object-resource", CAL + "supported-calendar-component",
    CAL + "supported-calendar-data", CAL + "max-resource-size", CAL + "no-uid-conflict", CAL + "supported-rscale",
}


def run(server):
    files = sorted(CORPUS.glob("*.ics"))
    if not files:
        raise RuntimeError(f"{CORPUS} holds no .ics file")
    path, suite = server.new_calendar(), Suite()
    for file in files:
        suite.check(file.name)(lambda server, file=file: round_trip(server, path, file))
    suite.check("after all of it the calendar still answers")(lambda server: still_works(server, path))
    return suite.run(server)


def round_trip(server, path, file):
    """Each has the collection for itself, since the files share UIDs."""
    sent, href = file.read_bytes(), path + file.name
    answer = server.put(href, sent)
    assert answer.status < 500, answer
    if answer.status == 201:
        got = server.request("GET", href).expect(200)
        assert got.body == sent, f"{len(got.body)} bytes came back for {len(sent)}"
        listed = server.propfind(href, DAV + "getetag").one().text(DAV + "getetag")
        assert listed == got.header("ETag") == answer.header("ETag"), (listed, got.header("ETag"), answer.header("ETag"))
        everything_else_works(server, path)
        server.request("DELETE", href).expect(204)
    else:
        error = answer.precondition(403, 409, 413)
        assert error.tag in REFUSALS, error.tag
        server.request("GET", href).expect(404)


def everything_else_works(server, path):
    """One object that is hard to read breaks no listing, sync or query."""
    window = '<C:time-range start="20200101T000000Z" end="20300101T000000Z"/>'
    names = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'
    query = (
        f'<C:calendar-query {names}><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR">'
        f'<C:comp-filter name="VEVENT">{window}</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>'
    )
    free_busy = f"<C:free-busy-query {names}>{window}</C:free-busy-query>"
    sync = f"<D:sync-collection {names}><D:sync-token/><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    server.dav("REPORT", path, query, 1).expect(207)
    server.dav("REPORT", path, free_busy, 1).expect(200)
    server.dav("REPORT", path, sync, 0).expect(207)


def still_works(server, path):
    assert len(server.propfind(path, DAV + "getetag", depth=1)) == 1
    everything_else_works(server, path)
