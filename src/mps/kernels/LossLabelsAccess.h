#pragma once

#include <MPS/CNNLoss.hpp>
#include <memory>

namespace pewter::mps {

/// What the library does with labels beyond their public face.
struct LossLabelsAccess {
    static bool isWeighted(const MPS::CNNLossLabels& labels) { return labels.weighted_; }
    /// Labels around other images: of the labels, of the weights (null without), and for the loss.
    static std::shared_ptr<MPS::CNNLossLabels> around(const std::shared_ptr<MTL::Device>& device,
                                                      std::shared_ptr<MPS::Image> labels,
                                                      std::shared_ptr<MPS::Image> weights,
                                                      std::shared_ptr<MPS::Image> loss) {
        return std::shared_ptr<MPS::CNNLossLabels>(
            new MPS::CNNLossLabels(device, std::move(labels), std::move(weights), std::move(loss)));
    }
};

}  // namespace pewter::mps
