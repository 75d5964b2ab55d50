"""gpt-oss (OpenAI 2025): sinks, every other layer with a window, experts with clamped gates."""

from parts import *

CHECKPOINTS = {"gpt-oss": {
    "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "vocab_size": 61,
    "hidden_size": 24, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 5, "num_experts_per_tok": 2,
    "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"],
    "rms_norm_eps": 1e-5, "rope_theta": 150000.0, "max_position_embeddings": 256,
    "swiglu_limit": 1.5, "attention_bias": True, "tie_word_embeddings": False,
    "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
                     "original_max_position_embeddings": 32, "truncate": False}}}


def weights(c, w):
    C, F, E = c["hidden_size"], c["intermediate_size"], c["num_local_experts"]
    H, G, D = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]

    def linear(name, rows, columns):
        w.draw(name + ".weight", rows, columns)
        w.shift(name + ".bias", rows)

    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        w.scale(p + "input_layernorm.weight", C)
        w.scale(p + "post_attention_layernorm.weight", C)
        for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
            linear(f"{p}self_attn.{name}_proj", rows, C)
        linear(p + "self_attn.o_proj", C, H * D)
        w.draw(p + "self_attn.sinks", H, spread=1)
        linear(p + "mlp.router", E, C)
        # Inputs first; the gate and what it gates by turns.
        w.draw(p + "mlp.experts.gate_up_proj", E, C, 2 * F, spread=1.2 / np.sqrt(C))
        w.draw(p + "mlp.experts.gate_up_proj_bias", E, 2 * F, spread=0.3)
        w.draw(p + "mlp.experts.down_proj", E, F, C, spread=1.2 / np.sqrt(F))
        w.draw(p + "mlp.experts.down_proj_bias", E, C, spread=0.3)
    w.scale("model.norm.weight", C)
    w.draw("lm_head.weight", c["vocab_size"], C)


def experts(c, w, x, p):
    limit = c["swiglu_limit"]
    scores = x @ w[p + "router.weight"].T + w[p + "router.bias"]
    out = np.zeros(x.shape)
    for t, row in enumerate(scores):
        chosen = np.argsort(-row)[:c["num_experts_per_tok"]]
        for e, share in zip(chosen, softmax(row[chosen])):
            u = x[t] @ w[p + "experts.gate_up_proj"][e] + w[p + "experts.gate_up_proj_bias"][e]
            gate, up = np.minimum(u[0::2], limit), np.clip(u[1::2], -limit, limit)
            h = gate * sigmoid(1.702 * gate) * (up + 1)
            out[t] += share * (h @ w[p + "experts.down_proj"][e] + w[p + "experts.down_proj_bias"][e])
    return out


def logits(c, w, tokens):
    H, G, D, eps = (c[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim",
                                   "rms_norm_eps"))
    s = c["rope_scaling"]
    f = yarn_frequencies(D, c["rope_theta"], s["factor"], s["beta_fast"], s["beta_slow"],
                         s["original_max_position_embeddings"], s["truncate"])
    gain = 0.1 * np.log(s["factor"]) + 1

    def linear(x, p):
        return x @ w[p + ".weight"].T + w[p + ".bias"]

    x = w["model.embed_tokens.weight"][tokens]
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        n = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (heads(linear(n, f"{p}self_attn.{name}_proj"), h)
                   for name, h in (("q", H), ("k", G), ("v", G)))
        a = attend(rotary(q, f, gain), rotary(k, f, gain), v, D ** -0.5,
                   c["sliding_window"] if kind == "sliding_attention" else None,
                   sinks=w[p + "self_attn.sinks"])
        x = x + linear(a, p + "self_attn.o_proj")
        x = x + experts(c, w, rms_norm(x, w[p + "post_attention_layernorm.weight"], eps), p + "mlp.")
    return rms_norm(x, w["model.norm.weight"], eps) @ w["lm_head.weight"].T
