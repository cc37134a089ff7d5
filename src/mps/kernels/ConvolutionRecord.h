#pragma once

#include <MPS/CNNConvolutionDescriptor.hpp>
#include <memory>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

/// What a convolution's gradient state keeps besides the geometry of every filter.
struct ConvolutionRecord final : ForwardRecord {
    explicit ConvolutionRecord(const ForwardRecord& base,
                               std::shared_ptr<const MPS::CNNConvolutionDescriptor> d)
        : ForwardRecord(base), descriptor(std::move(d)) {}
    void describe(std::vector<std::pair<std::string, std::string>>& facts) const override;

    std::shared_ptr<const MPS::CNNConvolutionDescriptor> descriptor;
};

/// Window of a convolution whose first tap falls `padLeft`, `padTop` pixels outside.
ops::Window windowOf(const MPS::CNNConvolutionDescriptor& descriptor, std::int64_t padLeft,
                     std::int64_t padTop, MPS::ImageEdgeMode edge);
/// Groups as the seam counts them: a depthwise convolution has one an input channel.
std::int64_t groupsOf(const MPS::CNNConvolutionDescriptor& descriptor);
/// How exact the kernel's options want its sums.
ops::Exactness exactnessOf(const MPS::Kernel& kernel);
/// Throws unless a source image offers the convolution's input channels: exactly as many, or at least as many
/// from a channel offset on.
void checkInputChannels(const ChannelWindow& channels, std::size_t expected, const std::string& who,
                        const char* argument);

}  // namespace pewter::mps
