#!/usr/bin/python3
"""Trains the models of set.qkv and linear.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: set.safetensors, linear.safetensors; with --figures
     their logits.
Holds: what the models compute in torch is encoder_decoder() of ../training/transformer.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import transformer, rung  # noqa: E402

MODELS = {"set": transformer.encoder_decoder(transformer.Plan(), rate=2e-3),
          "linear": transformer.encoder_decoder(transformer.Plan(linear=True), rate=2e-3)}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
