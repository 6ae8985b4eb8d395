"""A codec with a planted flaw that a fuzzer must reach: see ../expected/fuzz-python.json."""


def decode(data):
    """Reads a text behind its length."""
    if len(data) < 2 or data[0] != ord("T"):
        return ""
    length = data[1]
    # The length is believed.
    return "".join(chr(data[2 + index]) for index in range(length))


def decode_safely(data):
    """The same with a check."""
    if len(data) < 2 or len(data) - 2 < data[1]:
        return ""
    return bytes(data[2 : 2 + data[1]]).decode("latin-1")
