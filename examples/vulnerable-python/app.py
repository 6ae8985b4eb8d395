"""A small service with planted flaws: see ../expected/vulnerable-python.json."""
import hashlib
import pickle
import subprocess

import yaml


def ping(host):
    return subprocess.check_output("ping -c 1 " + host, shell=True)


def load(blob):
    return pickle.loads(blob)


def settings(text):
    return yaml.load(text)


def settings_safely(text):
    return yaml.safe_load(text)


def digest(data):
    return hashlib.md5(data).hexdigest()


def evaluate(expression):
    return eval(expression)


def ping_safely(host):
    return subprocess.check_output(["ping", "-c", "1", host])
