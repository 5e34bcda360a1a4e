"""Gemma: scaled embeddings, gains of 1 + weight, GeGLU by tanh however its config.json spells it, heads of their own width."""

import torch
from transformers import GemmaConfig, GemmaForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, run
from llama_like import draw_weights


def gemma():
    # gemma-2b's first config.json says gelu, later ones name the tanh form.
    return [case("mqa", heads=3, kv=1, dim=8, seed=51, bias=False, hidden_act="gelu"),
            case("gqa_bias", heads=6, kv=2, dim=6, seed=52, bias=True, hidden_act="gelu_pytorch_tanh")]


def case(name, *, heads, kv, dim, seed, bias, hidden_act):
    g = torch.Generator().manual_seed(seed)
    config = GemmaConfig(vocab_size=VOCABULARY, hidden_size=30, intermediate_size=40, num_hidden_layers=2,
                         num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, attention_bias=bias,
                         hidden_act=hidden_act, max_position_embeddings=POSITIONS)
    w = draw_weights(g, config, gain=0.0)
    tokens = draw_tokens(g)
    model, result = run(GemmaForCausalLM, config, w, tokens, 1, "")
    plain = hub_config(config) | {"head_dim": dim, "rope_theta": 10000.0, "hidden_act": hidden_act}
    # The head is tied, and the hub's files leave that to the default.
    for key in ("rope_parameters", "tie_word_embeddings"):
        plain.pop(key, None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}
