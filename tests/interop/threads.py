#!/usr/bin/env python3
"""Of the tests' own tools: processes that threads start at the same moment keep what they print apart, also when some have gone.

SPDX-License-Identifier: BSD-2-Clause
"""
import threading

from stage import PATIENCE, check, equal, play, until

THREADS, ROUNDS = 8, 4


def test(stage):
    wrong, together = [], threading.Barrier(THREADS, timeout=PATIENCE)

    def walk(thread):
        for turn in range(ROUNDS):
            text = f"{thread} {turn}\n" * (thread + 1)
            together.wait()
            process = stage.start("echo", ["printf", "%s", text])
            until(lambda p=process: not p.alive(), "printf ends")
            if process.output() != text:
                wrong.append((text, process.output()))
            stage.processes.remove(process)

    threads = [threading.Thread(target=walk, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [], "what was printed, and what was found")
    check(not stage.processes, "all have gone")


play(test)
