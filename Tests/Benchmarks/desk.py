"""From the channel's request to the second line's list, 80 appeals a second, over a demo that goes on."""

import http.client
import json
import multiprocessing
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


def watch(open_door, told, taken, over):
    """A process of its own, as a page of the home would be one: when an appeal is first in the list, by the clock that all share."""
    home, seen, looks = open_door(), {}, 0
    while not over.is_set():
        listed = home.get("/queue")["appeals"]
        now = time.monotonic()
        looks += 1
        for appeal in listed:
            if appeal["id"] not in seen:
                seen[appeal["id"]] = now
                taken.send(appeal["id"])
        time.sleep(0.002)
    taken.send(None)
    told.send((seen, looks))


def take(open_door, taken):
    """What was seen leaves the list, so that the list stays short."""
    home = open_door()
    while (id := taken.recv()) is not None:
        home.post("/queue/claim", {"id": id})


class Play:
    """Hands submit, claim and hand over; a watcher looks at the list of the home; another takes what it has seen."""

    def __init__(self, folder, endpoints, seconds):
        self.folder, self.endpoints, self.count = folder, endpoints, RATE * seconds
        self.submitted, self.handed, self.faults = {}, {}, []

    def door(self, node, kind, token):
        return Door(self.endpoints[node][kind], f"{self.folder}/{token}.token")

    def home(self):
        return self.door("subject-47", "operators", "oszn-47")

    def hand(self, index):
        try:
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
        except BaseException as fault:  # noqa: it is told to whoever waits
            self.faults.append(repr(fault))

    def run(self):
        apart = multiprocessing.get_context("fork")
        over = apart.Event()
        (heard, told), (taking, taken) = apart.Pipe(False), apart.Pipe(False)
        others = [apart.Process(target=watch, args=(self.home, told, taken, over), daemon=True),
                  apart.Process(target=take, args=(self.home, taking), daemon=True)]
        for process in others:
            process.start()
        self.begun = time.monotonic() + 0.5
        hands = [threading.Thread(target=self.hand, args=(index,), daemon=True) for index in range(HANDS)]
        for thread in hands:
            thread.start()
        for thread in hands:
            thread.join()
        self.late = max(0.0, time.monotonic() - self.begun - self.count / RATE)
        time.sleep(1)
        over.set()
        try:
            if self.faults:
                raise Failed(f"at 80 appeals a second: {self.faults[0]}")
            if not heard.poll(10):
                raise Failed("whoever watches the list has ended")
            self.seen, self.looks = heard.recv()
            missing = [id for id in self.handed if id not in self.seen]
            if missing:
                raise Failed(f"{len(missing)} appeals have not come to the list within a second")
        finally:
            for process in others:
                process.join(5)
                if process.is_alive():
                    process.kill()


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
    found = {"appeals": play.count, "late-seconds": play.late,
             "look-ms": 1000 * (play.count / RATE) / max(1, play.looks)}
    for name, values in (("submit", whole), ("handed", handed)):
        for hundredths in (50, 99):
            found[f"{name}-p{hundredths}"] = percentile(values, hundredths)
    progress(f"  submit to list: p50 {found['submit-p50']:.1f}, p99 {found['submit-p99']:.1f} ms; hand-over to list: "
             f"p50 {found['handed-p50']:.1f}, p99 {found['handed-p99']:.1f} ms")
    return found
