"""Qwen3: heads wider than hidden / heads, each query and key head normed; with and without biases and a window."""

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, hub_config, run
from llama_like import draw_weights


def qwen3():
    return [case("gqa", heads=6, kv=2, dim=8, layers=2, seed=41, tied=True, bias=False, theta=1_000_000.0),
            case("mqa_bias", heads=5, kv=1, dim=6, layers=2, seed=42, tied=False, bias=True, theta=10_000.0),
            # Layers from the first full one on slide, as Qwen2's files spell it.
            case("window", heads=3, kv=3, dim=6, layers=3, seed=43, tied=False, bias=False, theta=10_000.0,
                 use_sliding_window=True, sliding_window=4, max_window_layers=1)]


def case(name, *, heads, kv, dim, layers, seed, tied, bias, theta, **fields):
    g = torch.Generator().manual_seed(seed)
    config = Qwen3Config(vocab_size=VOCABULARY, hidden_size=30, intermediate_size=36, num_hidden_layers=layers,
                         num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, attention_bias=bias,
                         tie_word_embeddings=tied, max_position_embeddings=POSITIONS,
                         rope_parameters={"rope_type": "default", "rope_theta": theta}, **fields)
    w = draw_weights(g, config, head_gain=1.7)
    tokens = draw_tokens(g)
    model, result = run(Qwen3ForCausalLM, config, w, tokens, 1, "")
    plain = hub_config(config) | {"head_dim": dim, "rope_theta": theta, "rope_scaling": None, "use_sliding_window": False,
                                  "sliding_window": None} | fields
    # As Qwen/Qwen3-0.6B has it: transformers 4's spelling of positions, and layers by a number.
    for key in ("rope_parameters", "layer_types"):
        plain.pop(key, None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}
