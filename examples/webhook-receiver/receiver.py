#!/usr/bin/env python3
"""A small receiver of Kalends' webhooks: it verifies, de-duplicates and orders. Python 3.11 or newer, nothing to install.

    receiver.py serve                       receive, by default at 127.0.0.1:9000
    receiver.py show                        print what it knows
    receiver.py reconcile WEBHOOK-ID        compare what it knows with the server, and mend it

Three things make a receiver right, and each of them is a few lines here:

1. `verify`     only what was signed with the secret counts, and only while it is fresh;
2. `Store.take` a webhook-id counts once, however often it comes: the id and its effect are written in one transaction;
3. `Store.take` what is older than what is known of an event (by `sequence`) changes nothing.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import sys
import threading
import time
import urllib.parse
import urllib.request

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 64 * 1024


class Refused(Exception):
    """The request is not one of ours."""


# ------------------------------------------------------------------------------------------------------------- verify


def verify(secrets, headers, body, now=None):
    """The event in `body`, if one of `secrets` signed it lately (https://www.standardwebhooks.com). Raises `Refused`.

    What is signed is `webhook-id.webhook-timestamp.body`, with HMAC-SHA256. There can be several signatures (while a secret
    is being replaced) and several secrets (the same, at this end): one pair must fit."""
    headers = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split(" ")
        age = (time.time() if now is None else now) - int(timestamp)
    except (KeyError, ValueError) as error:
        raise Refused(f"a header is missing or no number: {error}") from error
    # A recorded request must not be sent again next week.
    if abs(age) > TOLERANCE_SECONDS:
        raise Refused(f"the timestamp is {age:.0f} seconds off; is this machine's clock right?")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for secret in secrets:
        expected = base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
        for signature in signatures:
            version, _, value = signature.partition(",")
            # compare_digest: how long the comparison takes must not tell how much of it was right.
            if version == "v1" and hmac.compare_digest(value.encode(), expected.encode()):
                return json.loads(body)
    raise Refused("no signature fits; is the secret the one that `kalends webhook add` printed?")


def key_of(secret):
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise SystemExit("the secret must be whsec_ and base64, as `kalends webhook add` printed it") from error
    if not key:
        raise SystemExit("the secret is empty")
    return key


# -------------------------------------------------------------------------------------------------------------- store


class Store:
    """What is known: every webhook-id that took effect, and the newest state of each calendar entry."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.executescript(
            """
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS seen (webhook_id TEXT PRIMARY KEY, at INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS entries (
                href TEXT PRIMARY KEY, calendar TEXT NOT NULL, sequence INTEGER NOT NULL,
                etag TEXT, deleted INTEGER NOT NULL, summary TEXT);
            """
        )

    def take(self, webhook_id, event):
        """Lets the event take effect, and says what it was: `applied`, `duplicate`, `stale` or `ignored`.

        The id and the effect are one transaction: after a crash both are there or none. If your effect lies elsewhere (a
        mail, another service), hand it the webhook-id as its idempotency key."""
        with self.lock, self.db:
            self.db.execute("BEGIN IMMEDIATE")
            new = self.db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (webhook_id, int(time.time()))).rowcount
            if not new:
                return "duplicate"
            if not event["type"].startswith("event."):
                return "ignored"
            data = event["data"]
            return self.set(data["href"], data["calendar"], data["sequence"], data.get("etag"),
                            event["type"] == "event.deleted", data.get("summary"))

    def set(self, href, calendar, sequence, etag, deleted, summary=None):
        """Takes the state over, unless a newer one is known: the order of arrival does not matter."""
        done = self.db.execute(
            """INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (href) DO UPDATE
               SET calendar = excluded.calendar, sequence = excluded.sequence, etag = excluded.etag,
                   deleted = excluded.deleted, summary = excluded.summary
               WHERE excluded.sequence > entries.sequence""",
            (href, calendar, sequence, etag, deleted, summary),
        )
        return "applied" if done.rowcount else "stale"

    def forget(self, older_than_seconds):
        """Forgets webhook-ids that will not come again: Kalends gives up after about three days, by hand after thirty."""
        with self.lock, self.db:
            self.db.execute("DELETE FROM seen WHERE at < ?", (int(time.time()) - older_than_seconds,))

    def entries(self):
        rows = self.db.execute("SELECT href, calendar, sequence, etag, deleted, summary FROM entries ORDER BY href")
        names = ["href", "calendar", "sequence", "etag", "deleted", "summary"]
        return [dict(zip(names, row)) for row in rows]


# ------------------------------------------------------------------------------------------------------------- server


def server(listen, secrets, store, say=print):
    """An HTTP server that takes webhooks at every path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self):
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_BYTES_MAX:
                self.close_connection = True
                return self.answer(413)
            body = self.rfile.read(int(length))
            try:
                event = verify(secrets, self.headers, body)
            except Refused as error:
                say(f"refused: {error}")
                return self.answer(401)
            # The answer goes out when the effect is on disk, and says that it is. Whatever takes longer than a second
            # belongs behind a queue of your own: Kalends waits 15 seconds for the answer and then sends again.
            webhook_id = self.headers["webhook-id"]
            outcome = store.take(webhook_id, event)
            say(f"{outcome}: {event['type']} {webhook_id} sequence={event.get('data', {}).get('sequence')}")
            # A duplicate is answered like the first: it is no error, and must not come a third time.
            return self.answer(204)

        def answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    host, _, port = listen.rpartition(":")
    return http.server.ThreadingHTTPServer((host, int(port)), Handler)


# ---------------------------------------------------------------------------------------------------------- reconcile


def reconcile(store, api, webhook_id, user, password, say=print):
    """Compares with the server's own list of what is where, and takes over what was missed. Gives the number of
    differences. Run it after an outage, or every night: then a lost message costs a day, not for ever."""
    differences, since, listed = [], "", set()
    known = {entry["href"]: entry for entry in store.entries()}
    while True:
        page = ask(f"{api}/api/v1/webhooks/{webhook_id}/state?since={urllib.parse.quote(since)}", user, password)
        for entry in page["entries"]:
            listed.add(entry["href"])
            mine = known.get(entry["href"], {"etag": None, "deleted": True})
            if (mine["etag"], bool(mine["deleted"])) != (entry["etag"], entry["deleted"]):
                differences.append(entry)
        since = page["next"]
        if not page["more"]:
            break
    # The listing begins with nothing, so it is whole: what it does not name is gone.
    gone = [entry for entry in known.values() if entry["href"] not in listed and not entry["deleted"]]
    differences += [{**entry, "sequence": entry["sequence"] + 1, "etag": None, "deleted": True} for entry in gone]
    for entry in differences:
        say(f"differs: {entry['href']} is {'gone' if entry['deleted'] else entry['etag']} there")
        with store.lock, store.db:
            store.set(entry["href"], entry["calendar"], entry["sequence"], entry["etag"], entry["deleted"])
    return len(differences)


def ask(url, user, password):
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


# ------------------------------------------------------------------------------------------------------- command line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["serve", "show", "reconcile"])
    parser.add_argument("webhook", nargs="?", help="the endpoint's id, for reconcile")
    parser.add_argument("--listen", default=os.environ.get("RECEIVER_LISTEN", "127.0.0.1:9000"))
    parser.add_argument("--db", default=os.environ.get("RECEIVER_DB", "receiver.db"))
    parser.add_argument("--api", default=os.environ.get("KALENDS_URL", "http://127.0.0.1:8008"))
    options = parser.parse_args()
    store = Store(options.db)
    if options.verb == "show":
        for entry in store.entries():
            print(json.dumps(entry))
    elif options.verb == "reconcile":
        if options.webhook is None:
            parser.error("which endpoint? `kalends webhook list` shows the ids")
        found = reconcile(store, options.api, options.webhook, os.environ["KALENDS_USER"], os.environ["KALENDS_PASSWORD"])
        print(f"{found} differences, mended" if found else "no difference")
    else:
        secrets = os.environ.get("WEBHOOK_SECRET", "").split()
        if not secrets:
            sys.exit("put the secret that `kalends webhook add` printed into WEBHOOK_SECRET (several with spaces between)")
        for secret in secrets:
            key_of(secret)
        store.forget(35 * 86_400)
        with server(options.listen, secrets, store, lambda line: print(line, flush=True)) as running:
            print(f"receiving at http://{options.listen}/", flush=True)
            try:
                running.serve_forever()
            except KeyboardInterrupt:
                pass


if __name__ == "__main__":
    main()
