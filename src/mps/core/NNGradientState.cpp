#include <fmt/format.h>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/NNGradientState.hpp>

#include "mps/core/ForwardRecord.h"
#include "mps/core/ImageStorage.h"

namespace pewter::mps {

void ForwardRecord::describe(std::vector<std::pair<std::string, std::string>>& facts) const {
    facts.emplace_back("of", kernel);
    facts.emplace_back("source", fmt::format("{} x {} x {} {}", sourceWidth, sourceHeight, sourceChannels,
                                             nameOf(sourceFormat)));
    facts.emplace_back("destination", fmt::format("{} x {} x {} {}", destinationWidth, destinationHeight,
                                                  destinationChannels, nameOf(destinationFormat)));
    facts.emplace_back("window", fmt::format("{} x {}", kernelWidth, kernelHeight));
    facts.emplace_back("stride", fmt::format("{} x {}", strideX, strideY));
    facts.emplace_back("dilation", fmt::format("{} x {}", dilationX, dilationY));
    facts.emplace_back("offset", fmt::format("({}, {}, {})", offset.x, offset.y, offset.z));
    facts.emplace_back("clip", fmt::format("{} x {} at ({}, {})", clip.size.width, clip.size.height, clip.origin.x,
                                           clip.origin.y));
    constexpr const char* kEdgeModes[] = {"zero", "clamp", "mirror", "mirror with edge", "constant"};
    facts.emplace_back("edge mode", kEdgeModes[static_cast<std::size_t>(edgeMode)]);
    facts.emplace_back("channels read", fmt::format("{} from {}", sourceFeatureChannels, sourceFeatureChannelOffset));
    facts.emplace_back("channels written",
                       fmt::format("{} from {}", resultFeatureChannels, destinationFeatureChannelOffset));
}

}  // namespace pewter::mps

namespace MPS {

using pewter::mps::ForwardRecord;

namespace {

/// Forward geometry into the gradient kernel, forward source extents into the descriptor.
ImageDescriptor impose(const ForwardRecord& record, Kernel& kernel, ImageDescriptor descriptor) {
    if (auto* gradient = dynamic_cast<CNNGradientKernel*>(&kernel)) gradient->configure(record);
    descriptor.width = record.sourceWidth;
    descriptor.height = record.sourceHeight;
    descriptor.featureChannels = record.sourceFeatureChannels;
    return descriptor;
}

}  // namespace

NNGradientState::NNGradientState(const StateOwner& owner, const StateResourceList& resources)
    : State(owner, resources) {}
NNGradientState::~NNGradientState() = default;

std::size_t NNGradientState::sourceWidth() const { return record_ ? record_->sourceWidth : 0; }
std::size_t NNGradientState::sourceHeight() const { return record_ ? record_->sourceHeight : 0; }

ImageDescriptor NNGradientState::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                            const StateBatch&, Kernel& kernel,
                                                            const ImageDescriptor& suggested) {
    return record_ ? impose(*record_, kernel, suggested) : suggested;
}

void NNGradientState::describe(Facts& facts) const {
    if (record_) record_->describe(facts);
}

NNBinaryGradientState::NNBinaryGradientState(const StateOwner& owner, const StateResourceList& resources)
    : State(owner, resources) {}
NNBinaryGradientState::~NNBinaryGradientState() = default;

ImageDescriptor NNBinaryGradientState::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                                  const StateBatch&, Kernel& kernel,
                                                                  const ImageDescriptor& suggested) {
    return primary_ ? impose(*primary_, kernel, suggested) : suggested;
}

void NNBinaryGradientState::describe(Facts& facts) const {
    for (const auto& [name, record] : {std::pair{"primary", &primary_}, {"secondary", &secondary_}})
        if (*record) {
            Facts own;
            (*record)->describe(own);
            for (auto& [key, value] : own) facts.emplace_back(std::string(name) + " " + key, value);
        }
}

NNMultiaryGradientState::NNMultiaryGradientState(const StateOwner& owner, const StateResourceList& resources)
    : State(owner, resources) {}
NNMultiaryGradientState::~NNMultiaryGradientState() = default;

void NNMultiaryGradientState::describe(Facts& facts) const {
    for (std::size_t i = 0; i < records_.size(); ++i) {
        Facts own;
        records_[i]->describe(own);
        for (auto& [key, value] : own) facts.emplace_back(fmt::format("source {} {}", i, key), value);
    }
}

}  // namespace MPS
