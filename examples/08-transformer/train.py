#!/usr/bin/python3
"""Trains the model of transformer.qkv in torch, and checks it there.

In:  ../dates/generate.py, by ../training. Out: transformer.safetensors; with --figures its logits.
Holds: what the model computes in torch is encoder_decoder() of ../training/transformer.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import rung, transformer  # noqa: E402

PLAN = transformer.Plan("sinusoidal", post=True)
MODELS = {"transformer": transformer.encoder_decoder(PLAN, rate=3e-3, steps=4000)}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
