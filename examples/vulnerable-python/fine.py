"""Nothing is wrong here, although it looks like it might."""
import hashlib
import json


def digest(data):
    return hashlib.sha256(data).hexdigest()


def load(text):
    return json.loads(text)


def evaluate(name):
    # A word in a text is not a call: eval(name)
    return "eval(" + name + ")"
