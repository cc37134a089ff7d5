#!/usr/bin/env python3
"""Writes tests/fixtures/loss_gradient.json: reduced losses and their gradients through the chain rule, towards
predictions and labels, by PyTorch's autograd. Inputs, layout and rules as in make_fixtures.py, whose helpers it uses:

    /tmp/torch/bin/python scripts/fixtures_loss_gradient.py            # or --check
"""
import sys

import torch
import torch.nn.functional as F

import make_fixtures
from make_fixtures import LOSSES, Draw, f32, leaf

REDUCTIONS = {"None": 0, "Sum": 1, "Mean": 2, "SumByNonZeroWeights": 3}


def reduced(element, w, kind, reduction, across, weight):
    """The losses of a batch from weighted elements: [N, H, W, C] for None, one value an image, or one for the batch first."""
    if reduction == "None":
        return element
    images, pixels, channels = element.shape[0], element.shape[1] * element.shape[2], element.shape[3]
    each = element.flatten(1).sum(1)
    if kind == "CosineDistance":
        each = each + weight
    count = (w != 0).flatten(1).sum(1).double() if w is not None else torch.full((images,), float(pixels * channels))
    divisor = {"Sum": torch.ones(images), "Mean": torch.full((images,), float(pixels * (1 if kind == "SoftMaxCrossEntropy" else channels))),
               "SumByNonZeroWeights": count}[reduction]
    if not across:
        return each / divisor
    total = each.sum() / (divisor.sum() if reduction != "Sum" else 1)
    return torch.cat([total.reshape(1), torch.zeros(images - 1)])


def case(draw, name, kind, y, t, w, reduction, across, *, weight=1.0, labelSmoothing=0.0, numberOfClasses=1, epsilon=1e-7, delta=1.0):
    p = {"weight": f32(weight), "labelSmoothing": f32(labelSmoothing), "numberOfClasses": numberOfClasses,
         "epsilon": f32(epsilon), "delta": f32(delta)}
    y, t = leaf(y), leaf(t)
    element = -y * t if kind == "CosineDistance" else LOSSES[kind][1](y, t, p)
    result = reduced(p["weight"] * (1 if w is None else w) * element, w, kind, reduction, across, p["weight"])
    u = draw.grid(*result.shape, low=-2, high=2)
    if kind == "SoftMaxCrossEntropy" and reduction == "None":      # p - t holds where the channels of a pixel share one factor
        u = u[..., :1].expand(*result.shape).contiguous()
    dy, dt = torch.autograd.grad(result, (y, t), u)
    if kind == "SoftMaxCrossEntropy" and w is None and reduction == "Mean" and across:      # the mean over the pixels of the batch
        own = p["weight"] * F.cross_entropy(y.movedim(-1, 1), t.movedim(-1, 1), label_smoothing=p["labelSmoothing"])
        torch.testing.assert_close(result[0], own, rtol=1e-12, atol=1e-14)
    return {"name": f"{name}, {reduction}{' across the batch' if across else ''}", "type": kind,
            "value": 7 if kind == "CosineDistance" else LOSSES[kind][0], "reduction": REDUCTIONS[reduction],
            "reduceAcrossBatch": across, **p, "source": y, "labels": t, "weights": w, "loss": result, "g": u,
            "dSource": dy, "dLabels": dt}


def loss_gradient(draw):
    shape = (2, 2, 3, 4)
    score = lambda: draw.odd(*shape, limit=3)
    label = lambda: draw.grid(*shape, low=-1, high=1)
    inside = lambda: draw.grid(*shape, low=0.0625, high=0.9375, step=0.0625)
    binary = lambda: draw.grid(*shape, low=0, high=1, step=1)

    def shares():      # dyadic probabilities, each pixel's sum exactly 1, none 0
        base = draw.grid(*shape, low=1, high=4, step=1)
        base[..., 0] += 32 - base.sum(-1)
        return base / 32

    kinds = [("MAE", "MeanAbsoluteError", score, label, {"weight": 0.5}),
             ("MSE", "MeanSquaredError", score, label, {}),
             ("softmax", "SoftMaxCrossEntropy", score, shares, {"weight": 0.5}),
             ("softmax, label smoothing", "SoftMaxCrossEntropy", score, shares, {"labelSmoothing": 0.125, "numberOfClasses": 4}),
             ("sigmoid, label smoothing", "SigmoidCrossEntropy", score, binary, {"labelSmoothing": 0.25, "weight": 2}),
             ("categorical", "CategoricalCrossEntropy", inside, shares, {}),
             ("hinge", "Hinge", score, binary, {}),
             ("Huber", "Huber", score, label, {"delta": 0.5}),
             ("cosine", "CosineDistance", score, label, {"weight": 0.5}),
             ("log", "Log", inside, inside, {"epsilon": 0.0625}),
             ("KL", "KullbackLeiblerDivergence", lambda: -inside() * 4, inside, {})]
    cases = []
    for name, kind, source, target, options in kinds:
        for reduction in REDUCTIONS:
            if kind == "CosineDistance" and reduction != "Sum":
                continue
            for across in ([False] if reduction == "None" else [False, True]):
                w = draw.grid(2, 2, 3, 1, low=0, high=2, step=0.5).expand(*shape).contiguous() if len(cases) % 2 else None
                cases.append(case(draw, name, kind, source(), target(), w, reduction, across, **options))
    return {"cases": cases}


NOTES = ["loss: weighted and reduced; an image of the source's size for reduction 0, else one value an image; g: the gradient with respect "
         "to it; dSource, dLabels: its gradients through the loss, by autograd",
         "labels of softmax add up to 1 in each pixel, whose channels share one weight and one g: there p - t is the derivative",
         "CosineDistance: weight * (1 - sum(weights*source*labels)) an image, only Sum is legal"]

if __name__ == "__main__":
    make_fixtures.FAMILIES = {"loss_gradient": (loss_gradient, NOTES)}
    document = make_fixtures.document
    make_fixtures.document = lambda *a: document(*a).replace("scripts/make_fixtures.py", "scripts/fixtures_loss_gradient.py")
    sys.exit(make_fixtures.main())
