#!/usr/bin/python3
"""Trains the model of language.qkv in torch, and checks it there.

In:  ../dates/generate.py, by ../training. Out: language.safetensors; with --figures its logits.
Holds: what the model computes in torch is decoder_only() of ../training/transformer.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import transformer, rung  # noqa: E402

PLAN = transformer.Plan("rotary", encoder=0, decoder=4)
MODELS = {"language": transformer.decoder_only(PLAN, rate=3e-3, steps=4000)}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
