#!/usr/bin/python3
"""Trains a small language model of the Llama kind, and the tokens it reads, on stories.py.

In:  stories.py. Out: a checkpoint as others publish theirs: config.json, tokenizer.json,
model.safetensors (bfloat16); with --evaluate how many questions about new stories get their answer;
with --figures what it
says of some stories, for the tests.
Holds: what the model computes is what dsl/std/models/llama.qkv says. A training that was
interrupted goes on where it stopped, to the same weights.
"""

import argparse
import json
import math
import os
import re
import sys
from collections import Counter

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import fit, tensors  # noqa: E402

import torch  # noqa: E402
import stories  # noqa: E402

V, C, F, L, H, G = 480, 96, 256, 3, 4, 2  # as in config.json
D, EPS, BASE = C // H, 1e-5, 10000.0
LENGTH = 128  # tokens of a sequence in training
END = "<|end|>"  # stands in front of every story
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": V,
          "hidden_size": C, "intermediate_size": F, "num_hidden_layers": L,
          "num_attention_heads": H, "num_key_value_heads": G, "max_position_embeddings": 2048,
          "rms_norm_eps": EPS, "rope_theta": BASE, "hidden_act": "silu",
          "tie_word_embeddings": True, "torch_dtype": "bfloat16", "bos_token_id": V - 1,
          "eos_token_id": V - 1}


# ---- Tokens -------------------------------------------------------------------------------

WORDS = re.compile(r" ?[A-Za-z]+| ?[^ A-Za-z\n]+|\s")


def letters():
    """A printable letter for every byte, as in GPT-2's tokens."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain},
            **{byte: chr(256 + n) for n, byte in enumerate(rest)}}


def train_tokens(texts, count):
    """Byte pair encoding (Sennrich et al. 2016): the most frequent pair becomes a token, again and
    again. Returns the vocabulary and the merges in order; equal counts go by the pair's text."""
    letter = letters()
    words = Counter(word for text in texts for word in WORDS.findall(text))
    split = {word: [letter[byte] for byte in word.encode()] for word in words}
    vocabulary, merges = [letter[byte] for byte in range(256)], []
    while len(vocabulary) < count:
        pairs = Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        vocabulary.append("".join(best))
        for word, parts in split.items():
            split[word] = merged(parts, best)
    return {token: n for n, token in enumerate(vocabulary)}, merges


def merged(parts, pair):
    out = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def write_tokenizer(path, vocabulary, merges):
    end = {"id": V - 1, "content": END, "single_word": False, "lstrip": False, "rstrip": False,
           "normalized": False, "special": True}
    pre = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": WORDS.pattern}, "behavior": "Isolated",
         "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    front = {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": END, "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                      {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {END: {"id": END, "ids": [V - 1], "tokens": [END]}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [end],
             "normalizer": None, "pre_tokenizer": pre, "post_processor": front,
             "decoder": byte_level,
             "model": {"type": "BPE", "dropout": None, "unk_token": None,
                       "continuing_subword_prefix": None, "end_of_word_suffix": None,
                       "fuse_unk": False, "byte_fallback": False,
                       "vocab": {**vocabulary, END: V - 1},
                       "merges": [f"{a} {b}" for a, b in merges]}}
    write_text(path, json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


class Tokens:
    """Numbers of a text's tokens, by a tokenizer.json that write_tokenizer wrote."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            model = json.load(file)["model"]
        self.numbers = model["vocab"]
        self.rank = {tuple(pair.split(" ")): n for n, pair in enumerate(model["merges"])}
        self.letter, self.known = letters(), {}
        self.texts = {n: token for token, n in self.numbers.items()}
        self.byte = {letter: byte for byte, letter in self.letter.items()}

    def word(self, word):
        if word not in self.known:
            parts = [self.letter[byte] for byte in word.encode()]
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda pair: self.rank.get(pair, math.inf))
                if best not in self.rank:
                    break
                parts = merged(parts, best)
            self.known[word] = [self.numbers[part] for part in parts]
        return self.known[word]

    def encode(self, text):
        return [token for word in WORDS.findall(text) for token in self.word(word)]

    def decode(self, tokens):
        text = "".join(self.texts[token] for token in tokens if token != V - 1)
        return bytes(self.byte[letter] for letter in text).decode()


# ---- The model ----------------------------------------------------------------------------


def shapes():
    out = {"model.embed_tokens.weight": (V, C), "model.norm.weight": (C,)}
    for n in range(L):
        layer = f"model.layers.{n}."
        out |= {layer + "input_layernorm.weight": (C,),
                layer + "post_attention_layernorm.weight": (C,),
                layer + "self_attn.q_proj.weight": (C, C),
                layer + "self_attn.k_proj.weight": (G * D, C),
                layer + "self_attn.v_proj.weight": (G * D, C),
                layer + "self_attn.o_proj.weight": (C, C),
                layer + "mlp.gate_proj.weight": (F, C), layer + "mlp.up_proj.weight": (F, C),
                layer + "mlp.down_proj.weight": (C, F)}
    return out


def new_parameters(seed):
    torch.manual_seed(seed)
    p = {}
    for name, shape in shapes().items():
        if len(shape) == 1:
            p[name] = torch.ones(shape)
        else:
            std = 0.02 if "embed" in name else 1 / math.sqrt(shape[1])
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                std /= math.sqrt(2 * L)
            p[name] = torch.randn(shape) * std
    return p


def rms_norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight


def rotary(x):
    """Pairs n and n + D/2 of x[B,H,T,D] turned by t / BASE^(2n/D)."""
    n = torch.arange(D // 2, dtype=torch.float64)
    angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] / BASE ** (2 * n / D)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :D // 2], x[..., D // 2:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def logits_of(p, tokens):
    """tokens[B,T] to logits[B,T,V]."""
    B, T = tokens.shape
    x = p["model.embed_tokens.weight"][tokens]
    ahead = torch.full((T, T), -math.inf, dtype=x.dtype).triu(1)
    for layer in range(L):
        def w(name):
            return p[f"model.layers.{layer}.{name}.weight"]
        n = rms_norm(x, w("input_layernorm"))
        q = rotary((n @ w("self_attn.q_proj").t()).view(B, T, H, D).transpose(1, 2))
        k = rotary((n @ w("self_attn.k_proj").t()).view(B, T, G, D).transpose(1, 2))
        v = (n @ w("self_attn.v_proj").t()).view(B, T, G, D).transpose(1, 2)
        k, v = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
        scores = q @ k.transpose(2, 3) / math.sqrt(D) + ahead
        a = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, T, C)
        x = x + a @ w("self_attn.o_proj").t()
        n = rms_norm(x, w("post_attention_layernorm"))
        gate = torch.nn.functional.silu(n @ w("mlp.gate_proj").t())
        x = x + (gate * (n @ w("mlp.up_proj").t())) @ w("mlp.down_proj").t()
    return rms_norm(x, p["model.norm.weight"]) @ p["model.embed_tokens.weight"].t()


# ---- Training -----------------------------------------------------------------------------


def batches(tokens, seed, first, size):
    """[size,LENGTH+1] without end, from batch `first` on: stories behind one another, as many as
    there is room for."""
    source, n, row = stories.stories(seed), 0, []
    rows = []
    for one in source:
        row += [V - 1] + tokens.encode(stories.line(one))
        if len(row) > LENGTH:
            rows.append(row[:LENGTH + 1])
            row = []
        if len(rows) == size:
            if n >= first:
                yield torch.tensor(rows)
            n, rows = n + 1, []


def loss_of(p, rows, tokens):
    """Answers count six times as much as the rest of a story, most of which nobody could know."""
    logits, wanted = logits_of(p, rows[:, :-1]), rows[:, 1:]
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(),
                                             reduction="none").view(wanted.shape)
    question, stop = (tokens.encode("a" + mark)[-1] for mark in "?.")
    asks, stops = rows[:, :-1] == question, (rows[:, :-1] == stop).cumsum(1)
    before = torch.where(asks, stops, torch.zeros_like(stops)).cummax(1).values
    answer = ((asks.cumsum(1) > 0) & (stops == before)).float()
    weight = 0.2 + answer
    return (each * weight).sum() / weight.sum()


def train(tokens, path, options):
    settings = {"seed": options.seed, "steps": options.steps, "batch": options.batch,
                "rate": options.rate}
    p = new_parameters(options.seed)
    fit.fit(path, p, torch.optim.AdamW(p.values(), betas=(0.9, 0.95), weight_decay=0.05),
            lambda first: batches(tokens, options.seed, first, options.batch),
            lambda rows: loss_of(p, rows, tokens),
            lambda step: fit.learning_rate(step, options.steps, options.rate, least=0.05), settings,
            lambda path, p: tensors.write(path, {name: bits(w) for name, w in p.items()}),
            options.fresh)


def bits(w):
    """The bits of w as bfloat16, for tensors.write."""
    return w.to(torch.bfloat16).view(torch.int16).numpy().view("uint16")


def write_text(path, text):
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)


# ---- What came of it ----------------------------------------------------------------------


def read_weights(path):
    return {name: torch.from_numpy(w.view("int16")).view(torch.bfloat16).float()
            for name, w in tensors.read(path).items()}


def evaluate(p, tokens, options):
    """How many questions about stories of another seed get exactly their answer."""
    right = total = 0
    for _, (text, asked) in zip(range(options.count), stories.stories(options.seed + 1)):
        for question, answer in asked:
            row = [V - 1] + tokens.encode(f"{text} {question}")
            wanted = tokens.encode(" " + answer)
            with torch.no_grad():
                guess = logits_of(p, torch.tensor([row + wanted]))[0, len(row) - 1:-1].argmax(-1)
            right += guess.tolist() == wanted
            total += 1
    print(f"{right} of {total} questions about {options.count} stories: {100 * right / total:.1f} %")


def answer(p, row, count):
    """The likeliest tokens behind others, one after the other, in float64."""
    out = []
    for _ in range(count):
        with torch.no_grad():
            token = logits_of(p, torch.tensor([row + out]))[0, -1].argmax().item()
        if token == V - 1:
            break
        out.append(token)
    return out


def figures(p, tokens, folder, options):
    """Of stories of another seed: tokens and logits of one, and what is said behind ten of them."""
    os.makedirs(folder, exist_ok=True)
    p = {name: w.double() for name, w in p.items()}
    source = stories.stories(options.seed + 1)
    row = [V - 1] + tokens.encode(stories.line(next(source)))
    with torch.no_grad():
        logits = logits_of(p, torch.tensor([row]))[0]
    tensors.write(os.path.join(folder, "tokens.safetensors"), {"tokens": torch.tensor(row).numpy()})
    tensors.write(os.path.join(folder, "logits.safetensors"), {"logits": logits.float().numpy()})
    said = []
    for _, (text, asked) in zip(range(10), source):
        prompt = f"{text} {asked[0][0]}"
        row = [V - 1] + tokens.encode(prompt)
        said.append({"prompt": prompt, "tokens": row, "answer": tokens.decode(answer(p, row, 24))})
    write_text(os.path.join(folder, "answers.json"), json.dumps(said, indent=1) + "\n")
    print(f"wrote {os.path.relpath(folder)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--count", type=int, default=300, help="stories to measure with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted training")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path, words = os.path.join(FOLDER, "model.safetensors"), os.path.join(FOLDER, "tokenizer.json")
    if options.evaluate or options.figures:
        p, tokens = read_weights(path), Tokens(words)
        if options.evaluate:
            evaluate(p, tokens, options)
        if options.figures:
            figures(p, tokens, os.path.join(FOLDER, "figures"), options)
        return
    texts = [stories.line(one) for _, one in zip(range(2000), stories.stories(options.seed))]
    write_tokenizer(words, *train_tokens(texts, V - 1))
    write_text(os.path.join(FOLDER, "config.json"), json.dumps(CONFIG, indent=2) + "\n")
    train(Tokens(words), path, options)


if __name__ == "__main__":
    main()
