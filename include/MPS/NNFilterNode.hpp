#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include <MPS/NNImageNode.hpp>
#include <MPS/NNStateNode.hpp>
#include <MPS/Types.hpp>

namespace pewter::mps {
class Compilation;
class Step;
struct NodeAccess;
}  // namespace pewter::mps

namespace MPS {

class NNFilterNode;
class NNGradientFilterNode;
class NNPadding;

using NNFilterNodes = std::vector<std::shared_ptr<NNFilterNode>>;
using NNGradientFilterNodes = std::vector<std::shared_ptr<NNGradientFilterNode>>;

/// MPSGradientNodeBlock: told of every filter that trainingGraph() makes, before anything is built on its
/// result, so that what it changes there (format, handle, allocator) reaches the filters that follow.
/// gradientNode: the new filter. inferenceNode: the forward filter it mirrors, null for an addition that sums
/// gradients. inferenceSource: the forward image whose gradient the filter's result is; setting its
/// stopGradient() ends the walk there. gradientSource: the incoming gradient (of an addition: the left one).
using GradientNodeBlock = std::function<void(
    const std::shared_ptr<NNFilterNode>& gradientNode, const std::shared_ptr<NNFilterNode>& inferenceNode,
    const std::shared_ptr<NNImageNode>& inferenceSource, const std::shared_ptr<NNImageNode>& gradientSource)>;

/// MPSNNFilterNode: a layer of a graph: image and state nodes in, one image node out, and state nodes for the
/// backward pass. A description only: no device, no memory. Always held by shared_ptr (make one with the
/// node() functions). Source: MPSNNGraphNodes.h.
class PEWTER_API NNFilterNode : public std::enable_shared_from_this<NNFilterNode> {
public:
    virtual ~NNFilterNode();
    NNFilterNode(const NNFilterNode&) = delete;
    NNFilterNode& operator=(const NNFilterNode&) = delete;

    /// Always the same node; it keeps this filter alive.
    std::shared_ptr<NNImageNode> resultImage();
    /// The filter's states, made on first use; always the same nodes. Empty for filters that have none.
    NNStateNodes resultStates();
    /// The first of resultStates(), or null.
    std::shared_ptr<NNStateNode> resultState();

    /// Sizes the result and places the window. Default: centred, remainder top left, same size; ValidOnly for
    /// fully connected filters. Throws MPS::Error for null.
    const std::shared_ptr<NNPadding>& paddingPolicy() const { return padding_; }
    void setPaddingPolicy(std::shared_ptr<NNPadding> policy);

    /// Becomes the kernel's label; for nodes with a data source it comes before the label of that. Default
    /// empty.
    const std::string& label() const { return label_; }
    void setLabel(const std::string& label) { label_ = label; }

    /// A new gradient filter for the incoming gradient, which is that of resultImage(); everything else comes
    /// from this node, label included. Throws MPS::Error for filters with several sources or without a
    /// gradient. Objective-C: -gradientFilterWithSource:
    std::shared_ptr<NNGradientFilterNode> gradientFilter(const std::shared_ptr<NNImageNode>& gradientImage);
    /// The same; takes exactly one image.   Objective-C: -gradientFilterWithSources:
    std::shared_ptr<NNGradientFilterNode> gradientFilter(const NNImageNodes& gradientImages);
    /// One new gradient filter for each source image, in their order.   Objective-C:
    /// -gradientFiltersWithSource:
    NNGradientFilterNodes gradientFilters(const std::shared_ptr<NNImageNode>& gradientImage);
    /// Objective-C: -gradientFiltersWithSources:
    NNGradientFilterNodes gradientFilters(const NNImageNodes& gradientImages);

    /// Makes the gradient filters of everything that leads to this node, last filter first, summing the
    /// gradients of images that are used several times, and returns the filters whose result no other of them
    /// reads: pass the result images of all that lead to trainable filters to the graph. Empty when nothing
    /// was made.
    ///
    /// sourceGradient null: the result of this node. After a loss node that is the gradient of the loss;
    /// after any other filter the forward result itself then serves as gradient. A fresh image node becomes
    /// an input of the graph. Without a handler every gradient image gets the handle of its forward image.
    /// Images with stopGradient() end the walk; links through states are not followed. Throws MPS::Error at a
    /// filter without a gradient and at a loss inside the walk. Objective-C:
    /// -trainingGraphWithSourceGradient:nodeHandler:
    NNFilterNodes trainingGraph(const std::shared_ptr<NNImageNode>& sourceGradient = nullptr,
                                const GradientNodeBlock& nodeHandler = nullptr);

    /// What the filter reads, in argument order. (Extension.)
    const NNImageNodes& sources() const { return sources_; }
    const NNStateNodes& sourceStates() const { return sourceStates_; }
    /// "CNNConvolutionNode". (Extension.)
    const char* className() const { return className_; }
    /// How errors call the node: its class, and its label if it has one. (Extension.)
    std::string name() const;

protected:
    struct Source {
        const char* argument;
        std::shared_ptr<NNImageNode> image;
    };
    struct SourceState {
        const char* argument;
        std::shared_ptr<NNStateNode> state;
    };
    /// Throws MPS::Error for a null source, naming class and argument.
    NNFilterNode(const char* className, std::initializer_list<Source> sources,
                 std::initializer_list<SourceState> sourceStates = {});
    /// The same for filters whose arguments may be left out.
    NNFilterNode(const char* className, const std::vector<Source>& sources,
                 const std::vector<SourceState>& sourceStates);

    /// The nodes of resultStates(). Default: none.
    virtual std::vector<std::unique_ptr<NNStateNode>> newStates();
    /// One gradient filter a source image. Default: refuses.
    virtual NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage);
    /// Whether gradientFilter() serves: for filters with one source, and for forward losses, where it makes
    /// that of the predictions.
    virtual bool hasSingularGradient() const { return sources_.size() == 1; }
    /// True for loss filters, whose result already is the gradient of their source.
    virtual bool isOwnGradient() const { return false; }
    /// The kernel and how to run it.
    virtual std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const = 0;

    /// newStates() of filters with one state.
    template <class StateNode>
    std::vector<std::unique_ptr<NNStateNode>> oneState() {
        std::vector<std::unique_ptr<NNStateNode>> states;
        states.push_back(std::make_unique<StateNode>(this));
        return states;
    }
    /// resultState() of a known class.
    template <class StateNode>
    std::shared_ptr<StateNode> stateAs() {
        return std::static_pointer_cast<StateNode>(resultState());
    }

private:
    std::shared_ptr<NNFilterNode> self(const char* method);
    /// newGradientFilters() with what every gradient filter takes over: label, inverse of the padding policy.
    NNGradientFilterNodes mirrored(const std::shared_ptr<NNImageNode>& gradientImage);
    std::shared_ptr<NNImageNode> onlyGradient(const NNImageNodes& images, const char* method) const;

    const char* className_;
    NNImageNodes sources_;
    NNStateNodes sourceStates_;
    NNImageNode result_;
    bool statesMade_ = false;
    std::vector<std::unique_ptr<NNStateNode>> states_;
    std::shared_ptr<NNPadding> padding_;
    std::string label_;

    friend struct pewter::mps::NodeAccess;
};

/// MPSNNGradientFilterNode: base of all gradient filters. Sources: the incoming gradient, then the forward
/// filter's source image; and the forward filter's gradient state. The result has the size of that source
/// image.
class PEWTER_API NNGradientFilterNode : public NNFilterNode {
protected:
    /// stateArgument is the name of the state argument in errors.
    NNGradientFilterNode(const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
                         const std::shared_ptr<NNImageNode>& sourceImage,
                         const std::shared_ptr<NNStateNode>& gradientState,
                         const char* stateArgument = "gradientState");
    /// For filters with further sources, or with a state that may be left out.
    NNGradientFilterNode(const char* className, const std::vector<Source>& sources,
                         const std::vector<SourceState>& sourceStates);

    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
};

/// MPSNNTrainableNode: a node whose data source may be updated. Of a forward and a gradient node the gradient
/// node's word counts; it starts with that of the forward node.
class PEWTER_API NNTrainableNode {
public:
    virtual ~NNTrainableNode();
    /// Default UpdateDeviceGPU: the update is encoded with the gradient kernel, right after it or, on devices where
    /// NNGraphOptions::joinUpdates counts, behind later ones of the same encode. CPU: done when the command buffer
    /// completes. None: frozen.
    NNTrainingStyle trainingStyle() const { return style_; }
    /// Throws MPS::Error for anything but the three styles.
    void setTrainingStyle(NNTrainingStyle style);

private:
    NNTrainingStyle style_ = NNTrainingStyle::UpdateDeviceGPU;
};

}  // namespace MPS
