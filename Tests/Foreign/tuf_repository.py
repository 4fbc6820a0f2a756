"""Makes TUF repositories on disk with python-tuf: good ones, and each named attack or oddity of tuf_variants.

    tuf_repository.py FOLDER [NAME...]     all variants, or those named, and FOLDER/variants.json
    tuf_repository.py --list               their names, a line each

A tree is what any web server serves: metadata/N.root.json, metadata/timestamp.json, metadata/N.snapshot.json,
metadata/N.targets.json, metadata/N.ROLE.json, targets/[FOLDER/]SHA256.NAME. Keys come from their names and ECDSA is
deterministic: the same bytes each time.
"""

import copy
import hashlib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

GOOD = datetime(2099, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


class NamedSigner(CryptoSigner):
    """A key that is made of its name: `ed-...` Ed25519, `ec-...` ECDSA on P-256."""

    made = {}

    def __init__(self, name, keyid=None):
        seed = hashlib.sha256(name.encode()).digest()
        if name.startswith("ec-"):
            key = derive_private_key(int.from_bytes(seed) >> 1, SECP256R1())
        else:
            key = Ed25519PrivateKey.from_private_bytes(seed)
        super().__init__(key, SSlibKey.from_crypto(key.public_key(), keyid=keyid))

    def sign(self, payload):
        if isinstance(self._private_key, Ed25519PrivateKey):
            signature = self._private_key.sign(payload)
        else:
            signature = self._private_key.sign(payload, ECDSA(SHA256(), deterministic_signing=True))
        return Signature(self.public_key.keyid, signature.hex())

    def __deepcopy__(self, memo):
        return self


def signer(name, keyid=None):
    """The same object for the same name: making keys takes longer than signing."""
    return NamedSigner.made.setdefault((name, keyid), NamedSigner(name, keyid))


def signers(*names):
    return [signer(name) for name in names]


class Delegation:
    def __init__(self, name, paths, keys, threshold=1, terminating=True):
        self.name, self.paths, self.keys = name, paths, keys
        self.threshold, self.terminating = threshold, terminating


class Repository:
    """One state of a repository. Good until it is told otherwise."""

    def __init__(self):
        self.version = {"root": 1, "timestamp": 5, "snapshot": 4, "targets": 3, "node-50": 1, "node-77": 2}
        self.keys = {
            "root": signers("ed-root-1", "ec-root-2", "ed-root-3"),
            "timestamp": signers("ed-timestamp"),
            "snapshot": signers("ec-snapshot"),
            "targets": signers("ed-targets-1", "ec-targets-2"),
        }
        self.threshold = {"root": 2, "timestamp": 1, "snapshot": 1, "targets": 2}
        self.files = {
            "targets": {"topology.json": b'{"nodes": ["50", "77", "99"]}\n'},
            "node-50": {"nodes/50/keys.json": b'{"link": "fifty"}\n'},
            "node-77": {"nodes/77/keys.json": b'{"link": "seventy-seven"}\n'},
        }
        self.delegations = {
            "targets": [
                Delegation("node-50", ["nodes/50/*"], signers("ed-node-50")),
                Delegation("node-77", ["nodes/77/*"], signers("ec-node-77")),
            ]
        }
        self.consistent = True
        # Whether a parent names length and hash beside the version.
        self.hashes = True
        self.expires = {}
        self.old_roots = {}
        self.old_root_keys = []
        # What is done to a role on its way to the disk, in this order: to its object, to the signed part before it is
        # signed, to the whole after that, to its text; and to what its parent says of it.
        self.object, self.edit, self.envelope, self.raw, self.meta = {}, {}, {}, {}, {}
        # Who signs, where it is not who should.
        self.sign_with = {}
        # What is served in place of what was made, by name of role or path of target; None: nothing.
        self.serve = {}

    def copy(self):
        return copy.deepcopy(self)

    def bump(self, by=1):
        for role in self.version:
            self.version[role] += by if role != "root" else 0
        return self

    def rotate(self):
        """The root as it is now becomes an old one, and its keys sign the next as well."""
        self.old_roots[self.version["root"]] = self.build_root()
        self.old_root_keys = self.keys["root"]
        self.version["root"] += 1
        return self

    # How a role becomes bytes.

    def build(self, role, signed, keys):
        if role in self.object:
            self.object[role](signed)
        # A key's dictionary is the key's own: what is edited is a copy.
        signed = copy.deepcopy(signed.to_dict())
        if role in self.edit:
            self.edit[role](signed)
        payload = encode_canonical(signed).encode()
        keys = self.sign_with.get(role, keys)
        envelope = {"signatures": [key.sign(payload).to_dict() for key in keys], "signed": signed}
        if role in self.envelope:
            envelope = self.envelope[role](envelope) or envelope
        data = json.dumps(envelope, indent=1, separators=(",", ": "), sort_keys=True).encode()
        return self.raw[role](data) if role in self.raw else data

    def common(self, role):
        return {"version": self.version[role], "expires": self.expires.get(role, GOOD), "spec_version": "1.0.31"}

    def build_root(self):
        keys = {key.public_key.keyid: key.public_key for role in self.keys for key in self.keys[role]}
        roles = {
            role: Role([key.public_key.keyid for key in self.keys[role]], self.threshold[role]) for role in self.keys
        }
        root = Root(**self.common("root"), keys=keys, roles=roles, consistent_snapshot=self.consistent)
        every = {key.public_key.keyid: key for key in self.old_root_keys + self.keys["root"]}
        return self.build("root", root, list(every.values()))

    def build_targets(self, role, keys):
        targets = Targets(
            **self.common(role),
            targets={path: TargetFile.from_data(path, data) for path, data in self.files.get(role, {}).items()},
        )
        if role in self.delegations:
            below = self.delegations[role]
            targets.delegations = Delegations(
                {key.public_key.keyid: key.public_key for each in below for key in each.keys},
                {
                    each.name: DelegatedRole(
                        each.name,
                        [key.public_key.keyid for key in each.keys],
                        each.threshold,
                        each.terminating,
                        each.paths,
                    )
                    for each in below
                },
            )
        return self.build(role, targets, keys)

    def meta_of(self, role, data):
        meta = MetaFile.from_data(self.version[role], data, ["sha256"])
        if not self.hashes:
            meta = MetaFile(self.version[role])
        if role in self.meta:
            self.meta[role](meta)
        return meta

    def publish(self, folder):
        """Writes the tree."""
        metadata, made = folder / "metadata", {}
        metadata.mkdir(parents=True)

        def write(name, role, data):
            data = self.serve.get(role, data)
            if data is not None:
                (metadata / name).parent.mkdir(exist_ok=True)
                (metadata / name).write_bytes(data)

        def numbered(role, meta):
            return f"{meta.version}.{role}.json" if self.consistent else f"{role}.json"

        keys = {"targets": self.keys["targets"]}
        for below in self.delegations.values():
            keys.update({each.name: each.keys for each in below})
        metas = {}
        for role in keys:
            made[role] = self.build_targets(role, keys[role])
            metas[f"{role}.json"] = self.meta_of(role, made[role])
            write(numbered(role, metas[f"{role}.json"]), role, made[role])
        snapshot = self.build("snapshot", Snapshot(**self.common("snapshot"), meta=metas), self.keys["snapshot"])
        meta = self.meta_of("snapshot", snapshot)
        write(numbered("snapshot", meta), "snapshot", snapshot)
        timestamp = Timestamp(**self.common("timestamp"), snapshot_meta=meta)
        write("timestamp.json", "timestamp", self.build("timestamp", timestamp, self.keys["timestamp"]))
        for version, data in self.old_roots.items():
            write(f"{version}.root.json", f"root-{version}", data)
        write(f"{self.version['root']}.root.json", "root", self.build_root())
        for role in self.files:
            for path, data in self.files[role].items():
                name = hashlib.sha256(data).hexdigest() + "."
                into, _, last = path.rpartition("/")
                place = folder / "targets" / into / ((name if self.consistent else "") + last)
                data = self.serve.get(path, data)
                if data is not None:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(data)


class Catalogue:
    """The variants and the trees they use. A tree is written once, however many variants walk over it."""

    def __init__(self, folder, wanted):
        self.folder, self.wanted = folder, wanted
        self.variants, self.names = [], []
        if folder:
            standard = Repository()
            standard.publish(folder / "trees/base")
            standard.bump(100).publish(folder / "trees/cure")

    def tree(self, name, repository):
        if self.folder and not (self.folder / "trees" / name).exists():
            repository.publish(self.folder / "trees" / name)
        return name

    def add(self, name, change=None, *, base=None, before=("base",), after="cure", root="base", targets=(), keeps=(), place=None):
        """
        - change: what is done to a good repository that is one version ahead of `base`; it may return another one.
        - before: trees that are walked first, all accepted. Empty: the client's first look.
        - after: a good tree that is accepted after all that, whatever came before.
        - place: what is laid into the client's folder just before, by name of file; None: nothing that can be read.
        - keeps: roles whose file at the client must be what it was before, when the variant is refused.
        """
        self.names.append(name)
        if not self.folder or (self.wanted and name not in self.wanted):
            return
        repository = (base or Repository()).copy().bump()
        if change:
            repository = change(repository) or repository
        self.tree(name, repository)
        self.variants.append(
            {
                "name": name,
                "root": f"trees/{root}/metadata/1.root.json",
                "before": [f"trees/{tree}" for tree in before],
                "tree": f"trees/{name}",
                "after": f"trees/{after}" if after else None,
                "targets": list(targets),
                "keeps": list(keeps),
                "place": {name: path and f"trees/{path}" for name, path in (place or {}).items()},
            }
        )


def main(arguments):
    sys.modules["tuf_repository"] = sys.modules[__name__]
    import tuf_variants

    if arguments == ["--list"]:
        catalogue = Catalogue(None, [])
        tuf_variants.fill(catalogue)
        print("\n".join(catalogue.names))
        return 0
    catalogue = Catalogue(Path(arguments[0]), arguments[1:])
    tuf_variants.fill(catalogue)
    (catalogue.folder / "variants.json").write_text(json.dumps(catalogue.variants, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
