"""Uploads, downloads and exports."""

import os
import random
import tarfile
import tempfile

from flask import Blueprint, request, send_file, send_from_directory
from lxml import etree
from werkzeug.utils import secure_filename

files = Blueprint("files", __name__)
UPLOADS = "/srv/shop/uploads"


@files.get("/manual")
def manual():
    path = os.path.join(UPLOADS, request.args["name"])
    return send_file(path)


@files.get("/manual-safe")
def manual_safe():
    return send_from_directory(UPLOADS, request.args["name"])


@files.post("/upload")
def upload():
    uploaded = request.files["file"]
    uploaded.save(os.path.join(UPLOADS, secure_filename(uploaded.filename)))
    return "", 204


def unpack(archive):
    with tarfile.open(archive) as tar:
        tar.extractall(UPLOADS)


def unpack_safe(archive):
    with tarfile.open(archive) as tar:
        tar.extractall(UPLOADS, filter="data")


def read_feed(text):
    parser = etree.XMLParser(resolve_entities=True)
    return etree.fromstring(text, parser)


def read_feed_safe(text):
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(text, parser)


def export(rows):
    name = tempfile.mktemp(".csv")
    with open(name, "w") as out:
        out.writelines(rows)
    os.chmod(name, 0o666)
    return name


def export_safe(rows):
    with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as out:
        out.writelines(rows)
    os.chmod(out.name, 0o640)
    return out.name


def reset_token():
    token = "".join(random.choice("0123456789abcdef") for _ in range(32))
    return token


def retry_delay():
    return random.random() * 3
