"""Gemma 3's text model: five layers with a window for each that sees everything, two rotary bases, normed heads; alone and as
the text part of a model that also sees pictures."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig

from checkpoints import POSITIONS, VOCABULARY, draw_tokens, forward, hub_config, run
from float64 import float64
from llama_like import FOUR_NORMS, draw_weights

PICTURES = {"hidden_size": 6, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 4,
            "patch_size": 2}


def gemma3():
    return [text_case("five_to_one", heads=6, kv=2, dim=4, hidden=24, layers=6, seed=71, query_pre_attn_scalar=8,
                      sliding_window=4, scaling={"rope_type": "linear", "factor": 8.0}),
            # transformers 5's spelling: types of layers, and rotary parameters for each.
            text_case("typed", heads=5, kv=1, dim=8, hidden=20, layers=3, seed=72, query_pre_attn_scalar=11, sliding_window=5,
                      attention_bias=True, tie_word_embeddings=False, final_logit_softcapping=2.5,
                      layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                      rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 700.0},
                                       "sliding_attention": {"rope_type": "default", "rope_theta": 30.0}}),
            nested_case("nested", heads=3, kv=3, dim=6, hidden=18, layers=3, seed=73, query_pre_attn_scalar=8,
                        sliding_window=3, sliding_window_pattern=3)]


def text_case(name, *, heads, kv, dim, hidden, layers, seed, scaling=None, **fields):
    g = torch.Generator().manual_seed(seed)
    spelled = {"rope_scaling": dict(scaling)} if scaling else {}
    config = Gemma3TextConfig(vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=26, num_hidden_layers=layers,
                              num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim,
                              max_position_embeddings=POSITIONS, **fields, **spelled)
    w = draw_weights(g, config, norms=FOUR_NORMS, gain=0.0, head_gain=0.7)
    tokens = draw_tokens(g)
    model, result = run(Gemma3ForCausalLM, config, w, tokens, 1, "")
    plain = hub_config(config) | {"head_dim": dim, "hidden_activation": "gelu_pytorch_tanh"} | fields
    if "rope_parameters" not in fields:
        # As google/gemma-3-1b-it has it.
        plain |= {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": scaling,
                  "sliding_window_pattern": fields.get("sliding_window_pattern", 6)}
        for key in ("layer_types", "rope_parameters", "tie_word_embeddings"):
            plain.pop(key, None)
    return {"name": name, "config": plain, "weights": w, "tokens": tokens, "runs": [(kv, result)], "model": model}


def nested_case(name, **sizes):
    """The text part within Gemma3ForConditionalGeneration: names and config.json are those that it writes itself, and its
    logits of text are those of the text model alone."""
    case = text_case(name, **sizes)
    text = {key: value for key, value in case["config"].items() if key != "torch_dtype"}
    config = Gemma3Config(text_config=dict(text), vision_config=PICTURES, mm_tokens_per_image=4)
    config._attn_implementation = "eager"
    with float64():
        whole = Gemma3ForConditionalGeneration(config).double().eval()
    inner = {key.replace("model.", "model.language_model.", 1): value.double() for key, value in case["weights"].items()}
    missing, unexpected = whole.load_state_dict(inner, strict=False)
    assert not unexpected and all("vision" in key or "multi_modal" in key or "lm_head" in key for key in missing), missing
    whole.tie_weights()
    expected = forward(case["model"], case["tokens"], [case["tokens"].shape[1]]).logits
    with torch.no_grad(), float64():
        logits = whole(case["tokens"]).logits
    assert float((logits - expected).abs().max()) < 1e-12 * float(expected.abs().max())
    with tempfile.TemporaryDirectory() as folder:
        whole.float().save_pretrained(folder)
        weights = load_file(Path(folder) / "model.safetensors")
    # One tensor of the tower stands for all of them, which are not read.
    tower = [key for key in weights if "language_model" not in key]
    kept = {key: value for key, value in weights.items() if key not in tower[1:]}
    plain = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text | {"model_type": "gemma3_text"},
             "vision_config": PICTURES | {"model_type": "siglip_vision_model"}, "mm_tokens_per_image": 4, "torch_dtype": "float32"}
    return case | {"config": plain, "weights": kept}
