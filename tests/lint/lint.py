#!/usr/bin/env python3
"""Checks of the source tree that no compiler makes.

    lint.py CHECK [--root DIR] [--build DIR]

Each check is a function that takes the tree's root and yields findings, "file:line: what is wrong"; the exit code is 1 when
there is one. selftest.py proves that each check can fail.

SPDX-License-Identifier: BSD-2-Clause
"""
import argparse
import concurrent.futures
import importlib.machinery
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCES = ("include", "src", "apps", "examples", "bench", "tests", "firmware")
SKIP_FOLDERS = {"build", "node_modules", ".git", "corpus", "vectors"}


def walk(root, folders, suffixes):
    """Paths relative to `root`, sorted, of the files below `folders` with one of `suffixes`."""
    found = []
    for folder in folders:
        for path, names, files in os.walk(os.path.join(root, folder)):
            names[:] = [n for n in names if n not in SKIP_FOLDERS and not n.startswith("build-")]
            for name in files:
                full = os.path.join(path, name)
                if name.endswith(suffixes) and not os.path.islink(full):
                    found.append(os.path.relpath(full, root))
    return sorted(found)


def text_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(match):
    """What was matched, as spaces: lines and columns stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(root, path):
    """The text without comments and without what stands in string and character literals."""
    text = text_of(root, path)
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def replace(match):
        if match.group(0)[0] != '"':
            return blank(match)
        line = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        return match.group(0) if line.strip() == "#include" else '"' + blank(match)[1:-1] + '"'
    return token.sub(replace, text)


def functions(code):
    """(name, first line, last line, body lines) of each function definition. The house's format puts the braces of a function,
    and of nothing else, alone into the first column."""
    lines = code.split("\n")
    opened = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{" and opened is None:
            opened = number
        elif line.rstrip() == "}" and opened is not None:
            first = opened - 1
            while first > 1 and lines[first - 2].strip() and not re.search(r"[;}]\s*$|^#", lines[first - 2]):
                first -= 1
            head = " ".join(lines[first - 1:opened - 1])
            name = re.search(r"(\w+)\s*\(", head)
            yield name.group(1) if name else "?", first, number, lines[opened:number - 1]
            opened = None


# --- layering ---------------------------------------------------------------------------------------------------------

CORE_LIBC = {"string.h", "stdint.h", "stddef.h", "stdbool.h"}


def read_layers():
    rows = []
    for line in text_of(os.path.dirname(os.path.abspath(__file__)), "layers.txt").splitlines():
        line = line.split("#")[0].split()
        if line:
            rows.append((line[0], line[1]))
    return sorted(rows, key=lambda row: -len(row[0]))


def layer_of(rows, path):
    for prefix, layer in rows:
        if path.startswith(prefix):
            return prefix, layer
    return None, None


def resolve(root, path, name, quoted):
    """The file of the tree that an #include means, or None for one of the system."""
    folders = ([os.path.dirname(path), "src", "tests"] if quoted else []) + ["include"]
    if name.startswith("copse/registry/"):
        return "registry/" + name[len("copse/registry/"):]
    for folder in folders:
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(os.path.join(root, candidate)):
            return candidate
    return None


def layering_finding(rows, root, path, name, quoted):
    folder, layer = layer_of(rows, path)
    if layer is None:
        return "this folder has no layer in tests/lint/layers.txt"
    if layer == "any":
        return None
    target = resolve(root, path, name, quoted)
    if target is None:
        if quoted or name.startswith("copse/"):
            return f'included file "{name}" is not found in the tree'
        # *_hosted.c is what only a system with a C library gets: the assertion hook that prints.
        if layer == "0" and name not in CORE_LIBC and not path.endswith("_hosted.c"):
            return f"layer 0 includes <{name}>; it may include only {', '.join(sorted(CORE_LIBC))}"
        return None
    there, level = layer_of(rows, target)
    if level is None or level == "any" or int(level) > int(layer):
        return f"layer {layer} includes {target} of layer {level}: includes point downward only"
    sideways = (level == layer and there != folder and not target.startswith(("include/", "registry/"))
                and not path.startswith("include/"))
    if sideways:
        return f"{folder} includes {target}: never sideways"
    if layer == "2" and path.startswith("examples/") and not target.startswith(("include/", "examples/")):
        return f"an example includes {target}: examples use only what is installed"
    return None


def check_layering(root):
    rows = read_layers()
    for path in walk(root, SOURCES, (".c", ".h")):
        for number, line in enumerate(code_of(root, path).split("\n"), 1):
            include = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if include:
                finding = layering_finding(rows, root, path, include.group(2), include.group(1) == '"')
                if finding:
                    yield f"{path}:{number}: {finding}"


# --- headers ----------------------------------------------------------------------------------------------------------

def compile_alone(root, compiler, path):
    name = path[len("include/"):] if path.startswith("include/") else path[len("src/"):]
    source = f"#include <{name}>\n#include <{name}>\nextern int copse_header_stands_alone;\n"
    command = [compiler, "-std=c17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wundef",
               "-Wstrict-prototypes", "-I", os.path.join(root, "include"), "-x", "c", "-"]
    if path.startswith("src/"):
        command[1:1] = ["-D_GNU_SOURCE", "-I", os.path.join(root, "src"), "-Wno-pedantic"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    first = next((l for l in done.stderr.splitlines() if "error" in l), done.stderr.strip().split("\n")[0])
    return f"{path}:1: does not compile alone with {compiler}: {first}"


def check_headers(root):
    paths = walk(root, ("include",), (".h",)) + walk(root, ("src",), (".h",))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_alone, root, compiler, path) for path in paths for compiler in ("gcc", "clang")]
        yield from filter(None, (job.result() for job in jobs))


# --- banned -----------------------------------------------------------------------------------------------------------

BANNED = [
    # where, pattern, why
    (("src/", "apps/", "include/", "examples/", "bench/", "tests/", "firmware/"),
     r"\b(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|gets|alloca|tmpnam|mktemp)\s*\(", "is banned: not bounded"),
    (("src/", "apps/", "include/"), r"\b(atoi|atol|atoll|atof)\s*\(", "is banned: says nothing about errors"),
    (("src/", "apps/", "include/"), r"\b(gmtime|localtime|ctime|asctime|inet_ntoa)\s*\(",
     "is banned: static result buffer"),
    (("src/", "apps/", "include/", "examples/", "bench/"), r"\btypedef\s+(struct|union)\b", "is banned: no typedef for structs"),
    (("src/core/", "src/hdlc/", "include/copse/"), r"\b(float|double)\b", "is banned in layer 0"),
    (("src/core/", "src/hdlc/"), r"\b(malloc|calloc|realloc|free|printf|fprintf|snprintf|time|clock_gettime|rand|random|abort)\s*\(",
     "is banned in layer 0: memory, time and randomness are the caller's"),
]


def check_banned(root):
    for path in walk(root, SOURCES, (".c", ".h", ".def")):
        # The hosted assertion hook is the one file of the core that a microcontroller leaves out because it prints.
        hook = path.endswith("_hosted.c")
        for number, line in enumerate(code_of(root, path).split("\n"), 1):
            for places, pattern, why in BANNED:
                if not path.startswith(places) or hook and "memory, time" in why:
                    continue
                match = re.search(pattern, line)
                if match:
                    yield f"{path}:{number}: {match.group(0).rstrip('( ')} {why}"


# --- conditionals, lengths, heads -------------------------------------------------------------------------------------

def check_conditionals(root):
    for path in walk(root, ("src", "include"), (".c", ".h")):
        for name, first, last, body in functions(code_of(root, path)):
            for offset, line in enumerate(body):
                if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", line):
                    at = last - len(body) + offset
                    yield f"{path}:{at}: conditional compilation inside {name}(): choose by file, or with a constant"


FUNCTION_MAX = 100
FILE_MAX = 1000


def check_lengths(root):
    lengths = []
    for path in walk(root, ("src", "apps", "examples", "include"), (".c", ".h")):
        code = code_of(root, path)
        lines = code.count("\n")
        if lines > FILE_MAX:
            yield f"{path}:{lines}: {lines} lines, more than {FILE_MAX}: one concept a file"
        for name, first, last, _ in functions(code):
            lengths.append((last - first + 1, f"{path}:{first}: {name}()"))
            if last - first + 1 > FUNCTION_MAX:
                yield f"{path}:{first}: {name}() has {last - first + 1} lines, more than {FUNCTION_MAX}"
    lengths.sort(reverse=True)
    if lengths:
        def at(share):
            return lengths[int((len(lengths) - 1) * (1 - share))][0]
        print(f"{len(lengths)} functions; lines: median {at(.5)}, 90 % {at(.9)}, 99 % {at(.99)}, longest {lengths[0][0]}")
        for length, where in lengths[:8]:
            print(f"  {length:4} {where}")


def check_heads(root):
    for path in walk(root, SOURCES, (".c", ".h", ".S", ".py", ".mjs")):
        head = "\n".join(text_of(root, path).split("\n")[:60])
        if "SPDX-License-Identifier: BSD-2-Clause" not in head:
            yield f"{path}:1: no SPDX-License-Identifier: BSD-2-Clause in the head"
        elif path.endswith((".c", ".h")) and not head.startswith("/*"):
            yield f"{path}:1: does not begin with a comment that says what the file is for"


# --- format -----------------------------------------------------------------------------------------------------------

CODE_WIDTH = 110
LINE_WIDTH = 125


def layout_of(root, path):
    """The lines of code as the eye sees them, without comments: those are laid out by hand."""
    lines = [re.sub(r"\s*\\?$", "", line) for line in code_of(root, path).split("\n")]
    return [line.expandtabs(8) for line in lines]


def format_difference(root, path, style):
    """The first line that clang-format would lay out in another way, or None."""
    done = subprocess.run(["clang-format", "--style=" + style, "--assume-filename=" + path, os.path.join(root, path)],
                          capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        return 1, "clang-format failed: " + done.stderr.strip()
    with tempfile.NamedTemporaryFile("w", suffix=".c") as formatted:
        formatted.write(done.stdout)
        formatted.flush()
        wanted = layout_of("/", formatted.name)
    for number, (line, right) in enumerate(zip(layout_of(root, path), wanted), 1):
        if line != right:
            return number, f"not formatted: clang-format would write \"{right.strip()}\" here"
    return None


def format_findings(root, path):
    # The author may break lines earlier than the formatter would, so both answers count: its own breaks, and the author's.
    difference = format_difference(root, path, "file")
    if difference:
        rows = text_of(root, ".clang-format").splitlines()
        style = ", ".join(row for row in rows if row.strip() and not row.startswith(("#", "ColumnLimit")))
        own = format_difference(root, path, "{" + style + ", ColumnLimit: 0}")
        difference = difference if own else None
    found = [f"{path}:{difference[0]}: {difference[1]} (lint.py format --fix FOLDER mends it)"] if difference else []
    for number, line in enumerate(code_of(root, path).split("\n"), 1):
        if len(re.sub(r"\s*\\?$", "", line).expandtabs(8)) > CODE_WIDTH + 2 and '"' not in line:
            found.append(f"{path}:{number}: code beyond column {CODE_WIDTH}")
    for number, line in enumerate(text_of(root, path).split("\n"), 1):
        if len(line.expandtabs(8)) > LINE_WIDTH:
            found.append(f"{path}:{number}: line beyond column {LINE_WIDTH}")
        if line != line.rstrip():
            found.append(f"{path}:{number}: blanks at the end of the line")
    return found


def check_format(root):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(format_findings, root, path) for path in walk(root, SOURCES, (".c", ".h"))]
        for job in jobs:
            yield from job.result()


# --- scripts ----------------------------------------------------------------------------------------------------------

def scripts(root):
    """(path, language) of every script of the tree, by its first line."""
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in SKIP_FOLDERS and not n.startswith("build-")]
        for name in sorted(files):
            full = os.path.join(folder, name)
            if os.path.islink(full) or not os.path.isfile(full):
                continue
            with open(full, "rb") as file:
                first = file.readline(80).decode("ascii", "replace")
            if first.startswith("#!"):
                yield os.path.relpath(full, root), first.strip()
            elif name.endswith(".mjs"):
                yield os.path.relpath(full, root), "node"


def check_scripts(root):
    for path, language in scripts(root):
        full = os.path.join(root, path)
        if "bash" in language or "bin/sh" in language:
            done = subprocess.run(["bash" if "bash" in language else "sh", "-n", full], capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"{path}:1: {done.stderr.strip()}"
            if not re.search(r"^set -[a-z]*e?[a-z]*u", text_of(root, path), re.M):
                yield f"{path}:1: no `set -euo pipefail` (or `set -u`)"
        elif "python" in language:
            try:
                compile(text_of(root, path), path, "exec")
            except SyntaxError as error:
                yield f"{path}:{error.lineno}: {error.msg}"
        elif "node" in language:
            done = subprocess.run(["node", "--check", full], capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"{path}:1: {done.stderr.strip()}"
        else:
            yield f"{path}:1: {language}: scripts are bash, sh, Python or node"
        if not os.access(full, os.X_OK) and "node" not in language and "python" not in language:
            yield f"{path}:1: not executable"


# --- packages ---------------------------------------------------------------------------------------------------------

IMPLIED = {"libc6-dev", "linux-libc-dev", "libgcc-12-dev", "libclang-common-14-dev", "gcc-12"}
PROGRAMS = ("coap-client", "coap-server", "tshark", "dumpcap", "node", "npm", "qemu-system-arm", "valgrind", "openssl", "jq", "curl",
            "socat", "ip", "python3", "clang", "clang-format", "ctags", "tmux", "sqlite3", "mosquitto", "nats-server", "pandoc",
            "arm-none-eabi-gcc", "arm-none-eabi-nm", "arm-none-eabi-size", "arm-none-eabi-objdump", "gdb", "nc", "bc", "expect")


def listed_packages(root):
    """package -> (section, line, command or None)"""
    rows, section = {}, None
    for number, line in enumerate(text_of(root, "packages.txt").splitlines(), 1):
        line = line.split("#")[0].split()
        if line and line[0].startswith("["):
            section = line[0].strip("[]")
        elif line:
            rows[line[0]] = (section, number, line[1] if len(line) > 1 else None)
    return rows


def owners(paths):
    """path -> Debian package"""
    done = subprocess.run(["dpkg-query", "-S", *paths], capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        package, _, path = line.partition(": ")
        if not line.startswith("diversion "):
            found[path] = package.split(",")[0].split(":")[0]
    return found


def built_with(build):
    """System header -> an object that was compiled with it."""
    done = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=False)
    used, current = {}, None
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            current = line.split(":")[0]
        elif line.strip().startswith("/usr/"):
            used.setdefault(os.path.realpath(line.strip()), current)
    return used


def programs_named(root):
    """program -> where a script names it"""
    named = {}
    paths = [path for path, _ in scripts(root)] + walk(root, ("tests", "bench"), ("CMakeLists.txt", ".py", ".mjs", ".js"))
    for path in paths:
        if path.startswith("tests/lint/"):
            continue
        for number, line in enumerate(text_of(root, path).split("\n"), 1):
            line = re.sub(r"(^|\s)(#|//).*", "", line)
            for program in PROGRAMS:
                # a word of a command line or a quoted argument; a bare word of prose is not one
                if re.search(rf"(^\s*|[|&;(!`'\"]\s*|(if|then|do|exec|sudo|command -v|env)\s+){re.escape(program)}(\s|['\"]|$)", line):
                    named.setdefault(program, f"{path}:{number}")
    return named


def check_packages(root, build=None):
    rows = listed_packages(root)
    for package, (section, number, _) in rows.items():
        if section not in ("build", "run", "test"):
            yield f"packages.txt:{number}: {package} stands in no section"
    # A package is satisfied by a program of another name or origin; compare programs by name too.
    by_program = {command for _, _, command in rows.values() if command}
    if build and os.path.exists(os.path.join(build, "build.ninja")):
        used = built_with(build)
        if not used:
            yield f"packages.txt:1: {build} says nothing about the headers it was built with"
        for path, package in sorted(owners(list(used)).items()):
            if package not in rows and package not in IMPLIED:
                yield f"packages.txt:1: {used[path]} needs {path} of package {package}, which is not listed"
            elif rows.get(package, ("build",))[0] != "build" and not used[path].startswith(("tests/", "bench/")):
                yield f"packages.txt:{rows[package][1]}: {used[path]} needs {package}, which is not in [build]"
    for program, where in sorted(programs_named(root).items()):
        if program in by_program or program in rows:
            continue
        place = shutil.which(program) or shutil.which(program + "-notls") or ""
        done = [os.path.realpath(place), place] if place else []
        package = next(iter(owners(done).values()), None) if done else None
        if not package:
            yield f"{where}: {program} is named, but of no package that is installed"
        elif package not in rows:
            yield f"{where}: {program} is of package {package}, which packages.txt does not list"


def check_npm(root):
    for path in walk(root, ("tests", "web"), ("package-lock.json",)):
        for number, line in enumerate(text_of(root, path).split("\n"), 1):
            if '"resolved"' in line:
                yield f"{path}:{number}: names a registry host; set omit-lockfile-registry-resolved and lock again"
    for path in walk(root, ("tests", "web"), ("package.json",)):
        folder = os.path.dirname(path)
        if not os.path.exists(os.path.join(root, folder, "package-lock.json")):
            yield f"{path}:1: no package-lock.json beside it"
        wanted = json.loads(text_of(root, path)).get("dependencies", {})
        for name, version in wanted.items():
            if not re.fullmatch(r"\d+\.\d+\.\d+", version):
                yield f"{path}:1: {name} is not pinned to one version: {version}"


# --- generated pages --------------------------------------------------------------------------------------------------

def rfc_map():
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/rfc-map")
    loader = importlib.machinery.SourceFileLoader("rfc_map", place)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("rfc_map", loader))
    loader.exec_module(module)
    return module


def write_rfc_map(root):
    os.makedirs(os.path.join(root, "doc"), exist_ok=True)
    with open(os.path.join(root, "doc/rfc-map.md"), "w", encoding="utf-8") as file:
        file.write(rfc_map().render(root))


def check_rfcmap(root):
    wanted = rfc_map().render(root).split("\n")
    found = text_of(root, "doc/rfc-map.md").split("\n")
    for number, (line, right) in enumerate(itertools.zip_longest(found, wanted), 1):
        if line != right:
            yield f"doc/rfc-map.md:{number}: not what the code says ({right or 'the end'}): run scripts/rfc-map"
            return


def check_readme(root):
    """The program that README.md shows is the one in examples/, which is built and tried."""
    lines = text_of(root, "README.md").split("\n")
    shown = next((n for n, line in enumerate(lines) if line.startswith("\t#include")), None)
    if shown is None:
        yield "README.md:1: shows no program"
        return
    program = text_of(root, "examples/hello-server.c")
    for number, line in enumerate(program[program.index("#include"):].rstrip("\n").split("\n"), shown):
        if number >= len(lines) or lines[number].strip("\t") != line.strip("\t"):
            yield f"README.md:{number + 1}: not as in examples/hello-server.c: {line.strip()}"
            return


# --- names of tests ---------------------------------------------------------------------------------------------------

def check_names(root, build=None):
    trees = os.path.dirname(build) if build else root
    top = trees if os.path.exists(os.path.join(trees, "CTestTestfile.cmake")) else build or root
    done = subprocess.run(["ctest", "--test-dir", top, "--show-only=json-v1"], capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"{top}:1: ctest cannot list the tests: {done.stderr.strip()}"
        return
    seen = {}
    for test in json.loads(done.stdout)["tests"]:
        where = " ".join(test.get("command", ["?"])[:1])
        if test["name"] in seen:
            yield f"{where}:1: two tests are named {test['name']}: put ${{COPSE_T}} in front of names"
        seen[test["name"]] = where


CHECKS = {name[len("check_"):]: function for name, function in list(globals().items()) if name.startswith("check_")}


def findings(check, root, build=None):
    function = CHECKS[check]
    return list(function(root, build) if "build" in function.__code__.co_varnames[:function.__code__.co_argcount] else function(root))


def fix_format(root, under):
    """Lay out the lines below `under` that check_format finds, and no others: hand-made comments beside them stay as they are."""
    for _ in range(5):
        lines = {}
        for finding in check_format(root):
            path, number, what = finding.split(":", 2)
            if path.startswith(under) and ("not formatted" in what or "beyond" in what):
                lines.setdefault(path, []).append(number)
        if not lines:
            return
        for path, numbers in lines.items():
            ranges = [f"--lines={number}:{number}" for number in numbers]
            subprocess.run(["clang-format", "-i", "--style=file", *ranges, path], cwd=root, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("check", choices=sorted(CHECKS))
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    parser.add_argument("--build")
    parser.add_argument("--fix", metavar="FOLDER", help="format only: lay out what is found below this folder")
    arguments = parser.parse_args()
    if arguments.fix:
        fix_format(arguments.root, arguments.fix)
    found = findings(arguments.check, arguments.root, arguments.build)
    for finding in found:
        print(finding)
    print(f"{arguments.check}: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
