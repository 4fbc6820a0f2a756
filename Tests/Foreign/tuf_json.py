"""Variants of the text of metadata: what two readers of JSON could read differently, and what only looks signed."""

import json
import random


def json_variants(c, per_role):
    def unknown(value):
        """A field that nobody knows, in every object there is: kept, and covered by the signature."""
        def add(node):
            if isinstance(node, dict):
                for each in list(node.values()):
                    add(each)
                node["x-unknown"] = value
        return add

    def everywhere(r):
        r.rotate()
        free = unknown({"much": ["of", {"it": None}], "true": True})

        def root(s):
            for each in [*s["keys"].values(), *s["roles"].values(), s]:
                each["x-unknown"] = {"much": ["of", {"it": None}], "true": True}

        def meta(s):
            for each in [*s["meta"].values(), s]:
                each["x-unknown"] = [1, -7, "text", None]

        def targets(s):
            for each in [*s["targets"].values(), s, s["delegations"], *s["delegations"]["roles"], *s["delegations"]["keys"].values()]:
                each["custom"] = {"x-unknown": False}

        r.edit.update(root=root, timestamp=meta, snapshot=meta, targets=targets)
        for role in ("root", "timestamp", "snapshot", "targets"):
            r.envelope[role] = lambda e: e.update({"x-outside": free})and None or e.update({"x-outside": {"a": [None]}, "signatures": [
                {**each, "x-by": "hand"} for each in e["signatures"]]})

    c.add("unknown-fields", everywhere, after=None, targets=["topology.json", "nodes/77/keys.json"])
    per_role(c, "unknown-field-altered", lambda r, role: (
        r.edit.update({role: lambda s: s.update({"x-field": "as signed"})}),
        r.raw.update({role: lambda data: data.replace(b"as signed", b"as served")}))[2:] or None)

    def odd(name, text, value=None, keeps=("timestamp",)):
        """A field of the timestamp whose value stands in the file as `text` and is signed as `value`."""
        def change(r):
            r.edit["timestamp"] = lambda s: s.update({"x-odd": value})

            def place(envelope):
                envelope["signed"]["x-odd"] = "@@"

            r.envelope["timestamp"] = place
            r.raw["timestamp"] = lambda data: data.replace(b'"@@"', text.encode() if isinstance(text, str) else text)
        c.add(name, change, keeps=keeps)

    # Numbers.
    odd("json-integer-2-53", str(2**53), 2**53)
    odd("json-integer-beyond-2-53", str(2**53 + 1), 2**53 + 1)
    odd("json-integer-beyond-2-64", str(2**64 + 1), 2**64 + 1)
    odd("json-integer-negative", "-5", -5)
    odd("json-minus-zero", "-0", 0)
    odd("json-leading-zero", "01", 1)
    odd("json-plus", "+1", 1)
    odd("json-float", "1.5", 1)
    odd("json-float-whole", "1.0", 1)
    odd("json-exponent", "1e2", 100)
    odd("json-nan", "NaN", 0)
    odd("json-infinity", "-Infinity", 0)
    # Text: escapes and their canonical form, which escapes the quote and the backslash only.
    every = "\"\\/\b\f\n\r\t\u0000\u001f\u007f\u0080\u2028\u2029\ufeff\ufffe\uffff\U0001f600é"
    odd("json-escapes", json.dumps(every), every)
    odd("json-text-unescaped", '"\u007f\u0080\u2028\u2029\ufeff\ufffe\uffff\U0001f600\u00e9e\u0301"', "\u007f\u0080\u2028\u2029\ufeff\ufffe\uffff\U0001f600\u00e9e\u0301")
    odd("json-escaped-slash", '"a\\/b"', "a/b")
    odd("json-escape-upper-case", '"\\u00E9\\uD83D\\uDE00"', "\u00e9\U0001f600")
    odd("json-control-unescaped", '"a\tb"', "a\tb")
    odd("json-escape-unknown", '"\\x41"', "A")
    odd("json-surrogate-alone", '"\\ud800"', "\ufffd")
    odd("json-surrogates-swapped", '"\\ude00\\ud83d"', "\ufffd\ufffd")
    odd("json-utf8-invalid", b'"\xff"', "\ufffd")
    odd("json-utf8-overlong", b'"\xc0\xaf"', "/")
    odd("json-utf8-surrogate", b'"\xed\xa0\x80"', "\ufffd")
    odd("json-utf8-cut", b'"\xd0"', "\ufffd")
    # Names: order by code points (not by UTF-16 and not by a locale), and no two that only look equal are one.
    names = {"\uffff": 1, "\U00010000": 2, "a": 3, "B": 4, "b": 5, "A": 6, "": 7, "ж": 8, "aa": 9, "a\u0000": 10, '"': 11, "\\": 12}
    odd("json-names-in-code-point-order", json.dumps(names), names)
    composed = {"\u00e9": 1, "e\u0301": 2}
    odd("json-names-that-look-equal", json.dumps(composed), composed)
    odd("json-name-escaped", '{"\\u0061": 1}', {"a": 1})
    odd("json-name-twice", '{"a": 1, "a": 2}', {"a": 2})
    odd("json-name-twice-first-signed", '{"a": 1, "a": 2}', {"a": 1})
    odd("json-name-twice-escaped", '{"a": 1, "\\u0061": 2}', {"a": 2})
    # Shape.
    def nested(depth):
        value = []
        for _ in range(depth - 1):
            value = [value]
        return value

    # Two levels are the file's own: the whole, and what is signed.
    odd("json-depth-32", "[" * 30 + "]" * 30, nested(30))
    odd("json-depth-33", "[" * 31 + "]" * 31, nested(31))
    odd("json-depth-100", "[" * 98 + "]" * 98, nested(98))
    odd("json-depth-7000", "[" * 7000 + "]" * 7000, 0)
    odd("json-comma-behind-the-last", "[1,]", [1])
    odd("json-comment", "/* one */ 1", 1)
    odd("json-single-quotes", "'a'", "a")
    odd("json-capital-true", "True", True)

    def whole(name, change, **options):
        c.add(name, lambda r: r.raw.update(timestamp=change), **{"keeps": ["timestamp"], **options})

    whole("json-version-twice", lambda d: d.replace(b'"version": 6', b'"version": 1, "version": 6'))
    whole("json-signed-twice", lambda d: d.replace(b'"signed": {', b'"signed": {"_type": "timestamp"}, "signed": {'))
    whole("json-space-around", lambda d: b" \t\r\n" + d + b"\n\n")
    whole("json-compact", lambda d: json.dumps(json.loads(d), separators=(",", ":")).encode())
    whole("json-members-in-other-order", lambda d: json.dumps(dict(reversed([*json.loads(d).items()])), indent=3).encode())
    whole("json-rubbish-behind", lambda d: d + b"x")
    whole("json-two-texts", lambda d: d + d)
    whole("json-byte-order-mark", lambda d: b"\xef\xbb\xbf" + d)
    whole("json-utf-16", lambda d: d.decode().encode("utf-16"))
    whole("json-form-feed", lambda d: b"\x0c" + d)
    whole("json-zero-behind", lambda d: d + b"\x00")
    for name, text in (("empty", b""), ("null", b"null"), ("list", b"[]"), ("object", b"{}"), ("number", b"7"), ("text", b'"timestamp"'),
                       ("html", b"<!DOCTYPE html><p>Not found"), ("signed-only", b'{"signed": {}}')):
        whole(f"json-is-{name}", lambda d, text=text: text)
    for name, of in (("signed-is-a-list", b'{"signatures": [], "signed": []}'), ("signatures-is-an-object", b'{"signatures": {}, "signed": {}}'),
                     ("signature-is-a-text", b'{"signatures": ["ab"], "signed": {}}')):
        whole(f"json-{name}", lambda d, of=of: of)


def texts(seed, count):
    """Texts for the two readers to be held against each other: mostly JSON, some of it damaged."""
    chance = random.Random(seed)
    alphabet = 'ab"\\/\b\n\u0000\u001f\u007f\u00e9\u0301ж\u2028\ufeff\uffff\U00010000\U0001f600{}[]:,0'

    def text():
        return "".join(chance.choice(alphabet) for _ in range(chance.randrange(6)))

    def tree(depth):
        kind = chance.randrange(7 if depth < 4 else 5)
        if kind == 0:
            return chance.choice([None, True, False])
        if kind in (1, 2):
            return chance.choice([0, 1, -1, chance.randrange(-2**53, 2**53 + 1), 2**53, -2**53])
        if kind in (3, 4):
            return text()
        if kind == 5:
            return [tree(depth + 1) for _ in range(chance.randrange(4))]
        return {text(): tree(depth + 1) for _ in range(chance.randrange(5))}

    made = []
    while len(made) < count:
        data = json.dumps(tree(0), ensure_ascii=chance.random() < 0.5, indent=None,
                          separators=chance.choice([(",", ":"), (", ", ": ")])).encode("utf-8", "surrogatepass")
        if chance.random() < 0.3 and data:
            # One byte is lost, doubled or another.
            at = chance.randrange(len(data))
            data = data[:at] + chance.choice([b"", data[at:at + 1] * 2, bytes([chance.choice(b'0123456789.eE+-"\\{}[],:\xc3 ')])]) + data[at + 1:]
        if b"\n" not in data:
            made.append(data)
    return made
