import sys

import atheris

with atheris.instrument_imports():
    import codec


def TestOneInput(data):
    codec.decode_safely(data)
    codec.decode(data)


atheris.Setup(sys.argv, TestOneInput)
atheris.Fuzz()
