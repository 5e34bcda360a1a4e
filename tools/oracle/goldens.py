"""Golden values for the engine's tests, computed by Hugging Face transformers.

Makes tiny random checkpoints with fixed seeds, spelled and laid out as files on the hub are, runs them in float64, and
writes what they compute to test/golden/FAMILY; test/golden/README.md says what lies there. One file a family here, over
checkpoints.py and head_weights.py.

For a development machine only, never for CI: torch from PyPI pulls several GB.

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors numpy
    /tmp/oracle/bin/python tools/oracle/goldens.py [FAMILY...]
"""

import sys

import transformers

from checkpoints import write
from falcon_cases import falcon, write_alibi
from gpt2_cases import gpt2
from gpt_bigcode_cases import gpt_bigcode
from llama_cases import llama

FAMILIES = {"gpt2": gpt2, "llama": llama, "falcon": falcon, "gpt_bigcode": gpt_bigcode}


def main():
    transformers.logging.set_verbosity_error()
    for family in sys.argv[1:] or FAMILIES:
        write(family, FAMILIES[family]())
        if family == "falcon":
            write_alibi()


main()
