"""Decodes every APK of the target with apktool and looks at manifest and code; writes findings as JSON.

Called with the folder for decoded packages and the output file. The working directory is the target.
"""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

ANDROID = "{http://schemas.android.com/apk/res/android}"
WEAK_CIPHER = re.compile(r"^(DES|DESede|RC2|RC4|ARCFOUR|Blowfish)(/|$)|/ECB/|^AES$", re.IGNORECASE)
WEAK_HASH = re.compile(r"^(MD2|MD4|MD5|SHA-?1)$", re.IGNORECASE)
STRING = re.compile(r'^\s*const-string(?:/jumbo)? (\w+), "(.*)"\s*$')
CALL = re.compile(r"^\s*invoke-\S+ \{([^}]*)\}, (\S+)$")
MOVE = re.compile(r"^\s*move-result-object (\w+)\s*$")
# The bytes of a constant text.
BYTES = ("bytes",)
METHOD_END = re.compile(r"^\s*\.(end )?method\b")
# A name that a developer gives to a key, and what looks like one.
FIELD_KEY = re.compile(r'^\.field .*\b(\w*(?:secret|api_?key|password|token|private_?key)\w*):Ljava/lang/String; = "([^"]{8,})"', re.IGNORECASE)
PLACEHOLDER = re.compile(r"change|example|placeholder|your|xxxx|todo|\s", re.IGNORECASE)


class Package:
    def __init__(self, path, findings):
        self.path, self.findings = path, findings

    def add(self, rule, message):
        self.findings.append({"rule": rule, "message": message, "path": self.path})


def manifest(package, folder):
    """What the manifest allows. The file was decoded from the package, so no outer document type gets in."""
    root = xml.parse(os.path.join(folder, "AndroidManifest.xml")).getroot()
    application = root.find("application")
    if application is None:
        return
    value = lambda node, name: node.get(ANDROID + name)
    if value(application, "debuggable") == "true":
        package.add("debuggable", "The application is debuggable: anybody with the device can look into it.")
    if value(application, "allowBackup") == "true":
        package.add("allow-backup", "The application's data can be copied with a backup.")
    if value(application, "usesCleartextTraffic") == "true":
        package.add("cleartext-traffic", "The application allows traffic without encryption.")
    for kind in ("activity", "activity-alias", "service", "receiver", "provider"):
        for component in application.findall(kind):
            name = value(component, "name") or "?"
            if value(component, "exported") != "true" or value(component, "permission"):
                continue
            if kind == "provider" and value(component, "readPermission") and value(component, "writePermission"):
                continue
            actions = {action.get(ANDROID + "name") for action in component.iter("action")}
            if kind.startswith("activity") and "android.intent.action.MAIN" in actions:
                continue
            package.add("exported-component", f"The {kind} `{name}` is open to every application without a permission.")


def code(package, folder):
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".smali"):
                with open(os.path.join(parent, name), encoding="utf-8", errors="replace") as file:
                    smali(package, os.path.relpath(os.path.join(parent, name), folder), file)


def smali(package, name, lines):
    """Constants are followed within a method: what a register was last set to, and the bytes of such a text."""
    registers, result = {}, None
    for number, line in enumerate(lines, 1):
        field = FIELD_KEY.match(line)
        if field and not PLACEHOLDER.search(field.group(2)):
            package.add("hard-coded-key", f"`{field.group(1)}` in {name}:{number} is a constant that looks like a key.")
        if METHOD_END.match(line):
            registers, result = {}, None
        string, moved, call = STRING.match(line), MOVE.match(line), CALL.match(line)
        if string:
            registers[string.group(1)] = string.group(2)
        elif moved:
            registers[moved.group(1)] = result
            result = None
        elif call:
            arguments = [part.strip() for part in call.group(1).split(",") if part.strip()]
            values = [registers.get(argument) for argument in arguments]
            result = judge(package, f"{name}:{number}", call.group(2), values)


def judge(package, place, method, values):
    """Looks at a call; answers what its result is known to be."""
    first = values[0] if values else None
    if not isinstance(first, str):
        first = None
    if method.startswith("Ljavax/crypto/Cipher;->getInstance(") and first and WEAK_CIPHER.search(first):
        package.add("weak-cipher", f"{place} uses the cipher `{first}`.")
    elif method.startswith("Ljava/security/MessageDigest;->getInstance(") and first and WEAK_HASH.match(first):
        package.add("weak-hash", f"{place} uses the hash `{first}`.")
    elif method.startswith("Ljavax/crypto/spec/SecretKeySpec;-><init>([B") and BYTES in values[1:2]:
        package.add("hard-coded-key", f"{place} makes a key of a constant.")
    elif method.startswith("Ljava/lang/String;->getBytes(") and first is not None:
        return BYTES
    return None


def main():
    decoded, output = sys.argv[1], sys.argv[2]
    findings, gaps, packages = [], [], 0
    for parent, folders, names in os.walk("."):
        folders.sort()
        for name in sorted(names):
            if not name.lower().endswith(".apk"):
                continue
            path = os.path.relpath(os.path.join(parent, name), ".")
            packages += 1
            folder = os.path.join(decoded, str(packages))
            command = ["apktool", "decode", "--force", "--output", folder, "--frame-path", decoded, path]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            sys.stderr.write(run.stdout + run.stderr)
            if run.returncode != 0:
                last = (run.stderr or run.stdout).strip().splitlines()
                gaps.append(f"{path} could not be decoded: {last[-1] if last else run.returncode}")
                continue
            package = Package(path, findings)
            try:
                manifest(package, folder)
            except (OSError, xml.ParseError) as error:
                gaps.append(f"the manifest of {path} could not be read: {error}")
            code(package, folder)
    if packages == 0:
        gaps.append("there is no package (`*.apk`) in the target")
    with open(output, "w", encoding="utf-8") as file:
        json.dump({"findings": findings, "gaps": gaps}, file)
    print(f"decoded {packages} packages")


main()
