"""DeepSeek-V2 and V3 (DeepSeek-AI 2024): latent attention, shared experts, experts chosen in groups."""

from parts import *

SIZES = {"vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
         "intermediate_size": 32, "moe_intermediate_size": 6, "n_routed_experts": 8,
         "n_shared_experts": 2, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2,
         "first_k_dense_replace": 1, "moe_layer_freq": 1, "kv_lora_rank": 10, "qk_nope_head_dim": 6,
         "qk_rope_head_dim": 4, "v_head_dim": 5, "rms_norm_eps": 1e-6, "rope_theta": 10000,
         "max_position_embeddings": 64, "tie_word_embeddings": False}

CHECKPOINTS = {
    "deepseek-v2-lite": {**SIZES, "architectures": ["DeepseekV2ForCausalLM"],
                         "model_type": "deepseek_v2", "q_lora_rank": None, "n_group": 1,
                         "topk_group": 1, "topk_method": "greedy", "scoring_func": "softmax",
                         "norm_topk_prob": False, "routed_scaling_factor": 1.0, "rope_scaling": None},
    "deepseek-v2": {**SIZES, "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2",
                    "q_lora_rank": 12, "topk_method": "group_limited_greedy",
                    "scoring_func": "softmax", "norm_topk_prob": False,
                    "routed_scaling_factor": 4.0,
                    "rope_scaling": {"type": "yarn", "factor": 8.0, "beta_fast": 32, "beta_slow": 1,
                                     "original_max_position_embeddings": 32, "mscale": 0.707,
                                     "mscale_all_dim": 0.707}},
    "deepseek-v3": {**SIZES, "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
                    "q_lora_rank": 12, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
                    "norm_topk_prob": True, "routed_scaling_factor": 2.5,
                    "rope_scaling": {"type": "yarn", "factor": 8.0, "beta_fast": 32, "beta_slow": 1,
                                     "original_max_position_embeddings": 32, "mscale": 1.0,
                                     "mscale_all_dim": 1.0}},
}


def gated(w, x, p):
    gate, up = (x @ w[f"{p}.{n}_proj.weight"].T for n in ("gate", "up"))
    return (silu(gate) * up) @ w[p + ".down_proj.weight"].T


def weights(c, w):
    C, H, R = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"]
    N, P, E = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]

    def part(p, hidden):
        for name, rows, columns in (("gate", hidden, C), ("up", hidden, C), ("down", C, hidden)):
            w.draw(f"{p}.{name}_proj.weight", rows, columns)

    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        w.scale(p + "input_layernorm.weight", C)
        w.scale(p + "post_attention_layernorm.weight", C)
        a = p + "self_attn."
        if c["q_lora_rank"]:
            w.draw(a + "q_a_proj.weight", c["q_lora_rank"], C)
            w.scale(a + "q_a_layernorm.weight", c["q_lora_rank"])
            w.draw(a + "q_b_proj.weight", H * (N + P), c["q_lora_rank"])
        else:
            w.draw(a + "q_proj.weight", H * (N + P), C)
        w.draw(a + "kv_a_proj_with_mqa.weight", R + P, C)
        w.scale(a + "kv_a_layernorm.weight", R)
        w.draw(a + "kv_b_proj.weight", H * (N + E), R)
        w.draw(a + "o_proj.weight", C, H * E)
        if l < c["first_k_dense_replace"]:
            part(p + "mlp", c["intermediate_size"])
            continue
        w.draw(p + "mlp.gate.weight", c["n_routed_experts"], C)
        if c["topk_method"] == "noaux_tc":
            w.draw(p + "mlp.gate.e_score_correction_bias", c["n_routed_experts"], spread=0.2)
        for e in range(c["n_routed_experts"]):
            part(f"{p}mlp.experts.{e}", c["moe_intermediate_size"])
        part(p + "mlp.shared_experts", c["n_shared_experts"] * c["moe_intermediate_size"])
    w.scale("model.norm.weight", C)
    w.draw("lm_head.weight", c["vocab_size"], C)


def gain(factor, m):
    return 0.1 * m * np.log(factor) + 1 if factor > 1 else 1.0


def neighbours(x, f, scale):
    """x[i, h, d]: pairs are 2n and 2n + 1."""
    angle = np.arange(len(x))[:, None, None] * f
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    a, b = x[..., 0::2], x[..., 1::2]
    return np.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape)


def attention(c, w, x, p):
    H, R = c["num_attention_heads"], c["kv_lora_rank"]
    N, P = c["qk_nope_head_dim"], c["qk_rope_head_dim"]
    eps, s = c["rms_norm_eps"], c["rope_scaling"]
    f, turn, scale = frequencies(P, c["rope_theta"]), 1.0, (N + P) ** -0.5
    if s:
        f = yarn_frequencies(P, c["rope_theta"], s["factor"], s["beta_fast"], s["beta_slow"],
                             s["original_max_position_embeddings"])
        turn = gain(s["factor"], s["mscale"]) / gain(s["factor"], s["mscale_all_dim"])
        scale *= gain(s["factor"], s["mscale_all_dim"]) ** 2
    if c["q_lora_rank"]:
        low = rms_norm(x @ w[p + "q_a_proj.weight"].T, w[p + "q_a_layernorm.weight"], eps)
        q = heads(low @ w[p + "q_b_proj.weight"].T, H)
    else:
        q = heads(x @ w[p + "q_proj.weight"].T, H)
    low = x @ w[p + "kv_a_proj_with_mqa.weight"].T
    latent = rms_norm(low[:, :R], w[p + "kv_a_layernorm.weight"], eps)
    kv = heads(latent @ w[p + "kv_b_proj.weight"].T, H)
    shared = np.repeat(neighbours(low[:, None, R:], f, turn), H, 1)
    q = np.concatenate([q[..., :N], neighbours(q[..., N:], f, turn)], -1)
    k = np.concatenate([kv[..., :N], shared], -1)
    return attend(q, k, kv[..., N:], scale) @ w[p + "o_proj.weight"].T


def route(c, w, x, p):
    """The weight of each expert, 0 where it is not chosen."""
    scores = x @ w[p + "gate.weight"].T
    scores = sigmoid(scores) if c["scoring_func"] == "sigmoid" else softmax(scores)
    out = np.zeros(scores.shape)
    for t, row in enumerate(scores):
        choice = row.copy()
        if c["topk_method"] == "noaux_tc":
            choice = choice + w[p + "gate.e_score_correction_bias"]
        if c["topk_method"] != "greedy":
            groups = choice.reshape(c["n_group"], -1)
            best = np.sort(groups, 1)[:, ::-1]
            worth = best[:, :2].sum(1) if c["topk_method"] == "noaux_tc" else best[:, 0]
            kept = np.argsort(-worth)[:c["topk_group"]]
            choice = np.where(np.isin(np.arange(c["n_group"]), kept)[:, None], groups, -np.inf).ravel()
        chosen = np.argsort(-choice)[:c["num_experts_per_tok"]]
        out[t, chosen] = row[chosen]
        if c["norm_topk_prob"]:
            out[t] /= out[t].sum()
    return out * c["routed_scaling_factor"]


def logits(c, w, tokens):
    eps = c["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][tokens]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        x = x + attention(c, w, rms_norm(x, w[p + "input_layernorm.weight"], eps), p + "self_attn.")
        n = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        if l < c["first_k_dense_replace"]:
            x = x + gated(w, n, p + "mlp")
        else:
            share = route(c, w, n, p + "mlp.")
            y = gated(w, n, p + "mlp.shared_experts")
            for e in range(c["n_routed_experts"]):
                y = y + share[:, e:e + 1] * gated(w, n, f"{p}mlp.experts.{e}")
            x = x + y
    return rms_norm(x, w["model.norm.weight"], eps) @ w["lm_head.weight"].T
