#!/usr/bin/python3
"""Vocabularies for small checkpoints of tests/models, and the text that their models answer with.

In: nothing. Out: tokenizer.json and generation_config.json in checkpoints/NAME of tests/models, and
figures.json here: prompts, their tokens, and what the implementations of tests/models/reference write
behind them, the likeliest token each time, in double precision. Needs numpy. The tokenizer here is
written for these vocabularies alone, and shares nothing with what is tested."""

import importlib
import json
import os
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(os.path.dirname(HERE), "models")
sys.path.insert(0, os.path.join(MODELS, "reference"))
sys.dont_write_bytecode = True

import numpy as np  # noqa: E402
from parts import Weights  # noqa: E402

SPACE = "\u2581"
SPECIAL = ["<unk>", "<s>", "</s>", "<mark>"]
MERGES = [(SPACE, "t"), ("h", "e"), (SPACE + "t", "he"), ("a", "n"), (SPACE, "a"), ("i", "n"), ("e", "r"), ("o", "n"),
          (SPACE, "s"), ("n", "d"), ("r", "e"), (SPACE, "w"), ("e", "s"), ("o", "r"), ("o", "u"), (SPACE + "a", "nd"),
          ("i", "t"), (SPACE, "o"), ("e", "d"), ("in", "g")]
TEXTS = SPECIAL + [SPACE] + [chr(97 + i) for i in range(26)] + list(".,!?") + [a + b for a, b in MERGES]
PROMPTS = ["the end", "a song and a stone", "", "words of two!", "on  and on", "Xylophone 7"]
# The checkpoint, its family, what stands before and behind a text.
CASES = [("gpt2", "gpt2", [], []), ("llama-3", "llama", [1], []), ("mamba", "mamba", [1], []), ("t5-gated", "t5", [], [2])]


def encode(text):
    """Pairs merged in the order in which they were learned; characters that are not there are <unk>."""
    if not text:
        return []
    parts = list(SPACE + text.replace(" ", SPACE))
    for pair in MERGES:
        i = 0
        while i + 1 < len(parts):
            if (parts[i], parts[i + 1]) == pair:
                parts[i:i + 2] = [pair[0] + pair[1]]
            i += 1
    tokens = [TEXTS.index(part) if part in TEXTS else 0 for part in parts]
    return [t for i, t in enumerate(tokens) if t or i == 0 or tokens[i - 1]]  # unknown ones in a row are one


def decode(tokens):
    text = "".join(TEXTS[t] for t in tokens if TEXTS[t] not in SPECIAL).replace(SPACE, " ")
    return text[1:] if text.startswith(" ") else text


def tokenizer(before, behind):
    def special(tokens):
        return [{"SpecialToken": {"id": TEXTS[t], "type_id": 0}} for t in tokens]
    around = {"type": "TemplateProcessing", "single": special(before) + [{"Sequence": {"id": "A", "type_id": 0}}] + special(behind),
              "pair": [], "special_tokens": {TEXTS[t]: {"id": TEXTS[t], "ids": [t], "tokens": [TEXTS[t]]} for t in before + behind}}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    decoders = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True} for i, text in enumerate(SPECIAL)],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]},
            "pre_tokenizer": None, "post_processor": around if before or behind else None,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": False,
                      "vocab": {text: i for i, text in enumerate(TEXTS)}, "merges": [list(pair) for pair in MERGES]}}


def write(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def greedy(logits, tokens, endings, count):
    """The likeliest tokens that the vocabulary has, up to one that ends the text."""
    tokens, made = list(tokens), []
    while len(made) < count:
        token = int(np.argmax(logits(np.array(tokens))[-1][:len(TEXTS)]))
        if token in endings:
            break
        tokens.append(token)
        made.append(token)
    return made


def main():
    figures = {}
    for name, family, before, behind in CASES:
        module = importlib.import_module(family)
        c = module.CHECKPOINTS[name]
        w = Weights(zlib.crc32(name.encode()))
        module.weights(c, w)
        folder = os.path.join(MODELS, "checkpoints", name)
        write(os.path.join(folder, "tokenizer.json"), tokenizer(before, behind))
        cases, endings = [], [2]
        for prompt in PROMPTS:
            tokens = encode(prompt)
            if family == "t5":
                begin, source = [c["decoder_start_token_id"]], np.array(tokens + behind)
                if not tokens:
                    continue
                run = lambda all: module.logits(c, w, all, source)  # noqa: E731
            else:
                begin = before + tokens
                if not begin:
                    continue
                run = lambda all: module.logits(c, w, all)  # noqa: E731
            made = greedy(run, begin, endings, 12)
            if not cases and made[3] not in made[:3]:
                endings.append(made[3])  # so that the first one ends early
                made = made[:3]
            cases.append({"prompt": prompt, "tokens": made,
                          "text": decode(begin + made)[len(decode(begin)):]})
        write(os.path.join(folder, "generation_config.json"), {"eos_token_id": endings})
        figures[name] = cases
        print(name, [case["text"] for case in cases])
    write(os.path.join(HERE, "figures.json"), figures)


if __name__ == "__main__":
    main()
