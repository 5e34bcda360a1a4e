"""Qwen2: biases on q, k and v, tied and untied; a window named and switched off, and one on the upper layers."""

from transformers import Qwen2Config, Qwen2ForCausalLM

from checkpoints import VOCABULARY
from llama_like import llama_like_case

TOKENS = 20
POSITIONS = 32


def qwen2():
    return [qwen2_case("gqa", layers=2, heads=6, kv=2, hidden=36, slides=False, window=7, tied=True, seed=121),
            qwen2_case("upper_windows", layers=4, heads=3, kv=1, hidden=30, slides=True, window=7, tied=False, seed=122)]


def qwen2_case(name, *, layers, heads, kv, hidden, slides, window, tied, seed):
    config = Qwen2Config(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=34, num_hidden_layers=layers,
                         num_attention_heads=heads, num_key_value_heads=kv, use_sliding_window=slides,
                         sliding_window=window, max_window_layers=2, max_position_embeddings=POSITIONS,
                         rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=tied)
    case = llama_like_case(name, Qwen2ForCausalLM, config, seed=seed, tokens=TOKENS, qkv_bias=True)
    # As the hub spells it: the window is named even where it is off, and layers are not listed.
    case["config"] |= {"use_sliding_window": slides, "sliding_window": window, "max_window_layers": 2}
    case["config"].pop("layer_types", None)
    return case
