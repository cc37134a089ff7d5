#pragma once

#include "ops/Loss.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// Loss of a detector that predicts boxes for A anchors a grid cell, and its gradient.
///
/// Channels of src, labels, weights, gradient: A (5 + K): of anchor a from (5 + K) a: x, y, width, height,
/// confidence, K classes. With raw predictions r, labels t, anchor sizes a (in cells):
///   box b      sigmoid(r_x), sigmoid(r_y), a_w e^r_w, a_h e^r_h; true box t_x, t_y (in the cell), t_w, t_h
///   (in cells) shape IOU  of a_w x a_h and t_w x t_h on one centre, 0 without a true box; box IOU of the two
///   boxes obj        t_confidence = 1 and the IOU is the greatest of the cell's anchors or above minIou
///   (ties: all) none       not obj and the IOU is below maxIou L_x, L_y   scalePosition obj position(b, t);
///   L_w, L_h  scaleSize obj size(r, ln(t / a + 1e-5)) L_conf     (scaleObject obj + scaleNoObject none)
///   confidence(r, obj (rescore ? box IOU : 1)) L_class    scaleClass obj classes(r, t), the softmax over the
///   K classes
/// obj and none take the shape IOU, or with predictedBoxes the box IOU. With normalised, position and class
/// losses are divided by the batch's number of obj + 1e-4, sizes by twice that number (0 gives 0),
/// confidences by n h w. IOUs, obj, none and targets count as constants in the gradient. Weights multiply
/// element by element; Mean divides by H*W*C. gradient or loss may be null.
struct YoloLoss {
    LossFunction position, size, confidence, classes;
    LossReduction reduction;
    float scalePosition = 10, scaleSize = 10, scaleNoObject = 5, scaleObject = 100, scaleClass = 2;
    float minIou = 0.7f, maxIou = 0.3f;
    bool rescore = true, predictedBoxes = false, normalised = false;
    /// Width and height of each anchor, on the host, for the length of the call.
    const float* anchors = nullptr;
    std::int64_t anchorCount = 0;
    Tensor src, labels, weights, gradient, loss;

    std::int64_t channelsPerAnchor() const { return src.c / anchorCount; }
};

}  // namespace pewter::ops
