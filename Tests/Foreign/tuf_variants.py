"""The variants: every attack and oddity by its name. What each client should say to it stands in the tests' table."""

import copy
import json

from securesystemslib.formats import encode_canonical
from tuf.api.metadata import Key, MetaFile, TargetFile
from tuf_json import json_variants
from tuf_repository import GOOD, PAST, Delegation, Repository, signer, signers

ROLES = ["root", "timestamp", "snapshot", "targets", "node-77"]
TOPOLOGY, KEYS = "topology.json", "nodes/77/keys.json"


def wanted(role):
    """What must be asked for, that a role is read at all."""
    return [KEYS] if role == "node-77" else []


def changed(repository, **fields):
    """`edit_timestamp=f` stands for `repository.edit["timestamp"] = f`."""
    for name, value in fields.items():
        what, _, role = name.partition("_")
        getattr(repository, what)[role.replace("_", "-")] = value
    return repository


def per_role(catalogue, prefix, change, roles=ROLES, **options):
    for role in roles:

        def apply(repository, role=role):
            if role == "root":
                repository.rotate()
            return change(repository, role)

        catalogue.add(
            f"{prefix}-{role}", apply, targets=wanted(role), keeps=[role], **{"after": None, **options}
            if role == "root" else options)


def fill(catalogue):
    good(catalogue)
    roots(catalogue)
    versions(catalogue)
    kept(catalogue)
    sizes(catalogue)
    signatures(catalogue)
    keys(catalogue)
    fields(catalogue)
    delegations(catalogue)
    targets(catalogue)
    json_variants(catalogue, per_role)


def good(c):
    c.add("good-first-look", before=(), targets=[TOPOLOGY, KEYS])
    c.add("good-newer", targets=[TOPOLOGY, KEYS])
    c.add("good-without-hashes", lambda r: setattr(r, "hashes", False), targets=[TOPOLOGY, KEYS])

    def same(r):
        return Repository()

    c.add("good-same-again", same, targets=[TOPOLOGY])

    def all_keys(kind):
        r = Repository()
        for role, many in (("root", 5), ("timestamp", 1), ("snapshot", 1), ("targets", 3)):
            r.keys[role] = signers(*(f"{kind}-{role}-of-{kind}-{n}" for n in range(many)))
        r.threshold = {"root": 3, "timestamp": 1, "snapshot": 1, "targets": 2}
        r.delegations["targets"][1].keys = signers(*(f"{kind}-77-{n}" for n in range(3)))
        r.delegations["targets"][1].threshold = 2
        r.sign_with = {"root": r.keys["root"][1:4], "targets": r.keys["targets"][1:], "node-77": r.delegations["targets"][1].keys[:2]}
        return r

    for kind, name in (("ed", "ed25519"), ("ec", "ecdsa")):
        base = all_keys(kind)
        c.tree(f"base-{name}", base)
        c.add(f"good-all-{name}", base=base, before=[f"base-{name}"], root=f"base-{name}", after=None, targets=[TOPOLOGY, KEYS])
    # The specification still allows it: names without versions, targets without hashes.
    plain = Repository()
    plain.consistent = False
    c.tree("base-plain", plain)
    c.add("non-consistent", base=plain, before=["base-plain"], root="base-plain", after=None, targets=[TOPOLOGY, KEYS])

    def becomes_plain(r):
        r.rotate().consistent = False

    c.add("consistent-given-up", becomes_plain, after=None, targets=[TOPOLOGY])


def rotated(times=1, change=None):
    """A good repository of the same keys, `times` roots ahead."""
    def apply(r):
        for _ in range(times):
            r.rotate()
        return change(r) if change else None
    return apply


def new_root_keys(r, sign_with):
    r.rotate()
    r.keys["root"] = signers("ed-new-1", "ec-new-2", "ed-new-3")
    r.sign_with["root"] = {"old": r.old_root_keys, "new": r.keys["root"], "both": r.old_root_keys[:2] + r.keys["root"][1:],
                           "mixed": r.old_root_keys[:1] + r.keys["root"][:1], "too few old": r.old_root_keys[:1] + r.keys["root"]}[sign_with]


def roots(c):
    for name, sign_with in (("both", "both"), ("only-old", "old"), ("only-new", "new"), ("one-of-each", "mixed"),
                            ("too-few-old", "too few old")):
        c.add(f"root-{name}", lambda r, s=sign_with: new_root_keys(r, s), after=None, keeps=["root"])
    c.add("root-ten", rotated(10), after=None, targets=[TOPOLOGY])
    c.add("root-256", rotated(256), after=None)
    c.add("root-257", rotated(257), after=None)

    def served_as_next(version):
        """The newest root is not what its file's name says."""
        def change(r):
            r.rotate().serve["root"] = Repository().build_root() if version == 1 else None
            if version != 1:
                r.old_roots[2], r.version["root"] = None, version
                newer = r.build_root()
                r.version["root"], r.serve["root"] = 2, newer
                del r.old_roots[2]
        return change

    c.add("root-rollback", served_as_next(1), after=None, keeps=["root"])
    c.add("root-gap", served_as_next(4), after=None, keeps=["root"])

    def missing_between(r):
        r.rotate().rotate().rotate()
        r.serve["root-3"] = None
        # So it can be seen that the walk ended at 2: with 4 the timestamp's key is another.
        r.keys["timestamp"] = signers("ed-timestamp-4")
        r.sign_with["timestamp"] = signers("ed-timestamp")

    c.add("root-missing-between", missing_between)

    forgotten = Repository().rotate().rotate()
    c.tree("base-root-3", forgotten.copy().bump())
    c.add("root-older-tree", lambda r: r.bump(), before=["base", "base-root-3"])
    c.add("root-older-everything", lambda r: Repository(), before=["base", "base-root-3"], keeps=["timestamp", "root"])

    def expired_between(r):
        r.expires["root"] = PAST
        r.rotate()
        r.version["root"] = 2
        r.old_roots = {1: Repository().build_root()}
        r.rotate()
        del r.expires["root"]

    c.add("root-expired-between", expired_between, after=None)
    first_expired = Repository()
    first_expired.expires["root"] = PAST
    c.tree("base-root-expired", first_expired)
    c.add("root-expired-anchor", lambda r: (r.rotate(), r.expires.clear())[2:] or None, base=first_expired, before=(), root="base-root-expired", after=None)

    def threshold_raised(r):
        r.rotate().threshold["root"] = 3
        r.sign_with["root"] = r.keys["root"][:2]

    c.add("root-own-threshold-not-met", threshold_raised, after=None, keeps=["root"])
    unsigned = Repository()
    unsigned.sign_with["root"] = []
    c.tree("base-root-unsigned", unsigned)
    c.add("root-anchor-unsigned", base=unsigned, before=(), root="base-root-unsigned", after=None)

    def without(role):
        def change(r):
            r.rotate()
            r.edit["root"] = lambda s: s["roles"].pop(role)
        return change

    c.add("root-without-snapshot-role", without("snapshot"), after=None, keeps=["root"])
    c.add("root-with-mirrors-role", lambda r: changed(r.rotate(), edit_root=lambda s: s["roles"].update(mirrors=s["roles"]["root"])), after=None, keeps=["root"])
    c.add("root-without-consistent-snapshot", lambda r: changed(r.rotate(), edit_root=lambda s: s.pop("consistent_snapshot")), after=None)

    def unreachable(r):
        r.rotate()
        r.edit["root"] = lambda s: s["roles"]["targets"].update(threshold=4)

    c.add("root-threshold-above-its-keys", unreachable, after=None)


def versions(c):
    def older(role, by=2):
        return lambda r: r.version.update({role: r.version[role] - by})

    c.add("rollback-timestamp", older("timestamp"), keeps=["timestamp", "snapshot"])
    c.add("rollback-snapshot", older("snapshot"), keeps=["timestamp", "snapshot"])
    c.add("rollback-targets", older("targets"), keeps=["snapshot", "targets"])
    c.add("rollback-node-77", older("node-77"), targets=[KEYS], keeps=["snapshot", "targets"])

    def dropped(role):
        return lambda r: changed(r, edit_snapshot=lambda s: s["meta"].pop(f"{role}.json"))

    c.add("snapshot-drops-targets", dropped("targets"), keeps=["snapshot"])
    c.add("snapshot-drops-node-77", dropped("node-77"), targets=[KEYS], keeps=["snapshot"])
    c.add("snapshot-never-had-targets", dropped("targets"), before=(), after="cure")
    c.add("snapshot-never-had-node-77", dropped("node-77"), before=(), targets=[KEYS], after="cure")

    def same_version(r):
        r.version["timestamp"] -= 1

    c.add("timestamp-same-version-other-content", same_version)

    def freeze(r, role):
        r.expires[role] = PAST

    per_role(c, "expired", freeze, ROLES[1:])
    # An expired root is a root nevertheless, and kept: the next one is signed by its keys.
    c.add("expired-root", lambda r: freeze(r.rotate(), "root"), after=None)

    def wrong(role, **facts):
        """The parent says something else of the role than what is served."""
        def change(r):
            def lie(meta):
                for name, value in facts.items():
                    if name == "sha256":
                        meta.hashes = {"sha256": value}
                    else:
                        setattr(meta, name, getattr(meta, name) + value)
            r.meta[role] = lie
        return change

    for role in ("snapshot", "targets", "node-77"):
        c.add(f"mix-version-{role}", wrong(role, version=1), targets=wanted(role), keeps=[role])
        c.add(f"mix-hash-{role}", wrong(role, sha256="0" * 64), targets=wanted(role), keeps=[role])
        c.add(f"mix-longer-{role}", wrong(role, length=-1), targets=wanted(role), keeps=[role])
        c.add(f"mix-shorter-{role}", wrong(role, length=1), targets=wanted(role), keeps=[role])
        c.add(f"missing-{role}", lambda r, role=role: r.serve.update({role: None}), targets=wanted(role), keeps=[role])
    c.add("missing-timestamp", lambda r: r.serve.update(timestamp=None), keeps=["timestamp"])

    def hashes(change):
        return lambda r: r.meta.update(targets=lambda meta: change(meta))

    def set_hashes(meta, **kinds):
        meta.hashes = {name.replace("_", "-"): value or meta.hashes["sha256"] for name, value in kinds.items()}

    def real(kind):
        """The hash of another algorithm, as the role's bytes have it."""
        def change(r):
            data = r.build_targets("targets", r.keys["targets"])
            r.meta["targets"] = lambda meta: setattr(meta, "hashes", MetaFile.from_data(1, data, [kind]).hashes)
        return change

    c.add("meta-hash-sha512-only", real("sha512"))
    c.add("meta-hash-md5-only", real("md5"), keeps=["snapshot"])
    c.add("meta-hash-unknown-beside-sha256", hashes(lambda meta: set_hashes(meta, sha256=None, x_hash="00")))
    c.add("meta-hash-upper-case", hashes(lambda meta: set_hashes(meta, sha256=meta.hashes["sha256"].upper())), keeps=["targets"])
    c.add("meta-hashes-empty", lambda r: changed(r, edit_snapshot=lambda s: s["meta"]["targets.json"].update(hashes={})), keeps=["snapshot"])
    c.add("timestamp-names-two-files", lambda r: changed(r, edit_timestamp=lambda s: s["meta"].update({"other.json": {"version": 1}})), keeps=["timestamp"])
    c.add("timestamp-names-no-snapshot", lambda r: changed(r, edit_timestamp=lambda s: s["meta"].clear()), keeps=["timestamp"])

    # Whoever had the online keys has run the versions up; root replaces the keys and begins anew.
    def far(r):
        r.version.update(timestamp=1_000_000, snapshot=900_000)
        return r

    c.tree("base-far-ahead", far(Repository()))

    def recovered(*roles):
        def change(r):
            r.rotate()
            for role in roles:
                r.keys[role] = signers(f"ed-{role}-new")
        return change

    far_ahead = {"before": ["base", "base-far-ahead"], "after": None}
    c.add("fast-forward-recovery", recovered("timestamp", "snapshot"), targets=[TOPOLOGY], **far_ahead)
    c.add("fast-forward-timestamp-key-only", recovered("timestamp"), **far_ahead)
    c.add("fast-forward-snapshot-key-only", recovered("snapshot"), keeps=["timestamp"], **far_ahead)
    c.add("fast-forward-not-recovered", rotated(1), keeps=["timestamp", "snapshot"], **far_ahead)

    def one_more(r):
        r.rotate()
        for role in ("timestamp", "snapshot"):
            r.keys[role] = r.keys[role] + signers(f"ed-{role}-second")

    c.add("fast-forward-key-added-only", one_more, keeps=["timestamp", "snapshot"], **far_ahead)


def kept(c):
    """What the client has on its disk is not what it should be, or is not good any more."""
    for role in ("timestamp", "snapshot", "targets"):
        c.add(f"disk-{role}-damaged", targets=[TOPOLOGY], place={f"{role}.json": None})

    def only_newer(*roles):
        """Nothing is new but these."""
        def change(r):
            for role in r.version:
                r.version[role] -= role != "root" and role not in roles
        return change

    def stale(role, *newer):
        base = Repository()
        base.expires[role] = PAST
        c.tree(f"base-stale-{role}", base)
        names = {"timestamp.json": "timestamp.json", "snapshot.json": "4.snapshot.json", "targets.json": "3.targets.json", "node-77.json": "2.node-77.json"}
        place = {name: f"base-stale-{role}/metadata/{path}" for name, path in names.items()}
        return {"base": base, "place": place, "before": ["base"]}

    # It was good when it came, and is past its date now: nothing newer is to be had of it.
    c.add("disk-snapshot-expired", only_newer("timestamp"), **stale("snapshot"))
    c.add("disk-targets-expired", only_newer("timestamp", "snapshot"), **stale("targets"))
    c.add("disk-node-77-expired", only_newer("timestamp", "snapshot"), targets=[KEYS], **stale("node-77"))
    # An expired timestamp on the disk still says what is older than it.
    c.add("disk-timestamp-expired", lambda r: r.expires.clear(), **stale("timestamp"))
    c.add("disk-timestamp-expired-rollback", lambda r: (r.expires.clear(), r.version.update(timestamp=4))[2:] or None, keeps=["timestamp"], **stale("timestamp"))
    # The same version, signed and named anew, with another content.
    c.add("snapshot-same-version-other-content", lambda r: (only_newer("timestamp")(r), r.edit.update(snapshot=lambda s: s.update({"x-other": 1})))[2:] or None)
    c.add("targets-same-version-other-content", lambda r: (only_newer("timestamp", "snapshot")(r), r.edit.update(targets=lambda s: s.update({"x-other": 1})))[2:] or None)

    def replaced(r):
        r.rotate()
        r.keys["timestamp"] = signers("ed-timestamp-new")
        r.version["targets"] -= 2

    c.add("timestamp-key-replaced-targets-older", replaced, after=None)

    def replaced_both(r):
        replaced(r)
        r.keys["snapshot"] = signers("ed-snapshot-new")

    c.add("online-keys-replaced-targets-older", replaced_both, after=None)


def sizes(c):
    limits = {"root": 64 << 10, "timestamp": 16 << 10, "snapshot": 1 << 20, "targets": 8 << 20}

    def padded(over):
        def change(r, role):
            limit = limits.get(role, 8 << 20)

            def pad(data):
                # Space between the two braces at the end: it is not signed.
                return data[:-1] + b" " * (limit + over - len(data)) + data[-1:]

            r.raw[role] = pad
        return change

    per_role(c, "largest", padded(0), list(limits))
    per_role(c, "too-large", padded(1), list(limits))


def other(role):
    return {"root": signers("ed-stranger", "ec-stranger")}.get(role, signers("ed-stranger", "ec-stranger"))


def signatures(c):
    def envelope(change):
        def apply(r, role):
            def run(envelope):
                change(envelope["signatures"])
            r.envelope[role] = run
        return apply

    def garbled(signatures):
        for each in signatures:
            each["sig"] = each["sig"][:20] + format(int(each["sig"][20], 16) ^ 1, "x") + each["sig"][21:]

    def cut(signatures):
        for each in signatures:
            each["sig"] = each["sig"][:-2]

    per_role(c, "unsigned", envelope(lambda s: s.clear()))
    per_role(c, "signature-garbled", envelope(garbled))
    per_role(c, "signature-cut", envelope(cut), ["timestamp", "snapshot"])
    per_role(c, "signature-by-stranger", lambda r, role: r.sign_with.update({role: other(role)}))

    def by_name_only(r, role):
        """A stranger's signature under the good key's id."""
        keys = r.keys.get(role) or r.delegations["targets"][1].keys
        r.sign_with[role] = [signer(f"ed-stranger-{n}", key.public_key.keyid) for n, key in enumerate(keys)]

    per_role(c, "signature-under-borrowed-id", by_name_only)
    per_role(c, "threshold-not-met", lambda r, role: r.sign_with.update({role: r.keys[role][:1]}), ["root", "targets"])
    per_role(c, "signature-twice", envelope(lambda s: s.append(copy.copy(s[0]))), ["targets", "timestamp"])

    def one_counts_once(r):
        r.sign_with["targets"] = r.keys["targets"][:1]
        r.envelope["targets"] = lambda e: e["signatures"].append(copy.copy(e["signatures"][0]))

    c.add("signature-twice-for-threshold", one_counts_once, keeps=["targets"])
    extra = {"keyid": "0" * 64, "sig": "00" * 64}
    c.add("signature-of-unknown-key-beside", lambda r: envelope(lambda s: s.insert(0, dict(extra)))(r, "targets"))

    def bad_third(r):
        r.rotate()
        r.envelope["root"] = lambda e: garbled(e["signatures"][2:])

    c.add("signature-garbled-beside-enough", bad_third, after=None)
    c.add("signature-empty-beside-enough", lambda r: changed(r.rotate(), envelope_root=lambda e: e["signatures"][2].update(sig="")), after=None)
    c.add("signature-odd-digits-beside-enough", lambda r: changed(r.rotate(), envelope_root=lambda e: e["signatures"][2].update(sig="abc")), after=None, keeps=["root"])
    c.add("signature-upper-case", lambda r: envelope(lambda s: s[0].update(sig=s[0]["sig"].upper()))(r, "timestamp"))
    c.add("signature-with-spaces", lambda r: envelope(lambda s: s[0].update(sig=s[0]["sig"][:2] + " " + s[0]["sig"][2:]))(r, "timestamp"), keeps=["timestamp"])

    def malleable(signatures):
        order = 2**252 + 27742317777372353535851937790883648493
        raw = bytes.fromhex(signatures[0]["sig"])
        high = int.from_bytes(raw[32:], "little") + order
        signatures[0]["sig"] = (raw[:32] + high.to_bytes(32, "little")).hex()

    c.add("signature-malleable", lambda r: envelope(malleable)(r, "timestamp"), keeps=["timestamp"])

    def tampered(r):
        r.raw["targets"] = lambda data: data.replace(b'"expires": "2099', b'"expires": "2098')

    c.add("content-altered", tampered, keeps=["targets"])
    c.add("content-added", lambda r: changed(r, raw_targets=lambda d: d.replace(b'"expires"', b'"x-added": 1, "expires"')), keeps=["targets"])

    def signed_whole(r):
        """Signed as it stands in the file, not in canonical form."""
        def resign(envelope):
            payload = json.dumps(envelope["signed"], indent=1).encode()
            envelope["signatures"] = [r.keys["timestamp"][0].sign(payload).to_dict()]
        r.envelope["timestamp"] = resign

    c.add("signed-not-canonical", signed_whole, keeps=["timestamp"])


def keys(c):
    def twice(again, threshold=2):
        """One key, written twice, counts for a threshold of two."""
        def change(r):
            first = again[0] if isinstance(again, tuple) else "ed-targets-1"
            r.rotate()
            r.keys["targets"] = [signer(first), signer(first, "second-name")]
            r.threshold["targets"] = threshold
            if callable(again):
                r.edit["root"] = lambda s: again(s["keys"]["second-name"])
            elif isinstance(again, tuple):
                r.edit["root"] = lambda s: again[1](s["keys"]["second-name"])
        return change

    def upper(key):
        key["keyval"]["public"] = key["keyval"]["public"].upper()

    def rewrapped(key):
        head, *body, tail, _ = key["keyval"]["public"].split("\n")
        text = "".join(body)
        lines = [text[at:at + 48] for at in range(0, len(text), 48)]
        key["keyval"]["public"] = "\r\n".join([head, *lines, tail, ""])

    def compressed(key):
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec
        import base64
        public = form.load_pem_public_key(key["keyval"]["public"].encode())
        point = public.public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint)
        der = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
        key["keyval"]["public"] = "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PUBLIC KEY-----\n"
        assert isinstance(public, ec.EllipticCurvePublicKey)

    options = {"after": None, "keeps": ["root"]}
    c.add("key-under-two-ids", twice(None), **options)
    c.add("key-under-two-ids-upper-case", twice(upper), **options)
    c.add("key-under-two-ids-rewrapped", twice(("ec-targets-2", rewrapped)), **options)
    c.add("key-under-two-ids-compressed-point", twice(("ec-targets-2", compressed)), **options)

    def listed_twice(r):
        r.rotate()
        r.edit["root"] = lambda s: s["roles"]["targets"].update(keyids=[s["roles"]["targets"]["keyids"][0]] * 2)

    c.add("key-id-listed-twice", listed_twice, **options)

    def holders(*names):
        def change(r):
            r.rotate()

            def name_them(s):
                for keyid, holder in zip(s["roles"]["targets"]["keyids"], names):
                    s["keys"][keyid]["x-holder"] = holder
            r.edit["root"] = name_them
        return change

    c.add("holders", holders("Anna", "Boris"), after=None)
    c.add("holder-twice", holders("Anna", "Anna"), **options)

    def delegated_twice(r):
        r.delegations["targets"][1].keys = [signer("ed-node-77-x"), signer("ed-node-77-x", "second-name")]
        r.delegations["targets"][1].threshold = 2

    c.add("key-under-two-ids-delegated", delegated_twice, targets=[KEYS], keeps=["targets"])

    def one_key_for_two_roles(r):
        r.rotate()
        r.keys["snapshot"] = r.keys["timestamp"]

    c.add("key-of-two-roles", one_key_for_two_roles, after=None)

    def renamed(r):
        r.rotate()
        r.keys["timestamp"] = [signer("ed-timestamp-2", "timestamp key")]

    c.add("key-id-is-any-text", renamed, after=None)

    def key_field(change, role="timestamp"):
        def apply(r):
            r.rotate()
            r.edit["root"] = lambda s: change(s["keys"][s["roles"][role]["keyids"][0]])
        return apply

    c.add("key-kind-unknown", key_field(lambda k: k.update(keytype="foo", scheme="bar")), after=None)
    # A kind that only stands beside what is needed: the third key of root.
    c.add("key-kind-unknown-beside-enough", lambda r: changed(r.rotate(), edit_root=lambda s: s["keys"][s["roles"]["root"]["keyids"][2]].update(keytype="foo", scheme="bar")), **options)
    c.add("key-type-of-older-writers", lambda r: changed(r.rotate(), edit_root=lambda s: [k.update(keytype="ecdsa-sha2-nistp256") for k in s["keys"].values() if k["keytype"] == "ecdsa"]), after=None)
    c.add("key-cut", key_field(lambda k: k["keyval"].update(public=k["keyval"]["public"][:-2])), **options)
    c.add("key-without-value", key_field(lambda k: k["keyval"].clear()), **options)
    c.add("key-pem-is-nonsense", key_field(lambda k: k["keyval"].update(public="-----BEGIN"), "snapshot"), **options)
    c.add("key-of-role-not-listed", lambda r: changed(r.rotate(), edit_root=lambda s: s["keys"].pop(s["roles"]["timestamp"]["keyids"][0])), **options)
    c.add("key-of-role-not-listed-beside-enough", lambda r: changed(r.rotate(), edit_root=lambda s: s["keys"].pop(s["roles"]["root"]["keyids"][2])), **options)


def fields(c):
    def set_field(name, value):
        return lambda r, role: r.edit.update({role: lambda s: s.update({name: value})})

    per_role(c, "type-wrong", set_field("_type", "mirrors"))
    per_role(c, "type-of-another-role", lambda r, role: r.edit.update({role: lambda s: s.update(_type="snapshot" if role != "snapshot" else "targets")}))

    def same_key(r):
        """Timestamp, snapshot and targets share a key: only the type tells them apart."""
        r.keys.update({role: signers("ed-shared") for role in ("timestamp", "snapshot", "targets")})
        r.threshold["targets"] = 1
        return r

    shared = same_key(Repository())
    c.tree("base-shared-key", shared)

    def swapped(role, by):
        def change(r):
            made = {"snapshot": lambda: r.build("snapshot", __import__("tuf.api.metadata").api.metadata.Snapshot(**r.common("snapshot"), meta={"targets.json": MetaFile(4)}), r.keys["snapshot"]),
                    "targets": lambda: r.build_targets("targets", r.keys["targets"])}[by]()
            r.raw[role] = lambda _: made
            r.hashes = False
        return change

    for role, by in (("timestamp", "snapshot"), ("timestamp", "targets"), ("snapshot", "targets"), ("targets", "snapshot")):
        c.add(f"type-{by}-served-as-{role}", swapped(role, by), base=shared, before=["base-shared-key"], root="base-shared-key", after=None, keeps=[role])

    def other_node(r):
        r.raw["node-77"] = lambda _: r.build_targets("node-50", r.delegations["targets"][0].keys)
        r.version["node-50"] = r.version["node-77"]

    c.add("role-of-another-node", other_node, targets=[KEYS], keeps=["node-77"])

    per_role(c, "version-zero", set_field("version", 0), ["timestamp", "targets", "root"])
    c.add("version-text", lambda r: set_field("version", "6")(r, "timestamp"), keeps=["timestamp"])
    c.add("version-true", lambda r: set_field("version", True)(r, "timestamp"), keeps=["timestamp"])
    c.add("version-beyond-2-53", lambda r: set_field("version", 2**53 + 1)(r, "timestamp"), keeps=["timestamp"], after=None)
    c.add("version-beyond-2-64", lambda r: set_field("version", 2**64 + 6)(r, "timestamp"), keeps=["timestamp"], after=None)
    for name, value in (("1-0", "1.0"), ("1-0-99", "1.0.99"), ("1-1-0", "1.1.0"), ("2-0-0", "2.0.0"), ("0-9-0", "0.9.0"), ("1", "1"), ("1-0-0-0", "1.0.0.0"),
                        ("suffix", "1.0.31-rc1"), ("empty", ""), ("number", 1), ("arabic", "1.٠.٣"), ("01", "01.0.0")):
        per_role(c, f"spec-version-{name}", set_field("spec_version", value), ["targets"])
    for name in ("_type", "version", "spec_version", "expires", "meta"):
        c.add(f"field-missing-{name.replace('_', '-').strip('-')}", lambda r, name=name: changed(r, edit_timestamp=lambda s: s.pop(name)), keeps=["timestamp"])
    c.add("field-missing-targets", lambda r: changed(r, edit_targets=lambda s: s.pop("targets")), keeps=["targets"])
    for name, text in (("offset", "2099-12-31T23:59:59+00:00"), ("fraction", "2099-12-31T23:59:59.5Z"), ("short", "2099-1-1T1:1:1Z"),
                       ("lower-case", "2099-12-31t23:59:59z"), ("30-february", "2099-02-30T00:00:00Z"), ("leap-second", "2099-12-31T23:59:60Z"),
                       ("hour-24", "2099-12-31T24:00:00Z"), ("year-10000", "10000-01-01T00:00:00Z"), ("year-0", "0000-01-01T00:00:00Z"),
                       ("arabic-digits", "٢٠٩٩-12-31T23:59:59Z"), ("space", "2099-12-31 23:59:59Z"), ("number", 4102444799),
                       ("trailing", "2099-12-31T23:59:59Z\n"), ("far", "9999-12-31T23:59:59Z")):
        c.add(f"expires-{name}", lambda r, text=text: set_field("expires", text)(r, "timestamp"), keeps=["timestamp"])
    for name, value in (("0", 0), ("negative", -1), ("text", "1"), ("true", True)):
        c.add(f"threshold-{name}", lambda r, value=value: changed(r.rotate(), edit_root=lambda s: s["roles"]["timestamp"].update(threshold=value)), after=None, keeps=["root"])
        c.add(f"threshold-{name}-delegated", lambda r, value=value: changed(r, edit_targets=lambda s: s["delegations"]["roles"][1].update(threshold=value)), targets=[KEYS], keeps=["targets"])
    anchor = Repository()
    anchor.edit["root"] = lambda s: s["roles"]["root"].update(threshold=0)
    anchor.sign_with["root"] = []
    c.tree("base-threshold-0", anchor)
    c.add("threshold-0-anchor", base=anchor, before=(), root="base-threshold-0", after=None)


def delegations(c):
    first, second = "x/one.json", "x/two.json"

    def claims(*roles, listed=None):
        """Roles that claim x/*, in this order: (name, terminating, targets)."""
        def change(r):
            for name, terminating, files in roles:
                r.version[name] = 1
                r.files[name] = {path: f"by {name}\n".encode() for path in files}
                r.delegations["targets"].append(Delegation(name, ["x/*"], signers(f"ed-{name}"), 1, terminating))
        return change

    c.add("delegation-first-wins", claims(("a", False, [first]), ("b", False, [first])), after=None, targets=[first])
    c.add("delegation-falls-through", claims(("a", False, [second]), ("b", False, [first])), after=None, targets=[first])
    c.add("delegation-terminating-ends", claims(("a", True, [second]), ("b", False, [first])), after=None, targets=[first])
    c.add("delegation-terminating-finds", claims(("a", True, [first]), ("b", False, [first])), after=None, targets=[first])

    def above_wins(r):
        claims(("a", False, [TOPOLOGY]))(r)
        r.delegations["targets"][-1].paths = ["*"]

    c.add("delegation-parent-wins", above_wins, after=None, targets=[TOPOLOGY])

    def outside(path):
        def change(r):
            r.files["node-77"][path] = b"not mine\n"
        return change

    c.add("delegation-outside-its-pattern", outside("nodes/99/keys.json"), targets=["nodes/99/keys.json"])
    c.add("delegation-outside-into-another", outside("nodes/50/other.json"), targets=["nodes/50/other.json"])
    c.add("delegation-star-stays-in-its-folder", outside("nodes/77/a/b.json"), targets=["nodes/77/a/b.json"])
    c.add("delegation-dots-in-path", outside("nodes/77/../50/keys.json"), targets=["nodes/77/../50/keys.json"])

    def pattern(text, path):
        def change(r):
            r.delegations["targets"][1].paths = [text]
            r.files["node-77"] = {path: b"matched\n"}
        return change, path

    for name, text, path in (("star-in-name", "nodes/77/k*s.json", KEYS), ("question", "nodes/7?/keys.json", KEYS), ("exact", KEYS, KEYS),
                             ("class", "nodes/[78]7/keys.json", KEYS), ("class-not", "nodes/[!5]7/keys.json", KEYS), ("class-caret", "nodes/[^5]7/keys.json", KEYS),
                             ("class-named", "nodes/[[:digit:]]7/keys.json", KEYS), ("case", "NODES/77/*", KEYS), ("backslash", "nodes/\\77/*", KEYS),
                             ("open-bracket", "nodes/[77/*", "nodes/[77/keys.json"), ("question-cyrillic", "nodes/?/keys.json", "nodes/ж/keys.json"),
                             ("class-cyrillic", "nodes/[а-я]/keys.json", "nodes/ж/keys.json"),
                             ("dot-file", "nodes/*/keys.json", "nodes/.77/keys.json"), ("many-stars", "nodes/77/*k*e*y*s*.json", KEYS)):
        change, path = pattern(text, path)
        c.add(f"pattern-{name}", change, targets=[path])

    def cycle(r):
        r.version.update(a=1, b=1)
        r.delegations["targets"].append(Delegation("a", ["x/*"], signers("ed-a"), 1, False))
        r.delegations["a"] = [Delegation("b", ["x/*"], signers("ed-b"), 1, False)]
        r.delegations["b"] = [Delegation("a", ["x/*"], signers("ed-a"), 1, False)]
        r.files["b"] = {second: b"found\n"}

    c.add("delegation-cycle", cycle, after=None, targets=[first])
    c.add("delegation-cycle-found", cycle, after=None, targets=[second])

    def chain(length):
        def change(r):
            parent = "targets"
            for number in range(length):
                name = f"link-{number}"
                r.version[name] = 1
                r.delegations.setdefault(parent, []).append(Delegation(name, ["x/*"], signers("ed-link"), 1, False))
                parent = name
            r.files[parent] = {first: b"at the end\n"}
        return change

    c.add("delegation-chain-31", chain(31), after=None, targets=[first])
    c.add("delegation-chain-40", chain(40), after=None, targets=[first])

    def thousand(r):
        for number in range(100, 1100):
            name = f"node-{number}"
            r.version[name] = 1
            r.delegations["targets"].append(Delegation(name, [f"nodes/{number}/*"], signers("ed-many")))
        r.files["node-1050"] = {"nodes/1050/keys.json": b"found\n"}

    c.add("delegation-thousand", thousand, after=None, targets=["nodes/1050/keys.json"])

    def crowd(size):
        """The last of so many has the target."""
        return claims(*((f"crowd-{n}", False, [first] if n == size - 1 else []) for n in range(size)))

    c.add("delegation-hundred-claim-one-path", crowd(100), after=None, targets=[first])
    c.add("delegation-three-hundred-claim-one-path", crowd(300), after=None, targets=[first])

    def edited(change):
        return lambda r: changed(r, edit_targets=lambda s: change(s["delegations"]))

    c.add("delegation-twice", edited(lambda d: d["roles"].append(copy.deepcopy(d["roles"][1]))), targets=[KEYS], keeps=["targets"])
    c.add("delegation-key-not-listed", edited(lambda d: d["keys"].pop(d["roles"][1]["keyids"][0])), targets=[KEYS], keeps=["node-77"])
    c.add("delegation-without-scope", edited(lambda d: d["roles"][1].pop("paths")), targets=[KEYS], keeps=["targets"])
    c.add("delegation-two-scopes", edited(lambda d: d["roles"][1].update(path_hash_prefixes=["00"])), targets=[KEYS], keeps=["targets"])
    c.add("delegation-without-terminating", edited(lambda d: d["roles"][1].pop("terminating")), targets=[KEYS], keeps=["targets"])
    c.add("delegation-no-paths", edited(lambda d: d["roles"][1].update(paths=[])), targets=[KEYS])
    for name, of in (("root", "root"), ("snapshot", "snapshot"), ("empty", "")):
        c.add(f"delegation-named-{name}", edited(lambda d, of=of: d["roles"][1].update(name=of)), targets=[KEYS], keeps=["targets"])

    def named(name):
        def change(r):
            r.version[name] = 1
            r.files[name] = r.files.pop("node-77")
            r.delegations["targets"][1].name = name
        return change

    for name, of in (("with-slash", "nodes/77"), ("climbing", "../targets"), ("cyrillic", "узел-77"), ("with-space", "node 77")):
        c.add(f"delegation-named-{name}", named(of), before=(), after=None, targets=[KEYS], keeps=["targets"])

    def prefixes(*digits):
        def change(r):
            r.edit["targets"] = lambda s: (s["delegations"]["roles"][1].pop("paths"), s["delegations"]["roles"][1].update(path_hash_prefixes=list(digits)))
        return change

    import hashlib
    digest = hashlib.sha256(KEYS.encode()).hexdigest()
    c.add("delegation-by-hash-prefix", prefixes("zz", digest[:2]), targets=[KEYS])
    c.add("delegation-by-hash-prefix-other", prefixes("f" + digest[:2]), targets=[KEYS])

    def succinct(r):
        r.version["bin-0"] = r.version["bin-1"] = 1
        r.files["bin-0"] = r.files["bin-1"] = {first: b"binned\n"}
        r.delegations["targets"] = [Delegation(f"bin-{n}", ["x/*"], signers("ed-bin")) for n in (0, 1)]

        def edit(s):
            role = s["delegations"].pop("roles")[0]
            s["delegations"]["succinct_roles"] = {"keyids": role["keyids"], "threshold": 1, "bit_length": 1, "name_prefix": "bin"}
        r.edit["targets"] = edit

    c.add("delegation-succinct", succinct, before=(), after=None, targets=[first])


def targets(c):
    def file(path, data=b"content\n"):
        return lambda r: r.files["targets"].update({path: data})

    def edited(path, change):
        def apply(r):
            r.edit["targets"] = lambda s: change(s["targets"][path])
        return apply

    c.add("target-unknown", targets=["nothing.json"])
    c.add("target-altered", lambda r: r.serve.update({TOPOLOGY: b'{"nodes": ["50", "77", "66"]}\n'}), targets=[TOPOLOGY])
    c.add("target-longer", lambda r: r.serve.update({TOPOLOGY: r.files["targets"][TOPOLOGY] + b" "}), targets=[TOPOLOGY])
    c.add("target-shorter", lambda r: r.serve.update({TOPOLOGY: r.files["targets"][TOPOLOGY][:-1]}), targets=[TOPOLOGY])
    c.add("target-not-there", lambda r: r.serve.update({TOPOLOGY: None}), targets=[TOPOLOGY])
    c.add("target-empty", file("empty.bin", b""), targets=["empty.bin"])
    c.add("target-length-wrong", edited(TOPOLOGY, lambda t: t.update(length=t["length"] + 1)), targets=[TOPOLOGY])
    c.add("target-length-negative", edited(TOPOLOGY, lambda t: t.update(length=-1)), targets=[TOPOLOGY], keeps=["targets"])
    c.add("target-without-hashes", edited(TOPOLOGY, lambda t: t.pop("hashes")), targets=[TOPOLOGY], keeps=["targets"])
    c.add("target-hashes-empty", edited(TOPOLOGY, lambda t: t["hashes"].clear()), targets=[TOPOLOGY], keeps=["targets"])

    def hashed(*kinds):
        def change(r):
            data = r.files["targets"][TOPOLOGY]

            def edit(s):
                s["targets"][TOPOLOGY]["hashes"] = TargetFile.from_data(TOPOLOGY, data, list(kinds)).hashes
            r.edit["targets"] = edit
        return change

    c.add("target-two-hashes", hashed("sha256", "sha512"), targets=[TOPOLOGY])
    c.add("target-md5-only", hashed("md5"), targets=[TOPOLOGY])
    c.add("target-one-of-two-hashes-wrong", lambda r: changed(r, edit_targets=lambda s: s["targets"][TOPOLOGY]["hashes"].update(sha512="0" * 128)), targets=[TOPOLOGY])
    for name, path in (("cyrillic", "регион/тема.json"), ("space", "a b.json"), ("percent", "50%25.json"), ("question-and-hash", "a?b#c.json"),
                       ("quote", 'say "no".json'), ("plus", "a+b&c=d;e.json"), ("deep", "a/b/c/d/e.json")):
        c.add(f"target-name-{name}", file(path), targets=[path])
    c.add("target-name-looks-equal", file("\u00e9.json"), targets=["e\u0301.json"])
    c.add("target-name-climbing", file("../climb.json"), targets=["../climb.json"])
    c.add("targets-several", lambda r: (file("one.json", b"1")(r), file("two.json", b"2")(r), None)[2], targets=["one.json", KEYS, "two.json"])
    c.add("targets-one-of-several-unknown", file("one.json", b"1"), targets=["one.json", "nothing.json"])
