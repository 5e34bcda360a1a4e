"""GPT-NeoX: attention and MLP side by side (Pythia) and one after the other, heads turned in part, and as a
whole by stretched angles.

transformers 5 names the head lm_head; files on the hub have it as embed_out, and positions in the family's own words.
"""

import copy
import math

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, per_head_rows, run


def gpt_neox():
    return [case("parallel", heads=3, dim=16, seed=61, rotary_pct=0.25, rotary_emb_base=10_000),
            case("sequential", heads=5, dim=6, seed=62, bias=False, parallel=False, rotary_pct=1.0, rotary_emb_base=20,
                 rope_scaling={"type": "linear", "factor": 2.0})]


def case(name, *, heads, dim, seed, bias=True, parallel=True, **rope):
    g = torch.Generator().manual_seed(seed)
    hidden, inner = heads * dim, 26
    config = GPTNeoXConfig(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=2,
                           num_attention_heads=heads, attention_bias=bias, use_parallel_residual=parallel,
                           max_position_embeddings=POSITIONS, **copy.deepcopy(rope))
    w = {"embed_in.weight": normal(g, VOCABULARY, hidden, std=0.3)}

    def norm(path):
        w[f"{path}.weight"], w[f"{path}.bias"] = normal(g, hidden, std=0.1, mean=1), normal(g, hidden, std=0.1)

    def linear(path, weight, biased=True):
        w[f"{path}.weight"] = weight
        if biased:
            w[f"{path}.bias"] = normal(g, len(weight), std=0.2)

    for layer in range(config.num_hidden_layers):
        h = f"layers.{layer}"
        norm(f"{h}.input_layernorm")
        norm(f"{h}.post_attention_layernorm")
        linear(f"{h}.attention.query_key_value", per_head_rows(g, heads, dim, hidden), bias)
        linear(f"{h}.attention.dense", normal(g, hidden, hidden, std=1 / math.sqrt(hidden)), bias)
        linear(f"{h}.mlp.dense_h_to_4h", normal(g, inner, hidden, std=1 / math.sqrt(hidden)))
        linear(f"{h}.mlp.dense_4h_to_h", normal(g, hidden, inner, std=1 / math.sqrt(inner)))
    norm("final_layer_norm")
    w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(GPTNeoXForCausalLM, config, w, tokens, 1, "gpt_neox.")
    plain = hub_config(config) | {"use_parallel_residual": parallel} | rope
    plain.pop("rope_parameters", None)
    stored = {"embed_out.weight" if key.startswith("lm_head") else f"gpt_neox.{key}": value for key, value in w.items()}
    return {"name": name, "config": plain, "weights": stored, "tokens": tokens, "runs": [(heads, result)], "model": model}
