#!/usr/bin/python3
"""Small random checkpoints of the models of dsl/std/models, and what the models make of them.

In: nothing, or the names of some families (files of reference/). Out: checkpoints/NAME with config.json
and model.safetensors as a real checkpoint has them; figures/NAME.safetensors with inputs and results
(`expected.logits`), computed in double precision by the implementations of reference/, which were
written from the papers. Needs numpy. Each family has

    CHECKPOINTS   configurations by the checkpoint's name
    weights(c, w) draws the tensors of configuration c into w
    logits(c, w, tokens), or results(c, w, generator) -> inputs and results by name
"""

import importlib
import json
import os
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "reference"))
sys.dont_write_bytecode = True

import numpy as np
from parts import Weights, save

LENGTH = 14


def figures(family, c, w, generator):
    if hasattr(family, "results"):
        return family.results(c, w, generator)
    tokens = generator.integers(0, c["vocab_size"], LENGTH)
    return {"tokens": tokens}, {"logits": family.logits(c, w, tokens)}


def make(family, name, c):
    seed = zlib.crc32(name.encode())
    w = Weights(seed)
    family.weights(c, w)
    inputs, results = figures(family, c, w, np.random.default_rng(seed + 1))
    folder = os.path.join(HERE, "checkpoints", name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(c, file, indent=1)
        file.write("\n")
    path = os.path.join(folder, "model.safetensors")
    save(path, [(key, "BF16", value) for key, value in w.items()])
    os.makedirs(os.path.join(HERE, "figures"), exist_ok=True)
    save(os.path.join(HERE, "figures", name + ".safetensors"),
         [(key, "I64", value) for key, value in inputs.items()] +
         [("expected." + key, "F32", value) for key, value in results.items()])
    size = os.path.getsize(path)
    largest = max(np.abs(value).max() for value in results.values())
    print(f"{name}: {size} bytes, results up to {largest:.3g}")


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(
        file[:-3] for file in os.listdir(os.path.join(HERE, "reference")) if file != "parts.py")
    for family in map(importlib.import_module, names):
        for name, configuration in family.CHECKPOINTS.items():
            make(family, name, configuration)
