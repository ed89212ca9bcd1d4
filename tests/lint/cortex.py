#!/usr/bin/env python3
"""What the core costs on a Cortex-M0: symbols it needs, bytes of text, stack of each function.

    cortex.py symbols|size|stack BUILD      BUILD: the tree of the cortex-m0 preset

SPDX-License-Identifier: BSD-2-Clause
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

# The compiler itself asks for these; the application brings the hook.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "memchr", "copse_assert_failed"}

# The message layer: codec, options, endpoint. What is built on top of it (server, client, block-wise ...) is linked only by
# who uses it. The aim is 8192 bytes (bench/RESULTS.md says what stands in the way); this holds what has been reached.
LAYER_BUDGET = 11800
STACK_MAX = 768


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def archive_of(build):
    return os.path.join(build, "src/core/libcopse_core.a")


def undefined_symbols(archive):
    """symbol -> members that need it and nobody of the archive has"""
    needed, defined, member = {}, set(), "?"
    for line in run("arm-none-eabi-nm", archive).splitlines():
        if line.endswith(":"):
            member = line[:-1]
        parts = line.split()
        if len(parts) == 2 and parts[0] == "U":
            needed.setdefault(parts[1], set()).add(member)
        elif len(parts) == 3 and parts[1] in "TDRBVWC":
            defined.add(parts[2])
    return {symbol: members for symbol, members in needed.items() if symbol not in defined}


def check_symbols(archive):
    for symbol, members in sorted(undefined_symbols(archive).items()):
        if symbol not in ALLOWED:
            yield f"{', '.join(sorted(members))}: needs {symbol}, beyond {', '.join(sorted(ALLOWED))}"


def functions_of(archive):
    """(bytes, member, function), largest first"""
    rows, member = [], "?"
    for line in run("arm-none-eabi-nm", "-S", archive).splitlines():
        if line.endswith(":"):
            member = line[:-1]
        parts = line.split()
        if len(parts) == 4 and parts[2] in "Tt":
            rows.append((int(parts[1], 16), member, parts[3]))
    return sorted(rows, reverse=True)


def members_of(archive):
    """member -> (text, data, bss); text includes constants"""
    rows = {}
    for line in run("arm-none-eabi-size", archive).splitlines()[1:]:
        parts = line.split()
        rows[parts[5]] = tuple(int(n) for n in parts[:3])
    return rows


def is_layer(member):
    return re.match(r"(message|builder|option|code|params|endpoint|error|wire|chunk|heap|table|siphash)", member) is not None


def check_size(archive, budget=LAYER_BUDGET):
    rows = members_of(archive)
    layer = sum(text for member, (text, _, _) in rows.items() if is_layer(member))
    for member, (text, data, bss) in sorted(rows.items(), key=lambda row: -row[1][0]):
        print(f"  {text:6} {'layer' if is_layer(member) else '     '} {member}")
        if data or bss:
            yield f"{member}: {data + bss} bytes of static data; memory is the caller's"
    for size, member, function in functions_of(archive)[:25]:
        print(f"  {size:6} {function} ({member})")
    print(f"message layer {layer} bytes of text, all of the core {sum(row[0] for row in rows.values())}")
    if layer > budget:
        yield f"message layer: {layer} bytes of text, more than {budget}"


def check_stack(build, limit=STACK_MAX):
    rows = []
    for path in glob.glob(os.path.join(build, "**/*.su"), recursive=True):
        with open(path, encoding="utf-8") as file:
            for line in file:
                where, size, kind = line.rstrip("\n").split("\t")
                source, _, rest = where.partition(":")
                rows.append((int(size), f"{os.path.basename(source)}:{rest.split(':')[0]}: {rest.split(':')[-1]}()"))
                if "dynamic" in kind and "bounded" not in kind:
                    yield f"{rows[-1][1]} has a stack frame of unknown size"
    if not rows:
        yield f"{build}: no stack usage files; -fstack-usage?"
    rows.sort(reverse=True)
    for size, where in rows[:12]:
        print(f"  {size:6} {where}")
    for size, where in rows:
        if size > limit:
            yield f"{where} takes {size} bytes of stack, more than {limit}"


def selftest():
    """Findings about bad samples that are not found: none is good."""
    failures = []
    with tempfile.TemporaryDirectory(prefix="copse-cortex-") as folder:
        source = os.path.join(folder, "bad.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <stdint.h>\nstatic int n;\nint use(volatile char *p);\nint use(volatile char *p)\n"
                       "{\n\treturn *p;\n}\nuint64_t div(uint64_t a, uint64_t b)\n{\n\tchar big[1000];\n"
                       "\tn += use(big);\n\treturn a / b + (unsigned)n;\n}\n")
        compile_bad = ["arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-Os", "-ffreestanding", "-fstack-usage", "-c"]
        subprocess.run(compile_bad + [source, "-o", os.path.join(folder, "endpoint.o")], cwd=folder, check=True)
        archive = os.path.join(folder, "bad.a")
        subprocess.run(["arm-none-eabi-ar", "rcs", archive, os.path.join(folder, "endpoint.o")], check=True)
        for name, found, expected in (
                ("symbols", check_symbols(archive), "needs __aeabi_uldivmod"),
                ("size", check_size(archive), "4 bytes of static data"),
                ("size", check_size(archive, 10), "more than 10"),
                ("stack", check_stack(folder), "bytes of stack, more than")):
            found = list(found)
            if not any(expected in finding for finding in found):
                failures.append(f"cortex {name} does not say \"{expected}\", but {found}")
    return failures


def main():
    what, build = sys.argv[1:3]
    if what == "stack":
        found = list(check_stack(build))
    else:
        found = list({"symbols": check_symbols, "size": check_size}[what](archive_of(build)))
    for finding in found:
        print(finding)
    print(f"{what}: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
