"""Two nodes and the limit program in turns: what counts is the ratio within a pair of runs."""

import statistics
import time

from processes import Failed, Federation, progress, wait

TOPOLOGY = """{ "format": 2, "version": 1, "federation": "ekc.test",
  "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
  "nodes": [ {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]},
             {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []},
             {"id": "subject-78", "segment": "oszn", "state": "live", "addresses": []} ],
  "rights": [
    {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
    {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
  "tenancies": [], "homes": [], "special": [],
  "links": [ {"dials": "subject-77", "listens": "centre"}, {"dials": "subject-78", "listens": "centre"} ] }
"""

# Messages of one run: about a second's worth, and never more than a room of the store holds.
COUNTS = {1: 1500, 4: 5000, 16: 16000, 64: 32000, 256: 40000}
ENDS = {
    "up": ("subject-77", "centre"), "down": ("centre", "subject-77"), "relay": ("subject-77", "subject-78"),
}


def count_of(group, quick):
    least = max(number for group_of, number in COUNTS.items() if group_of <= max(1, group))
    return max(group * 8, least // (8 if quick else 1) // group * group)


class Nodes:
    """Centre and two subjects, in empty stores for each run, as the limit program begins."""

    def __init__(self, place, binary, name="pair"):
        self.federation = Federation(place, binary, name, TOPOLOGY)

    def start(self, names=("subject-77",), centre=None, **options):
        self.federation.empty()
        self.federation.start_centre(**(centre or options))
        for name in names:
            self.federation.node(name).start(**options)
        wait("the links", lambda: self.federation.links_up() == len(names))

    def stop(self):
        self.federation.stop()

    def node(self, name):
        return self.federation.node(name)

    def applied(self, origin, destination):
        return self.node(origin).call("GET", f"/api/v1/probes/{destination}")["applied"]

    def send(self, origin, destination, count, size, group):
        """Sends, and waits for the receipts of all. Seconds."""
        begun = time.monotonic()
        order = {"destination": destination, "count": count, "size": size, "group": group}
        through = self.node(origin).call("POST", "/api/v1/probes", order)["through"]
        wait("the receipts", lambda: self.applied(origin, destination) >= through, 120, pause=0.002)
        return time.monotonic() - begun

    def paced(self, origin, destination, count, size, rate):
        order = {"destination": destination, "count": count, "size": size, "group": 1, "rate": rate}
        answer = self.node(origin).call("POST", "/api/v1/probes", order)
        applied = answer["waits"]["applied"]
        return {name: applied[name] / 1000 for name in ("p50", "p90", "p99")}


def throughput(place, nodes, limit, options):
    """Per group, size and direction: messages a second of both, pair by pair, and the ratios."""
    rows = []
    for size in options.sizes:
        for group in options.groups:
            count = count_of(group, options.quick)
            progress(f"pairs: {size} bytes, {group} a group, {count} messages, {options.pairs} pairs")
            found = {name: [] for name in ENDS}
            beside = []
            for number in range(options.pairs):
                # Who is first changes: neither gets the better half of a pair.
                if number % 2 == 0:
                    beside.append(limit.run(group, count, size))
                nodes.start(("subject-77", "subject-78"))
                try:
                    # Each of the three is beside the limit once in three pairs.
                    turn = number // 2 % len(found)
                    for name in (list(found)[turn:] + list(found)[:turn])[::1 if number % 2 == 0 else -1]:
                        origin, destination = ENDS[name]
                        nodes.send(origin, destination, max(64, group), size, group)
                        found[name].append(count / nodes.send(origin, destination, count, size, group))
                finally:
                    nodes.stop()
                if number % 2 == 1:
                    beside.append(limit.run(group, count, size))
            rates = [run["rate"] for run in beside]
            for name, own in found.items():
                rows.append({
                    "size": size, "group": group, "way": name, "messages": count, "own": own, "limit": rates,
                    "ratio": statistics.median(a / b for a, b in zip(own, rates)),
                    "ratios": [a / b for a, b in zip(own, rates)],
                })
                progress(f"  {name}: {statistics.median(own):,.0f}/s, the limit {statistics.median(rates):,.0f}/s, "
                         f"ratio {rows[-1]['ratio']:.2f}")
    return rows


def latency(nodes, limit, options):
    """Submit to receipt at 200/s, 1 KiB, one hop and over a relay, each beside the limit program."""
    seconds = 3 if options.quick else 8
    rate, size = 200, 1024
    rounds = []
    for number in range(options.pairs):
        progress(f"latency: 200 a second, {seconds} s, round {number + 1} of {options.pairs}")
        nodes.start(("subject-77", "subject-78"))
        try:
            one = {}
            one["limit"] = limit.run(64, rate * seconds, size, rate)
            one["hop"] = nodes.paced("subject-77", "centre", rate * seconds, size, rate)
            one["relay"] = nodes.paced("subject-77", "subject-78", rate * seconds, size, rate)
            rounds.append(one)
        finally:
            nodes.stop()
        progress("  p50/p99 ms: " + ", ".join(
            f"{name} {one[name]['p50']:.2f}/{one[name]['p99']:.2f}" for name in ("limit", "hop", "relay")))

    def median(name, which):
        return statistics.median(one[name][which] for one in rounds)

    return {
        "rounds": rounds,
        **{f"{name}-{which}": median(name, which) for name in ("limit", "hop", "relay") for which in ("p50", "p99")},
        "over-limit-ms": statistics.median(one["hop"]["p50"] - one["limit"]["p50"] for one in rounds),
        "p99-ratio": statistics.median(one["hop"]["p99"] / one["limit"]["p99"] for one in rounds),
        "relay-ratio": statistics.median(one["relay"]["p50"] / one["hop"]["p50"] for one in rounds),
    }
