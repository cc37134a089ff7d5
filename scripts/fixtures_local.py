#!/usr/bin/env python3
"""Writes the fixtures of the local normalisations, the Gram matrix and local correlation. Run and checked as
scripts/make_fixtures.py, whose helpers it takes:

    /tmp/torch/bin/python scripts/fixtures_local.py [--check]
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures as m


def extended(x, left, right, top, bottom, edge):
    """NCHW with what reads outside give."""
    return F.pad(x, (left, right, top, bottom), mode="replicate" if edge == "Clamp" else "constant")


def window_mean(x, kw, kh, edge):
    """Mean over the window of each pixel, one more tap to the left and top where the size is even."""
    return F.avg_pool2d(extended(x, kw // 2, (kw - 1) // 2, kh // 2, (kh - 1) // 2, edge), (kh, kw), stride=1)


def spatial_case(draw, name, shape, kernel, alpha, beta, delta, edge="Zero"):
    kw, kh = kernel
    alpha, beta, delta = m.f32(alpha), m.f32(beta), m.f32(delta)
    x = m.leaf(draw.grid(*shape, step=0.0625))
    p = m.nchw(x)
    y = m.nhwc(p / (delta + alpha * window_mean(p * p, kw, kh, edge)) ** beta)
    g = draw.grid(*shape, step=0.125)
    dx, = torch.autograd.grad(y, x, g)
    return {"name": name, "kernelWidth": kw, "kernelHeight": kh, "edgeMode": edge, "alpha": alpha, "beta": beta, "delta": delta,
            "x": x, "y": y, "g": g, "dx": dx}


def spatial_normalization(draw):
    return {"cases": [
        spatial_case(draw, "3x3, beta 0.75", (2, 4, 5, 3), (3, 3), 1, 0.75, 1),
        spatial_case(draw, "the defaults", (1, 4, 4, 2), (3, 3), 1, 5, 1),
        spatial_case(draw, "even window", (2, 5, 4, 2), (4, 2), 2, 0.5, 0.5),
        spatial_case(draw, "beta without a short form", (1, 3, 5, 2), (3, 5), 1.5, 1.3, 0.75),
        spatial_case(draw, "Clamp", (2, 4, 5, 3), (3, 4), 1, 0.75, 1, "Clamp")]}


def contrast_case(draw, name, shape, kernel, alpha, beta, delta, p0=1.0, pm=0.0, ps=1.0, edge="Zero"):
    kw, kh = kernel
    alpha, beta, delta, p0, pm, ps = map(m.f32, (alpha, beta, delta, p0, pm, ps))
    x = m.leaf(draw.grid(*shape, step=0.0625))
    p = m.nchw(x)
    mean = window_mean(p, kw, kh, edge)
    variance = window_mean(p * p, kw, kh, edge) - mean * mean
    y = m.nhwc(pm + ps * (p - p0 * mean) / (delta + alpha * variance) ** beta)
    g = draw.grid(*shape, step=0.125)
    dx, = torch.autograd.grad(y, x, g)
    return {"name": name, "kernelWidth": kw, "kernelHeight": kh, "edgeMode": edge, "alpha": alpha, "beta": beta, "delta": delta,
            "p0": p0, "pm": pm, "ps": ps, "x": x, "y": y, "g": g, "dx": dx}


def local_contrast_normalization(draw):
    return {"cases": [
        contrast_case(draw, "3x3", (2, 4, 5, 3), (3, 3), 1, 0.5, 0.25),
        contrast_case(draw, "the kernel's defaults", (1, 4, 4, 2), (3, 3), 0, 0.5, 1 / 1024),
        contrast_case(draw, "the node's defaults", (1, 4, 4, 2), (3, 3), 1, 0.5, 1 / 1024),
        contrast_case(draw, "even window, all parameters", (2, 5, 4, 2), (4, 2), 2, 1.3, 0.5, 0.75, 0.25, 1.5),
        contrast_case(draw, "Clamp", (2, 4, 5, 3), (3, 4), 1, 0.75, 1, 0.5, 0.5, 2, "Clamp")]}


def cross_channel_normalization(draw):
    cases = []
    for name, shape, size, alpha, beta, delta in (
            ("five of eleven channels", (2, 2, 3, 11), 5, 1, 0.75, 1), ("even window", (1, 2, 3, 6), 4, 2, 0.5, 2),
            ("the defaults", (2, 1, 2, 7), 5, 1, 5, 1), ("one channel", (1, 2, 2, 1), 5, 1, 0.75, 1),
            ("window beyond the channels", (1, 2, 2, 4), 9, 1.5, 1.3, 0.5)):
        alpha, beta, delta = m.f32(alpha), m.f32(beta), m.f32(delta)
        x = m.leaf(draw.grid(*shape, step=0.0625))
        y = m.nhwc(F.local_response_norm(m.nchw(x), size, alpha, beta, delta))
        g = draw.grid(*shape, step=0.125)
        dx, = torch.autograd.grad(y, x, g)
        cases.append({"name": name, "kernelSize": size, "alpha": alpha, "beta": beta, "delta": delta, "x": x, "y": y, "g": g, "dx": dx})
    return {"cases": cases}


def gram_matrix(draw):
    cases = []
    for name, shape, alpha in (("two images", (2, 3, 4, 5), 1.0), ("one pixel", (1, 1, 1, 3), 2.0),
                               ("mean over the pixels", (2, 4, 4, 6), 1 / 16), ("one channel", (1, 3, 2, 1), 1.0)):
        x = m.leaf(draw.grid(*shape, step=0.125))
        y = alpha * torch.einsum("nyxf,nyxc->nfc", x, x).unsqueeze(1)
        g = draw.grid(*y.shape, step=0.125)
        dx, = torch.autograd.grad(y, x, g)
        cases.append({"name": name, "alpha": alpha, "x": x, "y": y, "g": g, "dx": dx})
    return {"cases": cases}


def local_correlation(draw):
    cases = []
    for name, shape, window, stride, edge in (
            ("3 by 3 shifts", (2, 4, 5, 3), (1, 1), (1, 1), "Zero"), ("more along x", (1, 3, 4, 2), (2, 1), (1, 1), "Zero"),
            ("strides", (1, 5, 6, 4), (1, 2), (2, 1), "Zero"), ("Clamp", (1, 4, 5, 2), (2, 1), (1, 2), "Clamp"),
            ("no window", (2, 2, 3, 5), (0, 0), (1, 1), "Zero")):
        a, b = draw.grid(*shape, step=0.25), draw.grid(*shape, step=0.25)
        height, width = shape[1:3]
        reach_x, reach_y = window[0] * stride[0], window[1] * stride[1]
        wide = m.nhwc(extended(m.nchw(b), reach_x, reach_x, reach_y, reach_y, edge))
        shifts = [(a * wide[:, n * stride[1]:n * stride[1] + height, k * stride[0]:k * stride[0] + width]).sum(-1)
                  for n in range(2 * window[1] + 1) for k in range(2 * window[0] + 1)]
        cases.append({"name": name, "windowInX": window[0], "windowInY": window[1], "strideInX": stride[0], "strideInY": stride[1],
                      "edgeMode": edge, "primary": a, "secondary": b, "y": torch.stack(shifts, -1)})
    return {"cases": cases}


m.FAMILIES = {
    "spatial_normalization": (spatial_normalization, ["x / (delta + alpha * avg_pool2d(pad(x*x)))**beta"]),
    "local_contrast_normalization": (local_contrast_normalization, ["composed of avg_pool2d, variance as mean square minus squared mean"]),
    "cross_channel_normalization": (cross_channel_normalization, ["local_response_norm, k = delta"]),
    "gram_matrix": (gram_matrix, ["einsum; y is N, 1, C, C"]),
    "local_correlation": (local_correlation, ["sums of products with shifted copies; shifts along x run fastest"])}

document = m.document
m.document = lambda family, seed: document(family, seed).replace("scripts/make_fixtures.py", "scripts/fixtures_local.py")

if __name__ == "__main__":
    sys.exit(m.main())
