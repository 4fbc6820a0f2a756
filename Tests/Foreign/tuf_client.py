"""python-tuf's client behind the command line of `ekc tuf`; exit 0 or 1, what is wrong on standard error.

    tuf_client.py --metadata-dir DIR init ROOT
    tuf_client.py --metadata-dir DIR --metadata-url URL refresh
    tuf_client.py --metadata-dir DIR --metadata-url URL --target-name PATH --target-base-url URL --target-dir DIR download
    tuf_client.py batch FOLDER URL      each variant of FOLDER/variants.json, served at URL: a verdict a line, as JSON
    tuf_client.py truncate FOLDER       how many proper beginnings of each role of a tree are believed, as JSON
    tuf_client.py canonical SEED COUNT  texts that are mostly JSON: each in hex, and its canonical form, or `refused`
    tuf_client.py patterns SEED COUNT   patterns of delegations and paths, and whether they match, as JSON

The limits are ours, so that what differs is the reading and not a setting.
"""

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import tuf_json
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import DelegatedRole
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

LIMITS = {
    "root_max_length": 64 << 10,
    "timestamp_max_length": 16 << 10,
    "snapshot_max_length": 1 << 20,
    "targets_max_length": 8 << 20,
    "max_root_rotations": 256,
    "max_delegations": 256,
}


def updater(folder, url, targets_url=None, targets=None, root=None):
    return Updater(
        str(folder),
        url,
        target_dir=str(targets) if targets else None,
        target_base_url=targets_url,
        config=UpdaterConfig(**LIMITS),
        bootstrap=root,
    )


def init(folder, root):
    Path(folder).mkdir(parents=True, exist_ok=True)
    updater(folder, "http://127.0.0.1/", root=Path(root).read_bytes())


def refresh(folder, url):
    updater(folder, url).refresh()


def download(folder, url, targets_url, into, names):
    Path(into).mkdir(parents=True, exist_ok=True)
    client = updater(folder, url, targets_url, into)
    client.refresh()
    for name in names:
        target = client.get_targetinfo(name)
        if target is None:
            raise LookupError(f"no role has a target {name}")
        if client.find_cached_target(target) is None:
            client.download_target(target)


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).glob("*"))
            if path.is_file()}


def batch(folder, url):
    variants = json.loads((folder / "variants.json").read_text())
    walked = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, variant in enumerate(variants):
            print(json.dumps(verdict(folder, url, Path(scratch), number, variant, walked)), flush=True)


def verdict(folder, url, scratch, number, variant, walked):
    metadata, into = scratch / f"{number}", scratch / f"{number}-targets"

    def walk(tree, targets):
        at = f"{url}/{tree}"
        if targets:
            download(metadata, f"{at}/metadata", f"{at}/targets", into, targets)
        else:
            refresh(metadata, f"{at}/metadata")

    # Many variants begin alike: that is walked once and copied.
    beginning = (variant["root"], *variant["before"])
    if variant["before"]:
        if beginning not in walked:
            init(metadata, folder / variant["root"])
            for tree in variant["before"]:
                walk(tree, [])
            walked[beginning] = scratch / f"begun-{len(walked)}"
            metadata.rename(walked[beginning])
        shutil.copytree(walked[beginning], metadata, symlinks=True)
    for name, path in variant["place"].items():
        (metadata / name).write_bytes((folder / path).read_bytes() if path else b"{")
    before = contents(metadata) if metadata.exists() else {}
    error = None
    try:
        if not variant["before"]:
            init(metadata, folder / variant["root"])
        walk(variant["tree"], variant["targets"])
    except Exception as fault:  # whatever python-tuf raises, it has not accepted
        error = f"{type(fault).__name__}: {fault}" + (f" <- {fault.__cause__!r}" if fault.__cause__ else "")
    after = contents(metadata) if metadata.exists() else {}
    answer = {
        "name": variant["name"],
        "accepted": error is None,
        "error": error,
        "metadata": {name: digest for name, digest in after.items() if name.endswith(".json")},
        "targets": contents(into) if into.exists() else {},
        "lost": [role for role in variant["keeps"] if before.get(f"{role}.json") != after.get(f"{role}.json")],
        "recovered": None,
    }
    if variant["after"]:
        try:
            walk(variant["after"], [])
            answer["recovered"] = True
        except Exception as fault:
            answer["recovered"] = False
            answer["error"] = f"{error}; and then {type(fault).__name__}: {fault}"
    for used in (metadata, into):
        shutil.rmtree(used, ignore_errors=True)
    return answer


def truncate(folder):
    """The tree is walked from memory: the beginnings are too many for files."""
    names = {path.name.split(".", 1)[-1] if path.name[0].isdigit() else path.name: path.read_bytes()
             for path in (folder / "metadata").iterdir()}
    parents = {"targets.json": "root"}
    order = ["root.json", "timestamp.json", "snapshot.json", "targets.json"]
    order += sorted(set(names) - set(order))
    believed = {}
    for at, name in enumerate(order):
        role = name.removesuffix(".json")
        trusted = TrustedMetadataSet(names["root.json"], EnvelopeType.METADATA)
        put = {
            "timestamp.json": lambda data: trusted.update_timestamp(data),
            "snapshot.json": lambda data: trusted.update_snapshot(data),
        }
        for earlier in order[1:at]:
            if earlier in put:
                put[earlier](names[earlier])
            else:
                trusted.update_delegated_targets(names[earlier], earlier[:-5], parents.get(earlier, "targets"))

        def take(data, name=name, role=role):
            if name == "root.json":
                TrustedMetadataSet(data, EnvelopeType.METADATA)
            elif name in put:
                put[name](data)
            else:
                trusted.update_delegated_targets(data, role, parents.get(name, "targets"))

        believed[role] = {"bytes": len(names[name]), "believed": 0}
        for count in range(len(names[name])):
            try:
                take(names[name][:count])
                believed[role]["believed"] += 1
            except Exception:  # refused, as it should be
                pass
        take(names[name])
    print(json.dumps(believed))


def canonical(seed, count):
    for text in tuf_json.texts(seed, count):
        try:
            form = encode_canonical(json.loads(text.decode("utf-8"))).encode("utf-8").hex()
        except Exception:  # not JSON, or none that can be signed
            form = "refused"
        print(text.hex(), form)


def patterns(seed, count):
    chance = random.Random(seed)

    def some(alphabet, longest):
        return "".join(chance.choice(alphabet) for _ in range(chance.randrange(longest)))

    for _ in range(count):
        path = some("aabcd-]!/ж.", 7)
        # Mostly a path with some of it replaced: what is made at random hardly ever matches.
        pattern = "".join(each if chance.random() < 0.6 else some("*?*?[]!-abcdж[a-c]^", 5) for each in path)
        matches = DelegatedRole._is_target_in_pathpattern(path, pattern)
        print(json.dumps({"pattern": pattern, "path": path, "matches": matches}))


def main(arguments):
    if arguments[:1] == ["batch"]:
        return batch(Path(arguments[1]), arguments[2])
    if arguments[:1] == ["truncate"]:
        return truncate(Path(arguments[1]))
    if arguments[:1] == ["canonical"]:
        return canonical(int(arguments[1]), int(arguments[2]))
    if arguments[:1] == ["patterns"]:
        return patterns(int(arguments[1]), int(arguments[2]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir")
    parser.add_argument("command", choices=["init", "refresh", "download"])
    parser.add_argument("root", nargs="?")
    said = parser.parse_args(arguments)
    if said.command == "init":
        init(said.metadata_dir, said.root)
    elif said.command == "refresh":
        refresh(said.metadata_dir, said.metadata_url)
    else:
        download(said.metadata_dir, said.metadata_url, said.target_base_url, said.target_dir, said.target_name)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as fault:
        print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
        sys.exit(1)
