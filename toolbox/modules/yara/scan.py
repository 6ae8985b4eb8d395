"""Matches the rules in this module's folder against every file of the target; writes findings as JSON.

Called with the folder of rules, the output file and the largest size. The working directory is the target.
"""

import json
import os
import sys

import yara_x

SEVERITIES = {"critical", "high", "medium", "low", "note"}


def files():
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield os.path.relpath(path, ".")


def compile_rules(folder, gaps):
    compiler = yara_x.Compiler()
    count = 0
    for name in sorted(os.listdir(folder)):
        if not name.endswith((".yar", ".yara")):
            continue
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            compiler.new_namespace(os.path.splitext(name)[0])
            compiler.add_source(text, origin=name)
            count += 1
        except yara_x.CompileError as error:
            gaps.append(f"{name} is not a valid set of rules: {str(error).splitlines()[0]}")
    if count == 0:
        gaps.append("there are no rules")
    return compiler.build()


def finding(path, rule):
    told = dict(rule.metadata)
    severity = str(told.get("severity", "medium"))
    offsets = [match.offset for pattern in rule.patterns for match in pattern.matches]
    message = str(told.get("description", rule.identifier))
    if offsets:
        message += f" (at offset {min(offsets):#x})"
    return {
        "rule": rule.identifier,
        "message": message,
        "path": path,
        "severity": severity if severity in SEVERITIES else "medium",
        "cwe": str(told.get("cwe", "")),
    }


def main():
    folder, output, largest = sys.argv[1], sys.argv[2], int(sys.argv[3])
    gaps, findings, scanned = [], [], 0
    scanner = yara_x.Scanner(compile_rules(folder, gaps))
    scanner.set_timeout(60)
    for path in files():
        try:
            if os.path.getsize(path) > largest:
                gaps.append(f"{path} is larger than {largest} bytes")
                continue
            matches = scanner.scan_file(path).matching_rules
        except Exception as error:  # A file that cannot be scanned must not hide the others.
            gaps.append(f"{path} could not be scanned: {error}")
            continue
        scanned += 1
        findings.extend(finding(path, rule) for rule in matches)
    if scanned == 0:
        gaps.append("there is no file in the target")
    with open(output, "w", encoding="utf-8") as file:
        json.dump({"findings": findings, "gaps": gaps, "scanned": scanned}, file)
    print(f"scanned {scanned} files")


main()
