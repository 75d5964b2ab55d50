"""T5 (Raffel et al. 2020) and T5 1.1 with its gated feed-forward part (Shazeer 2020)."""

from parts import *

SIZES = {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": 61,
         "d_model": 24, "d_kv": 6, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 2,
         "layer_norm_epsilon": 1e-6, "relative_attention_num_buckets": 8,
         "relative_attention_max_distance": 16, "decoder_start_token_id": 0}

CHECKPOINTS = {
    "t5": {**SIZES, "d_ff": 32, "feed_forward_proj": "relu", "is_gated_act": False,
           "tie_word_embeddings": True},
    "t5-gated": {**SIZES, "d_ff": 20, "feed_forward_proj": "gated-gelu", "is_gated_act": True,
                 "tie_word_embeddings": False},
}


def weights(c, w):
    C, D, H, F = c["d_model"], c["d_kv"], c["num_heads"], c["d_ff"]

    def attention(p):
        for name in "qkv":
            w.draw(f"{p}.{name}.weight", H * D, C, spread=0.8 / np.sqrt(C))
        w.draw(p + ".o.weight", C, H * D)

    w.draw("shared.weight", c["vocab_size"], C, spread=1)
    for side, layers in (("encoder", c["num_layers"]), ("decoder", c["num_decoder_layers"])):
        for l in range(layers):
            p = f"{side}.block.{l}.layer."
            attention(p + "0.SelfAttention")
            if l == 0:
                w.draw(p + "0.SelfAttention.relative_attention_bias.weight",
                       c["relative_attention_num_buckets"], H, spread=1)
            last = 1
            if side == "decoder":
                attention(p + "1.EncDecAttention")
                last = 2
            for n in range(last + 1):
                w.scale(f"{p}{n}.layer_norm.weight", C)
            for name in ("wi_0", "wi_1") if c["is_gated_act"] else ("wi",):
                w.draw(f"{p}{last}.DenseReluDense.{name}.weight", F, C)
            w.draw(f"{p}{last}.DenseReluDense.wo.weight", C, F)
        w.scale(f"{side}.final_layer_norm.weight", C)
    if not c["tie_word_embeddings"]:
        w.draw("lm_head.weight", c["vocab_size"], C)


def bucket(distance, both, count, furthest):
    """Of a key's position less the query's: near ones each for itself, far ones by their logarithm."""
    start = 0
    if both:
        count //= 2
        start = count if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = count // 2
    if distance < exact:
        return start + distance
    far = exact + int(np.log(distance / exact) / np.log(furthest / exact) * (count - exact))
    return start + min(far, count - 1)


def results(c, w, generator):
    source = generator.integers(0, c["vocab_size"], 15)
    tokens = np.concatenate([[c["decoder_start_token_id"]], generator.integers(0, c["vocab_size"], 11)])
    return {"source": source, "tokens": tokens}, {"logits": logits(c, w, tokens, source)}


def logits(c, w, tokens, source):
    H, eps = c["num_heads"], c["layer_norm_epsilon"]

    def linear(x, p):
        return x @ w[p + ".weight"].T

    def norm(x, p):
        return rms_norm(x, w[p + ".weight"], eps)

    def attention(x, memory, p, bias, causal):
        q, k, v = (heads(linear(y, f"{p}.{name}"), H)
                   for y, name in ((x, "q"), (memory, "k"), (memory, "v")))
        return linear(attend(q, k, v, 1, bias=bias, causal=causal), p + ".o")

    def feed_forward(x, p):
        if c["is_gated_act"]:
            u = gelu_tanh(linear(x, p + ".wi_0")) * linear(x, p + ".wi_1")
        else:
            u = np.maximum(linear(x, p + ".wi"), 0)
        return linear(u, p + ".wo")

    def bias(side, length):
        table = w[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        index = [[bucket(j - i, side == "encoder", c["relative_attention_num_buckets"],
                         c["relative_attention_max_distance"]) for j in range(length)]
                 for i in range(length)]
        return table[np.array(index)].transpose(2, 0, 1)

    x, b = w["shared.weight"][source], bias("encoder", len(source))
    for l in range(c["num_layers"]):
        p = f"encoder.block.{l}.layer."
        n = norm(x, p + "0.layer_norm")
        x = x + attention(n, n, p + "0.SelfAttention", b, False)
        x = x + feed_forward(norm(x, p + "1.layer_norm"), p + "1.DenseReluDense")
    memory = norm(x, "encoder.final_layer_norm")

    x, b = w["shared.weight"][tokens], bias("decoder", len(tokens))
    for l in range(c["num_decoder_layers"]):
        p = f"decoder.block.{l}.layer."
        n = norm(x, p + "0.layer_norm")
        x = x + attention(n, n, p + "0.SelfAttention", b, True)
        x = x + attention(norm(x, p + "1.layer_norm"), memory, p + "1.EncDecAttention", None, False)
        x = x + feed_forward(norm(x, p + "2.layer_norm"), p + "2.DenseReluDense")
    x = norm(x, "decoder.final_layer_norm")
    if c["tie_word_embeddings"]:
        return x * c["d_model"] ** -0.5 @ w["shared.weight"].T
    return linear(x, "lm_head")
