#!/usr/bin/python3
"""Trains the models of summaries.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: mean.safetensors, maximum.safetensors,
     last.safetensors; with --figures their logits.
Holds: what the models compute in torch is fixed_summary() of ../training/recurrent.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import recurrent, rung  # noqa: E402

MODELS = {kind: recurrent.model(recurrent.fixed_summary(kind), rate=4e-3)
          for kind in ("mean", "maximum", "last")}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
