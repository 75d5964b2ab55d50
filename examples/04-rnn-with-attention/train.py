#!/usr/bin/python3
"""Trains the models of dates.qkv and alignments.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: dates.safetensors (the additive alignment),
     dot.safetensors, bilinear.safetensors, projected.safetensors; with --figures their logits.
Holds: what the models compute in torch is with_attention() of ../training/recurrent.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import recurrent, rung  # noqa: E402

MODELS = {name: recurrent.model(recurrent.with_attention(name), rate=4e-3)
          for name in ("dates", "dot", "bilinear", "projected")}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
