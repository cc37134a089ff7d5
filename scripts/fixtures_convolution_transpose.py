#!/usr/bin/env python3
"""Writes tests/fixtures/convolution_transpose.json, sub_pixel_convolution.json and binary_convolution.json; see
make_fixtures.py, whose helpers, options and rules these are. Every number is exact in float32, except results with beta scaling.

    /tmp/torch/bin/python scripts/fixtures_convolution_transpose.py [--check]
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures as m


def transposed_case(draw, name, *, size, channels, kernel, stride=(1, 1), dilation=(1, 1), groups=1, pad=(0, 0),
                    output_pad=(0, 0), batch=2, depthwise=False):
    """size, kernel, stride, dilation, pad and output_pad are (x, y), as conv_transpose2d has them."""
    (width, height), (inputs, outputs), (kw, kh) = size, channels, kernel
    x = m.leaf(draw.grid(batch, height, width, inputs, step=0.5))
    w = m.leaf(draw.grid(outputs, kh, kw, inputs // groups, low=-1, high=1))
    b = m.leaf(draw.grid(outputs))
    # w[g Og + o][r][q][c] = torch[g Cg + c][o][kh-1-r][kw-1-q]
    per_group = w.reshape(groups, outputs // groups, kh, kw, inputs // groups).flip(2, 3)
    weights = per_group.permute(0, 4, 1, 2, 3).reshape(inputs, outputs // groups, kh, kw)
    y = m.nhwc(F.conv_transpose2d(m.nchw(x), weights, b, stride[::-1], pad[::-1], output_pad[::-1], groups, dilation[::-1]))
    g = draw.grid(*y.shape, step=0.5)
    dx, dw, db = torch.autograd.grad(y, (x, w, b), g)
    assert all(torch.equal(t, t.float().double()) for t in (y, dx, dw, db)), "meant to be exact in float32"
    wide, high = (kw - 1) * dilation[0] + 1, (kh - 1) * dilation[1] + 1
    return {
        "name": name, "kernelWidth": kw, "kernelHeight": kh, "inputFeatureChannels": inputs,
        "outputFeatureChannels": outputs, "strideX": stride[0], "strideY": stride[1], "dilationX": dilation[0],
        "dilationY": dilation[1], "groups": groups, "depthwise": depthwise,
        "kernelOffsetX": wide // 2 - (wide - 1) + pad[0], "kernelOffsetY": high // 2 - (high - 1) + pad[1],
        "x": x, "w": w, "b": b, "y": y, "g": g, "dx": dx, "dw": dw, "db": db}


def convolution_transpose(draw):
    case = lambda *a, **k: transposed_case(draw, *a, **k)
    return {"cases": [
        case("stride 1, 3x3, same size", size=(4, 5), channels=(3, 2), kernel=(3, 3), pad=(1, 1)),
        case("stride 2, 3x3, full size", size=(4, 3), channels=(2, 3), kernel=(3, 3), stride=(2, 2)),
        case("stride 2, 4x4, pad 1: twice the size", size=(4, 4), channels=(3, 2), kernel=(4, 4), stride=(2, 2), pad=(1, 1)),
        case("stride 2, output padding", size=(3, 4), channels=(2, 2), kernel=(3, 3), stride=(2, 2), pad=(1, 1),
             output_pad=(1, 1)),
        case("stride 3 by 2, even and odd window", size=(3, 4), channels=(2, 3), kernel=(2, 5), stride=(3, 2), pad=(0, 2),
             output_pad=(1, 0)),
        case("stride beyond the window", size=(3, 3), channels=(2, 2), kernel=(1, 2), stride=(2, 3)),
        case("dilation 2 by 3, stride 2 by 1", size=(4, 3), channels=(2, 2), kernel=(3, 2), dilation=(2, 3), stride=(2, 1),
             pad=(1, 2)),
        case("one pixel to a window", size=(1, 1), channels=(5, 4), kernel=(4, 4)),
        case("two groups of four channels", size=(3, 4), channels=(8, 8), kernel=(3, 3), stride=(2, 2), groups=2, pad=(1, 1)),
        case("two groups, eight to sixteen channels", size=(3, 3), channels=(8, 16), kernel=(2, 3), stride=(2, 1), groups=2),
        case("depthwise", size=(4, 3), channels=(3, 3), kernel=(3, 4), stride=(2, 2), groups=3, pad=(1, 1), depthwise=True)]}


def sub_pixel_case(draw, name, *, scale, size, channels, kernel, pad, stride=(1, 1), batch=2):
    (width, height), (inputs, outputs), (kw, kh) = size, channels, kernel
    x = draw.grid(batch, height, width, inputs, step=0.5)
    w = draw.grid(outputs, kh, kw, inputs, low=-1, high=1)
    b = draw.grid(outputs)
    y = F.conv2d(F.pad(m.nchw(x), pad), w.permute(0, 3, 1, 2), b, stride[::-1])
    # Channel P k + c of the convolution is channel c r r + k of pixel_shuffle.
    plain = outputs // scale ** 2
    y = y.reshape(batch, scale ** 2, plain, *y.shape[2:]).transpose(1, 2).reshape(y.shape)
    y = m.nhwc(F.pixel_shuffle(y, scale))
    assert torch.equal(y, y.float().double()), "meant to be exact in float32"
    return {"name": name, "scale": scale, "kernelWidth": kw, "kernelHeight": kh, "inputFeatureChannels": inputs,
            "outputFeatureChannels": outputs, "strideX": stride[0], "strideY": stride[1],
            "offsetX": kw // 2 - pad[0], "offsetY": kh // 2 - pad[2], "x": x, "w": w, "b": b, "y": y}


def sub_pixel_convolution(draw):
    case = lambda *a, **k: sub_pixel_case(draw, *a, **k)
    return {"cases": [
        case("factor 2, three channels left", scale=2, size=(4, 3), channels=(2, 12), kernel=(3, 3), pad=(1, 1, 1, 1)),
        case("factor 3, one channel left", scale=3, size=(3, 4), channels=(3, 9), kernel=(2, 3), pad=(1, 0, 1, 1)),
        case("factor 2, stride 2", scale=2, size=(5, 6), channels=(2, 8), kernel=(2, 2), pad=(0, 0, 0, 0), stride=(2, 2))]}


def binary_case(draw, name, kind, *, size, channels, kernel, stride=(1, 1), dilation=(1, 1), beta=False, affine=True, batch=2):
    (width, height), (inputs, outputs), (kw, kh) = size, channels, kernel
    x = draw.odd(batch, height, width, inputs, limit=2, denominator=8)
    bits = (draw.grid(outputs, kh, kw, inputs, low=0, high=1, step=1))
    one = lambda n, value: torch.full((n,), value)
    input_bias, input_scale = (draw.grid(inputs, step=0.5), draw.odd(inputs, limit=2, denominator=4)) if affine else (
        one(inputs, 0.0), one(inputs, 1.0))
    output_bias, output_scale = (draw.grid(outputs), draw.odd(outputs, limit=2, denominator=4)) if affine else (
        one(outputs, 0.0), one(outputs, 1.0))
    t = (x + input_bias) * input_scale
    source = {"BinaryWeights": t, "XNOR": torch.where(t < 0, -1.0, 1.0), "AND": torch.where(t < 0, 0.0, 1.0)}[kind]
    weights = bits if kind == "AND" else 2 * bits - 1
    s = F.conv2d(m.nchw(source), weights.permute(0, 3, 1, 2), None, stride[::-1], 0, dilation[::-1])
    mean = torch.ones_like(s)
    if beta:
        mean = F.conv2d(m.nchw(t.abs()), torch.full((1, inputs, kh, kw), 1 / (kw * kh * inputs)), None, stride[::-1], 0,
                        dilation[::-1])
    y = m.nhwc(s * mean) * output_scale + output_bias
    return {"name": name, "type": kind, "betaScaling": beta, "kernelWidth": kw, "kernelHeight": kh,
            "inputFeatureChannels": inputs, "outputFeatureChannels": outputs, "strideX": stride[0], "strideY": stride[1],
            "dilationX": dilation[0], "dilationY": dilation[1], "x": x, "bits": bits, "inputBias": input_bias,
            "inputScale": input_scale, "outputBias": output_bias, "outputScale": output_scale, "y": y}


def binary_convolution(draw):
    case = lambda *a, **k: binary_case(draw, *a, **k)
    return {"cases": [
        case("binary weights", "BinaryWeights", size=(5, 4), channels=(3, 4), kernel=(3, 3)),
        case("binary weights, beta, stride 2", "BinaryWeights", size=(5, 6), channels=(5, 3), kernel=(2, 3), stride=(2, 2),
             beta=True),
        case("xnor of a whole word", "XNOR", size=(4, 4), channels=(32, 4), kernel=(3, 2)),
        case("xnor, words cut off, dilation 2", "XNOR", size=(6, 5), channels=(37, 3), kernel=(2, 2), dilation=(2, 2)),
        case("xnor, beta", "XNOR", size=(4, 5), channels=(6, 2), kernel=(3, 3), beta=True, affine=False),
        case("and, three words", "AND", size=(4, 4), channels=(70, 5), kernel=(2, 2), stride=(2, 1)),
        case("and, beta", "AND", size=(3, 3), channels=(9, 4), kernel=(3, 3), beta=True)]}


m.FAMILIES = {
    "convolution_transpose": (convolution_transpose, ["w are the weights of this layer, [No][kH][kW][Ni/G]: PyTorch's, "
                                                      "rotated by 180 degrees, inputs and outputs exchanged"]),
    "sub_pixel_convolution": (sub_pixel_convolution, ["channels in the order of depth to space, not of pixel_shuffle"]),
    "binary_convolution": (binary_convolution, ["bits are the weights, 0 or 1, one number each; windows lie inside the source"])}

if __name__ == "__main__":
    sys.exit(m.main())
