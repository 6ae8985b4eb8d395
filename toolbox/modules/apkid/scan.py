"""Asks apkid about every package of the target; writes packers, obfuscators and the like as JSON findings.

Called with the output file. The working directory is the target.
"""

import json
import os
import subprocess
import sys

# What tells how a package was made is no finding: compilers, and the formats of files.
KINDS = {
    "packer": "packed with",
    "protector": "protected with",
    "obfuscator": "obfuscated with",
    "dropper": "a dropper:",
    "anti_vm": "looking for emulators:",
    "anti_debug": "looking for debuggers:",
    "anti_disassembly": "hindering analysis:",
    "abnormal": "abnormal:",
    "manipulator": "changed after it was built:",
}


def packages():
    for parent, folders, names in os.walk("."):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith((".apk", ".dex")):
                yield os.path.relpath(os.path.join(parent, name), ".")


def main():
    program = os.path.join(os.path.dirname(sys.executable), "apkid")
    findings, gaps, count = [], [], 0
    for path in packages():
        count += 1
        run = subprocess.run([program, "--json", path], capture_output=True, text=True, check=False)
        try:
            document = json.loads(run.stdout)
        except ValueError:
            last = run.stderr.strip().splitlines()
            gaps.append(f"{path}: apkid ended with {run.returncode}: {last[-1] if last else 'nothing'}")
            continue
        if not document.get("files"):
            gaps.append(f"{path}: apkid recognised no file in it")
        for file in document.get("files", []):
            inside = file["filename"].partition("!")[2]
            for kind, names in file.get("matches", {}).items():
                for name in names if kind in KINDS else []:
                    message = f"{inside or 'The package'} is {KINDS[kind]} {name}."
                    findings.append({"rule": kind.replace("_", "-"), "message": message, "path": path})
    if count == 0:
        gaps.append("there is no package (`*.apk`) in the target")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"findings": findings, "gaps": gaps}, file)
    print(f"asked about {count} packages")


main()
