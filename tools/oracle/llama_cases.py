"""Llama: MHA, GQA and MQA, with and without biases, tied and untied."""

import json
import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, normal, run


def llama():
    return [llama_case("gqa", heads=6, kv=2, dim=4, bias=False, tied=True, seed=21),
            llama_case("mqa", heads=5, kv=1, dim=6, bias=True, tied=False, seed=22),
            llama_case("mha", heads=3, kv=3, dim=8, bias=False, tied=False, seed=23)]


# The hidden size is not heads x head dim, as in newer members of the family.
def llama_case(name, *, heads, kv, dim, bias, tied, seed, hidden=30, width=44, max_position_embeddings=POSITIONS, reach=1.2,
               **fields):
    g = torch.Generator().manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=width, num_hidden_layers=2,
                         num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, attention_bias=bias,
                         mlp_bias=bias, tie_word_embeddings=tied, max_position_embeddings=max_position_embeddings,
                         rms_norm_eps=1e-5, **json.loads(json.dumps(fields)))
    w = {"model.embed_tokens.weight": normal(g, VOCABULARY, hidden, std=0.3)}
    for layer in range(config.num_hidden_layers):
        h = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            w[f"{h}.{norm}.weight"] = normal(g, hidden, std=0.1, mean=1)
        for part, rows, columns, std in (("self_attn.q_proj", heads * dim, hidden, reach),
                                         ("self_attn.k_proj", kv * dim, hidden, reach),
                                         ("self_attn.v_proj", kv * dim, hidden, 1), ("self_attn.o_proj", hidden, heads * dim, 1),
                                         ("mlp.gate_proj", width, hidden, 1), ("mlp.up_proj", width, hidden, 1),
                                         ("mlp.down_proj", hidden, width, 1)):
            w[f"{h}.{part}.weight"] = normal(g, rows, columns, std=std / math.sqrt(columns))
            if bias:
                w[f"{h}.{part}.bias"] = normal(g, rows, std=0.2)
    w["model.norm.weight"] = normal(g, hidden, std=0.1, mean=1)
    if not tied:
        w["lm_head.weight"] = normal(g, VOCABULARY, hidden, std=0.3)
    tokens = draw_tokens(g)
    model, result = run(LlamaForCausalLM, config, w, tokens, 1, "")
    return {"name": name, "config": hub_config(config), "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}
