"""StarCoder2: layer norms, biases, a plain MLP, tied and untied, a window and none."""

from transformers import Starcoder2Config, Starcoder2ForCausalLM

from checkpoints import VOCABULARY
from llama_like import llama_like_case

TOKENS = 20
POSITIONS = 32


def starcoder2():
    return [starcoder2_case("windowed", layers=3, heads=6, kv=2, hidden=36, window=6, bias=True, tied=True, seed=131),
            starcoder2_case("plain", layers=2, heads=3, kv=1, hidden=30, window=None, bias=False, tied=False, seed=132)]


def starcoder2_case(name, *, layers, heads, kv, hidden, window, bias, tied, seed):
    config = Starcoder2Config(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=52, num_hidden_layers=layers,
                              num_attention_heads=heads, num_key_value_heads=kv, sliding_window=window, use_bias=bias,
                              max_position_embeddings=POSITIONS, norm_epsilon=1e-5, rope_theta=100000.0,
                              tie_word_embeddings=tied)
    return llama_like_case(name, Starcoder2ForCausalLM, config, seed=seed, tokens=TOKENS, qkv_bias=bias, other_bias=bias,
                           norm_bias=True, gated=False)
