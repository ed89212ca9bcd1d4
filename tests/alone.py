#!/usr/bin/env python3
"""alone.py COMMAND...: run it in a network namespace of its own, whose loopback is up: no port, group or datagram of a test is any
other's, however many run at a time. Where the machine allows no namespaces the command runs as it is.

SPDX-License-Identifier: BSD-2-Clause
"""
import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def unshare(flags):
    return ctypes.CDLL(None, use_errno=True).unshare(flags) == 0


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter():
    """Whether this process is in a namespace of its own now."""
    if unshare(CLONE_NEWNET):
        return True
    user, group = os.getuid(), os.getgid()
    if not unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return False
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"0 {user} 1")
    write("/proc/self/gid_map", f"0 {group} 1")
    return True


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        row = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, row))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    try:
        if enter():
            loopback_up()
    except OSError as error:
        print(f"alone: {error}", file=sys.stderr)
    os.execvp(sys.argv[1], sys.argv[1:])
