"""What the families' scripts share: drawing weights, running a model, writing a case."""

import json
import math
import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from safetensors.torch import save_file
from transformers import DynamicCache

from float64 import float64
from head_weights import head_weights

GOLDEN = Path(__file__).resolve().parents[2] / "test" / "golden"
TOKENS = 12
VOCABULARY = 67
POSITIONS = 16
# Drawn at the default 0.02, attention is flat and wrong code passes: scores have to span about this much.
SPAN = (4.0, 12.0)
# The keys that hub files spell out, even where they hold the default.
SPELLED = ("n_embd", "n_head", "n_layer", "n_positions", "vocab_size", "activation_function", "layer_norm_epsilon",
           "num_key_value_heads", "num_attention_heads", "hidden_act", "rms_norm_eps", "attention_bias", "mlp_bias",
           "tie_word_embeddings", "max_position_embeddings")


def normal(generator, *shape, std=1.0, mean=0.0):
    return torch.randn(*shape, generator=generator) * std + mean


def per_head_rows(generator, heads, dim, hidden):
    """Rows of a fused weight, per head [q, k, v]. Keys and values of different heads are alike in part, so that their mean
    still tells positions apart."""
    queries = normal(generator, heads, 1, dim, hidden, std=1.25 / math.sqrt(hidden))
    shared = normal(generator, 1, 2, dim, hidden, std=1.5 / math.sqrt(hidden))
    own = normal(generator, heads, 2, dim, hidden, std=0.9 / math.sqrt(hidden))
    return torch.cat([queries, shared + own], 1).reshape(-1, hidden)


def pooled_rows(weights, heads, dim, fused):
    """The weights with one K and V head, the mean of all: rows per head [q, k, v] become all q, one k, one v."""
    out = dict(weights)
    for key, value in weights.items():
        if fused not in key:
            continue
        rows = value.double().view(heads, 3, dim, -1)
        mean = rows[:, 1:].mean(dim=0)
        out[key] = torch.cat([rows[:, 0].flatten(0, 1), mean.flatten(0, 1)]).view(-1, *value.shape[1:]).float()
    return out


def draw_tokens(generator, count=TOKENS):
    """Take more than TOKENS where a window or a rotary table would not show otherwise."""
    return torch.randint(0, VOCABULARY, (1, count), generator=generator)


def other_tokens(tokens):
    """A second, shorter sequence, which the engine runs in one batch with the first."""
    return (tokens.flip(1)[:, : tokens.shape[1] * 3 // 5] * 3 + 5) % VOCABULARY


def load(architecture, config, weights, prefix, implementation="eager"):
    """The model in float64 with these weights, whose names lack `prefix` but for the head's."""
    config._attn_implementation = implementation
    with float64():
        model = architecture(config).double().eval()
    wanted = {prefix + key if not key.startswith("lm_head") else key: value.double()
              for key, value in weights.items() if not key.endswith(".attn.bias")}
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    assert not unexpected and all("lm_head" in key for key in missing), (missing, unexpected)
    model.tie_weights()
    return model


def run(architecture, config, weights, tokens, copies, prefix):
    """The model, and what it computes of the tokens: see `compute`."""
    model = load(architecture, config, weights, prefix)
    return model, compute(model, tokens, copies)


def compute(model, tokens, copies=1):
    """Logits of every position, attention of every head, and K/V with one head of each run of copies; the same of another
    sequence as `other`, which stands in one batch with the first, filled up behind. Where the model itself computes something
    else of the tokens in chunks or one by one (a rotary base that follows the length), that too, as `chunked` and `stepped`.
    `float32` is how far the model itself is from all this when it computes in float32."""
    count = tokens.shape[1]
    whole = outcome(forward(model, tokens, [count]), copies)
    other = other_tokens(tokens)
    shorter = other.shape[1]
    batch = forward(model, torch.cat([tokens, torch.cat([other, tokens[:, shorter:]], 1)]), [count])
    result = whole | {"other": outcome(batch, copies, row=1, count=shorter)}
    plain = type(model)(model.config).float().eval()
    plain.load_state_dict(model.state_dict())
    result["float32"] = worst(difference(outcome(forward(plain, tokens, [count], nullcontext), copies), whole))
    for name, pieces in (("chunked", chunks(count)), ("stepped", [1] * count)):
        part = outcome(forward(model, tokens, pieces), copies)
        if max(difference(part, whole)) > 1e-9:
            result[name] = part
        rounded = difference(outcome(forward(plain, tokens, pieces, nullcontext), copies), part)
        result["float32"] = worst(rounded, result["float32"])
    return result


class Difference(NamedTuple):
    logits: float
    attention: float
    cache: float


def difference(actual, expected):
    """The largest difference of each part as a share of the largest magnitude there."""
    shares = {key: float((actual[key].double() - value).abs().max()) / float(value.abs().max())
              for key, value in tensors(expected).items()}
    return Difference(shares.pop("logits"), shares.pop("attention"), max(shares.values()))


def worst(*differences):
    return Difference(*map(max, zip(*differences)))


def chunks(count):
    return [5, 4, count - 9]


def forward(model, tokens, pieces, precision=float64):
    """The model's outputs for tokens given piece by piece, joined; its cache keeps every row, those out of a window too."""
    cache = DynamicCache()
    logits, attentions = [], []
    with torch.no_grad(), precision():
        for piece in tokens.split(pieces, dim=1):
            out = model(piece, past_key_values=cache, use_cache=True, output_attentions=True)
            logits.append(out.logits)
            attentions.append(out.attentions)
    wide = tokens.shape[1]
    padded = [[torch.nn.functional.pad(piece, (0, wide - piece.shape[-1])) for piece in layer] for layer in zip(*attentions)]
    out.logits, out.attentions = torch.cat(logits, 1), [torch.cat(layer, 2) for layer in padded]
    return out


def outcome(out, copies=1, row=0, count=None):
    """What is kept of a model's outputs for the first `count` tokens of a sequence of the batch: logits [T, vocabulary],
    attention [layers, H, T, T], keys and values [layers, KV, T, d] as they are cached (turned), or one latent [layers, 1, T,
    rank + rope] where that is what the cache holds."""
    keys = torch.stack([layer.keys[row, :, :count] for layer in out.past_key_values.layers])
    values = torch.stack([layer.values[row, :, :count] for layer in out.past_key_values.layers])
    attention = torch.stack([layer[row, :, :count, :count] for layer in out.attentions])
    for cached in (keys, values):
        runs = cached.unflatten(1, (-1, copies))
        assert torch.equal(runs, runs[:, :, :1].expand_as(runs)), "copied heads differ"
    windows, span = look(attention)
    latent = keys.shape[1] == 1 and keys.shape[-1] != values.shape[-1]
    cached = {"latent": torch.cat([keys, values], -1)} if latent else {"keys": keys[:, ::copies], "values": values[:, ::copies]}
    return {"span": span, "windows": windows, "logits": out.logits[row, :count], "attention": attention} | cached


def look(attention):
    """Each layer's window, None where tokens see all before them, and how far apart the scores of a row lie, up to a constant
    a row: the log of a probability against the row's mean over what it may see."""
    tokens = attention.shape[-1]
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    windows, spans = [], []
    for layer in attention.double():
        seen = (layer > 0).all(0)
        width = int(seen[-1].sum())
        assert torch.equal(seen, (distance >= 0) & (distance < width)), "what tokens see is no window"
        assert float(layer[:, ~seen].abs().max()) == 0
        windows.append(width if width < tokens else None)
        for row in range(1, tokens):
            logs = layer[:, row, seen[row]].log()
            spans.append(float((logs - logs.mean(-1, keepdim=True)).abs().max()))
    return windows, max(spans)


def tensors(result):
    return {key: value for key, value in result.items() if isinstance(value, torch.Tensor)}


def hub_config(config, left_out=()):
    """config.json as hub files have it."""
    plain = config.to_diff_dict() | {"torch_dtype": "float32"}
    for key in SPELLED:
        if hasattr(config, key) and key not in left_out:
            plain[key] = getattr(config, key)
    return {key: value for key, value in plain.items() if not key.startswith("_")}


def write(name, models):
    """models: dicts of name, config (a dict), weights, tokens, runs [(KV heads, outcome)], and the model to split, or as
    `cut` its heads' matrices themselves. A latent cache has no K/V heads: its run says None."""
    # Beside first: tests that run meanwhile read whole folders.
    folder = Path(tempfile.mkdtemp()) / name
    folder.mkdir()
    cases = []
    for case in models:
        place = folder / case["name"]
        place.mkdir(parents=True)
        save(case["weights"], place / "model.safetensors", metadata={"format": "pt"})
        (place / "config.json").write_text(json.dumps(case["config"], indent=2, sort_keys=True) + "\n")
        save(case["cut"] if "cut" in case else head_weights(case["model"]), place / "head-weights.safetensors")
        for kv_heads, result in case["runs"]:
            assert SPAN[0] < result["span"] < SPAN[1], f"scores span {result['span']:.2f}"
            file = f"{case['name']}/expected-{'latent' if kv_heads is None else f'kv{kv_heads}'}.safetensors"
            nested = {f"{part}.{key}": value for part, inner in result.items() if isinstance(inner, dict)
                      for key, value in tensors(inner).items()}
            save(tensors(result) | nested, folder / file)
            cases.append({"model": case["name"], "kvHeads": kv_heads, "tokens": case["tokens"][0].tolist(),
                          "other": other_tokens(case["tokens"])[0].tolist(), "windows": result["windows"], "expected": file,
                          "scoreSpan": round(result["span"], 2),
                          "float32": {part: float(f"{share:.2g}") for part, share in result["float32"]._asdict().items()}})
    about = {"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}
    (folder / "cases.json").write_text(json.dumps(about, indent=1) + "\n")
    shutil.rmtree(GOLDEN / name, ignore_errors=True)
    shutil.copytree(folder, GOLDEN / name)
    shutil.rmtree(folder.parent)
    size = sum(path.stat().st_size for path in (GOLDEN / name).rglob("*") if path.is_file())
    print(name, [(case["model"], case["kvHeads"], case["scoreSpan"], case["windows"]) for case in cases], f"{size / 1000:.0f} kB")


def save(tensors, path, metadata=None):
    save_file({key: value.float().contiguous() for key, value in tensors.items()}, path, metadata=metadata)
