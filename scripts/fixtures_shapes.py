#!/usr/bin/env python3
"""Writes tests/fixtures/pad.json, reshape.json, reduce.json and compare.json; see make_fixtures.py, whose helpers, options and
rules these are.

    /tmp/torch/bin/python scripts/fixtures_shapes.py [--check]
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures as m


def pad_case(draw, name, shape, mode, before, after, value=0.0):
    """before, after: x, y, channel. Modes of F.pad, and 'symmetric', which it lacks: there by a gather along each axis."""
    x = m.leaf(draw.grid(*shape))
    if mode == "symmetric":
        y = x
        for axis, extra in ((2, 0), (1, 1), (3, 2)):
            extent = shape[axis]
            index = [i % (2 * extent) for i in range(-before[extra], extent + after[extra])]
            y = y.index_select(axis, torch.tensor([i if i < extent else 2 * extent - 1 - i for i in index]))
    else:
        # N, 1, C, H, W: the last three axes are padded.
        pads = (before[0], after[0], before[1], after[1], before[2], after[2])
        options = {"value": value} if mode == "constant" else {}
        y = m.nhwc(F.pad(m.nchw(x).unsqueeze(1), pads, mode=mode, **options).squeeze(1))
    g = draw.grid(*y.shape, step=0.125)
    dx, = torch.autograd.grad(y, x, g)
    return {"name": name, "mode": mode, "before": list(before), "after": list(after), "value": value,
            "x": x, "y": y, "g": g, "dx": dx}


def pad(draw):
    return {"cases": [
        pad_case(draw, "zeros on all sides", (2, 3, 4, 3), "constant", (1, 2, 0), (3, 1, 0)),
        pad_case(draw, "a constant, channels as well", (1, 2, 3, 3), "constant", (2, 0, 1), (1, 1, 4), 0.625),
        pad_case(draw, "replicate", (2, 3, 4, 3), "replicate", (2, 3, 0), (5, 1, 0)),
        pad_case(draw, "replicate, channels as well", (1, 2, 2, 4), "replicate", (1, 1, 2), (2, 3, 3)),
        pad_case(draw, "reflect", (2, 4, 5, 3), "reflect", (4, 3, 0), (1, 2, 0)),
        pad_case(draw, "reflect, channels as well", (1, 3, 4, 4), "reflect", (3, 2, 3), (2, 1, 2)),
        pad_case(draw, "symmetric", (2, 3, 4, 3), "symmetric", (4, 1, 0), (2, 3, 0)),
        pad_case(draw, "symmetric beyond the image", (1, 2, 3, 3), "symmetric", (7, 5, 4), (4, 6, 8))]}


def reshape(draw):
    cases = []
    for name, shape, to in (("to a vector", (2, 3, 4, 5), (2, 1, 1, 60)), ("to fewer channels", (2, 2, 3, 8), (2, 4, 6, 2)),
                            ("odd extents", (1, 5, 3, 7), (1, 3, 7, 5))):
        x = m.leaf(draw.grid(*shape))
        y = x.reshape(to)
        g = draw.grid(*to, step=0.125)
        dx, = torch.autograd.grad(y, x, g)
        cases.append({"name": name, "x": x, "y": y, "g": g, "dx": dx})
    return {"cases": cases}


def reduce(draw):
    cases, weighted = [], []
    for shape in ((2, 3, 4, 5), (1, 7, 2, 33), (2, 1, 9, 3)):
        x = draw.distinct(*shape, step=0.0625)
        of = lambda result: m.nhwc(result)
        n = m.nchw(x)
        results = {}
        for axis, dim in (("Row", 3), ("Column", 2), ("FeatureChannels", 1)):
            for operation, function in (("Min", torch.amin), ("Max", torch.amax), ("Mean", torch.mean), ("Sum", torch.sum)):
                results[axis + operation] = of(function(n, dim=dim, keepdim=True))
        results["FeatureChannelsArgumentMin"] = of(torch.argmin(n, dim=1, keepdim=True).double())
        results["FeatureChannelsArgumentMax"] = of(torch.argmax(n, dim=1, keepdim=True).double())
        cases.append({"name": "x".join(map(str, shape)), "x": x, "results": results})
        w = draw.grid(*shape, step=0.5)
        products = m.nchw(x * w)
        count = (m.nchw(w) != 0).sum(1, keepdim=True)
        total = products.sum(1, keepdim=True)
        weighted.append({"name": "x".join(map(str, shape)), "x": x, "w": w, "mean": of(products.mean(1, keepdim=True)),
                         "sum": of(total), "byNonZero": of(torch.where(count > 0, total / count.clamp(min=1), torch.zeros(())))})
    return {"cases": cases, "weightedCases": weighted}


def compare(draw):
    cases = []
    for name, first, second, threshold in (("equal extents", (2, 3, 2, 3), (2, 3, 2, 3), 0.0),
                                           ("one value a channel", (2, 2, 3, 4), (2, 1, 1, 4), 0.25),
                                           ("a scalar", (1, 3, 3, 2), (1, 1, 1, 1), 0.5)):
        x, y = draw.grid(*first, low=-1, high=1), draw.grid(*second, low=-1, high=1)
        close = torch.isclose(x, y.expand(first), rtol=0, atol=threshold)
        results = [close, ~close, torch.lt(x, y), torch.le(x, y), torch.gt(x, y), torch.ge(x, y)]
        cases.append({"name": name, "threshold": threshold, "x": x, "y": y,
                      "results": [r.double().flatten().tolist() for r in results]})
    return {"cases": cases}


m.FAMILIES = {"pad": (pad, ["before and after: x, y, channel"]), "reshape": (reshape, []),
              "reduce": (reduce, ["results by the class names of MPSNNReduce<name>"]),
              "compare": (compare, ["results by MPSNNComparisonType"])}

document = m.document
m.document = lambda family, seed: document(family, seed).replace("scripts/make_fixtures.py", "scripts/fixtures_shapes.py")

if __name__ == "__main__":
    sys.exit(m.main())
