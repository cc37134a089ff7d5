#include <fmt/format.h>

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/Step.h"

namespace MPS {

NNFilterNode::NNFilterNode(const char* className, std::initializer_list<Source> sources,
                           std::initializer_list<SourceState> sourceStates)
    : NNFilterNode(className, std::vector(sources), std::vector(sourceStates)) {}

NNFilterNode::NNFilterNode(const char* className, const std::vector<Source>& sources,
                           const std::vector<SourceState>& sourceStates)
    : className_(className), padding_(NNDefaultPadding::padding(NNPaddingMethodSizeSame)) {
    for (const auto& [argument, image] : sources) {
        if (!image) throw Error(className, argument, "an image node", "null");
        sources_.push_back(image);
    }
    for (const auto& [argument, state] : sourceStates) {
        if (!state) throw Error(className, argument, "a state node", "null");
        sourceStates_.push_back(state);
    }
    // A copy made once: later changes of the source's format do not come here.
    if (!sources_.empty()) result_.setFormat(sources_[0]->format());
    result_.producer_ = this;
}

namespace {

/// What filters that are gone kept alive. A filter keeps its sources, those theirs: freed one by one, not one inside the
/// other, for a chain may be longer than the stack is deep.
struct Kept {
    NNImageNodes images;
    NNStateNodes states;

    template <class List>
    static void take(List& to, List& from) {
        to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    }
    template <class List>
    static void freeOne(List& list) {
        const auto last = std::move(list.back());
        list.pop_back();
    }
    void free() {
        while (!images.empty() || !states.empty())
            if (images.empty())
                freeOne(states);
            else
                freeOne(images);
    }
};
/// That of the filter of this thread that is freeing what it kept.
thread_local Kept* freeing = nullptr;

}  // namespace

NNFilterNode::~NNFilterNode() {
    Kept kept;
    Kept& to = freeing ? *freeing : kept;
    Kept::take(to.images, sources_);
    Kept::take(to.states, sourceStates_);
    if (freeing) return;
    freeing = &kept;
    kept.free();
    freeing = nullptr;
}

std::string NNFilterNode::name() const {
    return label_.empty() ? className_ : fmt::format("{} '{}'", className_, label_);
}

std::shared_ptr<NNFilterNode> NNFilterNode::self(const char* method) {
    auto self = weak_from_this().lock();
    if (!self) throw Error(name(), method, "a node held by shared_ptr, as node() makes it", "another");
    return self;
}

std::shared_ptr<NNImageNode> NNFilterNode::resultImage() { return {self("resultImage"), &result_}; }

NNStateNodes NNFilterNode::resultStates() {
    const auto owner = self("resultStates");
    if (!statesMade_) {
        states_ = newStates();
        statesMade_ = true;
    }
    NNStateNodes nodes;
    for (const auto& state : states_) nodes.emplace_back(owner, state.get());
    return nodes;
}

std::shared_ptr<NNStateNode> NNFilterNode::resultState() {
    const auto states = resultStates();
    return states.empty() ? nullptr : states.front();
}

void NNFilterNode::setPaddingPolicy(std::shared_ptr<NNPadding> policy) {
    if (!policy) throw Error(name(), "paddingPolicy", "a padding policy", "null");
    padding_ = std::move(policy);
}

std::vector<std::unique_ptr<NNStateNode>> NNFilterNode::newStates() { return {}; }

NNGradientFilterNodes NNFilterNode::newGradientFilters(const std::shared_ptr<NNImageNode>&) {
    if (isOwnGradient())
        throw Error(name(), "gradientFilter", "a filter whose result is not a gradient already",
                    fmt::format("a {}, which is its own gradient filter", className_));
    throw Error(
        name(), "gradientFilter",
        "a filter with a gradient; set stopGradient on its result image to leave it and what feeds it out of "
        "training",
        fmt::format("a {}, which has none", className_));
}

std::shared_ptr<NNImageNode> NNFilterNode::onlyGradient(const NNImageNodes& images,
                                                        const char* method) const {
    if (images.size() != 1)
        throw Error(name(), method, "one incoming gradient, that of the result image",
                    fmt::format("{}", images.size()));
    if (!images[0]) throw Error(name(), method, "an image node", "null");
    return images[0];
}

std::shared_ptr<NNGradientFilterNode> NNFilterNode::gradientFilter(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return gradientFilter(NNImageNodes{gradientImage});
}

std::shared_ptr<NNGradientFilterNode> NNFilterNode::gradientFilter(const NNImageNodes& gradientImages) {
    const auto gradient = onlyGradient(gradientImages, "gradientFilter");
    if (!hasSingularGradient())
        throw Error(name(), "gradientFilter",
                    "a filter with one source; use gradientFilters, which makes one filter a source",
                    fmt::format("{} sources", sources_.size()));
    return mirrored(gradient).front();
}

NNGradientFilterNodes NNFilterNode::gradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return gradientFilters(NNImageNodes{gradientImage});
}

NNGradientFilterNodes NNFilterNode::gradientFilters(const NNImageNodes& gradientImages) {
    return mirrored(onlyGradient(gradientImages, "gradientFilters"));
}

NNGradientFilterNodes NNFilterNode::mirrored(const std::shared_ptr<NNImageNode>& gradientImage) {
    auto filters = newGradientFilters(gradientImage);
    const auto inverse = padding_->inverse();
    for (const auto& filter : filters) {
        if (inverse) filter->setPaddingPolicy(inverse);
        filter->setLabel(label_);
    }
    return filters;
}

NNGradientFilterNode::NNGradientFilterNode(const char* className,
                                           const std::shared_ptr<NNImageNode>& sourceGradient,
                                           const std::shared_ptr<NNImageNode>& sourceImage,
                                           const std::shared_ptr<NNStateNode>& gradientState,
                                           const char* stateArgument)
    : NNFilterNode(className, {{"sourceGradient", sourceGradient}, {"sourceImage", sourceImage}},
                   {{stateArgument, gradientState}}) {}

NNGradientFilterNode::NNGradientFilterNode(const char* className, const std::vector<Source>& sources,
                                           const std::vector<SourceState>& sourceStates)
    : NNFilterNode(className, sources, sourceStates) {}

NNGradientFilterNodes NNGradientFilterNode::newGradientFilters(const std::shared_ptr<NNImageNode>&) {
    throw Error(name(), "gradientFilters", "a forward filter",
                fmt::format("a {}: there are no gradients of gradients", className()));
}

NNTrainableNode::~NNTrainableNode() = default;

void NNTrainableNode::setTrainingStyle(NNTrainingStyle style) {
    if (style != NNTrainingStyle::UpdateDeviceNone && style != NNTrainingStyle::UpdateDeviceCPU &&
        style != NNTrainingStyle::UpdateDeviceGPU)
        throw Error("NNTrainableNode", "trainingStyle", "one of the three styles",
                    fmt::format("{}", static_cast<std::uint64_t>(style)));
    style_ = style;
}

}  // namespace MPS
