"""Gemma 2: windows on every other layer, caps that bite on scores and logits, a scale that is not the head dim's."""

import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, run
from llama_like import FOUR_NORMS, draw_weights


def gemma2():
    return [case("alternating", heads=6, kv=2, dim=8, layers=4, seed=61, query_pre_attn_scalar=5, sliding_window=5,
                 attn_logit_softcapping=4.0, final_logit_softcapping=2.5),
            # No caps, and layer types that do not alternate, as transformers 5 writes them.
            case("typed", heads=5, kv=1, dim=6, layers=3, seed=62, query_pre_attn_scalar=9, sliding_window=3, attention_bias=True,
                 tie_word_embeddings=False, attn_logit_softcapping=None, final_logit_softcapping=None,
                 layer_types=["full_attention", "sliding_attention", "sliding_attention"])]


def case(name, *, heads, kv, dim, layers, seed, **fields):
    g = torch.Generator().manual_seed(seed)
    config = Gemma2Config(vocab_size=VOCABULARY, hidden_size=30, intermediate_size=28, num_hidden_layers=layers,
                          num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, max_position_embeddings=POSITIONS,
                          **fields)
    w = draw_weights(g, config, norms=FOUR_NORMS, gain=0.0, spread=1.3)
    tokens = draw_tokens(g)
    model, result = run(Gemma2ForCausalLM, config, w, tokens, 1, "")
    plain = hub_config(config) | {"head_dim": dim, "hidden_activation": "gelu_pytorch_tanh", "cache_implementation": "hybrid"} | fields
    plain["hidden_act"] = "gelu_pytorch_tanh"
    if "layer_types" not in fields:
        plain["rope_theta"] = 10000.0
        for key in ("layer_types", "rope_parameters", "tie_word_embeddings"):
            plain.pop(key, None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}
