#!/usr/bin/env python3
"""Writes tests/fixtures/*.json: small inputs with the values and gradients that PyTorch computes for them.

The tests read the JSON files alone; PyTorch is needed only to make them again:

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch
    /tmp/torch/bin/python scripts/make_fixtures.py              # writes every file anew
    /tmp/torch/bin/python scripts/make_fixtures.py --check      # recomputes, compares, writes nothing
    /tmp/torch/bin/python scripts/make_fixtures.py convolution loss    # only these families

How the values are made
- Everything is computed in float64 on the CPU. Gradients come from autograd.
- Inputs and parameters are drawn with a fixed seed (Python's random.random, whose sequence is promised to stay) and are
  exact in float32, so a float32 test starts from the same numbers. Most are small multiples of a power of two: sums of
  products of these are exact in float32 as well, so convolution and fully connected may be compared without tolerance.
- Points where a function has a kink, and equal maxima in a pooling window, are kept out: frameworks differ there.

Layout of a file: {"header": {...}, "cases": [{...}]}. A tensor is {"shape": [...], "data": [...]}, data flat, last index
fastest. Images are N, H, W, C; convolution weights O, H, W, I (I = input channels of one group). Numbers are the shortest decimals
that read back to the same double (at most 17 significant digits). tests/fixtures/README.md lists the fields.
"""
import argparse
import datetime
import json
import math
import pathlib
import random
import struct
import sys
import zlib

import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
LAYOUT = ("tensors are {shape, data}, last index fastest; images N,H,W,C; weights O,H,W,I; "
          "lists without shape run over channels, images or steps as the field says")
torch.set_default_dtype(torch.float64)


# ---------------------------------------------------------------------------------------------------------- helpers

def f32(value):
    """The double nearest to value that float32 holds exactly."""
    return struct.unpack("f", struct.pack("f", value))[0]


class Draw:
    """Seeded inputs, exact in float32."""

    def __init__(self, family, seed):
        self.random = random.Random(seed * 1000003 + zlib.crc32(family.encode()))

    def grid(self, *shape, low=-2.0, high=2.0, step=0.25):
        """Multiples of step in [low, high]."""
        first, count = math.ceil(low / step), math.floor(high / step) - math.ceil(low / step) + 1
        values = [(first + int(self.random.random() * count)) * step for _ in range(math.prod(shape))]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)

    def odd(self, *shape, limit=4.0, denominator=16):
        """Odd multiples of 1/denominator within (-limit, limit): never 0, never an integer, never a half."""
        half = int(limit * denominator) // 2
        values = [(2 * int(self.random.random() * 2 * half) - 2 * half + 1) / denominator
                  for _ in range(math.prod(shape))]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)

    def distinct(self, *shape, step=0.25, shift=0):
        """Values that are all different and none of them 0: no window has two equal maxima."""
        count = math.prod(shape)
        values = [(i - count // 2 + shift) * step + step / 2 for i in range(count)]
        for i in range(count - 1, 0, -1):      # Fisher-Yates on random.random, whose sequence is stable
            j = int(self.random.random() * (i + 1))
            values[i], values[j] = values[j], values[i]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def leaf(x):
    return x.clone().requires_grad_(True)


def number(value):
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise ValueError("fixtures hold finite numbers only")
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def text(value, indent=""):
    """JSON with one line a field; numbers as number() prints them."""
    inner = indent + " "
    if isinstance(value, torch.Tensor):
        flat = value.detach().contiguous().flatten().tolist()
        return f'{{"shape":{json.dumps(list(value.shape))},"data":[{",".join(number(float(v)) for v in flat)}]}}'
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, (list, tuple)):
        if all(isinstance(v, (int, float)) for v in value):
            return "[" + ",".join(number(v) for v in value) + "]"
        return "[\n" + ",\n".join(inner + text(v, inner) for v in value) + "\n" + indent + "]"
    return "{\n" + ",\n".join(f"{inner}{json.dumps(k)}: {text(v, inner)}" for k, v in value.items()) + "\n" + indent + "}"


# ------------------------------------------------------------------------------------------------------ convolution

def convolution_case(draw, name, *, size, channels, kernel, stride=(1, 1), dilation=(1, 1), groups=1,
                     pad=(0, 0, 0, 0), neuron=None, batch=2, depthwise=False):
    """size, kernel, stride and dilation are (x, y); pad is (left, right, top, bottom)."""
    (width, height), (inputs, outputs), (kw, kh) = size, channels, kernel
    x = leaf(draw.grid(batch, height, width, inputs, step=0.5))
    w = leaf(draw.grid(outputs, kh, kw, inputs // groups, low=-1, high=1))
    b = leaf(draw.grid(outputs))
    y = F.conv2d(F.pad(nchw(x), pad), w.permute(0, 3, 1, 2), b, (stride[1], stride[0]), 0,
                 (dilation[1], dilation[0]), groups)
    wide, high = (kw - 1) * dilation[0] + 1, (kh - 1) * dilation[1] + 1
    case = {
        "name": name, "kernelWidth": kw, "kernelHeight": kh, "inputFeatureChannels": inputs,
        "outputFeatureChannels": outputs, "strideX": stride[0], "strideY": stride[1], "dilationX": dilation[0],
        "dilationY": dilation[1], "groups": groups, "depthwise": depthwise,
        "padLeft": pad[0], "padRight": pad[1], "padTop": pad[2], "padBottom": pad[3],
        "offsetX": wide // 2 - pad[0], "offsetY": high // 2 - pad[2],
        "outputWidth": y.shape[3], "outputHeight": y.shape[2]}
    if neuron:
        case |= {"neuron": neuron[0], "x": x, "w": w, "b": b, "y": nhwc(neuron[1](y))}
        return case
    g = draw.grid(*nhwc(y).shape, step=0.5)
    dx, dw, db = torch.autograd.grad(nhwc(y), (x, w, b), g)
    assert all(torch.equal(t, t.float().double()) for t in (y, dx, dw, db)), "meant to be exact in float32"
    return case | {"x": x, "w": w, "b": b, "y": nhwc(y), "g": g, "dx": dx, "dw": dw, "db": db}


def convolution(draw):
    case = lambda *a, **k: convolution_case(draw, *a, **k)
    return {
        "cases": [
            case("3x3, same size", size=(6, 7), channels=(3, 2), kernel=(3, 3), pad=(1, 1, 1, 1)),
            case("1x1", size=(3, 4), channels=(5, 3), kernel=(1, 1)),
            case("stride 2, uneven padding", size=(6, 7), channels=(2, 3), kernel=(3, 3), stride=(2, 2), pad=(0, 1, 1, 1)),
            case("stride 3 by 2, columns left over", size=(8, 7), channels=(2, 3), kernel=(2, 3), stride=(3, 2)),
            case("stride 2 with a window of 1: pixels skipped", size=(6, 7), channels=(2, 2), kernel=(1, 1), stride=(2, 2)),
            case("dilation 2", size=(6, 7), channels=(2, 3), kernel=(3, 3), dilation=(2, 2), pad=(2, 2, 2, 2)),
            case("dilation 1 by 3, stride 2 by 1", size=(7, 8), channels=(2, 2), kernel=(3, 2), dilation=(1, 3),
                 stride=(2, 1), pad=(1, 0, 2, 1)),
            case("two groups of four channels", size=(4, 5), channels=(8, 8), kernel=(3, 3), groups=2, pad=(1, 1, 1, 1)),
            case("depthwise", size=(6, 5), channels=(4, 4), kernel=(3, 3), groups=4, pad=(1, 1, 1, 1), depthwise=True),
            case("depthwise, stride 2, even window", size=(6, 5), channels=(3, 3), kernel=(4, 2), groups=3, stride=(2, 2),
                 pad=(1, 1, 1, 0), depthwise=True),
            case("5x3, uneven padding", size=(6, 7), channels=(2, 2), kernel=(5, 3), pad=(3, 1, 0, 2)),
            case("even window 2x4", size=(6, 7), channels=(3, 2), kernel=(2, 4), pad=(1, 0, 2, 1)),
        ],
        "fusedNeuronCases": [
            case("fused ReLU, slope 0.125", size=(4, 4), channels=(2, 3), kernel=(3, 3), pad=(1, 1, 1, 1),
                 neuron=({"type": "ReLU", "a": 0.125, "b": 0.0, "c": 0.0}, lambda v: torch.where(v >= 0, v, 0.125 * v))),
            case("fused TanH", size=(4, 4), channels=(2, 3), kernel=(2, 2), stride=(2, 2),
                 neuron=({"type": "TanH", "a": 1.75, "b": 0.625, "c": 0.0}, lambda v: 1.75 * torch.tanh(0.625 * v))),
        ]}


def fully_connected(draw):
    cases = []
    for name, batch, width, height, inputs, outputs in (("whole image", 2, 3, 2, 4, 5), ("one pixel", 3, 1, 1, 6, 4),
                                                        ("one output", 2, 2, 4, 3, 1)):
        x = leaf(draw.grid(batch, height, width, inputs, step=0.5))
        w = leaf(draw.grid(outputs, height, width, inputs, low=-1, high=1))
        b = leaf(draw.grid(outputs))
        y = F.linear(x.flatten(1), w.flatten(1), b).reshape(batch, 1, 1, outputs)
        g = draw.grid(*y.shape, step=0.5)
        dx, dw, db = torch.autograd.grad(y, (x, w, b), g)
        cases.append({"name": name, "kernelWidth": width, "kernelHeight": height, "inputFeatureChannels": inputs,
                      "outputFeatureChannels": outputs, "x": x, "w": w, "b": b, "y": y, "g": g, "dx": dx, "dw": dw, "db": db})
    return {"cases": cases}


# ---------------------------------------------------------------------------------------------------------- pooling

def pooling_case(draw, name, kind, *, kernel, stride, pad=(0, 0), dilation=(1, 1), edge="Clamp", include_pad=None,
                 ceil=False, size=(6, 7), channels=2, shift=0):
    """kernel, stride, pad, dilation and size are (x, y)."""
    yx = lambda pair: (pair[1], pair[0])
    x = leaf(draw.distinct(2, size[1], size[0], channels, shift=shift))
    if kind == "max" and edge == "Zero":       # PyTorch pads with -infinity; here the zeros take part
        y = F.max_pool2d(F.pad(nchw(x), (pad[0], pad[0], pad[1], pad[1])), yx(kernel), yx(stride))
    elif kind == "max":
        y = F.max_pool2d(nchw(x), yx(kernel), yx(stride), yx(pad), yx(dilation), ceil)
    else:
        y = F.avg_pool2d(nchw(x), yx(kernel), yx(stride), yx(pad), ceil, include_pad)
    y = nhwc(y)
    g = draw.grid(*y.shape, step=0.5)
    dx, = torch.autograd.grad(y, x, g)
    extent = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    counted = kind == "average" and include_pad and edge == "Clamp"
    return {"name": name, "type": kind, "kernelWidth": kernel[0], "kernelHeight": kernel[1], "strideX": stride[0],
            "strideY": stride[1], "dilationX": dilation[0], "dilationY": dilation[1], "padLeft": pad[0], "padTop": pad[1],
            "edgeMode": edge, "countIncludePad": include_pad, "zeroPadSizeX": pad[0] if counted else 0,
            "zeroPadSizeY": pad[1] if counted else 0, "offsetX": extent[0] // 2 - pad[0], "offsetY": extent[1] // 2 - pad[1],
            "outputWidth": y.shape[2], "outputHeight": y.shape[1], "x": x, "y": y, "g": g, "dx": dx}


def pooling(draw):
    case = lambda *a, **k: pooling_case(draw, *a, **k)
    return {"cases": [
        case("max 2x2, stride 2", "max", kernel=(2, 2), stride=(2, 2)),
        case("max 3x3, stride 1, padding 1, all values negative", "max", kernel=(3, 3), stride=(1, 1), pad=(1, 1), size=(4, 5),
             shift=-30),
        case("max 3x2, stride 2 by 3, last window partly outside", "max", kernel=(3, 2), stride=(2, 3), pad=(1, 0), ceil=True),
        case("max 2x2, stride 3: pixels skipped", "max", kernel=(2, 2), stride=(3, 3)),
        case("max 2x3, dilation 2", "max", kernel=(2, 3), stride=(1, 2), dilation=(2, 2)),
        case("max 3x3, stride 2, zeros outside take part", "max", kernel=(3, 3), stride=(2, 2), pad=(1, 1), edge="Zero"),
        case("average 2x2, stride 2", "average", kernel=(2, 2), stride=(2, 2), include_pad=False),
        case("average 3x3, stride 2, padding not counted", "average", kernel=(3, 3), stride=(2, 2), pad=(1, 1), include_pad=False),
        case("average 3x3, stride 2, padding counted", "average", kernel=(3, 3), stride=(2, 2), pad=(1, 1), include_pad=True),
        case("average 3x3, stride 2, zeros outside", "average", kernel=(3, 3), stride=(2, 2), pad=(1, 1), include_pad=True,
             edge="Zero"),
        case("average 4x2, stride 3 by 1, padding 2 by 1 counted, last window cut", "average", kernel=(4, 2), stride=(3, 1),
             pad=(2, 1), include_pad=True, ceil=True),
        case("average 4x3, stride 3 by 2, padding not counted, last window cut", "average", kernel=(4, 3), stride=(3, 2),
             pad=(2, 1), include_pad=False, ceil=True),
    ]}


# ---------------------------------------------------------------------------------------------------------- neurons

NEURONS = {
    "None": (0, lambda x, a, b, c: x * 1),
    "ReLU": (1, lambda x, a, b, c: F.leaky_relu(x, a)),
    "Linear": (2, lambda x, a, b, c: a * x + b),
    "Sigmoid": (3, lambda x, a, b, c: torch.sigmoid(x)),
    "HardSigmoid": (4, lambda x, a, b, c: (a * x + b).clamp(0, 1)),
    "TanH": (5, lambda x, a, b, c: a * torch.tanh(b * x)),
    "Absolute": (6, lambda x, a, b, c: torch.abs(x)),
    "SoftPlus": (7, lambda x, a, b, c: a * b * F.softplus(x, beta=b, threshold=1e9)),
    "SoftSign": (8, lambda x, a, b, c: F.softsign(x)),
    "ELU": (9, lambda x, a, b, c: F.elu(x, a)),
    "ReLUN": (11, lambda x, a, b, c: F.leaky_relu(x, a).clamp(max=b)),
    "Power": (12, lambda x, a, b, c: torch.pow(a * x + b, c)),
    "Exponential": (13, lambda x, a, b, c: torch.exp(a * x + b) if c == -1 else torch.pow(c, a * x + b)),
    "Logarithm": (14, lambda x, a, b, c: torch.log(a * x + b) / (1 if c == -1 else math.log(c))),
    "GeLU": (15, lambda x, a, b, c: F.gelu(x)),
}


def neuron(draw):
    rows = [("None", 0, 0, 0), ("ReLU", 0, 0, 0), ("ReLU", 0.2, 0, 0), ("Linear", -1.5, 0.75, 0), ("Sigmoid", 0, 0, 0),
            ("HardSigmoid", 0.2, 0.5, 0), ("HardSigmoid", 0.5, 0.25, 0), ("TanH", 1, 1, 0), ("TanH", 1.75, 0.625, 0),
            ("Absolute", 0, 0, 0), ("SoftPlus", 1, 1, 0), ("SoftPlus", 1.5, 0.5, 0), ("SoftSign", 0, 0, 0), ("ELU", 1, 0, 0),
            ("ELU", 0.3, 0, 0), ("ReLUN", 0, 6, 0), ("ReLUN", 1, 1, 0), ("ReLUN", -0.5, 1, 0), ("Power", 1, 0, 2),
            ("Power", -0.5, 0.25, 3), ("Power", 0.5, 3, 1.5), ("Exponential", 0.5, 0.25, -1), ("Exponential", -0.5, 1, 2),
            ("Exponential", 1, 0, 0.5), ("Logarithm", 0.5, 3, -1), ("Logarithm", 0.5, 3, 10), ("GeLU", 0, 0, 0)]
    cases = []

    def add(kind, value, a, b, c, x, function, **more):
        x = leaf(x)
        y = function(x)
        g = draw.odd(*x.shape, limit=2, denominator=8)
        slope, = torch.autograd.grad(y.sum(), x, retain_graph=True)
        dx, = torch.autograd.grad(y, x, g)
        label = f"{kind} a={a:.6g} b={b:.6g} c={c:.6g}"
        cases.append({"name": label, "type": kind, "value": value, "a": a, "b": b, "c": c, **more, "x": x, "y": y,
                      "derivative": slope, "g": g, "dx": dx})

    for kind, a, b, c in rows:
        value, function = NEURONS[kind]
        a, b, c = f32(a), f32(b), f32(c)
        limit = 16 if kind == "ReLUN" and b == 6 else 4
        add(kind, value, a, b, c, draw.odd(1, 2, 2, 4, limit=limit), lambda x: function(x, a, b, c))
    slopes = [f32(v) for v in (0.25, -0.5, 0.0, 0.1)]
    add("PReLU", 10, 0.0, 0.0, 0.0, draw.odd(1, 2, 2, 4), lambda x: nhwc(F.prelu(nchw(x), torch.tensor(slopes))), slopes=slopes)
    for kind in ("Sigmoid", "SoftPlus", "TanH"):   # far out: a naive formula overflows in float32 beyond 88
        add(kind, NEURONS[kind][0], 1.0, 1.0, 0.0, torch.tensor([-200.0, -40.5, 40.5, 200.0]).reshape(1, 1, 1, 4),
            lambda x: NEURONS[kind][1](x, 1.0, 1.0, 0.0))
    return {"cases": cases}


# ----------------------------------------------------------------------------------- softmax and batch normalisation

def softmax(draw):
    cases = []
    for kind, function in (("SoftMax", F.softmax), ("LogSoftMax", F.log_softmax)):
        for name, shape, step in (("2x3 pixels, 5 channels", (2, 2, 3, 5), 0.125), ("one pixel, 10 channels", (3, 1, 1, 10), 0.125),
                                  ("one channel", (1, 2, 2, 1), 0.125), ("large scores", (2, 1, 2, 4), 50.0)):
            x = leaf(draw.grid(*shape, low=-24 * step, high=24 * step, step=step))
            y = function(x, -1)
            g = draw.grid(*shape, step=0.125)
            dx, = torch.autograd.grad(y, x, g)
            cases.append({"name": f"{kind}, {name}", "type": kind, "x": x, "y": y, "g": g, "dx": dx})
    return {"cases": cases}


def batch_normalization(draw):
    neurons = {"ReLU": {"type": "ReLU", "a": 0.125, "b": 0.0, "c": 0.0}, "TanH": {"type": "TanH", "a": 1.75, "b": 0.625, "c": 0.0}}
    cases, inference = [], []
    for name, shape, epsilon, kind in (("3 images", (3, 4, 3, 2), 1e-5, None), ("one image, large epsilon", (1, 3, 4, 3), 0.125, None),
                                       ("fully connected activations", (6, 1, 1, 4), 1e-3, None),
                                       ("fused ReLU", (2, 3, 3, 2), 1e-5, "ReLU"), ("fused TanH", (2, 3, 3, 2), 1e-5, "TanH")):
        channels, epsilon = shape[-1], f32(epsilon)
        x = leaf(draw.grid(*shape, step=0.0625))
        gamma, beta = leaf(draw.odd(channels, limit=2, denominator=8)), leaf(draw.grid(channels, step=0.125))
        z = nhwc(F.batch_norm(nchw(x), None, None, gamma, beta, training=True, eps=epsilon))
        spec = neurons.get(kind)
        y = NEURONS[kind][1](z, spec["a"], spec["b"], spec["c"]) if spec else z
        g = draw.grid(*shape, step=0.125)
        dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), g)
        flat = x.detach().reshape(-1, channels)
        cases.append({"name": name, "epsilon": epsilon, "neuron": spec, "x": x, "gamma": gamma, "beta": beta, "y": y,
                      "mean": flat.mean(0), "variance": flat.var(0, unbiased=False), "g": g, "dx": dx, "dgamma": dgamma,
                      "dbeta": dbeta})
    for name, shape, epsilon in (("stored statistics", (2, 2, 3, 3), 1e-5), ("stored statistics, epsilon 1e-3", (1, 3, 2, 4), 1e-3)):
        channels, epsilon = shape[-1], f32(epsilon)
        x, mean = draw.grid(*shape, step=0.0625), draw.grid(channels, step=0.125)
        variance, gamma = draw.grid(channels, low=0.25, high=4, step=0.125), draw.odd(channels, limit=2, denominator=8)
        beta = draw.grid(channels, step=0.125)
        y = nhwc(F.batch_norm(nchw(x), mean, variance, gamma, beta, training=False, eps=epsilon))
        inference.append({"name": name, "epsilon": epsilon, "x": x, "mean": mean, "variance": variance, "gamma": gamma,
                          "beta": beta, "y": y})
    return {"cases": cases, "inferenceCases": inference}


# ------------------------------------------------------------------------------------------------------------ losses

def smoothed(t, smoothing, share):
    return t * (1 - smoothing) + smoothing / share if smoothing > 0 else t


# type: (value, element loss of y, t, p; PyTorch's own loss for the same elements, or None where it has none)
LOSSES = {
    "MeanAbsoluteError": (0, lambda y, t, p: (y - t).abs(), lambda y, t, p: F.l1_loss(y, t, reduction="none")),
    "MeanSquaredError": (1, lambda y, t, p: (y - t) ** 2, lambda y, t, p: F.mse_loss(y, t, reduction="none")),
    "SoftMaxCrossEntropy": (2, lambda y, t, p: -smoothed(t, p["labelSmoothing"], p["numberOfClasses"]) * F.log_softmax(y, -1), None),
    "SigmoidCrossEntropy": (3, lambda y, t, p: y.clamp(min=0) - y * smoothed(t, p["labelSmoothing"], 2) + torch.log1p(torch.exp(-y.abs())),
                            lambda y, t, p: F.binary_cross_entropy_with_logits(y, smoothed(t, p["labelSmoothing"], 2), reduction="none")),
    "CategoricalCrossEntropy": (4, lambda y, t, p: -t * torch.log(y), None),
    "Hinge": (5, lambda y, t, p: (1 - (2 * t - 1) * y).clamp(min=0), None),
    "Huber": (6, lambda y, t, p: torch.where((y - t).abs() <= p["delta"], (y - t) ** 2 / 2,
                                             p["delta"] ** 2 / 2 + p["delta"] * ((y - t).abs() - p["delta"])),
              lambda y, t, p: F.huber_loss(y, t, reduction="none", delta=p["delta"])),
    "Log": (8, lambda y, t, p: -t * torch.log(y + p["epsilon"]) - (1 - t) * torch.log(1 - y + p["epsilon"]), None),
    "KullbackLeiblerDivergence": (9, lambda y, t, p: t * (torch.log(t) - y), lambda y, t, p: F.kl_div(y, t, reduction="none")),
}


def loss_case(name, kind, y, t, w=None, *, weight=1.0, labelSmoothing=0.0, numberOfClasses=1, epsilon=f32(1e-7), delta=1.0):
    p = {"weight": f32(weight), "labelSmoothing": f32(labelSmoothing), "numberOfClasses": numberOfClasses,
         "epsilon": f32(epsilon), "delta": f32(delta)}
    y = leaf(y)
    images, pixels, channels = y.shape[0], y.shape[1] * y.shape[2], y.shape[3]
    scale = p["weight"] * (torch.ones_like(y) if w is None else w)
    case = {"name": name, "type": kind, "value": 7 if kind == "CosineDistance" else LOSSES[kind][0], **p, "source": y,
            "labels": t, "weights": w}
    if kind == "CosineDistance":
        each = p["weight"] * (1 - ((scale / p["weight"]) * y * t).flatten(1).sum(1))
        total = each.sum()
        gradient, = torch.autograd.grad(total, y)
        return case | {"loss": None, "gradient": gradient, "sum": each.tolist(), "mean": None, "sumByNonZeroWeights": None,
                       "sumAcrossBatch": total.item(), "meanAcrossBatch": None, "sumByNonZeroWeightsAcrossBatch": None}
    element = LOSSES[kind][1](y, t, p)
    twin = LOSSES[kind][2]
    if twin:
        torch.testing.assert_close(element, twin(y, t, p), rtol=1e-12, atol=1e-14)
    if kind == "SoftMaxCrossEntropy":
        assert p["labelSmoothing"] == 0 or numberOfClasses == channels      # else PyTorch means something different
        own = F.cross_entropy(nchw(y), nchw(t), reduction="none", label_smoothing=p["labelSmoothing"])
        torch.testing.assert_close(element.sum(-1), own, rtol=1e-12, atol=1e-14)
    if kind == "Log":
        torch.testing.assert_close(element, F.binary_cross_entropy(y, t, reduction="none"), rtol=1e-4, atol=1e-6)
    weighted = scale * element
    gradient, = torch.autograd.grad(weighted.sum(), y)
    divisor = pixels if kind == "SoftMaxCrossEntropy" else pixels * channels
    counts = [pixels * channels] * images if w is None else [int(c) for c in (w != 0).flatten(1).sum(1)]
    each = weighted.flatten(1).sum(1).tolist()
    total = weighted.sum().item()
    return case | {"loss": weighted, "gradient": gradient, "sum": each, "mean": [v / divisor for v in each],
                   "sumByNonZeroWeights": [v / c for v, c in zip(each, counts)], "sumAcrossBatch": total,
                   "meanAcrossBatch": total / (divisor * images), "sumByNonZeroWeightsAcrossBatch": total / sum(counts)}


def loss(draw):
    shape = (2, 2, 3, 4)
    score = lambda *s: draw.odd(*(s or shape), limit=3)
    label = lambda: draw.grid(*shape, low=-1, high=1)
    inside = lambda: draw.grid(*shape, low=0.0625, high=0.9375, step=0.0625)
    binary = lambda: draw.grid(*shape, low=0, high=1, step=1)
    weights = lambda: draw.grid(*shape, low=0, high=2, step=0.5)

    def one_hot(images, height, width, classes):
        index = [int(draw.random.random() * classes) for _ in range(images * height * width)]
        return F.one_hot(torch.tensor(index), classes).double().reshape(images, height, width, classes)

    def shares(*s):      # dyadic probabilities, each pixel's sum exactly 1, none 0
        base = draw.grid(*s, low=1, high=4, step=1)
        base[..., 0] += 32 - base.sum(-1)
        return base / 32

    pixel_weights = draw.grid(2, 2, 3, 1, low=0, high=2, step=0.5).expand(*shape)
    logs = torch.tensor([[f32(v) for v in row] for row in F.log_softmax(score(6, 4), -1).tolist()]).reshape(1, 2, 3, 4)
    return {"cases": [
        loss_case("MAE", "MeanAbsoluteError", score(), label(), weights(), weight=0.5),
        loss_case("MSE", "MeanSquaredError", score(), label()),
        loss_case("MSE, weights", "MeanSquaredError", score(), label(), weights(), weight=0.25),
        loss_case("softmax, one-hot labels, weight 1/3", "SoftMaxCrossEntropy", score(3, 1, 1, 10), one_hot(3, 1, 1, 10), weight=1 / 3),
        loss_case("softmax, probabilities, pixel weights", "SoftMaxCrossEntropy", score(), shares(*shape), pixel_weights, weight=0.5),
        loss_case("softmax, label smoothing", "SoftMaxCrossEntropy", score(), one_hot(2, 2, 3, 4), labelSmoothing=0.125, numberOfClasses=4),
        loss_case("softmax, large scores", "SoftMaxCrossEntropy", 64 * score(2, 1, 1, 4), one_hot(2, 1, 1, 4)),
        loss_case("sigmoid", "SigmoidCrossEntropy", score(), draw.grid(*shape, low=0, high=1), weights()),
        loss_case("sigmoid, label smoothing", "SigmoidCrossEntropy", score(), binary(), labelSmoothing=0.25, weight=2),
        loss_case("sigmoid, large scores", "SigmoidCrossEntropy", 64 * score(1, 1, 2, 4), draw.grid(1, 1, 2, 4, low=0, high=1)),
        loss_case("categorical", "CategoricalCrossEntropy", inside(), shares(*shape), weights()),
        loss_case("hinge", "Hinge", score(), binary(), weights(), weight=0.5),
        loss_case("Huber, delta 1", "Huber", score(), label()),
        loss_case("Huber, delta 0.5", "Huber", score(), label(), weights(), delta=0.5),
        loss_case("cosine", "CosineDistance", score(), label(), weight=0.5),
        loss_case("cosine, weights", "CosineDistance", score(), label(), weights()),
        loss_case("log", "Log", inside(), inside()),
        loss_case("log, epsilon 1e-6, weights", "Log", inside(), binary(), weights(), epsilon=1e-6),
        loss_case("KL", "KullbackLeiblerDivergence", logs, shares(1, 2, 3, 4)),
    ]}


# -------------------------------------------------------------------------------------------------------- optimizers

def stated_step(case, step, g, v, state):
    """The formulas that the library documents, written out: torch's step has to give the same."""
    rate, t = case["learningRates"][step], step + 1
    if case["regularizationType"] == "L2":
        g = g + case["regularizationScale"] * v
    if case["type"] == "SGD":
        if case["useNesterovMomentum"]:
            state["m"] = case["momentumScale"] * state.get("m", 0) + g
            return v - rate * (g + case["momentumScale"] * state["m"])
        state["m"] = case["momentumScale"] * state.get("m", 0) + rate * g
        return v - state["m"]
    beta2 = case.get("beta2", case.get("decay"))
    state["s"] = beta2 * state.get("s", 0) + (1 - beta2) * g * g
    if case["type"] == "RMSProp":
        return v - rate * g / (state["s"].sqrt() + case["epsilon"])
    state["m"] = case["beta1"] * state.get("m", 0) + (1 - case["beta1"]) * g
    state["M"] = torch.maximum(state.get("M", state["s"]), state["s"]) if case["amsgrad"] else state["s"]
    corrected = rate * math.sqrt(1 - beta2 ** t) / (1 - case["beta1"] ** t)
    return v - corrected * state["m"] / (state["M"].sqrt() + case["epsilon"])


def optimizer_case(draw, name, kind, *, rates, momentum=0.0, nesterov=False, decay=0.9, beta1=0.9, beta2=0.999, epsilon=1e-8,
                   amsgrad=False, rescale=1.0, clip=None, regularization="None", regularization_scale=0.0, count=6, steps=5):
    rates, momentum, epsilon = [f32(r) for r in rates], f32(momentum), f32(epsilon)
    rescale, scale = f32(rescale), f32(regularization_scale)
    v = leaf(draw.odd(count, limit=1))
    case = {"name": name, "type": kind, "learningRates": rates, "gradientRescale": rescale,
            "applyGradientClipping": clip is not None, "gradientClipMin": clip[0] if clip else None,
            "gradientClipMax": clip[1] if clip else None, "regularizationType": regularization, "regularizationScale": scale}
    if kind == "SGD":
        case |= {"momentumScale": momentum, "useNesterovMomentum": nesterov}
        torch_optimizer = torch.optim.SGD([v], lr=rates[0], momentum=momentum, nesterov=nesterov)
    elif kind == "RMSProp":
        case |= {"decay": decay, "epsilon": epsilon}
        torch_optimizer = torch.optim.RMSprop([v], lr=rates[0], alpha=decay, eps=epsilon)
    else:
        case |= {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "timeStep": 0, "amsgrad": amsgrad}
        torch_optimizer = torch.optim.Adam([v], lr=rates[0], betas=(beta1, beta2), eps=epsilon, amsgrad=amsgrad)
    group = torch_optimizer.param_groups[0]
    if regularization == "L2":
        group["weight_decay"] = scale
    case["v"] = v.detach().clone()
    case["steps"], stated = [], {}
    for step in range(steps):
        raw = draw.odd(count, limit=2, denominator=32)
        g = (raw.clamp(*clip) if clip else raw) * rescale       # clipping comes before rescaling, both before L2
        if regularization == "L1":
            g = g + scale * torch.sign(v.detach())
        v.grad = g
        group["lr"] = rates[step]
        if kind == "Adam":
            group["eps"] = epsilon / math.sqrt(1 - beta2 ** (step + 1))
        expected = stated_step(case, step, g, v.detach().clone(), stated)
        torch_optimizer.step()
        torch.testing.assert_close(v.detach(), expected, rtol=1e-12, atol=1e-14)
        kept = torch_optimizer.state[v]
        record = {"gradient": raw, "v": v.detach().clone()}
        if kind == "SGD" and momentum:
            record["momentum"] = kept["momentum_buffer"] * (1 if nesterov else rates[step])
            torch.testing.assert_close(record["momentum"], stated["m"], rtol=1e-12, atol=1e-14)
        elif kind == "RMSProp":
            record["sumOfSquares"] = kept["square_avg"].clone()
        elif kind == "Adam":
            record |= {"momentum": kept["exp_avg"].clone(), "velocity": kept["exp_avg_sq"].clone()}
            if amsgrad:
                record["maximumVelocity"] = kept["max_exp_avg_sq"].clone()
        case["steps"].append(record)
    assert kind != "SGD" or nesterov or not momentum or len(set(rates)) == 1
    return case


def optimizer(draw):
    case = lambda *a, **k: optimizer_case(draw, *a, **k)
    same, falling = [0.0625] * 5, [0.1, 0.1, 0.05, 0.05, 0.01]
    return {"cases": [
        case("SGD", "SGD", rates=falling),
        case("SGD, momentum", "SGD", rates=same, momentum=0.9),
        case("SGD, Nesterov, falling rate", "SGD", rates=falling, momentum=0.9, nesterov=True),
        case("SGD, L2", "SGD", rates=same, regularization="L2", regularization_scale=0.125),
        case("SGD, L1", "SGD", rates=same, regularization="L1", regularization_scale=0.125),
        case("SGD, clip, rescale, L2, momentum", "SGD", rates=same, momentum=0.5, clip=(-0.5, 0.75), rescale=0.25,
             regularization="L2", regularization_scale=0.01),
        case("RMSProp", "RMSProp", rates=falling),
        case("RMSProp, decay 0.99, large epsilon, L2", "RMSProp", rates=same, decay=0.99, epsilon=0.01, regularization="L2",
             regularization_scale=0.125),
        case("Adam", "Adam", rates=[0.001] * 5),
        case("Adam, epsilon 1e-3, falling rate, L2", "Adam", rates=falling, epsilon=1e-3, regularization="L2",
             regularization_scale=0.125),
        case("Adam, rescale and clip", "Adam", rates=same, beta1=0.5, beta2=0.9, clip=(-1.0, 0.5), rescale=2.0),
        case("AMSGrad", "Adam", rates=same, beta2=0.5, amsgrad=True),
    ]}


# -------------------------------------------------------------------------------------------------------- arithmetic

def arithmetic(draw):
    operators = {"Add": lambda x, y: x + y, "Subtract": lambda x, y: x - y, "Multiply": lambda x, y: x * y,
                 "Divide": lambda x, y: x / y}
    full = (2, 2, 3, 4)
    shapes = [("same shape", full, full, (1.0, 1.0, 0.0), None),
              ("scales and bias", full, full, (0.5, -1.5, 0.25), None),
              ("secondary one pixel", full, (2, 1, 1, 4), (1.0, 0.75, 0.0), None),
              ("secondary one channel", full, (2, 2, 3, 1), (1.0, 1.0, 0.0), None),
              ("secondary a scalar", full, (2, 1, 1, 1), (2.0, 1.0, 0.5), None),
              ("primary one row, secondary one column", (2, 1, 3, 2), (2, 2, 1, 2), (0.5, 2.0, 0.0), None),
              ("clamped", full, full, (1.0, 1.0, 0.03125), (-1.0, 1.0))]
    cases = []
    for kind, function in operators.items():
        for name, left, right, (p, s, bias), limits in shapes[:3] if kind == "Divide" else shapes:
            x, y = leaf(draw.odd(*left, limit=2, denominator=8)), leaf(draw.odd(*right, limit=2, denominator=8))
            r = function(p * x, s * y) + bias
            z = r.clamp(*limits) if limits else r
            g = draw.grid(*z.shape, step=0.25)
            dx, dy = torch.autograd.grad(z, (x, y), g)
            stride = lambda shape, axis: int(shape[axis] != 1 or z.shape[axis] == 1)
            strides = {f"{side}Stride{label}": stride(shape, axis) for side, shape in (("primary", left), ("secondary", right))
                       for label, axis in (("InPixelsX", 2), ("InPixelsY", 1), ("InFeatureChannels", 3))}
            if limits:
                assert not bool(((r - limits[0]).abs() < 1e-9).any() or ((r - limits[1]).abs() < 1e-9).any())
            cases.append({"name": f"{kind}, {name}", "type": kind, "primaryScale": p, "secondaryScale": s, "bias": bias, **strides,
                          "minimumValue": limits[0] if limits else None, "maximumValue": limits[1] if limits else None,
                          "primary": x, "secondary": y, "result": z, "g": g, "dPrimary": dx, "dSecondary": dy})
    return {"cases": cases}


# ------------------------------------------------------------------------------------------------------------ files

FAMILIES = {
    "convolution": (convolution, [
        "y = conv2d(x, w) + b; g is the gradient with respect to y; dx, dw, db its gradients, summed over the batch",
        "offset = floor(dilated window / 2) - padLeft (padTop): the kernel property that gives PyTorch's padding",
        "every number is exact in float32",
        "fusedNeuronCases: y = neuron(conv2d(x, w) + b); forward only, TanH is not exact"]),
    "fully_connected": (fully_connected, ["x and w are flattened in the order row, column, channel; every number is exact in float32"]),
    "pooling": (pooling, [
        "offset = floor(dilated window / 2) - padding; the result's size is given and includes PyTorch's ceil_mode where a name says cut or outside",
        "average: countIncludePad false is edge mode Clamp with zero pad size 0; true is Clamp with zero pad size = padding, "
        "or edge mode Zero while no window leaves the padded image",
        "max with edge mode Zero: zeros outside take part in the maximum, and their gradient is dropped"]),
    "neuron": (neuron, ["dx = g * derivative; kinks are kept out; a, b, c and slopes are exact in float32; value is Apple's enumerator"]),
    "softmax": (softmax, ["over the channels of each pixel"]),
    "batch_normalization": (batch_normalization, [
        "cases: training statistics over N, H and W; variance is biased (divided by the count); y after the fused neuron, if any",
        "inferenceCases: stored mean and variance"]),
    "loss": (loss, [
        "loss = weight * weights * element loss (reduction None); gradient = d(sum of loss)/d(source), the same for every reduction",
        "sum, mean, sumByNonZeroWeights: one value an image; ...AcrossBatch: one value for the batch",
        "mean divides by width*height*channels, for SoftMaxCrossEntropy by width*height",
        "element losses are checked against PyTorch's own (l1_loss, mse_loss, cross_entropy, binary_cross_entropy_with_logits, "
        "huber_loss, kl_div) where it has one; MSE has no half, hinge maps labels 0/1 to -1/+1, KL takes log-probabilities",
        "CosineDistance: weight * (1 - sum(weights*source*labels)) an image, only Sum is legal"]),
    "optimizer": (optimizer, [
        "v: start; steps[i]: raw gradient given, then v and the optimizer's state afterwards; learningRates[i] is the rate of step i",
        "order: clip, rescale, add regularizationScale * v (L2) or * sign(v) (L1)",
        "Adam: v -= rate*sqrt(1-beta2^t)/(1-beta1^t) * m/(sqrt(s)+epsilon), epsilon outside the bias correction. torch.optim.Adam adds its "
        "eps after correcting, so step t was computed with eps = epsilon/sqrt(1-beta2^t), which is the same formula",
        "SGD momentum without Nesterov holds the rate: momentum = rate * torch's buffer (rate constant); with Nesterov it is torch's buffer",
        "state tensors start at zero"]),
    "arithmetic": (arithmetic, [
        "result = clamp(op(primaryScale*primary, secondaryScale*secondary) + bias); a stride of 0 reads an axis of length 1 again and again",
        "dPrimary, dSecondary: gradients of the operands, summed over broadcast axes; zero through clamped results",
        "Divide has no gradient class in MPS; its gradients are here for graph code that composes them"]),
}


def document(family, seed):
    make, notes = FAMILIES[family]
    header = {"generator": "scripts/make_fixtures.py", "family": family, "torch": torch.__version__, "date": str(datetime.date.today()),
              "seed": seed, "layout": LAYOUT, "precision": "computed in float64; inputs and parameters are exact in float32",
              "notes": notes}
    return text({"header": header, **make(Draw(family, seed))}) + "\n"


def differences(old, new, path=""):
    """Where two parsed documents differ by more than rounding."""
    if type(old) in (int, float) and type(new) in (int, float):
        if abs(old - new) > 1e-12 * max(1.0, abs(old)):
            yield f"{path}: {old} became {new}"
    elif isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in old:
            if not (path == "" and key == "header"):
                yield from differences(old[key], new[key], f"{path}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f"{path}[{index}]")
    elif old != new:
        yield f"{path}: differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", help=f"default: all of {', '.join(FAMILIES)}")
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER, help="folder to write to (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="compare with the files in --out instead of writing them")
    arguments = parser.parse_args()
    unknown = [f for f in arguments.families if f not in FAMILIES]
    if unknown:
        parser.error(f"unknown family {unknown[0]!r}; known: {', '.join(FAMILIES)}")
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for family in arguments.families or FAMILIES:
        path = arguments.out / f"{family}.json"
        made = document(family, arguments.seed)
        if arguments.check:
            found = list(differences(json.loads(path.read_text()), json.loads(made)))
            print(f"{path.name}: {'agrees' if not found else found[0]}")
            failed |= bool(found)
        else:
            path.write_text(made)
            print(f"{path.name}: {len(made) / 1024:.1f} KiB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
