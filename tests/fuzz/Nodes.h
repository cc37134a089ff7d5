#pragma once

#include <MPS/CNNLossNode.hpp>
#include <map>
#include <set>

#include "Plan.h"

namespace pewter::fuzz {

/// A handle that is only a name.
class Name final : public MPS::Handle {
public:
    explicit Name(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};

/// Names of what goes in and out of a graph.
std::string imageName(std::size_t image);
std::string terminalName(std::size_t terminal);
std::string stateName(std::size_t node);

/// The filters of a plan, forward only: images[i] belongs to image i of the plan.
struct ForwardNodes {
    /// For training.
    explicit ForwardNodes(const Plan& plan) : ForwardNodes(plan, nullptr, {}) {}
    /// Alone. isTrained: the nodes that have a gradient filter in the training graph. cutAt: images that become inputs of
    /// their own; what makes them stays outside.
    ForwardNodes(const Plan& plan, const std::vector<bool>* isTrained, const std::set<std::size_t>& cutAt);

    std::vector<ImageNode> images;
    std::vector<FilterNode> filters;
};

/// A result image of a graph.
struct Result {
    ImageNode image;
    std::string name;
    bool isNeeded = true;
};

/// A plan with its backward filters, and what the graph of them should give.
struct TrainingNodes {
    explicit TrainingNodes(const Plan& plan);
    /// Of plans with mixed formats: the next graphs have some images in float16, or all in the graph's format.
    void mixFormats(bool mixed) const;

    ForwardNodes forward;
    std::vector<Result> results;
    /// (terminal, image) whose gradient the backward pass makes, and those that are results and needed.
    std::set<std::pair<std::size_t, std::size_t>> made, given;
    /// How often each node's data source must be asked for an update in an encode, and whether its gradient is to be had.
    std::vector<std::size_t> updates;
    std::vector<bool> isObserved;
    /// Nodes with a gradient filter in the graph, and those all of whose gradient filters are.
    std::vector<bool> isTrained, isWhole;
    std::vector<ImageNode> halfImages;
};

/// The name of a gradient among results.
std::string gradientName(std::size_t terminal, std::size_t image);
/// All filters that lead to the images, through images and states.
std::set<const MPS::NNFilterNode*> reachable(const std::vector<ImageNode>& results);

}  // namespace pewter::fuzz
