#!/usr/bin/env python3
"""Writes tests/fixtures/instance_normalization.json and group_normalization.json; see make_fixtures.py, whose helpers, options
and rules these are. dgamma and dbeta are sums over the batch.

    /tmp/torch/bin/python scripts/fixtures_group_normalization.py [--check]
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures as m


def case(draw, name, shape, groups, epsilon, normalize, affine=True):
    channels, epsilon = shape[-1], m.f32(epsilon)
    x = m.leaf(draw.grid(*shape, step=0.0625))
    gamma, beta = m.leaf(draw.odd(channels, limit=2, denominator=8)), m.leaf(draw.grid(channels, step=0.125))
    if not affine:
        gamma, beta = m.leaf(torch.ones(channels)), m.leaf(torch.zeros(channels))
    y = normalize(m.nchw(x), groups, gamma, beta, epsilon)
    g = draw.grid(*shape, step=0.125)
    # Handed over dense in N,C,H,W: instance_norm of PyTorch 2.15 misreads a gradient of other strides when there is one image.
    dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), m.nchw(g).contiguous())
    assert torch.equal(dbeta, g.sum((0, 1, 2))), "the gradient of beta is a plain sum"
    return {"name": name, "epsilon": epsilon, "groups": groups, "x": x, "gamma": gamma, "beta": beta, "y": m.nhwc(y), "g": g,
            "dx": dx, "dgamma": dgamma, "dbeta": dbeta}


def instance_normalization(draw):
    normalize = lambda x, groups, gamma, beta, eps: F.instance_norm(x, weight=gamma, bias=beta, use_input_stats=True, eps=eps)
    return {"cases": [
        case(draw, "two images", (2, 4, 3, 3), 3, 1e-5, normalize),
        case(draw, "one image, large epsilon", (1, 3, 5, 4), 4, 0.125, normalize),
        case(draw, "three images of one channel, no scale or bias", (3, 2, 5, 1), 1, 1e-3, normalize, affine=False)]}


def group_normalization(draw):
    normalize = lambda x, groups, gamma, beta, eps: F.group_norm(x, groups, gamma, beta, eps)
    return {"cases": [
        case(draw, "two images, two groups of three channels", (2, 3, 4, 6), 2, 1e-5, normalize),
        case(draw, "one group: layer normalisation", (2, 2, 3, 4), 1, 1e-3, normalize),
        case(draw, "as many groups as channels", (1, 4, 3, 4), 4, 1e-5, normalize),
        case(draw, "fully connected activations, four groups", (3, 1, 1, 8), 4, 1e-3, normalize),
        case(draw, "large epsilon, no scale or bias", (2, 3, 3, 4), 2, 0.25, normalize, affine=False)]}


m.FAMILIES = {"instance_normalization": (instance_normalization, ["gamma and beta of a case without them are 1 and 0"]),
              "group_normalization": (group_normalization, ["gamma and beta of a case without them are 1 and 0"])}

document = m.document
m.document = lambda family, seed: document(family, seed).replace("scripts/make_fixtures.py", "scripts/fixtures_group_normalization.py")

if __name__ == "__main__":
    sys.exit(m.main())
