"""From the channel's request to the second line's list, 80 appeals a second, over a demo that goes on."""

import http.client
import json
import os
import threading
import time
import uuid
from urllib.parse import urlsplit

from country import percentile
from processes import Failed, call, progress, wait

RATE = 80
HANDS = 8


class Door:
    """A listener, as somebody with a token, over a connection that is kept."""

    def __init__(self, address, token_file):
        parts = urlsplit(address)
        self.base = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        with open(token_file) as file:
            self.token = dict([file.read().strip().split(": ", 1)])

    def get(self, path):
        return call(self.connection, "GET", self.base + path, headers=self.token)

    def post(self, path, body):
        return call(self.connection, "POST", self.base + path, body, {**self.token, "Idempotency-Key": str(uuid.uuid4())})


class Play:
    """Hands submit, claim and hand over; a watcher looks at the list of the home; others take what it has seen."""

    def __init__(self, folder, endpoints, seconds):
        self.folder, self.endpoints, self.count = folder, endpoints, RATE * seconds
        self.submitted, self.handed, self.seen, self.faults = {}, {}, {}, []
        self.taken, self.over, self.looks = 0, False, 0

    def door(self, node, kind, token):
        return Door(self.endpoints[node][kind], f"{self.folder}/{token}.token")

    def guarded(self, body, *words):
        def run():
            try:
                body(*words)
            except BaseException as fault:  # noqa: it is told to whoever waits
                self.faults.append(repr(fault))
        return threading.Thread(target=run, daemon=True)

    def hand(self, index):
        channel = self.door("centre", "channels", "channel-0")
        first = self.door("centre", "operators", f"first-{index % 4}")
        said = [{"at": "2026-11-24T09:15:00.123Z", "author": "citizen", "text": "Когда придёт пособие? " * 12}]
        for number in range(index, self.count, HANDS):
            early = self.begun + number / RATE - time.monotonic()
            if early > 0:
                time.sleep(early)
            # From when it was due: a hand that is held up makes nobody's wait shorter.
            at = self.begun + number / RATE
            id = channel.post("/appeals", {"organisation": "OSZN", "subject": "47", "history": said})["id"]
            claim = first.post("/queue/claim", {"id": id})["claim"]["number"]
            self.submitted[id], self.handed[id] = at, time.monotonic()
            first.post(f"/appeals/{id}/escalate", {"claim": claim, "reason": "PERSONAL"})

    def watch(self):
        home = self.door("subject-47", "operators", "oszn-47")
        while not self.over:
            listed = home.get("/queue")["appeals"]
            now = time.monotonic()
            self.looks += 1
            for appeal in listed:
                self.seen.setdefault(appeal["id"], now)
            time.sleep(0.002)

    def take(self):
        """What was seen leaves the list, so that the list stays short."""
        home = self.door("subject-47", "operators", "oszn-47")
        done = set()
        while not self.over:
            waiting = [id for id in list(self.seen) if id not in done]
            for id in waiting:
                home.post("/queue/claim", {"id": id})
                done.add(id)
            if not waiting:
                time.sleep(0.005)

    def run(self):
        self.begun = time.monotonic() + 0.5
        hands = [self.guarded(self.hand, index) for index in range(HANDS)]
        others = [self.guarded(self.watch), self.guarded(self.take)]
        for thread in others + hands:
            thread.start()
        for thread in hands:
            thread.join()
        self.late = time.monotonic() - self.begun - self.count / RATE
        try:
            wait("the second line's list",
                 lambda: self.faults or all(id in self.seen for id in list(self.handed)), 30, pause=0.02)
        finally:
            self.over = True
            for thread in others:
                thread.join(5)
        if self.faults:
            raise Failed(f"at 80 appeals a second: {self.faults[0]}")


def measure(place, binary, options):
    folder = f"{place.path}/demo"
    progress("desk: a demo of ten nodes that goes on")
    with open(f"{place.path}/demo.log", "wb") as log:
        demo = place.start(
            [binary, "demo", "--appeals", "100", "--entries", "100", "--serve", "--directory", folder],
            stdout=log, stderr=log)
    try:
        wait("the demo", lambda: os.path.exists(f"{folder}/endpoints.json") or demo.poll() is not None, 180, pause=0.2)
        if demo.poll() is not None:
            raise Failed(f"the demo ended with {demo.returncode}")
        time.sleep(0.3)
        with open(f"{folder}/endpoints.json") as file:
            endpoints = json.load(file)
        # Once more for what begins lazily: it is not counted.
        Play(folder, endpoints, 1).run()
        play = Play(folder, endpoints, 4 if options.quick else 15)
        progress(f"desk: {play.count} appeals, {RATE} a second")
        play.run()
    finally:
        place.end(demo, seconds=60)
    whole = [(play.seen[id] - at) * 1000 for id, at in play.submitted.items()]
    handed = [(play.seen[id] - at) * 1000 for id, at in play.handed.items()]
    found = {"appeals": play.count, "late-seconds": max(0.0, play.late),
             "look-ms": 1000 * (play.count / RATE) / max(1, play.looks)}
    for name, values in (("submit", whole), ("handed", handed)):
        for hundredths in (50, 99):
            found[f"{name}-p{hundredths}"] = percentile(values, hundredths)
    progress(f"  submit to list: p50 {found['submit-p50']:.1f}, p99 {found['submit-p99']:.1f} ms; hand-over to list: "
             f"p50 {found['handed-p50']:.1f}, p99 {found['handed-p99']:.1f} ms")
    return found
