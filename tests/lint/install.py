#!/usr/bin/env python3
"""install.py SOURCE BUILD: install into a folder of its own, build the examples with what lies there, by pkg-config, and look at
the gateway's service as systemd does.

SPDX-License-Identifier: BSD-2-Clause
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

PROGRAM = """
#include <copse/message.h>
#include <copse/types.h>
#include <stdio.h>
int main(void)
{
	uint8_t datagram[16];
	struct copse_builder b;
	struct copse_message m;
	copse_build_message(&b, datagram, sizeof(datagram), COPSE_CON, 1, 7, "t", 1);
	int len = copse_build_finish(&b);
	return len == 5 && copse_message_parse(&m, datagram, (size_t)len) == 0 && m.id == 7 ? 0 : 1;
}
"""


# What systemd-analyze(1) may find: 0 is no exposure at all, 100 an unconfined daemon.
EXPOSURE = 15


def look_at_service(prefix):
    """The unit names what was installed, systemd knows every line of it, and the sample configuration is right."""
    unit = os.path.join(prefix, "lib", "systemd", "system", "copse-gateway.service")
    gateway = os.path.join(prefix, "bin", "copse-gateway")
    with open(unit, encoding="utf-8") as file:
        text = file.read()
    with open(unit, "w", encoding="utf-8") as file:
        file.write(re.sub(r"=\S*/copse-gateway(?=\s)", "=" + gateway, text))
    found = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], check=True, capture_output=True, text=True)
    mine = [line for line in (found.stdout + found.stderr).splitlines() if "copse" in line]
    if mine:
        raise SystemExit("\n".join(mine))
    subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["systemd-sysusers", "--dry-run", os.path.join(prefix, "lib", "sysusers.d", "copse.conf")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sample = glob.glob(os.path.join(prefix, "share", "doc", "**", "gateway.conf.sample"), recursive=True)[0]
    subprocess.run([gateway, "--check", "-c", sample], check=True)
    print("service checked")


def main():
    source, build = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="copse-install-") as prefix:
        subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
        page = glob.glob(os.path.join(prefix, "lib", "**", "libcopse.pc"), recursive=True)[0]
        with open(page, encoding="utf-8") as file:
            text = file.read()
        with open(page, "w", encoding="utf-8") as file:
            file.write(text.replace(text.splitlines()[0], "prefix=" + prefix))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libcopse"], check=True, capture_output=True, text=True,
                               env={**os.environ, "PKG_CONFIG_PATH": os.path.dirname(page)}).stdout.split()
        programs = [os.path.join(prefix, "small.c")]
        with open(programs[0], "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        # An example of several files is built by its own rules, not by one command.
        programs += glob.glob(os.path.join(source, "examples", "*.c"))
        for program in programs:
            subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", program, "-o", os.path.join(prefix, "a.out"),
                            *flags], check=True)
            print("built", os.path.basename(program))
            if program == programs[0]:
                subprocess.run([os.path.join(prefix, "a.out")], check=True)
        look_at_service(prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
