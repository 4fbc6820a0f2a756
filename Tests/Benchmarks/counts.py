"""What a message costs at both ends together, counted from outside, each count in a run of its own."""

import os
import re
import statistics
import struct
import time
from collections import Counter

from limit import HERE
from processes import Failed, progress, run

FLUSHES = ("fdatasync(", "fsync(", "msync(", "sync_file_range(")
TRACED = "trace=openat,fdatasync,fsync,msync,sync_file_range,pwrite64,pwritev,pwritev2,writev,write"
WROTE = re.compile(r"\b(?:pwrite64|pwritev2?|writev|write)\(\d+<[^>]*data\.mdb>.*\) = (\d+)$")


def all_counts(place, nodes, limit, options):
    """Group 64, 4 KiB, region to centre. Each count: ours, and the limit program's."""
    group, size = 64, 4096
    count = 6400 if options.quick else 25600
    found = {}
    progress("counts: processor")
    found["cpu"] = processor(nodes, limit, group, count, size)
    progress("counts: allocations")
    found["allocations"] = allocations(place, nodes, limit, group, count, size)
    progress("counts: system calls, under strace")
    found["syscalls"], found["calls"] = system_calls(place, nodes, limit, group, 6400, size)
    progress("counts: flushes and bytes written, under strace")
    found.update(on_disk(place, nodes, limit, group, 100, size))
    return found


def processor_once(nodes, group, count, size):
    """Microseconds a message, both ends."""
    nodes.start()
    try:
        ends = [nodes.node("subject-77"), nodes.node("centre")]
        nodes.send("subject-77", "centre", count, size, group)
        time.sleep(1.5)
        before = sum(end.cpu() for end in ends)
        nodes.send("subject-77", "centre", count, size, group)
        time.sleep(1.5)
        return (sum(end.cpu() for end in ends) - before) / count * 1e6
    finally:
        nodes.stop()


def processor(nodes, limit, group, count, size):
    """The same and the limit program's: medians of three pairs."""
    own, theirs = [], []
    for _ in range(3):
        own.append(processor_once(nodes, group, count, size))
        theirs.append(limit.run(group, count, size)["cpu"] / count * 1e6)
    return statistics.median(own), statistics.median(theirs)


def allocations(place, nodes, limit, group, count, size):
    library = f"{place.path}/allocations.so"
    if not os.path.exists(library):
        run(["gcc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", library, f"{HERE}/allocations.c"])

    def environment(name):
        return {"LD_PRELOAD": library, "ALLOCATIONS": f"{place.path}/allocations-{name}"}

    def counted(*names):
        total = 0
        for name in names:
            with open(f"{place.path}/allocations-{name}", "rb") as file:
                total += struct.unpack("Q", file.read(8))[0]
        return total

    nodes.start(centre={"environment": environment("centre")}, environment=environment("subject-77"))
    try:
        nodes.send("subject-77", "centre", group * 10, size, group)
        before = counted("centre", "subject-77")
        nodes.send("subject-77", "centre", count, size, group)
        own = (counted("centre", "subject-77") - before) / count
    finally:
        nodes.stop()
    if own <= 0:
        raise Failed("no allocation was counted: the library was not loaded")
    # It begins with a store and a handshake: what two sizes of run have in common is that.
    totals = []
    for times in (1, 2):
        for end in ("send", "recv"):
            if os.path.exists(f"{place.path}/allocations-{end}"):
                os.remove(f"{place.path}/allocations-{end}")
        limit.run(group, count * times, size, environment=environment)
        totals.append(counted("send", "recv"))
    return own, (totals[1] - totals[0]) / count


def calls_of(summary):
    """How often each system call was made, by name."""
    with open(summary) as file:
        lines = [line.split() for line in file]
    found = Counter({words[-1]: int(words[3]) for words in lines if len(words) in (5, 6) and words[3].isdigit()})
    if not found.pop("total", 0):
        raise Failed("strace has counted nothing")
    return found


def system_calls(place, nodes, limit, group, count, size):
    """The difference of a run and one three times as long: start and end are in both."""

    def under(name):
        return ["strace", "-f", "-q", "-c", "-o", f"{place.path}/{name}.calls"]

    def total(*names):
        return sum((calls_of(f"{place.path}/{name}.calls") for name in names), Counter())

    own, theirs = [], []
    for times in (1, 3):
        nodes.start(centre={"under": under("centre")}, under=under("subject-77"))
        try:
            nodes.send("subject-77", "centre", count * times, size, group)
        finally:
            nodes.stop()
        own.append(total("centre", "subject-77"))
        limit.run(group, count * times, size, under=under)
        theirs.append(total("send", "recv"))
    for both in (own, theirs):
        both[1].subtract(both[0])
    each = [{name: calls / count / 2 for name, calls in both[1].most_common()} for both in (own, theirs)]
    return [sum(calls.values()) for calls in each], each[0]


class Trace:
    """What strace has written of one process: flushes, and bytes written to the store's file."""

    def __init__(self, path):
        self.path = path

    def lines(self):
        with open(self.path, errors="replace") as file:
            return file.read().splitlines()

    def count(self, after=0):
        """(Flushes, bytes) of the lines behind the first so many."""
        lines = self.lines()
        opened = [line for line in lines if "data.mdb" in line and "O_DSYNC" in line and ") = " in line]
        if not opened:
            raise Failed(f"{self.path} shows no store")
        # With -y a descriptor is said as 7</folder/data.mdb>.
        descriptor = re.search(r"= (\d+)", opened[0])[1]
        words = (*FLUSHES, f"pwrite64({descriptor}<")
        flushed = written = 0
        for line in lines[after:]:
            flushed += any(word in line for word in words)
            wrote = WROTE.search(line)
            written += int(wrote[1]) if wrote else 0
        return flushed, written


def on_disk(place, nodes, limit, group, groups, size):
    """Flushes a group, bytes written a byte of payload, and flushes of a lone message."""
    traces = {name: Trace(f"{place.path}/{name}.trace") for name in ("centre", "subject-77", "send", "recv")}

    def under(name):
        # Of a write's bytes none are shown: the count is enough.
        return ["strace", "-f", "-q", "-y", "-s", "0", "--seccomp-bpf", "-o", traces[name].path, "-e", TRACED]

    def sums(names, after):
        counted = [traces[name].count(line) for name, line in zip(names, after)]
        return [sum(values) for values in zip(*counted)]

    ends = ("centre", "subject-77")

    def quiet():
        # What is lazy is written.
        time.sleep(2.5)
        return [len(traces[end].lines()) for end in ends]

    nodes.start(centre={"under": under("centre")}, under=under("subject-77"))
    try:
        # 64 MiB are kept for a destination that must be put back: until then the file grows, written ahead.
        nodes.send("subject-77", "centre", (80 << 20) // size // group * group, size, group)
        before = quiet()
        nodes.send("subject-77", "centre", group * groups, size, group)
        flushed = sums(ends, before)[0]
        quiet()
        written = sums(ends, before)[1]
        before = quiet()
        nodes.send("subject-77", "centre", 1, size, 1)
        alone = sums(ends, before)[0]
    finally:
        nodes.stop()
    totals = []
    for times in (1, 3):
        limit.run(group, group * groups * times, size, under=under)
        totals.append(sums(("send", "recv"), (0, 0)))
    if flushed / groups < 2 or alone < 2:
        raise Failed(f"{flushed / groups:.2f} flushes a group cannot be durable: the count is wrong")
    theirs = [(long - short) / groups / 2 for short, long in zip(*totals)]
    return {
        "flushes": (flushed / groups, theirs[0]),
        "written": (written / groups / group / size, theirs[1] / group / size),
        "alone": alone,
    }
