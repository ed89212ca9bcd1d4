#!/usr/bin/env python3
"""Proves that each check of lint.py and cortex.py can fail, says what and where, and lets the good sample pass.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cortex  # noqa: E402
import lint  # noqa: E402

HEAD = "/* A sample.\n *\n * SPDX-License-Identifier: BSD-2-Clause */\n"
LONG = "int f(void)\n{\n" + "\tg();\n" * 120 + "\treturn 0;\n}\n"

# check, file, content, what the finding must contain
BAD = [
    ("layering", "src/core/a.c", HEAD + '#include <stdio.h>\n', "src/core/a.c:4: layer 0 includes <stdio.h>"),
    ("layering", "src/core/a.c", HEAD + '#include <copse/udp.h>\n', "includes point downward only"),
    ("layering", "include/copse/message.h", HEAD + '#include <copse/udp.h>\n', "includes point downward only"),
    ("layering", "src/transport/a.c", HEAD + '#include "gateway/x.h"\n', "includes point downward only"),
    ("layering", "src/http/a.c", HEAD + '\n#include "gateway/x.h"\n', "src/http/a.c:5: src/http/ includes src/gateway/x.h: never sideways"),
    ("layering", "apps/copse/a.c", HEAD + '#include "nowhere.h"\n', 'included file "nowhere.h" is not found'),
    ("layering", "src/gateway/a.c", HEAD + '#include "tests/t.h"\n', "is not found"),
    ("layering", "src/new/a.c", HEAD + '#include "gateway/x.h"\n', "this folder has no layer"),
    ("layering", "examples/a.c", HEAD + '#include "core/y.h"\n', "examples use only what is installed"),
    ("headers", "include/copse/bad.h", HEAD + "uint8_t copse_bad(void);\n", "include/copse/bad.h:1: does not compile alone with gcc"),
    ("headers", "include/copse/bad.h", HEAD + "uint8_t copse_bad(void);\n", "does not compile alone with clang"),
    ("headers", "include/copse/bad.h", HEAD + "struct copse_bad { int i; };\n", "redefinition"),
    ("banned", "src/gateway/a.c", HEAD + "\tstrcpy(a, b);\n", "src/gateway/a.c:4: strcpy is banned"),
    ("banned", "apps/copse/a.c", HEAD + "\tn = atoi(b);\n", "atoi is banned"),
    ("banned", "apps/copse/a.c", HEAD + "\tputs(ctime(&t));\n", "static result buffer"),
    ("banned", "include/copse/bad.h", HEAD + "typedef struct x x;\n", "no typedef for structs"),
    ("banned", "src/core/a.c", HEAD + "float x;\n", "float is banned"),
    ("banned", "src/core/a.c", HEAD + "\tp = malloc(3);\n", "malloc is banned"),
    ("conditionals", "src/core/a.c", HEAD + "int f(void)\n{\n#ifdef X\n\treturn 1;\n#endif\n}\n",
     "src/core/a.c:6: conditional compilation inside f()"),
    ("lengths", "src/core/a.c", HEAD + LONG, "src/core/a.c:4: f() has 124 lines"),
    ("lengths", "src/core/a.c", HEAD + "int x;\n" * 1000, "1003 lines, more than 1000"),
    ("heads", "src/core/a.c", "/* A sample. */\n", "src/core/a.c:1: no SPDX"),
    ("heads", "src/core/a.c", "int x;\n/* SPDX-License-Identifier: BSD-2-Clause */\n", "does not begin with a comment"),
    ("format", "src/core/a.c", HEAD + "int f(void) {\n\treturn 0;\n}\n", "src/core/a.c:4: not formatted"),
    ("format", "src/core/a.c", HEAD + "int f(void)\n{\n    return 0;\n}\n", "src/core/a.c:6: not formatted"),
    ("format", "src/core/a.c", HEAD + "int f(void);  \n", "blanks at the end"),
    ("format", "src/core/a.c", HEAD + "/* " + "x" * 130 + " */\n", "line beyond column"),
    ("format", "src/core/a.c", HEAD + "int f(" + "int abcdefghijk, " * 8 + "int b);\n", "src/core/a.c:4: "),
    ("scripts", "run", "#!/usr/bin/env bash\nset -euo pipefail\nif true; then\n", "run:1: "),
    ("scripts", "run", "#!/usr/bin/env bash\ntrue\n", "no `set -euo pipefail`"),
    ("scripts", "run", "#!/bin/zsh\n", "scripts are bash, sh, Python or node"),
    ("scripts", "tests/x.py", "#!/usr/bin/env python3\nif x\n", "tests/x.py:2: "),
    ("scripts", "tests/x.mjs", "import {;\n", "tests/x.mjs:1: "),
    ("packages", "run", "#!/usr/bin/env bash\nset -eu\nqemu-system-arm -M x\n", "run:3: qemu-system-arm is "),
    ("packages", "packages.txt", "gcc\n", "packages.txt:1: gcc stands in no section"),
    ("npm", "tests/interop/package-lock.json", '{\n "resolved": "https://registry.example/x"\n}\n', "package-lock.json:2: names a registry host"),
    ("npm", "tests/interop/package.json", '{"dependencies": {"coap": "^1.4.2"}}', "coap is not pinned"),
    ("names", "CTestTestfile.cmake", 'add_test(a "true")\nadd_test(a "true")\n', "two tests are named a"),
    ("readme", "README.md", "\t#include <stdio.h>\n\tint other;\n", "README.md:2: not as in examples/hello-server.c"),
    ("rfcmap", "doc/rfc-map.md", "nothing\n", "doc/rfc-map.md:1: "),
]

GOOD = {
    "include/copse/types.h": HEAD + "#ifndef T_H\n#define T_H\n#include <stdint.h>\nint copse_f(uint8_t x);\n#endif\n",
    "include/copse/message.h": HEAD + "#include <copse/types.h>\n",
    "include/copse/udp.h": HEAD + "#include <copse/types.h>\n",
    "src/core/y.h": HEAD,
    "src/core/ok.c": HEAD + '#include "y.h"\n#include <copse/types.h>\n#include <string.h>\n\n'
                            "/* malloc() and strcpy() in a comment, and \"strcpy(\" in a text, are no calls. */\n"
                            "int copse_f(uint8_t x)\n{\n\treturn x ? 1 : 0;\n}\n",
    "src/gateway/x.h": HEAD + '#include "core/y.h"\n',
    "src/gateway/ok.c": HEAD + '#include "x.h"\n#include <copse/udp.h>\n#include <stdio.h>\n',
    "tests/t.h": HEAD,
    "tests/unit/ok_test.c": HEAD + '#include "gateway/x.h"\n',
    "tests/x.mjs": 'import dgram from "node:dgram";\n/* SPDX-License-Identifier: BSD-2-Clause */\n',
    "test": "#!/usr/bin/env bash\nset -euo pipefail\npython3 x\n",
    "packages.txt": "[test]\npython3\n",
    "README.md": "Text\n\n\t#include <stdio.h>\n\tint x;\n",
    "examples/hello-server.c": HEAD + "#include <stdio.h>\nint x;\n",
    "tests/interop/package.json": '{"dependencies": {"coap": "1.4.2"}}',
    "tests/interop/package-lock.json": "{}\n",
    "CTestTestfile.cmake": 'add_test(a "true")\nadd_test(asan/a "true")\n',
}


def lay(root, files):
    for path, content in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(content)
        if content.startswith("#!"):
            os.chmod(full, 0o755)


def sample(extra):
    folder = tempfile.TemporaryDirectory(prefix="copse-lint-")
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", ".clang-format"), encoding="utf-8") as style:
        lay(folder.name, {".clang-format": style.read()})
    lay(folder.name, GOOD)
    lint.write_rfc_map(folder.name)
    lay(folder.name, extra)
    return folder


def main():
    failures = []
    with sample({}) as root:
        for check in lint.CHECKS:
            for finding in lint.findings(check, root):
                failures.append(f"{check} finds fault with the good sample: {finding}")
    proven = set()
    for check, path, content, expected in BAD:
        with sample({path: content}) as root:
            found = lint.findings(check, root)
        if any(expected in finding for finding in found):
            proven.add(check)
        else:
            failures.append(f"{check} does not say \"{expected}\" of {path}, but {found}")
    for check in sorted(set(lint.CHECKS) - proven):
        failures.append(f"{check} has never failed on a bad sample")
    failures += cortex.selftest()
    for failure in failures:
        print(failure)
    print(f"{len(BAD)} bad samples, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
