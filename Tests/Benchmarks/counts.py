"""What a message costs at both ends together, counted from outside, each count in a run of its own."""

import os
import re
import struct
import time

from limit import HERE
from processes import Failed, progress, run

FLUSHES = ("fdatasync(", "fsync(", "msync(", "sync_file_range(")
TRACED = "trace=openat,fdatasync,fsync,msync,sync_file_range,pwrite64"


def all_counts(place, nodes, limit, options):
    """Group 64, 4 KiB, region to centre. Each count: ours, and the limit program's."""
    group, size = 64, 4096
    count = 6400 if options.quick else 25600
    found = {}
    progress("counts: processor and bytes written")
    found["cpu"], found["written"] = processor_and_bytes(nodes, limit, group, count, size)
    progress("counts: allocations")
    found["allocations"] = allocations(place, nodes, limit, group, count, size)
    progress("counts: system calls, under strace")
    found["syscalls"] = system_calls(place, nodes, limit, group, 6400, size)
    progress("counts: flushes, under strace")
    found["flushes"] = flushes(place, nodes, limit, group, 100, size)
    return found


def processor_and_bytes(nodes, limit, group, count, size):
    nodes.start()
    try:
        ends = [nodes.node("subject-77"), nodes.node("centre")]
        # The file has its size (64 MiB are kept for a destination that must be put back), what is lazy has begun.
        nodes.send("subject-77", "centre", max(count, 25600), size, group)
        time.sleep(1.5)
        before = [(end.cpu(), end.written()) for end in ends]
        nodes.send("subject-77", "centre", count, size, group)
        time.sleep(1.5)
        after = [(end.cpu(), end.written()) for end in ends]
    finally:
        nodes.stop()
    beside = limit.run(group, count, size)
    cpu = sum(new[0] - old[0] for old, new in zip(before, after)) / count * 1e6
    own = None
    if all(end[1] is not None for end in before + after):
        own = sum(new[1] - old[1] for old, new in zip(before, after)) / count / size
    theirs = None if beside["written"] is None else beside["written"] / count / size
    return (cpu, beside["cpu"] / count * 1e6), (own, theirs)


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


def total_of(summary):
    with open(summary) as file:
        lines = [line.split() for line in file if line.rstrip().endswith(" total")]
    if not lines:
        raise Failed("strace has counted nothing")
    return int(lines[-1][3])


def system_calls(place, nodes, limit, group, count, size):
    """The difference of a run and one three times as long: start and end are in both."""

    def under(name):
        return ["strace", "-f", "-q", "-c", "-o", f"{place.path}/{name}.calls"]

    def total(*names):
        return sum(total_of(f"{place.path}/{name}.calls") for name in names)

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
    return (own[1] - own[0]) / count / 2, (theirs[1] - theirs[0]) / count / 2


def flushes_in(trace, after=0):
    with open(trace, errors="replace") as file:
        lines = file.read().splitlines()
    opened = [line for line in lines if "data.mdb" in line and "O_DSYNC" in line and ") = " in line]
    if not opened:
        raise Failed(f"{trace} shows no store")
    descriptor = opened[0].split()[-1]
    counted = (*FLUSHES, f"pwrite64({descriptor},")
    return sum(any(word in line for word in counted) for line in lines[after:])


def flushes(place, nodes, limit, group, groups, size):
    def trace(name):
        return f"{place.path}/{name}.trace"

    def under(name):
        return ["strace", "-f", "-q", "--seccomp-bpf", "-o", trace(name), "-e", TRACED]

    def lines(name):
        with open(trace(name), "rb") as file:
            return file.read().count(b"\n")

    ends = ("centre", "subject-77")
    nodes.start(centre={"under": under("centre")}, under=under("subject-77"))
    try:
        nodes.send("subject-77", "centre", group, size, group)
        # What is lazy is written.
        time.sleep(2.5)
        before = [lines(end) for end in ends]
        nodes.send("subject-77", "centre", group * groups, size, group)
        own = sum(flushes_in(trace(end), line) for end, line in zip(ends, before)) / groups
        time.sleep(2.5)
        before = [lines(end) for end in ends]
        nodes.send("subject-77", "centre", 1, size, 1)
        alone = sum(flushes_in(trace(end), line) for end, line in zip(ends, before))
    finally:
        nodes.stop()
    totals = []
    for times in (1, 3):
        limit.run(group, group * groups * times, size, under=under)
        totals.append(sum(flushes_in(trace(end)) for end in ("send", "recv")))
    if own < 2 or alone < 2:
        raise Failed(f"{own:.2f} flushes a group cannot be durable: the count is wrong")
    return own, (totals[1] - totals[0]) / groups / 2, alone
