#!/usr/bin/env python3
"""Measures the built `ekc` against the budgets of the architecture, beside the limit program.

Only ratios and counts carry over from one machine to another. Timings stand beside their budgets and never decide the
exit code: it is 1 when something could not be run or a count is impossible, 130 when it was stopped, else 0.
"""

import argparse
import json
import os
import shutil
import statistics
import sys

import counts
import country
import desk
import pairs
import report
from limit import Limit
from processes import Failed, Told, Workplace, progress

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("pairs", "counts", "latency", "desk", "country")


def options_of(words):
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter and coarser, to see that all of it runs")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME",
                        help=f"one part; may be repeated: {', '.join(PARTS)}")
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs of runs; 5 unless told, 2 with --quick")
    parser.add_argument("--group", type=int, action="append", metavar="N",
                        help="messages a commit, 1 to 256; may be repeated; 1, 16, 64 and 256 unless told")
    parser.add_argument("--size", type=int, action="append", metavar="BYTES",
                        help="of a message; may be repeated; 1024 and 4096 unless told")
    parser.add_argument("--output", metavar="DIR", help="write bench.md, bench.json and bench.svg there")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON, and no table")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing: table and plot of a bench.json")
    parser.add_argument("--binary", default=os.path.normpath(f"{HERE}/../../.build/release/ekc"), metavar="EKC",
                        help="what to measure; the release build unless told")
    parser.add_argument("--against", metavar="EKC",
                        help="measure nothing but what a message costs a processor, beside that of another build")
    options = parser.parse_args(words)
    if options.pairs is None:
        options.pairs = 2 if options.quick else 5
    options.groups = sorted(set(options.group or [1, 16, 64, 256]))
    options.sizes = sorted(set(options.size or [1024, 4096]))
    options.only = options.only or list(PARTS)
    if not 1 <= options.pairs <= 100:
        parser.error("--pairs is 1 to 100")
    if not all(1 <= group <= 256 for group in options.groups):
        parser.error("--group is 1 to 256")
    if not all(8 <= size <= 8192 for size in options.sizes):
        parser.error("--size is 8 to 8192")
    return options


def measure(options):
    missing = [tool for tool in ("gcc", "openssl", "strace") if not shutil.which(tool)]
    if missing:
        raise Failed(f"missing: {' '.join(missing)}; make setup installs them")
    if not os.access(options.binary, os.X_OK):
        raise Failed(f"{options.binary} is not there: make build")
    found = {"pairs-of-runs": options.pairs, "load-before": os.getloadavg()[1]}
    place = Workplace()
    try:
        if {"pairs", "counts", "latency"} & set(options.only):
            limit, nodes = Limit(place), pairs.Nodes(place, options.binary)
            if "pairs" in options.only:
                found["pairs"] = pairs.throughput(place, nodes, limit, options)
            if "counts" in options.only:
                found["counts"] = counts.all_counts(place, nodes, limit, options)
            if "latency" in options.only:
                found["latency"] = pairs.latency(nodes, limit, options)
        if "desk" in options.only:
            found["desk"] = desk.measure(place, options.binary, options)
        if "country" in options.only:
            found["country"] = country.measure(place, options.binary, options)
    finally:
        place.close()
    found["load-after"] = os.getloadavg()[1]
    return found


def against(options):
    """The same messages by two builds, in turn."""
    binaries = (options.against, options.binary)
    for binary in binaries:
        if not os.access(binary, os.X_OK):
            raise Failed(f"{binary} is not there")
    place = Workplace()
    try:
        nodes = [pairs.Nodes(place, os.path.abspath(binary), name) for binary, name in zip(binaries, ("one", "other"))]
        costs = [[], []]
        for number in range(options.pairs):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                costs[which].append(counts.processor_once(nodes[which], 64, 6400 if options.quick else 25600, 1024))
            progress(f"{costs[0][-1]:.1f} and {costs[1][-1]:.1f} us a message, both ends")
        ratio = statistics.median(own / other for other, own in zip(*costs))
        return f"{ratio:.3f} x the processor a message of {options.against}"
    finally:
        place.close()


def main(words):
    options = options_of(words)
    try:
        if options.output:
            os.makedirs(options.output, exist_ok=True)
        if options.source:
            with open(options.source) as file:
                found = json.load(file)
        elif options.against:
            print(against(options))
            return 0
        else:
            found = measure(options)
        text = report.table(report.rows_of(found))
    except (KeyboardInterrupt, Told):
        progress("stopped; every process that was started is ended")
        return 130
    except (Failed, OSError) as fault:
        progress(f"failed: {fault}")
        return 1
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        if not options.source:
            raise
        progress(f"failed: {options.source} is not what --output writes: {fault!r}")
        return 1
    print(json.dumps(found, ensure_ascii=False, indent=1) if options.json else text)
    if options.output:
        files = {"bench.md": text, "bench.json": json.dumps(found, ensure_ascii=False, indent=1) + "\n"}
        if found.get("pairs"):
            files["bench.svg"] = report.plot(found["pairs"])
        for name, content in files.items():
            with open(os.path.join(options.output, name), "w") as file:
                file.write(content)
        progress(f"written to {options.output}: {', '.join(files)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
