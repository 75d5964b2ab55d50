"""The loop of every training: batches in, weights out.

In:  parameters, an optimizer of them, batches, a loss.
Out: the parameters, trained; lines on standard output that tell how far it is.
Holds: a training that was interrupted goes on where it stopped, to the same weights. What it needs
     for that stands in a file beside the weights, which is gone when they are there.
"""

import math
import os
import sys
import time

import torch


def learning_rate(step, steps, peak, least=0.0, rise=100):
    """Up in a straight line over `rise` steps, then down along half a cosine to `least` of the
    peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * min(1.0, (step + 1) / rise) * (least + (1 - least) * cosine)


def resume(checkpoint, settings, p, optimizer):
    """The step and the processor time of an interrupted training, whose state p and optimizer get."""
    saved = torch.load(checkpoint)
    if saved["settings"] != settings:
        sys.exit(f"train.py: {checkpoint} was made with {saved['settings']}; "
                 "give the same, or --fresh to begin anew")
    with torch.no_grad():
        for name, w in p.items():
            w.copy_(saved["parameters"][name])
    optimizer.load_state_dict(saved["optimizer"])
    print(f"resuming at step {saved['step']}", flush=True)
    return saved["step"], saved["seconds"]


def fit(path, p, optimizer, batches, loss_of, rate, settings, write, fresh=False):
    """Trains p, a parameter by its name, for settings["steps"] batches.

    path: of the weights, which write(path, p) writes at the end
    batches(first): yields batches from that one on; loss_of(batch) is what one costs
    rate(step): the learning rate
    settings: all that a training's result depends on; it goes on only with the same
    """
    for w in p.values():
        w.requires_grad_()
    steps, checkpoint = settings["steps"], path + ".ckpt"
    first, spent, mean = 0, 0.0, None
    if os.path.exists(checkpoint) and not fresh:
        first, spent = resume(checkpoint, settings, p, optimizer)
    began = time.process_time() - spent
    for step, batch in zip(range(first, steps), batches(first)):
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.param_groups[0]["lr"] = rate(step)
        optimizer.step()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        done = step + 1
        if done % 100 == 0 or done == steps:
            seconds = time.process_time() - began
            print(f"step {done}/{steps}  loss {mean:.5f}  {seconds:.0f} s of processor time",
                  flush=True)
            torch.save({"settings": settings, "step": done, "seconds": seconds, "parameters": p,
                        "optimizer": optimizer.state_dict()}, checkpoint + ".part")
            os.replace(checkpoint + ".part", checkpoint)
    write(path, {name: w.detach() for name, w in p.items()})
    if os.path.exists(checkpoint):
        os.remove(checkpoint)
    print(f"wrote {os.path.relpath(path)}, {os.path.getsize(path)} bytes", flush=True)
