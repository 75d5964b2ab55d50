"""BERT (Devlin et al. 2018), its states pooled and normalised as Reimers and Gurevych 2019 do."""

from parts import *

CHECKPOINTS = {"bert": {
    "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 61, "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 32, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "hidden_act": "gelu"}}

LINEAR = ("attention.self.query", "attention.self.key", "attention.self.value",
          "attention.output.dense", "intermediate.dense", "output.dense")


def weights(c, w):
    C, F = c["hidden_size"], c["intermediate_size"]

    def norm(name):
        w.scale(name + ".weight", C)
        w.shift(name + ".bias", C)

    for name, rows in (("word", c["vocab_size"]), ("position", c["max_position_embeddings"]),
                       ("token_type", c["type_vocab_size"])):
        w.draw(f"embeddings.{name}_embeddings.weight", rows, C, spread=0.5)
    norm("embeddings.LayerNorm")
    for l in range(c["num_hidden_layers"]):
        p = f"encoder.layer.{l}."
        for name in LINEAR:
            rows = F if name == "intermediate.dense" else C
            w.draw(p + name + ".weight", rows, F if name == "output.dense" else C)
            w.shift(p + name + ".bias", rows)
        norm(p + "attention.output.LayerNorm")
        norm(p + "output.LayerNorm")


def results(c, w, generator):
    H, D = c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
    tokens = generator.integers(0, c["vocab_size"], 11)

    def linear(x, p):
        return x @ w[p + ".weight"].T + w[p + ".bias"]

    def norm(x, p):
        return layer_norm(x, w[p + ".LayerNorm.weight"], w[p + ".LayerNorm.bias"], c["layer_norm_eps"])

    x = norm(w["embeddings.word_embeddings.weight"][tokens] +
             w["embeddings.position_embeddings.weight"][:len(tokens)] +
             w["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for l in range(c["num_hidden_layers"]):
        p = f"encoder.layer.{l}."
        q, k, v = (heads(linear(x, f"{p}attention.self.{name}"), H) for name in ("query", "key", "value"))
        a = attend(q, k, v, D ** -0.5, causal=False)
        x = norm(x + linear(a, p + "attention.output.dense"), p + "attention.output")
        x = norm(x + linear(gelu(linear(x, p + "intermediate.dense")), p + "output.dense"), p + "output")
    mean = x.mean(0)
    return {"tokens": tokens}, {"hidden": x, "embedding": mean / np.sqrt((mean ** 2).sum())}
