"""Processes of the benchmark: they are told of at once, ended by pid, and leave no folder behind."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something could not be run."""


class Told(BaseException):
    """Somebody wants it to stop."""


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(words, **options):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def wait(what, holds, seconds=60.0, pause=0.005):
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what} did not come within {seconds:.0f} s")
        time.sleep(pause)


class Workplace:
    """The temporary folder of a run, and every process that was started in it."""

    def __init__(self, parent=None):
        self.path = tempfile.mkdtemp(prefix="ekc-bench-", dir=parent)
        self.started = []
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._told)

    @staticmethod
    def _told(number, _):
        raise Told(f"signal {number}")

    def folder(self, name):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        return path

    def start(self, words, **options):
        process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, **options)
        self.started.append(process)
        return process

    def end(self, process, number=signal.SIGTERM, seconds=20):
        """Ends one process that this run has started, and only that."""
        if process.poll() is None:
            try:
                process.send_signal(number)
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
        if process in self.started:
            self.started.remove(process)

    def close(self):
        for process in list(self.started):
            if process.poll() is None:
                process.kill()
        for process in list(self.started):
            self.end(process)
        shutil.rmtree(self.path, ignore_errors=True)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        # A path of a socket has 108 bytes: the folder may be deep.
        self.sock.connect(self.path)


def call(connection, method, path, body=None, headers=None):
    """One request on a connection that is kept: the JSON of the answer."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Type": "application/json", **(headers or {})}
    for attempt in (1, 2):
        try:
            connection.request(method, path, data, named)
            answer = connection.getresponse()
            text = answer.read()
            break
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # What was idle may be closed by the other end; an act is repeated only when it has a key.
            connection.close()
            if attempt == 2 or (method != "GET" and "Idempotency-Key" not in named):
                raise
    if answer.status >= 300:
        raise Failed(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:300]}")
    return json.loads(text) if text else None


class Node:
    """A node's folder, and the process that runs on it."""

    def __init__(self, place, binary, path, log):
        self.place, self.binary, self.path, self.log = place, binary, path, log
        self.process = self.tracer = self.connection = self.ready = None
        self.name = os.path.basename(path)

    def begin(self, under=(), environment=None):
        """Starts it; `await_ready` waits."""
        words = [*under, self.binary, "node", "run", self.path, "--with-parent"]
        self.log_file = open(self.log, "ab")
        self.tracer = self.place.start(
            words, stdout=subprocess.PIPE, stderr=self.log_file, env={**os.environ, **(environment or {})})
        self.log_file.close()
        self.is_traced = bool(under)

    def await_ready(self):
        line = self.tracer.stdout.readline()
        if not line:
            with open(self.log, errors="replace") as log:
                raise Failed(f"{self.name} did not start: {log.read()[-500:]}")
        self.ready = json.loads(line)
        self.ready_at = time.monotonic()
        self.pid = self.tracer.pid
        if self.is_traced:
            with open(f"/proc/{self.tracer.pid}/task/{self.tracer.pid}/children") as children:
                self.pid = int(children.read().split()[0])
        self.connection = UnixConnection(self.ready["admin"])

    def start(self, under=(), environment=None):
        self.begin(under, environment)
        self.await_ready()
        return self

    def call(self, method, path, body=None):
        return call(self.connection, method, path, body)

    def status(self):
        return self.call("GET", "/api/v1/node")

    def end(self, number=signal.SIGTERM):
        if self.connection:
            self.connection.close()
        if self.tracer and self.is_traced and self.tracer.poll() is None:
            try:
                os.kill(self.pid, number)
                self.tracer.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        if self.tracer:
            self.place.end(self.tracer, number)
        self.tracer = self.connection = None

    # What the kernel says of it.

    def cpu(self):
        """Seconds, of all threads."""
        return cpu(self.pid)


def cpu(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_exact(pid):
    """Seconds on a processor, summed over the threads that live: finer than a tick."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def private(pid):
    """(Bytes that are this process's alone, and how many of them are pages of its store's file); None when not to be seen."""
    total = store = 0
    is_store = False
    try:
        with open(f"/proc/{pid}/smaps") as maps:
            for line in maps:
                word = line.split(None, 1)[0]
                if not word.endswith(":"):
                    is_store = line.rstrip().endswith("data.mdb")
                elif word in ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"):
                    count = int(line.split()[1]) * 1024
                    total += count
                    store += count if is_store else 0
    except PermissionError:
        return None
    return total, store


class Federation:
    """Nodes with keys of their own, made by the command line, as an administrator would."""

    def __init__(self, place, binary, name, topology):
        """`topology`: its text, in which the centre's address is 127.0.0.1:0."""
        self.place, self.binary, self.path = place, binary, place.folder(name)
        self.entries = nodes_of(topology)
        federation = word_of(topology, "federation")
        answers = {}
        segments = sorted({segment for _, segment in self.entries})
        for segment in segments:
            run([binary, "authority", "init", f"{self.path}/ca-{segment}", "--segment", segment,
                 "--federation", federation])
        # Two at a time: each is a short process.
        for name, segment in self.entries:
            node = f"{self.path}/{name}"
            run([binary, "node", "init", node, "--node", name, "--segment", segment, "--federation", federation,
                 "--any-ports"])
            answers[name] = f"{self.path}/{name}.answer.json"
            run([binary, "authority", "issue", f"{self.path}/ca-{segment}", f"{node}/request.json", answers[name]])
            run([binary, "node", "init", node, "--answer", answers[name]])
        with open(f"{self.path}/topology.json", "w") as file:
            file.write(topology)
        given = [word for answer in answers.values() for word in ("--answer", answer)]
        run([binary, "federation", "init", f"{self.path}/trust", "--topology", f"{self.path}/topology.json",
             "--centre", f"{self.path}/centre", "--demonstration", *given])
        for name, _ in self.entries:
            if name != "centre":
                shutil.copytree(f"{self.path}/trust/tree", f"{self.path}/{name}/trust")
        self.nodes = {}
        self.log = f"{self.path}/log"

    def _set_port(self, name):
        """Where the centre is to be found from a node: the signed topology has no port."""
        path = f"{self.path}/{name}/node.json"
        with open(path) as file:
            settings = json.load(file)
        settings["addresses"] = {"centre": [f"127.0.0.1:{self.port}"]}
        with open(path, "w") as file:
            json.dump(settings, file)

    def node(self, name):
        if name not in self.nodes:
            self.nodes[name] = Node(self.place, self.binary, f"{self.path}/{name}", self.log)
        return self.nodes[name]

    def empty(self):
        """Every stopped node begins anew, with its keys."""
        for name, _ in self.entries:
            for left in ("store", "attempts"):
                path = f"{self.path}/{name}/{left}"
                if os.path.isdir(path):
                    shutil.rmtree(path)
                elif os.path.exists(path):
                    os.remove(path)

    def start_centre(self, **options):
        centre = self.node("centre")
        if not hasattr(self, "port"):
            centre.start(**options)
            self.port = centre.ready["link"]
            # From now on at the same place, so that whoever dials it finds it after a restart.
            for name, _ in self.entries:
                self._set_port(name)
        else:
            centre.start(**options)
        return centre

    def links_up(self):
        return sum(link["state"] == "running" for link in self.node("centre").status()["links"])

    def stop(self, number=signal.SIGTERM):
        running = [node for node in self.nodes.values() if node.tracer]
        for node in running:
            if not node.is_traced and node.tracer.poll() is None:
                node.tracer.send_signal(number)
        for node in running:
            node.end(number)


def without_comments(text):
    """Topologies may have comments on lines of their own and commas behind the last."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    out, in_text, escaped = [], False, False
    for character in "\n".join(lines):
        if in_text:
            in_text = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_text = True
        elif character in "]}":
            while out and out[-1].isspace():
                out.pop()
            if out and out[-1] == ",":
                out.pop()
        out.append(character)
    return "".join(out)


def nodes_of(topology):
    return [(node["id"], node["segment"]) for node in json.loads(without_comments(topology))["nodes"]]


def word_of(topology, field):
    return json.loads(without_comments(topology))[field]
