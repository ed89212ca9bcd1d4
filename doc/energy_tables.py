#!/usr/bin/env python3
"""Holds the tables of ENERGY.md to what the commands above them print: energy_tables.py ENERGY.md COPSE-SIM [--write]

Each line of code that begins with `copse-sim --ledger` is run; behind it stands what it prints.

SPDX-License-Identifier: BSD-2-Clause
"""
import re
import subprocess
import sys

COMMAND = re.compile(r"^ {4}copse-sim (--ledger.*)\n\n(.+\n\n(?:\|.*\n)+)", re.M)


def main():
    page, program, *write = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    found = 0

    def made(match):
        nonlocal found
        found += 1
        out = subprocess.run([program, *match.group(1).split()], capture_output=True, text=True, check=True).stdout
        return f"    copse-sim {match.group(1)}\n\n{out.rstrip()}\n"
    now = COMMAND.sub(made, text)
    if found < 4 or found != text.count("\n    copse-sim --ledger"):
        sys.exit(f"{page}: {found} tables of the ledger found")
    if write:
        with open(page, "w", encoding="utf-8") as file:
            file.write(now)
    elif now != text:
        old, new = text.splitlines(), now.splitlines()
        line = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), 0)
        sys.exit(f"{page}:{line + 1}: not what the command says (doc/energy_tables.py ... --write)\n- {old[line]}\n+ {new[line]}")
    print(f"{found} tables are as the ledger prints them")


main()
