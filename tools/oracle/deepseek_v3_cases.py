"""DeepSeek-V3: compressed queries, pairs turned together, experts limited to groups by corrected scores; and a dense one with
whole queries, a plain rotary embedding in halves and biases."""

from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from checkpoints import VOCABULARY
from latent_attention import case

YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "beta_fast": 4, "beta_slow": 1, "factor": 40,
        "original_max_position_embeddings": 8, "mscale": 1.0, "mscale_all_dim": 1.0}


def deepseek_v3():
    return [v3_case("grouped", seed=71, heads=3, q_lora_rank=11, nope=6, rope=4, value=5, rank=10, bias=False, dense=1, scale=1.5,
                    rope_parameters=YARN, rope_interleave=True,
                    routed={"n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1, "n_group": 4, "topk_group": 2,
                            "routed_scaling_factor": 2.5, "norm_topk_prob": True}),
            v3_case("dense", seed=72, heads=5, q_lora_rank=None, nope=4, rope=6, value=8, rank=9, bias=True, dense=2, scale=1.5,
                    rope_parameters={"rope_type": "default", "rope_theta": 50.0}, rope_interleave=False,
                    routed={"n_routed_experts": 6, "num_experts_per_tok": 2, "n_shared_experts": 2, "n_group": 1, "topk_group": 1,
                            "routed_scaling_factor": 1.7, "norm_topk_prob": False})]


def v3_case(name, *, seed, heads, q_lora_rank, nope, rope, value, rank, bias, dense, scale, rope_parameters, rope_interleave, routed):
    config = DeepseekV3Config(vocab_size=VOCABULARY, hidden_size=29, intermediate_size=34, moe_intermediate_size=9,
                              num_hidden_layers=3 if dense == 1 else dense, num_attention_heads=heads, num_key_value_heads=heads,
                              first_k_dense_replace=dense, q_lora_rank=q_lora_rank, kv_lora_rank=rank, qk_nope_head_dim=nope,
                              qk_rope_head_dim=rope, v_head_dim=value, max_position_embeddings=64, rms_norm_eps=1e-3,
                              attention_bias=bias, rope_parameters=rope_parameters, rope_interleave=rope_interleave,
                              num_mtp_layers=0, **routed)
    hub = {"rope_interleave": rope_interleave, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1,
           "ep_size": 1}
    return case(name, DeepseekV3ForCausalLM, config, seed=seed, hub=hub, biased_choice=dense == 1, scale=scale)
