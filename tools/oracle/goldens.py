"""Golden values for the engine's tests, computed by Hugging Face transformers.

Makes tiny random checkpoints with fixed seeds, spelled and laid out as files on the hub are, runs them in float64, and
writes what they compute to test/golden/NAME; test/golden/README.md says what lies there. A file NAME_cases.py here makes the
folder NAME by its function NAME(), over checkpoints.py and head_weights.py; there is no list of them.

For a development machine only, never for CI: torch from PyPI pulls several GB.

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors numpy
    /tmp/oracle/bin/python tools/oracle/goldens.py [NAME...]
"""

import importlib
import sys
from pathlib import Path

import transformers

from checkpoints import write

ENDING = "_cases"


def main():
    transformers.logging.set_verbosity_error()
    known = sorted(path.stem.removesuffix(ENDING) for path in Path(__file__).parent.glob(f"*{ENDING}.py"))
    wanted = sys.argv[1:] or known
    if strangers := set(wanted) - set(known):
        sys.exit(f"There are no cases of {', '.join(sorted(strangers))}; there are {', '.join(known)}.")
    for name in wanted:
        module = importlib.import_module(name + ENDING)
        write(name, getattr(module, name)())
        if hasattr(module, "write_beside"):
            module.write_beside()


main()
