#pragma once

#include <memory>
#include <vector>

#include <MPS/Handle.hpp>

namespace MPS {

class NNFilterNode;

/// MPSNNStateNode: stands for a state of a graph. Filters make theirs on first use; a state that nobody
/// consumes or exports costs nothing at run time. A filter's state node keeps the filter alive. Source:
/// MPSNNGraphNodes.h.
class PEWTER_API NNStateNode {
public:
    virtual ~NNStateNode();
    NNStateNode(const NNStateNode&) = delete;
    NNStateNode& operator=(const NNStateNode&) = delete;

    /// Default null.
    const std::shared_ptr<Handle>& handle() const { return handle_; }
    void setHandle(std::shared_ptr<Handle> handle) { handle_ = std::move(handle); }
    /// Whether the state comes out among the destination states. Default false.
    bool exportFromGraph() const { return exportFromGraph_; }
    void setExportFromGraph(bool value) { exportFromGraph_ = value; }
    /// Whether the host can read the state once the command buffer completes. Default false.
    bool synchronizeResource() const { return synchronizeResource_; }
    void setSynchronizeResource(bool value) { synchronizeResource_ = value; }

    /// The filter that makes the state, null for an input such as labels. (Extension.)
    NNFilterNode* producer() const { return producer_; }
    /// "NNGradientStateNode". (Extension.)
    virtual const char* className() const { return "NNStateNode"; }

protected:
    explicit NNStateNode(NNFilterNode* producer) : producer_(producer) {}

private:
    std::shared_ptr<Handle> handle_;
    bool exportFromGraph_ = false, synchronizeResource_ = false;
    NNFilterNode* producer_;
};

/// An array of state nodes.
using NNStateNodes = std::vector<std::shared_ptr<NNStateNode>>;

/// MPSNNGradientStateNode: stands for an NNGradientState.
class PEWTER_API NNGradientStateNode : public NNStateNode {
public:
    /// For filters that make one.
    explicit NNGradientStateNode(NNFilterNode* producer) : NNStateNode(producer) {}
    const char* className() const override { return "NNGradientStateNode"; }
};

/// MPSCNNConvolutionGradientStateNode: stands for a CNNConvolutionGradientState.
class PEWTER_API CNNConvolutionGradientStateNode : public NNGradientStateNode {
public:
    using NNGradientStateNode::NNGradientStateNode;
    const char* className() const override { return "CNNConvolutionGradientStateNode"; }
};

/// MPSCNNConvolutionTransposeGradientStateNode: stands for a CNNConvolutionTransposeGradientState.
class PEWTER_API CNNConvolutionTransposeGradientStateNode : public CNNConvolutionGradientStateNode {
public:
    using CNNConvolutionGradientStateNode::CNNConvolutionGradientStateNode;
    const char* className() const override { return "CNNConvolutionTransposeGradientStateNode"; }
};

/// MPSNNBinaryGradientStateNode: stands for an NNBinaryGradientState. No NNGradientStateNode, as in the
/// original.
class PEWTER_API NNBinaryGradientStateNode : public NNStateNode {
public:
    explicit NNBinaryGradientStateNode(NNFilterNode* producer) : NNStateNode(producer) {}
    const char* className() const override { return "NNBinaryGradientStateNode"; }
};

/// MPSNNArithmeticGradientStateNode: stands for a CNNArithmeticGradientState, read by the gradient filters of
/// both sources.
class PEWTER_API NNArithmeticGradientStateNode : public NNBinaryGradientStateNode {
public:
    using NNBinaryGradientStateNode::NNBinaryGradientStateNode;
    const char* className() const override { return "NNArithmeticGradientStateNode"; }
};

/// MPSNNMultiaryGradientStateNode: stands for an NNMultiaryGradientState.
class PEWTER_API NNMultiaryGradientStateNode : public NNStateNode {
public:
    explicit NNMultiaryGradientStateNode(NNFilterNode* producer) : NNStateNode(producer) {}
    const char* className() const override { return "NNMultiaryGradientStateNode"; }
};

/// MPSNNLabelsNode: stands for the CNNLossLabels of the samples, an input. Got from a loss node.
class PEWTER_API NNLabelsNode : public NNStateNode {
public:
    /// For loss nodes.
    NNLabelsNode() : NNStateNode(nullptr) {}
    const char* className() const override { return "NNLabelsNode"; }
};

}  // namespace MPS
