"""What NumPy makes of float32 values in float16, and ml_dtypes in bfloat16: test/golden/rounding.json.

Run with NumPy and ml_dtypes: python tools/oracle/rounding.py
"""

import json
import pathlib

import ml_dtypes
import numpy

# Zeros, subnormals, ties both ways, carries into the exponent, the largest numbers and what lies beyond, as float32 bits.
CORNERS = [
    0x00000000, 0x80000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x32FFFFFF, 0x33000000, 0x33000001, 0x337FFFFF,
    0x33800000, 0x33C00000, 0x33C00001, 0x34200000, 0x34600000, 0x387FDFFF, 0x387FE000, 0x387FF000, 0x38800000,
    0x3F800000, 0x3F801000, 0x3F801001, 0x3F803000, 0x3F802FFF, 0x3FFFF000, 0x3FFFEFFF, 0x477FE000, 0x477FEFFF,
    0x477FF000, 0x47800000, 0x3F808000, 0x3F807FFF, 0x3F808001, 0x3F818000, 0x3FFF8000, 0x7F7F0000, 0x7F7F7FFF,
    0x7F7F8000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001,
]


def main() -> None:
    random = numpy.random.default_rng(2026)
    drawn = random.integers(0, 2**32, 300, dtype=numpy.uint32)
    # Weights as they are: most of what float32 can hold is beyond float16.
    weights = (random.standard_normal(300) * 0.02).astype(numpy.float32).view(numpy.uint32)
    bits = numpy.concatenate([numpy.array(CORNERS, numpy.uint32), drawn, weights])
    values = bits.view(numpy.float32)
    with numpy.errstate(over="ignore", invalid="ignore"):
        halves = values.astype(numpy.float16).view(numpy.uint16)
        brains = values.astype(ml_dtypes.bfloat16).view(numpy.uint16)
    golden = {
        "numpy": numpy.__version__,
        "ml_dtypes": ml_dtypes.__version__,
        "float32": bits.tolist(),
        "float16": halves.tolist(),
        "bfloat16": brains.tolist(),
    }
    path = pathlib.Path(__file__).parents[2] / "test" / "golden" / "rounding.json"
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
