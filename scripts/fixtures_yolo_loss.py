#!/usr/bin/env python3
"""Writes tests/fixtures/yolo_loss.json: the loss of a detector written in PyTorch, its gradient by autograd with IOUs, masks
and targets detached. Inputs, layout and rules as in make_fixtures.py, whose helpers it uses:

    /tmp/torch/bin/python scripts/fixtures_yolo_loss.py            # or --check
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures
from make_fixtures import Draw, f32, leaf


def element(kind, y, t, p):
    """PyTorch's own losses without reduction; y and t end with the channels that a softmax runs over."""
    if kind == "SoftMaxCrossEntropy":
        s = t * (1 - p["labelSmoothing"]) + p["labelSmoothing"] / p["numberOfClasses"] if p["labelSmoothing"] > 0 else t
        return -s * F.log_softmax(y, -1)
    if kind == "SigmoidCrossEntropy":
        s = t * (1 - p["labelSmoothing"]) + p["labelSmoothing"] / 2 if p["labelSmoothing"] > 0 else t
        return F.binary_cross_entropy_with_logits(y, s, reduction="none")
    if kind == "Huber":
        return F.huber_loss(y, t, reduction="none", delta=p["delta"])
    return {"MeanSquaredError": F.mse_loss, "MeanAbsoluteError": F.l1_loss}[kind](y, t, reduction="none")


def box_iou(b, t):
    """Of boxes (..., 4) as centre and size."""
    low = torch.maximum(b[..., :2] - b[..., 2:] / 2, t[..., :2] - t[..., 2:] / 2)
    high = torch.minimum(b[..., :2] + b[..., 2:] / 2, t[..., :2] + t[..., 2:] / 2)
    both = (high - low).clamp(min=0).prod(-1)
    return both / (b[..., 2:].prod(-1) + t[..., 2:].prod(-1) - both)


NUMBERS = {"MeanAbsoluteError": 0, "MeanSquaredError": 1, "SoftMaxCrossEntropy": 2, "SigmoidCrossEntropy": 3, "Huber": 6}


def case(draw, name, shape, anchors, classes, *, rescore=True, predicted=False, normalized=False, weighted=False, kinds=None, **options):
    n, h, w = shape
    count = len(anchors)
    p = {"scaleXY": 10.0, "scaleWH": 10.0, "scaleNoObject": 5.0, "scaleObject": 100.0, "scaleClass": 2.0, "minIOU": f32(0.7), "maxIOU": f32(0.3),
         "labelSmoothing": 0.0, "numberOfClasses": classes, "delta": 1.0} | {k: f32(v) for k, v in options.items()}
    kinds = kinds or ["MeanSquaredError", "Huber", "SigmoidCrossEntropy", "SoftMaxCrossEntropy"]
    raw = leaf(draw.odd(n, h, w, count * (5 + classes), limit=2))
    t = torch.zeros(n, h, w, count, 5 + classes)
    for b in range(n):
        for y in range(h):
            for x in range(w):
                if draw.random.random() < 0.4:
                    t[b, y, x, :, :2] = draw.grid(2, low=0, high=1, step=0.0625)
                    t[b, y, x, :, 2:4] = draw.grid(2, low=0.25, high=5, step=0.0625)
                    t[b, y, x, :, 4] = 1
                    t[b, y, x, :, 5 + int(draw.random.random() * classes)] = 1
    weights = draw.grid(n, h, w, count, 5 + classes, low=0, high=2, step=0.5) if weighted else None
    if weighted:      # the classes of a softmax share one weight: there p - t is the derivative
        weights[..., 5:] = weights[..., 5:6].clone()
    r = raw.reshape(n, h, w, count, 5 + classes)
    sizes = torch.tensor(anchors)
    position = torch.sigmoid(r[..., :2])
    with torch.no_grad():
        there = (t[..., 2] > 0) & (t[..., 3] > 0)
        shared = torch.minimum(sizes, t[..., 2:4]).prod(-1)
        shape_iou = torch.where(there, shared / (sizes.prod(-1) + t[..., 2:4].prod(-1) - shared), 0.0)
        predicted_iou = torch.where(there, box_iou(torch.cat([position, sizes * r[..., 2:4].exp()], -1), t[..., :4]), 0.0)
        iou = predicted_iou if predicted else shape_iou
        obj = (t[..., 4] == 1) & ((iou == iou.max(-1, keepdim=True).values) | (iou > p["minIOU"]))
        none = ~obj & (iou < p["maxIOU"])
        size = torch.log(t[..., 2:4] / sizes + 1e-5)
        confidence = obj * (predicted_iou if rescore else 1.0)
        obj, none = obj.double(), none.double()
        per_object, per_size, per_cell = 1.0, 1.0, 1.0
        if normalized:
            per_object, per_size, per_cell = 1 / (obj.sum() + 1e-4), 1 / (2 * obj.sum()), 1 / (n * h * w)
    parts = [p["scaleXY"] * per_object * obj[..., None] * element(kinds[0], position, t[..., :2], p),
             p["scaleWH"] * per_size * obj[..., None] * element(kinds[1], r[..., 2:4], size, p),
             (per_cell * (p["scaleObject"] * obj + p["scaleNoObject"] * none) * element(kinds[2], r[..., 4], confidence, p))[..., None],
             p["scaleClass"] * per_object * obj[..., None] * element(kinds[3], r[..., 5:], t[..., 5:], p)]
    loss = torch.cat(parts, -1) * (1 if weights is None else weights)
    gradient, = torch.autograd.grad(loss.sum(), raw)
    flat = lambda v: None if v is None else v.reshape(n, h, w, -1)
    return {"name": name, "types": [NUMBERS[k] for k in kinds], "anchors": [v for pair in anchors for v in pair], "rescore": rescore,
            "predictedBoxes": predicted, "normalized": normalized, **p, "source": raw, "labels": flat(t), "weights": flat(weights),
            "loss": flat(loss), "gradient": gradient}


def yolo_loss(draw):
    few, many = [[1.0, 2.0], [3.0, 1.5]], [[0.5, 0.75], [1.0, 1.0], [2.0, 1.25], [1.5, 3.0], [4.0, 4.0]]
    return {"cases": [
        case(draw, "two anchors", (2, 2, 3), few, 3),
        case(draw, "five anchors, weights", (1, 3, 2), many, 2, weighted=True),
        case(draw, "without rescoring", (1, 2, 2), few, 4, rescore=False),
        case(draw, "objects by predicted boxes", (1, 3, 3), few, 2, predicted=True),
        case(draw, "terms divided", (2, 2, 2), few, 2, normalized=True),
        case(draw, "smoothed classes, scales, limits", (1, 2, 3), many, 3, labelSmoothing=0.125, delta=0.5, scaleXY=1, scaleWH=2, scaleNoObject=3,
             scaleObject=4, scaleClass=5, minIOU=0.5, maxIOU=0.25),
        case(draw, "other losses", (1, 2, 3), few, 2, kinds=["SigmoidCrossEntropy", "MeanAbsoluteError", "MeanSquaredError", "SigmoidCrossEntropy"]),
    ]}


NOTES = ["channels of anchor a from (5+K)a: x, y, width, height, confidence, K classes",
         "loss: of every element, weighted; gradient: d(sum of loss)/d(source), with IOUs, masks and targets constant",
         "types: position, size, confidence, classes (Apple's numbers); anchors: width and height of each; normalized: position and class terms by "
         "(objects + 1e-4), sizes by 2 objects, confidences by cells"]

if __name__ == "__main__":
    make_fixtures.FAMILIES = {"yolo_loss": (yolo_loss, NOTES)}
    make_fixtures.__doc__ = __doc__
    document = make_fixtures.document
    make_fixtures.document = lambda *a: document(*a).replace("scripts/make_fixtures.py", "scripts/fixtures_yolo_loss.py")
    sys.exit(make_fixtures.main())
