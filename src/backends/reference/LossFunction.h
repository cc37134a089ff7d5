#pragma once

#include "backends/reference/Elements.h"
#include "ops/Loss.h"

namespace pewter::reference {

/// Loss of one element and its derivatives with respect to prediction and label, all without the function's
/// weight.
struct ElementLoss {
    double value, derivative, labelDerivative;
};

/// Of prediction y and label t; logProbability is y after log-softmax over its pixel (SoftMaxCrossEntropy
/// only).
ElementLoss elementLoss(const ops::LossFunction& function, double y, double t, double logProbability);

/// What the sum of losses is divided by; `elements` of an image, of `images` images, `counted` of non-zero
/// weight.
double divisorOf(const ops::LossReduction& reduction, double elements, double images, double counted);

/// Losses an image that Mean counts: a pixel is one loss of a softmax.
double lossesOf(const ops::LossFunction& function, const Values& src);

/// Elements of non-zero weight of each image, all of them without weights; across the batch the total,
/// everywhere.
std::vector<double> countsOf(const ops::LossReduction& reduction, const Values& src, const Values& weights);

/// Reduces the losses of elements, plus `constant` an image, into a loss tensor.
void reduceLosses(const ops::LossReduction& reduction, const Values& losses, const Values& weights,
                  double elements, double constant, const ops::Tensor& loss);

}  // namespace pewter::reference
