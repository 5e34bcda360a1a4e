"""OLMo 2: norms behind attention and MLP, queries and keys normed over all heads together; in both spellings of positions."""

import copy
import math

import torch
from transformers import Olmo2Config, Olmo2ForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, run
from pooling import pooled_apart


def olmo2():
    return [case("mha", heads=3, kv=3, dim=8, seed=91, bias=False, tied=False, rope_theta=500_000.0),
            case("gqa", heads=6, kv=2, dim=6, seed=92, bias=True, tied=True,
                 rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0})]


def case(name, *, heads, kv, dim, seed, bias, tied, **rope):
    g = torch.Generator().manual_seed(seed)
    hidden, inner = heads * dim, 26

    def config_of(kv_heads):
        return Olmo2Config(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=2,
                           num_attention_heads=heads, num_key_value_heads=kv_heads, attention_bias=bias,
                           tie_word_embeddings=tied, max_position_embeddings=POSITIONS, rms_norm_eps=1e-6, pad_token_id=0,
                           **copy.deepcopy(rope))

    config = config_of(kv)
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for part, rows, columns in (("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv * dim, hidden),
                                    ("self_attn.v_proj", kv * dim, hidden), ("self_attn.o_proj", hidden, hidden),
                                    ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=1.2 / math.sqrt(columns))
            if bias and "attn" in part:
                w[f"{h}.{part}.bias"] = normal(g, rows, std=0.2)
        # Normed queries and keys are of one length: their gains alone spread the scores.
        for part, size, gain in (("self_attn.q_norm", hidden, 1.5), ("self_attn.k_norm", kv * dim, 1.5),
                                 ("post_attention_layernorm", hidden, 1), ("post_feedforward_layernorm", hidden, 1)):
            w[f"{h}.{part}.weight"] = normal(g, size, std=0.2, mean=gain)
    w["model.norm.weight"] = normal(g, hidden, std=0.1, mean=1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(Olmo2ForCausalLM, config, w, tokens, 1, "")
    runs = [(kv, result)]
    if kv < heads:
        runs.append((1, run(Olmo2ForCausalLM, config_of(1), pooled_apart(w, kv), tokens, 1, "")[1]))
    plain = hub_config(config) | rope
    if "rope_parameters" not in rope:
        plain.pop("rope_parameters", None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": runs, "model": model}
