#!/usr/bin/env python3
"""Makes the corpora of the fuzz targets from the vectors, so that what one knows the others begin with.

    seeds.py write     writes tests/fuzz/corpus/{message,uri,link}
    seeds.py check     says what of them is missing or differs, and fails

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import sys

VECTORS = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(os.path.dirname(VECTORS), "fuzz", "corpus")


def bytes_of(path):
    with open(path, encoding="utf-8") as file:
        return bytes.fromhex(" ".join(line.split("#")[0] for line in file))


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if not line.startswith("#")]


def seeds():
    """(target, name) -> bytes"""
    made = {}
    for name in sorted(os.listdir(VECTORS)):
        stem, kind = os.path.splitext(name)
        path = os.path.join(VECTORS, name)
        if kind == ".hex":
            made["message", stem] = bytes_of(path)
        elif name.endswith("-uris.txt"):
            for at, line in enumerate(lines_of(path)):
                text = line.split("\t")[0]
                plain = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "empty"
                made["uri", f"{at:03d}-{plain[:40]}"] = text.encode()
        elif name.endswith("-links.txt"):
            for at, line in enumerate(lines_of(path)):
                made["link", f"{at:03d}"] = bytes([len(line) // 2]) + line.encode()
    return made


def main():
    wrong = 0
    for (target, name), data in seeds().items():
        path = os.path.join(CORPUS, target, name)
        if sys.argv[1:] == ["write"]:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        elif not os.path.exists(path) or open(path, "rb").read() != data:
            print(f"{os.path.relpath(path)}: not what the vector says: run tests/vectors/seeds.py write")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
