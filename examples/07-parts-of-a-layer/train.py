#!/usr/bin/python3
"""Trains the models of parts.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: for each model of MODELS its weights; with --figures
     their logits.
Holds: what the models compute in torch is encoder_decoder() of ../training/transformer.py. Each
     has one part more than the one before; the last has all but the mask of the decoder.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import rung, transformer  # noqa: E402

BARE = dict(positions="sinusoidal", heads=1, scaled=False, residual=False, norm=False,
            feed_forward=False)
PARTS = {"bare": {}, "scaled": {"scaled": True}, "heads": {"heads": 4},
         "residual": {"residual": True}, "norms": {"norm": True},
         "feed_forward": {"feed_forward": True}, "unmasked": {"causal": False}}

MODELS, plan = {}, dict(BARE)
for name, part in PARTS.items():
    plan.update(part)
    MODELS[name] = transformer.encoder_decoder(transformer.Plan(**plan), rate=2e-3)

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
