"""Mistral: a window on every layer, shorter than the prompt (v0.1), and none, with heads wider than the hidden size (Nemo)."""

from transformers import MistralConfig, MistralForCausalLM

from checkpoints import VOCABULARY
from llama_like import llama_like_case

TOKENS = 23
POSITIONS = 40


def mistral():
    return [mistral_case("windowed", layers=2, heads=6, kv=2, dim=6, window=5, seed=111),
            mistral_case("whole", layers=2, heads=5, kv=1, dim=8, window=None, seed=112)]


def mistral_case(name, *, layers, heads, kv, dim, window, seed):
    config = MistralConfig(vocab_size=VOCABULARY, hidden_size=30, intermediate_size=44, num_hidden_layers=layers,
                           num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, sliding_window=window,
                           max_position_embeddings=POSITIONS, rms_norm_eps=1e-5, rope_theta=10000.0)
    return llama_like_case(name, MistralForCausalLM, config, seed=seed, tokens=TOKENS)
