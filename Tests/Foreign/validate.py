"""Holds JSON values against JSON Schema (2020-12), by python3-jsonschema of Debian: not by this project's own hands.

    validate.py DOCUMENT < CASES

Each line of CASES is {"schema": "#/a/pointer/into/DOCUMENT", "value": ...}; each line that comes back is a JSON list of
what is wrong with the value, empty when nothing is.
"""
import json
import sys

from jsonschema import Draft202012Validator, FormatChecker, RefResolver

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
resolver = RefResolver.from_schema(document)
validators = {}
for line in sys.stdin:
    case = json.loads(line)
    pointer = case["schema"]
    if pointer not in validators:
        Draft202012Validator.check_schema(resolver.resolve(pointer)[1])
        validators[pointer] = Draft202012Validator(
            {"$ref": pointer}, resolver=resolver, format_checker=FormatChecker()
        )
    errors = validators[pointer].iter_errors(case["value"])
    print(json.dumps([f"{error.json_path}: {error.message[:300]}" for error in errors]))
