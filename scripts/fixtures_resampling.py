#!/usr/bin/env python3
"""Writes tests/fixtures/pooling_norm.json, upsampling.json, resize.json and grid_sample.json; see make_fixtures.py, whose
helpers, options and rules these are. Positions that PyTorch has no mode for are given to its grid_sample.

    python3 scripts/fixtures_resampling.py [--check]
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures as m


# --------------------------------------------------------------------------------------------------- norm pooling

def norm_case(draw, name, *, kernel, stride, pad=(0, 0), edge="Zero", size=(6, 7), channels=2):
    """kernel, stride, pad and size are (x, y); PyTorch pools without padding, so the source is padded before."""
    x = m.leaf(draw.distinct(2, size[1], size[0], channels))
    padded = F.pad(m.nchw(x), (pad[0], pad[0], pad[1], pad[1]), mode="replicate" if edge == "Clamp" else "constant")
    y = m.nhwc(F.lp_pool2d(padded, 2, (kernel[1], kernel[0]), (stride[1], stride[0])))
    g = draw.grid(*y.shape, step=0.5)
    dx, = torch.autograd.grad(y, x, g)
    return {"name": name, "kernelWidth": kernel[0], "kernelHeight": kernel[1], "strideX": stride[0], "strideY": stride[1],
            "padLeft": pad[0], "padTop": pad[1], "edgeMode": edge, "offsetX": kernel[0] // 2 - pad[0],
            "offsetY": kernel[1] // 2 - pad[1], "outputWidth": y.shape[2], "outputHeight": y.shape[1],
            "x": x, "y": y, "g": g, "dx": dx}


def pooling_norm(draw):
    case = lambda *a, **k: norm_case(draw, *a, **k)
    return {"cases": [
        case("2x2, stride 2", kernel=(2, 2), stride=(2, 2)),
        case("3x2, stride 1 by 2", kernel=(3, 2), stride=(1, 2)),
        case("3x3, stride 2, zeros outside", kernel=(3, 3), stride=(2, 2), pad=(1, 1)),
        case("3x3, stride 1, edge pixels outside", kernel=(3, 3), stride=(1, 1), pad=(1, 1), edge="Clamp"),
        case("4x2, stride 3 by 1, edge pixels outside count twice", kernel=(4, 2), stride=(3, 1), pad=(2, 1), edge="Clamp",
             channels=5)]}


# ------------------------------------------------------------------------------------------------------ resampling

def positions(source, outputs, align):
    """The positions that MPS reads: corner on corner, or first centre on first centre with steps of source / outputs."""
    i = torch.arange(outputs, dtype=torch.float64)
    if align:
        return i * (source - 1) / (outputs - 1) if outputs > 1 else i
    return i * source / outputs


def sample(x, gx, gy, padding):
    """x (NCHW) at every pair of the pixel positions gx (a row) and gy (a column)."""
    unit = lambda g, extent: 2 * g / (extent - 1) - 1 if extent > 1 else g
    grid = torch.stack((unit(gx, x.shape[3]).expand(len(gy), -1), unit(gy, x.shape[2])[:, None].expand(-1, len(gx))), -1)
    return F.grid_sample(x, grid.expand(x.shape[0], -1, -1, -1), mode="bilinear", padding_mode=padding, align_corners=True)


def upsampling_case(draw, name, kind, *, scale, size=(4, 3), channels=3, batch=2, align=False):
    x = m.leaf(draw.grid(batch, size[1], size[0], channels))
    width, height = size[0] * scale[0], size[1] * scale[1]
    if kind == "nearest":
        y = F.interpolate(m.nchw(x), scale_factor=(scale[1], scale[0]), mode="nearest")
    elif align:
        y = F.interpolate(m.nchw(x), size=(height, width), mode="bilinear", align_corners=True)
    else:
        y = sample(m.nchw(x), positions(size[0], width, False), positions(size[1], height, False), "border")
    y = m.nhwc(y)
    g = draw.grid(*y.shape, step=0.5)
    dx, = torch.autograd.grad(y, x, g)
    return {"name": name, "type": kind, "scaleFactorX": scale[0], "scaleFactorY": scale[1], "alignCorners": align,
            "x": x, "y": y, "g": g, "dx": dx}


def upsampling(draw):
    case = lambda *a, **k: upsampling_case(draw, *a, **k)
    return {"cases": [
        case("nearest, 2 x 2", "nearest", scale=(2, 2)),
        case("nearest, 3 x 1", "nearest", scale=(3, 1), channels=17, batch=1),
        case("nearest, a copy", "nearest", scale=(1, 1), channels=2),
        case("bilinear, 2 x 2", "bilinear", scale=(2, 2)),
        case("bilinear, 3 x 2, many channels", "bilinear", scale=(3, 2), channels=18, batch=1),
        case("bilinear, 1 x 4, one channel", "bilinear", scale=(1, 4), channels=1),
        case("bilinear, corners aligned, 2 x 2", "bilinear", scale=(2, 2), align=True),
        case("bilinear, corners aligned, 3 x 4, many channels", "bilinear", scale=(3, 4), channels=16, batch=1, align=True),
        case("bilinear, corners aligned, one column", "bilinear", scale=(2, 3), size=(1, 3), align=True)]}


def resize_case(draw, name, *, to, size=(5, 4), channels=3, align=False):
    x = draw.grid(2, size[1], size[0], channels)
    if align:
        y = F.interpolate(m.nchw(x), size=(to[1], to[0]), mode="bilinear", align_corners=True)
    else:
        y = sample(m.nchw(x), positions(size[0], to[0], False), positions(size[1], to[1], False), "border")
    return {"name": name, "resizeWidth": to[0], "resizeHeight": to[1], "alignCorners": align, "x": x, "y": m.nhwc(y)}


def crop_case(draw, name, *, to, regions, size=(5, 4), channels=3):
    """Regions are (x, y, width, height) in parts of the image; 0 outside."""
    x = draw.grid(2, size[1], size[0], channels)
    line = lambda origin, extent, source, outputs: \
        (origin + torch.arange(outputs, dtype=torch.float64) * extent / (outputs - 1)) * (source - 1) if outputs > 1 \
        else torch.tensor([(origin + extent / 2) * (source - 1)], dtype=torch.float64)
    results = []
    for image in x:
        for rx, ry, rw, rh in regions:
            gx, gy = line(rx, rw, size[0], to[0]), line(ry, rh, size[1], to[1])
            inside = ((gy >= 0) & (gy <= size[1] - 1))[:, None] & ((gx >= 0) & (gx <= size[0] - 1))[None]
            results.append(m.nhwc(sample(m.nchw(image[None]), gx, gy, "border"))[0] * inside[..., None])
    return {"name": name, "resizeWidth": to[0], "resizeHeight": to[1], "regions": torch.tensor(regions, dtype=torch.float64),
            "x": x, "y": torch.stack(results)}


def resize(draw):
    case = lambda *a, **k: resize_case(draw, *a, **k)
    crop = lambda *a, **k: crop_case(draw, *a, **k)
    return {"cases": [
        case("enlarged", to=(8, 9)),
        case("smaller", to=(3, 2)),
        case("wider and lower, many channels", to=(7, 3), channels=16),
        case("corners aligned, enlarged", to=(9, 7), align=True),
        case("corners aligned, smaller, many channels", to=(2, 3), channels=20, align=True),
        case("corners aligned, to one pixel", to=(1, 1), align=True)],
        "cropCases": [
        crop("whole image and a quarter of it", to=(6, 5), regions=[(0, 0, 1, 1), (0, 0, 0.5, 0.5)]),
        crop("partly outside", to=(5, 4), regions=[(-0.25, 0.25, 1, 0.5), (0.5, 0.5, 1, 1), (2, 2, 1, 1)], channels=16),
        crop("to one pixel", to=(1, 1), regions=[(0.25, 0.5, 0.5, 0.25), (0, 0, 1, 1)]),
        crop("mirrored", to=(4, 4), regions=[(1, 0, -1, 1)], channels=1)]}


def grid_sample_case(draw, name, *, to, size=(5, 4), channels=3, edge="Zero", relative=False, step=0.0625):
    x = draw.grid(2, size[1], size[0], channels)
    low, high = (-2.5, 2.5) if relative else (-2.0, max(size) + 1.0)
    grid = draw.grid(2, to[1], to[0], 2, low=low, high=high, step=step)
    at = grid.clone()
    if relative:
        at[..., 0] += torch.arange(to[0], dtype=torch.float64)
        at[..., 1] += torch.arange(to[1], dtype=torch.float64)[:, None]
    unit = 2 * at / (torch.tensor([size[0], size[1]], dtype=torch.float64) - 1) - 1
    y = F.grid_sample(m.nchw(x), unit, mode="bilinear", padding_mode="border" if edge == "Clamp" else "zeros", align_corners=True)
    return {"name": name, "edgeMode": edge, "useGridValueAsInputCoordinate": not relative, "x": x, "grid": grid, "y": m.nhwc(y)}


def grid_sample(draw):
    case = lambda *a, **k: grid_sample_case(draw, *a, **k)
    return {"cases": [
        case("positions, zeros outside", to=(6, 5)),
        case("positions, edge pixels outside", to=(6, 5), edge="Clamp"),
        case("positions, zeros outside, many channels", to=(3, 7), channels=18),
        case("displacements, zeros outside", to=(5, 4), relative=True, channels=4),
        case("displacements, edge pixels outside, one channel", to=(7, 3), relative=True, channels=1, edge="Clamp")]}


m.FAMILIES = {
    "pooling_norm": (pooling_norm, [
        "y = lp_pool2d of norm 2 after padding by zeros (edge mode Zero) or by the edge pixels (Clamp)",
        "offset = floor(window / 2) - padding"]),
    "upsampling": (upsampling, [
        "nearest: interpolate; bilinear with alignCorners: interpolate; without: grid_sample at position i * n / N, borders clamped"]),
    "resize": (resize, [
        "cases: interpolate with alignCorners, else grid_sample at position i * n / N; forward only",
        "cropCases: result image b * regions + r; grid_sample at the positions of the region, 0 outside; forward only"]),
    "grid_sample": (grid_sample, ["grid in pixels; displacements are added to the pixel's own position; forward only"]),
}

if __name__ == "__main__":
    sys.exit(m.main())
