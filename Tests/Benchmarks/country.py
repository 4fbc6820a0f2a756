"""103 nodes on this machine: links, memory, an idle centre, and knowledge to all."""

import http.client
import json
import os
import resource
import signal
import statistics
import threading
import time

from processes import Failed, Federation, UnixConnection, call, cpu_exact, private, progress, run, wait

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEME = f"{HERE}/../../topology/federation.json"
MIB = 1 << 20


def topology():
    with open(SCHEME) as file:
        text = file.read()
    # The centre is the first node of its file; whoever is planned is live here.
    text = text.replace('"state": "planned", "addresses": []', '"state": "live", "addresses": ["127.0.0.1:0"]', 1)
    return text.replace('"state": "planned"', '"state": "live"')


def require_room(path, nodes, entries):
    """What the stores take: a reserve each, and what was measured of an entry."""
    needed = nodes * (24 * MIB + entries * 2600)
    disk = os.statvfs(path)
    if disk.f_bavail * disk.f_frsize < needed:
        raise Failed(f"{path} has less than the {needed // MIB} MiB that {nodes} nodes take")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def percentile(values, hundredths):
    return sorted(values)[min(len(values) - 1, len(values) * hundredths // 100)]


def measure(place, binary, options):
    entries = 3000 if options.quick else 30_000
    singles = 10 if options.quick else 40
    require_room(place.path, 103, entries)
    progress("country: 103 nodes with keys of their own")
    country = Federation(place, binary, "country", topology())
    leaves = [name for name, _ in country.entries if name != "centre"]
    found = {"nodes": len(country.entries), "entries": entries}
    country.start_centre()
    centre = country.node("centre")

    def all_up():
        return country.links_up() == len(leaves)

    progress("country: they start, one after the other")
    for name in leaves:
        begun = time.monotonic()
        country.node(name).start()
    wait("the links", all_up)
    found["links-after-last-start"] = time.monotonic() - begun

    progress("country: the centre is killed, and started again")
    waits = []
    for _ in range(2 if options.quick else 5):
        centre.end(signal.SIGKILL)
        time.sleep(1)
        begun = time.monotonic()
        centre.start()
        wait("the links", all_up)
        waits.append(time.monotonic() - begun)
        progress(f"  {waits[-1]:.2f} s, of which {centre.ready_at - begun:.2f} s until it was ready")
    found["links-after-restart"] = statistics.median(waits)
    found["links-after-restart-most"] = max(waits)

    progress("country: idle for 10 s")
    time.sleep(3)
    nodes = [centre] + [country.node(name) for name in leaves]
    before = [cpu_exact(node.pid) for node in nodes]
    begun = time.monotonic()
    time.sleep(10)
    used = [(cpu_exact(node.pid) - old) / (time.monotonic() - begun) * 100 for node, old in zip(nodes, before)]
    found["idle-centre"], found["idle-node"] = used[0], statistics.median(used[1:])
    memory(found, "", nodes)

    knowledge(place, binary, centre, [country.node(name) for name in leaves], entries, singles, found)
    progress("country: what the burst took goes back within half a minute")
    time.sleep(32)
    memory(found, "-with-knowledge", nodes)
    country.stop(signal.SIGKILL)
    return found


def memory(found, when, nodes):
    of = [private(node.pid) for node in nodes]
    if None in of:
        progress("country: this user may not see the nodes' memory")
        return
    # Pages of the store's file are the kernel's cache, mapped: it takes them back when it wants them.
    found["memory-centre" + when] = (of[0][0] - of[0][1]) / MIB
    found["memory-node" + when] = statistics.median(total - store for total, store in of[1:]) / MIB
    found["memory-node-most" + when] = max(total - store for total, store in of[1:]) / MIB
    found["store-pages-centre" + when] = of[0][1] / MIB
    found["store-pages-node" + when] = statistics.median(store for _, store in of[1:]) / MIB


def numbers(connections):
    """Through which entry each node is: all are asked, then all are heard."""
    for connection in connections:
        connection.request("GET", "/api/v1/node")
    heard = []
    for connection in connections:
        answer = connection.getresponse()
        heard.append((json.loads(answer.read())["knowledge"], time.monotonic()))
    return heard


def publish(binary, centre, drafts):
    """Drafts are handed in before the clock starts; what the answer of a long publication takes is not waited for."""
    own = UnixConnection(centre.ready["admin"], 300)
    call(own, "POST", "/api/v1/knowledge/drafts", drafts)

    def post():
        try:
            call(own, "POST", "/api/v1/knowledge/publish", b"")
        except (Failed, OSError, http.client.HTTPException):
            # It goes on: whether all was published is seen at the nodes.
            pass
        finally:
            own.close()

    thread = threading.Thread(target=post, daemon=True)
    begun = time.monotonic()
    thread.start()
    return begun


def knowledge(place, binary, centre, leaves, entries, singles, found):
    progress(f"country: {entries} entries to all, from empty")
    drafts = run([binary, "generate", "knowledge", "--count", str(entries)]).encode()
    connections = {leaf: UnixConnection(leaf.ready["admin"]) for leaf in leaves}

    def until_all(number, begun, pause, seconds):
        """When each node had it; a node that has it is asked no more."""
        at, left = {}, list(leaves)
        for connection in connections.values():
            # What was idle for long may be closed by the other end.
            connection.close()
        while left:
            if time.monotonic() - begun > seconds:
                raise Failed(f"{len(left)} nodes have not applied entry {number} within {seconds} s")
            time.sleep(pause)
            heard = numbers([connections[leaf] for leaf in left])
            for leaf, (known, when) in zip(left, heard):
                if known >= number:
                    at[leaf] = when - begun
            left = [leaf for leaf in left if leaf not in at]
        return list(at.values())

    before = sum(cpu_exact(node.pid) for node in (centre, *leaves))
    begun = publish(binary, centre, drafts)
    times = until_all(entries, begun, 0.25, 600)
    found["knowledge-cpu"] = sum(cpu_exact(node.pid) for node in (centre, *leaves)) - before
    found["knowledge-all"] = max(times)
    progress(f"  {max(times):.1f} s")
    time.sleep(5)
    progress(f"country: one entry to all, {singles} times")
    one = json.loads(run([binary, "generate", "knowledge", "--count", "1"]))[0]
    slowest, every = [], []
    for number in range(singles):
        one["answer"] = f"По общему правилу, редакция {number}."
        begun = publish(binary, centre, json.dumps([one]).encode())
        # 102 questions a look, on the processors that are measured: not more often than the budget needs.
        times = until_all(entries + number + 1, begun, 0.03, 60)
        slowest.append(max(times))
        every += times
        time.sleep(0.3)
    found["one-entry-p50"], found["one-entry-p99"] = percentile(slowest, 50), percentile(slowest, 99)
    found["one-entry-node-p99"] = percentile(every, 99)
    progress(f"  to the last node: p50 {found['one-entry-p50'] * 1000:.0f} ms, p99 {found['one-entry-p99'] * 1000:.0f} ms")
