"""Cosines and sines of real rotary embeddings as transformers computes them in float32: test/golden/rope.json.

Small heads, but the lengths, factors and bases of checkpoints on the hub, at positions within and beyond the length that
each was trained with. The dynamic and longrope ones are asked for each length afresh, as one prompt of that length is.

Run like goldens.py: /tmp/oracle/bin/python tools/oracle/rope_tables.py
"""

import json
from pathlib import Path

import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaConfig, LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3Config, Phi3RotaryEmbedding

HEAD_DIM = 8
SIZES = {"hidden_size": 2 * HEAD_DIM, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}
POSITIONS = [0, 1, 2, 7, 100, 1023, 2047, 2048, 4095, 4096, 8191, 8192, 20_000, 50_000, 131_071]
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
SHORT, LONG = [1.05, 1.1, 1.25, 1.6], [1.3, 6.5, 40.2, 64.9]

# Name, model_type, what config.json says beside the sizes, in the hub's spelling or in transformers 5's.
CASES = [
    ("plain", "llama", {"rope_theta": 500_000.0, "max_position_embeddings": 8192}),
    ("linear (Yarn's rivals, Llama 2 at 4x)", "llama",
     {"rope_theta": 10_000.0, "max_position_embeddings": 16_384, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    ("dynamic", "llama",
     {"rope_theta": 10_000.0, "max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 2.0}}),
    ("dynamic, a factor that is no power of two, in rope_parameters", "llama",
     {"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "dynamic", "factor": 3.0, "rope_theta": 26_000.0}}),
    ("llama3 (Llama 3.1 8B)", "llama",
     {"rope_theta": 500_000.0, "max_position_embeddings": 131_072, "rope_scaling": {"rope_type": "llama3"} | LLAMA3}),
    ("llama3 (Llama 3.2 1B), in rope_parameters", "llama",
     {"max_position_embeddings": 131_072,
      "rope_parameters": {"rope_type": "llama3", "rope_theta": 500_000.0} | LLAMA3 | {"factor": 32.0}}),
    ("yarn (Yarn-Llama-2-7b-128k)", "llama",
     {"rope_theta": 10_000.0, "max_position_embeddings": 131_072,
      "rope_scaling": {"type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096, "finetuned": True}}),
    ("yarn with every field (DeepSeek-V2's numbers)", "llama",
     {"rope_theta": 10_000.0, "max_position_embeddings": 163_840,
      "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32,
                       "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 0.707}}),
    ("yarn whose ramp is not rounded (gpt-oss's numbers)", "llama",
     {"max_position_embeddings": 131_072,
      "rope_parameters": {"rope_type": "yarn", "rope_theta": 150_000.0, "factor": 32.0, "truncate": False,
                          "original_max_position_embeddings": 4096, "attention_factor": 1.2}}),
    ("longrope (Phi-3-mini-128k)", "phi3",
     {"rope_theta": 10_000.0, "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
      "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}}),
    ("longrope of a part of each head (Phi-4-mini), in rope_parameters", "phi3",
     {"max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
      "rope_parameters": {"rope_type": "longrope", "rope_theta": 10_000.0, "partial_rotary_factor": 0.75,
                          "short_factor": SHORT[:3], "long_factor": LONG[:3]}}),
]

MODULES = {"llama": (LlamaConfig, LlamaRotaryEmbedding), "phi3": (Phi3Config, Phi3RotaryEmbedding)}


def table(model_type, fields, position):
    """Cosines and sines of the last position of a prompt that ends there, [width] each."""
    make_config, make_rotary = MODULES[model_type]
    rotary = make_rotary(make_config(**SIZES, **json.loads(json.dumps(fields))))
    cos, sin = rotary(torch.zeros(1), torch.tensor([[position]]))
    assert cos.dtype == torch.float32
    return {"cos": cos[0, 0].tolist(), "sin": sin[0, 0].tolist()}


def main():
    transformers.logging.set_verbosity_error()
    cases = [{"name": name, "config": {"model_type": model_type} | SIZES | fields,
              "tables": [{"position": position} | table(model_type, fields, position) for position in POSITIONS]}
             for name, model_type, fields in CASES]
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}
    path = Path(__file__).resolve().parents[2] / "test" / "golden" / "rope.json"
    path.write_text(json.dumps(about) + "\n")
    print(len(cases), "rotary embeddings", path.stat().st_size, "bytes")


main()
