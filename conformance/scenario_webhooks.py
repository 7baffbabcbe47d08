"""A receiver that trusts nobody but the public `standardwebhooks` package (PyPI), and what it must see of a running Kalends.

Runs in the environment of `requirements.txt`; prints a JSON line for each check.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

import standardwebhooks

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "webhook-receiver"))
import receiver  # noqa: E402

SERVER = json.loads(os.environ["SERVER"])
ORIGIN = urllib.parse.urlsplit(SERVER["origin"])
PATIENCE = 30
CHECKS = []


def check(name):
    def register(function):
        CHECKS.append((name, function))
        return function

    return register


# ------------------------------------------------------------------------------------------------------------ helpers


class Listener:
    """An HTTP server that keeps every request and answers what `answers` says, the last of it for ever."""

    def __init__(self, *answers):
        listener, self.answers, self.requests = self, list(answers or [204]), []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.requests.append((dict(self.headers.items()), body))
                status = listener.answers.pop(0) if len(listener.answers) > 1 else listener.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        """The first `count` requests, once they are there."""
        deadline = time.monotonic() + PATIENCE
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} requests came of {count}"
            time.sleep(0.02)
        return self.requests[:count]


def kalends(*arguments):
    """Runs the command on the running server."""
    done = subprocess.run([SERVER["program"], "--data", SERVER["data"], *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"kalends {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def ask(method, path, body=None, user="alice", kind="application/json"):
    """A request to the server: status, headers, body (JSON as a value)."""
    login = base64.b64encode(f"{user}:{SERVER['users'][user]}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": kind}
    connection = http.client.HTTPConnection(ORIGIN.hostname, ORIGIN.port, timeout=60)
    with contextlib.closing(connection):
        payload = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.headers, json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


def put(name, summary="Event", calendar="default", user="alice"):
    event = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Kalends//Conformance//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:{name}\r\nDTSTAMP:20301101T000000Z\r\nDTSTART:20301104T090000Z\r\nDTEND:20301104T100000Z\r\n"
        f"SUMMARY:{summary}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    status, headers, _ = ask("PUT", f"/dav/calendars/{user}/{calendar}/{name}.ics", event, user, "text/calendar")
    assert status in (201, 204), status
    return headers["ETag"]


def delete(name, calendar="default", user="alice"):
    status, _, _ = ask("DELETE", f"/dav/calendars/{user}/{calendar}/{name}.ics", user=user)
    assert status == 204, status


def add(listener, *options, user="alice"):
    """A new endpoint of `user` that points at `listener`: its id and its secret."""
    said = json.loads(kalends("webhook", "add", "--url", listener.url, "--user", user, "--allow-private", "--json", *options))
    return said["id"], said["secret"]


def verified(secret, request):
    headers, body = request
    return standardwebhooks.Webhook(secret).verify(body, headers)


def refused(secret, headers, body):
    try:
        standardwebhooks.Webhook(secret).verify(body, headers)
    except standardwebhooks.WebhookVerificationError:
        return True
    return False


# ------------------------------------------------------------------------------------------------------------- checks


@check("every event of an object's life is signed so that standardwebhooks verifies it")
def _():
    listener = Listener()
    _, secret = add(listener)
    etag = put("life")
    put("life", "Changed")
    delete("life")
    payloads = [verified(secret, request) for request in listener.wait(3)]
    types = sorted(payload["type"] for payload in payloads)
    assert types == ["event.created", "event.deleted", "event.updated"], types
    created = next(payload["data"] for payload in payloads if payload["type"] == "event.created")
    assert created["etag"] == etag, (created, etag)
    assert created["href"] == "/dav/calendars/alice/default/life.ics", created
    assert created["uid"] == "life", created
    order = [payload["type"] for payload in sorted(payloads, key=lambda payload: payload["data"]["sequence"])]
    assert order == ["event.created", "event.updated", "event.deleted"], order


@check("a body, an id or a timestamp that was tampered with does not verify, and neither does another secret")
def _():
    listener, other = Listener(), Listener()
    _, secret = add(listener)
    _, wrong = add(other)
    put("tampered")
    headers, body = listener.wait(1)[0]
    names = {name.lower(): name for name in headers}
    assert not refused(secret, headers, body)
    assert refused(wrong, headers, body)
    assert refused(secret, headers, body + b" ")
    assert refused(secret, {**headers, names["webhook-id"]: "msg_other"}, body)
    assert refused(secret, {**headers, names["webhook-timestamp"]: str(int(headers[names["webhook-timestamp"]]) + 1)}, body)


@check("the headers and the body are those of Standard Webhooks")
def _():
    listener = Listener()
    add(listener)
    put("headers")
    headers, body = listener.wait(1)[0]
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["content-type"].startswith("application/json"), headers
    assert headers["webhook-id"].startswith("msg_") and "." not in headers["webhook-id"], headers
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60, headers
    payload = json.loads(body)
    assert set(payload) >= {"type", "timestamp", "data"}, payload
    assert len(body) <= 16 * 1024
    assert headers.get("user-agent", "").startswith("Kalends"), headers


@check("a retry has the same webhook-id and a signature of its own")
def _():
    listener = Listener(500, 204)
    _, secret = add(listener)
    put("retried")
    first, second = listener.wait(2)
    assert verified(secret, first) == verified(secret, second)
    ids = {headers[name] for headers, _ in (first, second) for name in headers if name.lower() == "webhook-id"}
    assert len(ids) == 1, ids


@check("after a rotation both secrets verify")
def _():
    listener = Listener()
    webhook, old = add(listener)
    new = json.loads(kalends("webhook", "rotate", webhook, "--json"))["secret"]
    assert new != old
    put("rotated")
    request = listener.wait(1)[0]
    assert verified(old, request) == verified(new, request)


@check("resend sends one message again under its id")
def _():
    listener = Listener()
    webhook, secret = add(listener)
    put("resent")
    headers, body = listener.wait(1)[0]
    webhook_id = {name.lower(): value for name, value in headers.items()}["webhook-id"]
    kalends("webhook", "resend", webhook, webhook_id)
    again, same = listener.wait(2)[1]
    assert same == body and verified(secret, (again, same))
    assert {name.lower(): value for name, value in again.items()}["webhook-id"] == webhook_id


@check("a test message verifies")
def _():
    listener = Listener()
    webhook, secret = add(listener)
    kalends("webhook", "test", webhook)
    assert verified(secret, listener.wait(1)[0])["type"] == "webhook.test"


@check("filters by calendar and by type hold")
def _():
    listener = Listener()
    status, _, _ = ask("MKCALENDAR", "/dav/calendars/alice/heard/", kind="application/xml")
    assert status == 201, status
    _, secret = add(listener, "--calendar", "heard", "--event", "event.created")
    put("unheard")
    put("heard", calendar="heard")
    put("heard", "Changed", calendar="heard")
    put("heard-too", calendar="heard")
    seen = [verified(secret, request) for request in listener.wait(2)]
    time.sleep(0.5)
    assert len(listener.requests) == 2, [json.loads(body) for _, body in listener.requests]
    assert {payload["data"]["uid"] for payload in seen} == {"heard", "heard-too"}, seen


@check("the example receiver takes each message once and ends at the newest state")
def _():
    with example() as (url, store, _):
        listener = type("At", (), {"url": url})
        webhook, secret = add(listener)
        secrets_of(store).append(secret)
        put("mine")
        etag = put("mine", "Changed")
        entry = wait_for(lambda: known(store, "mine", etag))
        assert not entry["deleted"] and entry["summary"] in (None, "Changed"), entry
        # Both changes have arrived, in whatever order.
        wait_for(lambda: count(store) >= 2)
        seen = count(store)
        for delivery in json.loads(kalends("webhook", "deliveries", webhook, "--json"))[:5]:
            kalends("webhook", "resend", webhook, delivery["webhook_id"])
        time.sleep(1)
        assert count(store) == seen, "a resent message took effect again"
        assert known(store, "mine", etag)


@check("the example receiver refuses what nobody signed")
def _():
    with example() as (url, store, _):
        place = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        with contextlib.closing(connection):
            headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
            connection.request("POST", "/", '{"type":"event.created","data":{}}', headers)
            assert connection.getresponse().status == 401
        assert count(store) == 0


@check("the example receiver and standardwebhooks agree")
def _():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now = int(time.time())
    public = standardwebhooks.Webhook(secret)
    for number, body in enumerate([b"{}", b'{"a":1}', '{"\u00e9":"\u2713"}'.encode()]):
        name = f"msg_{number}"
        when = __import__("datetime").datetime.fromtimestamp(now, __import__("datetime").timezone.utc)
        headers = {"webhook-id": name, "webhook-timestamp": str(now), "webhook-signature": public.sign(name, when, body.decode())}
        assert receiver.verify([secret], headers, body) == public.verify(body, headers)


@check("after a missed message reconcile finds the difference and mends it")
def _():
    with example() as (url, store, say):
        listener = type("At", (), {"url": url})
        webhook, secret = add(listener)
        secrets_of(store).append(secret)
        first = put("seen")
        wait_for(lambda: known(store, "seen", first))
        kalends("webhook", "pause", webhook)
        missed = put("missed")
        delete("seen")
        password = SERVER["users"]["alice"]
        assert receiver.reconcile(store, SERVER["origin"], webhook, "alice", password, say) >= 2
        assert known(store, "missed", missed)
        assert receiver.reconcile(store, SERVER["origin"], webhook, "alice", password, say) == 0
        kalends("webhook", "resume", webhook)
        time.sleep(1)
        assert receiver.reconcile(store, SERVER["origin"], webhook, "alice", password, say) == 0


# ------------------------------------------------------------------------------------------------ the example receiver


@contextlib.contextmanager
def example():
    """A running example receiver: its URL, its store, and how it says things."""
    with tempfile.TemporaryDirectory() as directory:
        store, secrets, lines = receiver.Store(pathlib.Path(directory) / "receiver.db"), [], []
        store.secrets = secrets
        running = receiver.server("127.0.0.1:0", secrets, store, lines.append)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", store, lines.append
        running.shutdown()


def secrets_of(store):
    return store.secrets


def known(store, name, etag):
    return next((entry for entry in store.entries() if entry["href"].endswith(f"/{name}.ics") and entry["etag"] == etag), None)


def count(store):
    return store.db.execute("SELECT count(*) FROM seen").fetchone()[0]


def wait_for(what):
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def main():
    for name, function in CHECKS:
        try:
            function()
            print(json.dumps({"name": name, "ok": True, "note": ""}), flush=True)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            note = f"{type(error).__name__}: {error} (line {where.lineno})"
            print(json.dumps({"name": name, "ok": False, "note": note}), flush=True)
        finally:
            for webhook in json.loads(kalends("webhook", "list", "--json")):
                kalends("webhook", "remove", webhook["id"])


if __name__ == "__main__":
    main()
