"""Phi: attention and MLP side by side behind one norm, biases everywhere, the head's too; heads turned in part."""

import math

import torch
from transformers import PhiConfig, PhiForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, run
from pooling import pooled_apart


def phi():
    return [case("mha", heads=3, kv=3, dim=10, seed=71, partial_rotary_factor=0.4, rope_theta=10_000.0),
            case("gqa", heads=6, kv=2, dim=8, seed=72, rope_theta=50.0)]


def case(name, *, heads, kv, dim, seed, **rope):
    g = torch.Generator().manual_seed(seed)
    hidden, inner = heads * dim, 26

    def config_of(kv_heads):
        return PhiConfig(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=2,
                         num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=POSITIONS, **rope)

    config = config_of(kv)
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}

    def norm(path):
        w[f"{path}.weight"], w[f"{path}.bias"] = normal(g, hidden, std=0.1, mean=1), normal(g, hidden, std=0.1)

    def linear(path, rows, columns, reach=1.0):
        w[f"{path}.weight"] = normal(g, rows, columns, std=reach / math.sqrt(columns))
        w[f"{path}.bias"] = normal(g, rows, std=0.2)

    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        norm(f"{h}.input_layernorm")
        linear(f"{h}.self_attn.q_proj", hidden, hidden, 1.3)
        linear(f"{h}.self_attn.k_proj", kv * dim, hidden, 1.3)
        linear(f"{h}.self_attn.v_proj", kv * dim, hidden)
        linear(f"{h}.self_attn.dense", hidden, hidden)
        linear(f"{h}.mlp.fc1", inner, hidden)
        linear(f"{h}.mlp.fc2", hidden, inner)
    norm("model.final_layernorm")
    w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    w["lm_head.bias"] = normal(g, VOCABULARY, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(PhiForCausalLM, config, w, tokens, 1, "")
    runs = [(kv, result)]
    if kv < heads:
        runs.append((1, run(PhiForCausalLM, config_of(1), pooled_apart(w, kv), tokens, 1, "")[1]))
    plain = hub_config(config) | {"layer_norm_eps": config.layer_norm_eps, "qk_layernorm": False} | rope
    plain.pop("rope_parameters", None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": runs, "model": model}
