#!/usr/bin/python3
"""Trains the models of lstm.qkv and gru.qkv in torch, and checks them there.

In:  ../dates/generate.py, by ../training. Out: lstm.safetensors, gru.safetensors; with --figures
     their logits.
Holds: what the models compute in torch is one_vector() of ../training/recurrent.py.
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, ".."))
from training import recurrent, rung  # noqa: E402

MODELS = {cell: recurrent.model(recurrent.one_vector(cell, 96), cell, rate=4e-3)
          for cell in ("lstm", "gru")}

if __name__ == "__main__":
    rung.main(FOLDER, MODELS)
