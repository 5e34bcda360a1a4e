"""Llama with every rotary scaling, in either spelling, over prompts that go beyond the length that the model was trained with.

In a batch transformers turns all sequences by the length of the longest, which shows where frequencies follow the length:
there the second sequence is the one that is filled up to the first.
"""

import torch

from checkpoints import forward, other_tokens, outcome
from llama_cases import llama_case

LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 0.3, "high_freq_factor": 1.2,
          "original_max_position_embeddings": 10}
YARN = {"factor": 4.0, "original_max_position_embeddings": 10, "beta_fast": 1.0, "beta_slow": 0.2}
LONGROPE = {"rope_type": "longrope", "original_max_position_embeddings": 6, "short_factor": [1.0, 1.1, 1.3, 1.9],
            "long_factor": [1.2, 2.0, 3.7, 5.0]}


def llama_rope():
    return [
        scaled("linear", seed=41, rope_scaling={"type": "linear", "factor": 3.0}),
        scaled("dynamic", seed=42, positions=8, follows_length=True, rope_scaling={"type": "dynamic", "factor": 3.0}),
        scaled("llama3", seed=43, rope_scaling=LLAMA3),
        scaled("yarn", seed=44, rope_scaling={"type": "yarn"} | YARN),
        scaled("yarn_parameters", seed=45, rope_parameters={"rope_type": "yarn", "rope_theta": 20.0, "mscale": 1.0,
                                                            "mscale_all_dim": 0.5, "truncate": False} | YARN),
        scaled("longrope", seed=46, follows_length=True, rope_parameters={"rope_theta": 20.0} | LONGROPE),
    ]


def scaled(name, *, seed, positions=16, follows_length=False, **rope):
    """A small base: within so few tokens the slow half of 10,000's frequencies would turn nothing."""
    case = llama_case(name, heads=3, kv=1, dim=8, bias=False, tied=True, seed=seed, hidden=18, width=20,
                      max_position_embeddings=positions, rope_theta=20.0, reach=1.5, **rope)
    spelled = case["config"] | rope | {"rope_theta": 20.0}
    for key in {"rope_scaling", "rope_parameters"} - rope.keys():
        spelled.pop(key, None)
    if "rope_parameters" in rope:
        spelled.pop("rope_theta")
    if follows_length:
        (kv, result), = case["runs"]
        assert {"chunked", "stepped"} <= result.keys()
        case["runs"] = [(kv, result | {"other": filled_up(case["model"], case["tokens"])})]
    return case | {"config": spelled}


def filled_up(model, tokens):
    other = other_tokens(tokens)
    count = other.shape[1]
    result = outcome(forward(model, torch.cat([other, tokens[:, count:]], 1), [tokens.shape[1]]))
    cut = {"logits": result["logits"][:count], "attention": result["attention"][:, :, :count, :count]}
    return result | cut | {key: result[key][:, :, :count] for key in ("keys", "values")}
