"""Phi-3: fused projections, a window on every layer, LongRoPE of a part of each head beyond the length trained with.

Within a prompt in chunks the first ones are turned by the short factors and the later ones by the long: so transformers'
own model does it, and so the engine has to.
"""

import math

import torch
from transformers import Phi3Config, Phi3ForCausalLM

from checkpoints import VOCABULARY, draw_tokens, hub_config, normal, run
from pooling import pooled_behind

LONGROPE = {"type": "longrope", "short_factor": [1.0, 1.2, 1.5], "long_factor": [1.3, 2.5, 4.0]}


def phi3():
    return [case("window", heads=6, kv=2, dim=4, seed=81, tied=False, sliding_window=5, rope_theta=100.0, rope_scaling=None,
                 max_position_embeddings=16, original_max_position_embeddings=16),
            case("longrope", heads=3, kv=1, dim=8, seed=83, tied=True, sliding_window=32, rope_theta=20.0, rope_scaling=LONGROPE,
                 partial_rotary_factor=0.75, max_position_embeddings=32, original_max_position_embeddings=6)]


def case(name, *, heads, kv, dim, seed, tied, rope_scaling, **fields):
    g = torch.Generator().manual_seed(seed)
    hidden, inner = heads * dim, 26
    # transformers 5.23 looks for the length among the scaling's fields, where files on the hub do not have it.
    scaling = rope_scaling and dict(rope_scaling, original_max_position_embeddings=fields["original_max_position_embeddings"])

    def config_of(kv_heads):
        return Phi3Config(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=2,
                          num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=tied,
                          rope_scaling=scaling, pad_token_id=0, **fields)

    config = config_of(kv)
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for part, rows, columns, reach in (("self_attn.qkv_proj", (heads + 2 * kv) * dim, hidden, 1.4),
                                           ("self_attn.o_proj", hidden, hidden, 1), ("mlp.gate_up_proj", 2 * inner, hidden, 1),
                                           ("mlp.down_proj", hidden, inner, 1)):
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=reach / math.sqrt(columns))
        for part in ("input_layernorm", "post_attention_layernorm"):
            w[f"{h}.{part}.weight"] = normal(g, hidden, std=0.1, mean=1)
    w["model.norm.weight"] = normal(g, hidden, std=0.1, mean=1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(Phi3ForCausalLM, config, w, tokens, 1, "")
    runs = [(kv, result)]
    if kv > 1:
        runs.append((1, run(Phi3ForCausalLM, config_of(1), pooled_behind(w, kv, heads * dim, ".qkv_proj."), tokens, 1, "")[1]))
    plain = hub_config(config) | {"rope_scaling": rope_scaling, "attention_bias": False} | fields
    plain.pop("rope_parameters", None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": runs, "model": model}
