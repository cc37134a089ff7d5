#pragma once

#include <algorithm>
#include <vector>

#include "ops/YoloLoss.h"
#include "support/OpTensors.h"

/// Images, labels and settings for tests of the detector's loss.
namespace pewter::test {

struct YoloProblem {
    std::int64_t n, h, w, anchorCount, classes;
    std::vector<float> anchors;
    ops::YoloLoss op;
    OpTensor src, labels, weights, gradient, loss;

    std::int64_t channels() const { return anchorCount * (5 + classes); }
    ops::YoloLoss whole() const { return with(gradient, loss); }
    ops::YoloLoss with(const OpTensor& toGradient, const OpTensor& toLoss) const {
        ops::YoloLoss out = op;
        out.anchors = anchors.data();
        out.anchorCount = anchorCount;
        out.src = src, out.labels = labels, out.weights = weights;
        out.gradient = toGradient, out.loss = toLoss;
        return out;
    }
    OpTensor tensor(ops::Type type, Layout layout = Layout::dense()) const {
        return {type, n, h, w, channels(), layout};
    }
    OpTensor lossTensor(ops::Type type) const {
        return op.reduction.type == ops::ReductionType::None ? tensor(type) : OpTensor(type, n, 1, 1, 1);
    }

    /// Anchors of 0.5 to 4 cells; in a third of the cells a box of 0.2 to 5 cells with a class, in all
    /// anchors.
    void draw(Random& random, ops::Type srcType, ops::Type labelType, Layout layout = Layout::dense()) {
        anchors.clear();
        for (std::int64_t i = 0; i < 2 * anchorCount; ++i)
            anchors.push_back(static_cast<float>(random.uniform(0.5, 4)));
        src = tensor(srcType, layout);
        src.fillUniform(random, -2, 2);
        labels = tensor(labelType);
        for (std::int64_t cell = 0; cell < n * h * w; ++cell) {
            if (random.integer(0, 2) != 0) continue;
            const double box[] = {random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.2, 5),
                                  random.uniform(0.2, 5), 1};
            const std::int64_t one = random.integer(0, classes - 1);
            for (std::int64_t a = 0; a < anchorCount; ++a) {
                const std::int64_t first = cell * channels() + a * (5 + classes);
                for (std::int64_t i = 0; i < 5; ++i) labels.set(first + i, box[i]);
                labels.set(first + 5 + one, 1);
            }
        }
    }
};

}  // namespace pewter::test
