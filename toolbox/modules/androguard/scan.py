"""Reads every APK of the target with androguard: signatures, SDK versions, permissions; writes findings as JSON.

Called with the output file. The working directory is the target.
"""

import json
import os
import sys

from loguru import logger

logger.remove()

from androguard.core.apk import APK  # noqa: E402: the logger must be silent before it is imported.

DANGEROUS = {
    "READ_SMS", "SEND_SMS", "RECEIVE_SMS", "READ_CONTACTS", "READ_CALL_LOG", "RECORD_AUDIO", "CAMERA",
    "ACCESS_FINE_LOCATION", "ACCESS_BACKGROUND_LOCATION", "SYSTEM_ALERT_WINDOW", "REQUEST_INSTALL_PACKAGES",
    "MANAGE_EXTERNAL_STORAGE", "BIND_ACCESSIBILITY_SERVICE",
}
# Android 7: before it, certificates that the user adds are trusted, and signatures of version 2 do not exist.
OLDEST = 24


def look(path, findings):
    package = APK(path)
    if not package.is_valid_APK():
        raise ValueError("it has no readable manifest")
    add = lambda rule, message: findings.append({"rule": rule, "message": message, "path": path})
    if not package.is_signed():
        add("unsigned", "The package is not signed.")
    elif not (package.is_signed_v2() or package.is_signed_v3()):
        add("signature-v1-only", "The package has a signature of version 1 only, which does not cover the whole file.")
    for certificate in package.get_certificates():
        if "Android Debug" in certificate.subject.human_friendly:
            add("debug-certificate", "The package is signed with a debug certificate.")
    oldest = package.get_min_sdk_version()
    if oldest is not None and str(oldest).isdigit() and int(oldest) < OLDEST:
        add("old-android", f"The package may be installed on Android API level {oldest}, which gets no more fixes.")
    for permission in sorted(set(package.get_permissions())):
        name = permission.removeprefix("android.permission.")
        if permission != name and name in DANGEROUS:
            add("dangerous-permission", f"The package asks for `{name}`.")


def main():
    findings, gaps, packages = [], [], 0
    for parent, folders, names in os.walk("."):
        folders.sort()
        for name in sorted(names):
            if not name.lower().endswith(".apk"):
                continue
            packages += 1
            path = os.path.relpath(os.path.join(parent, name), ".")
            try:
                look(path, findings)
            except Exception as error:  # One broken package must not hide the others.
                gaps.append(f"{path} could not be read: {type(error).__name__}: {error}")
    if packages == 0:
        gaps.append("there is no package (`*.apk`) in the target")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"findings": findings, "gaps": gaps}, file)
    print(f"read {packages} packages")


main()
