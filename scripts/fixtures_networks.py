#!/usr/bin/env python3
"""Writes tests/fixtures/networks.json: one training step of the reference networks in PyTorch (bench/peers/torch_networks.py)
at a small size: the loss, and of every layer the length of its gradients and a few of their values. Parameters and pictures
are not in the file: both sides draw them by `drawn`. Rules as in make_fixtures.py, whose helpers it uses:

    /tmp/torch/bin/python scripts/fixtures_networks.py            # or --check
"""
import math
import pathlib
import sys

import make_fixtures
import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench" / "peers"))
from torch_networks import NETWORKS  # noqa: E402


def hashed(stream, count):
    """32 random bits for each position of a stream (the mixing steps of Chris Wellons' lowbias32)."""
    x = (numpy.arange(count, dtype=numpy.uint64) + stream * 0x9E3779B1) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> numpy.uint64(shift))) * numpy.uint64(factor)) & numpy.uint64(0xFFFFFFFF)
    return x ^ (x >> numpy.uint64(16))


def drawn(stream, count, middle, radius):
    """Float32 values in [middle - radius, middle + radius)."""
    unit = (hashed(stream, count) >> numpy.uint64(8)).astype(numpy.float64) / (1 << 23) - 1
    return torch.from_numpy((middle + radius * unit).astype(numpy.float32).astype(numpy.float64))


def image(stream, *extents):
    """Bytes N, H, W, C as N, C, H, W in 0 to 1."""
    byte = torch.from_numpy((hashed(stream, math.prod(extents)) & numpy.uint64(255)).astype(numpy.float64))
    return (byte / 255).reshape(extents).permute(0, 3, 1, 2).contiguous()


def ohwi(weight):
    """The order of a data source."""
    return (weight.permute(0, 2, 3, 1) if weight.dim() == 4 else weight).reshape(-1)


def fill(parameter, stream, middle, radius):
    values = drawn(stream, parameter.numel(), middle, radius)
    if parameter.dim() == 4:
        o, i, h, w = parameter.shape
        values = values.reshape(o, h, w, i).permute(0, 3, 1, 2)
    parameter.data = values.reshape(parameter.shape).contiguous()


def described(gradient):
    flat = ohwi(gradient).double()
    positions = [int(flat.numel() * share) for share in (0, 0.3, 0.62, 0.99)]
    return {"length": flat.norm().item(), "largest": flat.abs().max().item(), "positions": positions,
            "values": [flat[p].item() for p in positions]}


def step(name, size, batch):
    network = NETWORKS[name]().double().train()
    layers = [m for m in network.modules() if hasattr(m, "weight") and m.weight is not None]
    for index, layer in enumerate(layers):
        # Streams 10 and 11 of the first layer, 12 and 13 of the second...
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            fill(layer.weight, 10 + 2 * index, 0.0, math.sqrt(3 / layer.weight[0].numel()))
        else:
            fill(layer.weight, 10 + 2 * index, 1.0, 0.25)
        if layer.bias is not None:
            fill(layer.bias, 11 + 2 * index, 0.0, 0.125)
    pictures = image(1, batch, size, size, 3)
    result = network(pictures)
    if result.dim() == 2:
        wanted = torch.arange(batch) % result.shape[1]
    else:
        n, c, h, w = result.shape
        wanted = image(2, n, h, w, c)
    loss = network.target.loss(result, wanted)
    loss.backward()
    return {"network": name, "size": size, "batch": batch, "loss": loss.item(),
            "layers": [{"weights": described(layer.weight.grad),
                        "biases": described(layer.bias.grad) if layer.bias is not None else None} for layer in layers]}


def networks(_):
    return {"cases": [step("resnet18", 16, 4), step("resnet50", 32, 4), step("style", 32, 2), step("yolo", 64, 4)]}


NOTES = ["parameters and pictures follow from hashed(stream, position), see the script: pictures stream 1, target images 2, weights of layer k 10 + 2k, "
         "biases 11 + 2k; class of sample i: i mod the number of classes",
         "layers: convolutions, fully connected layers and normalisations in their order; gradients in the order of the data source (O, H, W, I)",
         "length: the root of the sum of squares of a gradient; largest: of its magnitudes; values: at the positions"]

if __name__ == "__main__":
    make_fixtures.FAMILIES = {"networks": (networks, NOTES)}
    make_fixtures.__doc__ = __doc__
    document = make_fixtures.document
    make_fixtures.document = lambda *a: document(*a).replace("scripts/make_fixtures.py", "scripts/fixtures_networks.py")
    sys.exit(make_fixtures.main())
