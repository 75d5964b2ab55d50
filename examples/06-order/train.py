#!/usr/bin/python3
"""Trains the models of order.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: sinusoidal.safetensors, learned.safetensors,
     rotary.safetensors, alibi.safetensors; with --figures their logits.
Holds: what the models compute in torch is encoder_decoder() of ../training/transformer.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import transformer, rung  # noqa: E402

# Where a byte stands takes longer to learn from what is added than from what is relative.
MODELS = {positions: transformer.encoder_decoder(transformer.Plan(positions), rate=rate, steps=steps)
          for positions, rate, steps in (("sinusoidal", 3e-3, 4000), ("learned", 3e-3, 4000),
                                         ("rotary", 2e-3, 1600), ("alibi", 2e-3, 1600))}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
