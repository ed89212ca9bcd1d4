#!/usr/bin/env python3
"""Make a manual page of man(7) from one in Markdown: man.py LOWDOWN PAGE.N.md [OUTPUT]

The first line of the page is its title as pandoc has it: % NAME(N) | volume. Without OUTPUT the page is only checked: that no
emphasis was misunderstood, and no word lost its underscores.

SPDX-License-Identifier: BSD-2-Clause
"""
import re
import subprocess
import sys


def escaped(text):
    """Underscores within words are no emphasis, except in code, which stands as it is: a paragraph that begins indented."""
    lines, code, before = [], False, ""
    for line in text.splitlines():
        if not before.strip():
            code = line.startswith("    ")
        lines.append(line if code else re.sub(r"(?<=\w)_(?=\w)", r"\\_", line.replace("\\_", "_")))
        before = line
    return "\n".join(lines) + "\n"


def main():
    lowdown, page, *output = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        title, text = file.read().split("\n", 1)
    name, section, volume = re.fullmatch(r"% (\S+)\((\d)\) \| (.+)", title).groups()
    made = subprocess.run([lowdown, "-s", "-Tman", "--out-no-smarty", "-M", f"title={name}", "-M", f"section={section}",
                           "-M", f"volume={volume}"], input=escaped(text), capture_output=True, text=True, check=True).stdout
    if output:
        with open(output[0], "w", encoding="utf-8") as file:
            file.write(made)
        return
    wrong = [word for word in sorted(set(re.findall(r"\w+_\w+", text.replace("\\_", "_")))) if word not in made]
    wrong += [line for line in made.splitlines() if "**" in line or "| --" in line or "\\_" in line]
    if wrong or f'.TH "{name}" "{section}"' not in made:
        sys.exit(f"{page}: not understood: {wrong[:5]}")


main()
