#include "Nodes.h"

#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MPS/NNInitialGradientNode.hpp>
#include <stdexcept>

#include "OpTensors.h"

namespace pewter::fuzz {

std::string imageName(std::size_t image) { return fmt::format("#{}", image); }
std::string terminalName(std::size_t terminal) { return fmt::format("terminal {}", terminal); }
std::string stateName(std::size_t node) { return fmt::format("state {}", node); }
std::string gradientName(std::size_t terminal, std::size_t image) {
    return fmt::format("gradient {} of #{}", terminal, image);
}

std::set<const MPS::NNFilterNode*> reachable(const std::vector<ImageNode>& results) {
    std::set<const MPS::NNFilterNode*> seen;
    std::vector<const MPS::NNFilterNode*> open;
    const auto visit = [&](const MPS::NNFilterNode* filter) {
        if (filter && seen.insert(filter).second) open.push_back(filter);
    };
    for (const auto& image : results) visit(image->producer());
    while (!open.empty()) {
        const auto* const filter = open.back();
        open.pop_back();
        for (const auto& image : filter->sources()) visit(image->producer());
        for (const auto& state : filter->sourceStates()) visit(state->producer());
    }
    return seen;
}

ForwardNodes::ForwardNodes(const Plan& plan, const std::vector<bool>* isTrained, const std::set<std::size_t>& cutAt) {
    Building building;
    building.forwardOnly = isTrained != nullptr;
    building.filters = &filters;
    const auto named = [](std::size_t i) { return std::make_shared<Name>(imageName(i)); };
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) images.push_back(MPS::NNImageNode::node(named(i)));
    for (const auto& planned : plan.nodes) {
        std::vector<ImageNode> sources;
        for (const std::size_t source : planned.sources) sources.push_back(images[source]);
        building.usesStatistics = isTrained && (*isTrained)[filters.size()];
        const auto filter = planned.build(sources, building);
        const std::size_t index = images.size();
        filter->setLabel(fmt::format("node {}", filters.size()));
        if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(filter.get()))
            trainable->setTrainingStyle(planned.style);
        const auto image = filter->resultImage();
        image->setHandle(named(index));
        if (!building.forwardOnly) {
            image->setStopGradient(plan.images[index].stopsGradient);
            image->setExportFromGraph(plan.images[index].isExported);
            if (plan.images[index].isPersistent) image->setImageAllocator(MPS::Image::defaultAllocator());
            if (!plan.images[index].isExported) image->setImageAllocator(MPS::TemporaryImage::defaultAllocator());
        }
        filters.push_back(filter);
        images.push_back(cutAt.contains(index) ? MPS::NNImageNode::node(named(index)) : image);
    }
}

namespace {

/// The last filter of a backward pass, and the gradient to start it with.
std::pair<FilterNode, ImageNode> lastOf(const Plan& plan, const ForwardNodes& forward, std::size_t index) {
    const auto& terminal = plan.terminals[index];
    const auto& image = forward.images[terminal.image];
    const auto& producer = forward.filters.at(terminal.image - plan.inputs.size());
    const auto handle = std::make_shared<Name>(terminalName(index));
    switch (terminal.kind) {
        case Terminal::Kind::Loss: {
            const auto loss = MPS::CNNLossNode::node(image, terminal.loss);
            loss->inputLabels()->setHandle(handle);
            return {loss, nullptr};
        }
        case Terminal::Kind::Ones:
            return {MPS::NNInitialGradientNode::node(image), nullptr};
        case Terminal::Kind::Gradient:
            return {producer, MPS::NNImageNode::node(handle)};
        case Terminal::Kind::Own:
            break;
    }
    return {producer, nullptr};
}

}  // namespace

TrainingNodes::TrainingNodes(const Plan& plan)
    : forward(plan), updates(plan.nodes.size()), isObserved(plan.nodes.size()), isTrained(plan.nodes.size()), isWhole(plan.nodes.size()) {
    test::Random random(plan.choices);
    std::vector<ImageNode> termini;
    const auto chance = [&](double probability) { return random.uniform(0, 1) < probability; };
    // What decides by its neighbours whether it trains must have all of them.
    bool drops = plan.dropsTermini;
    for (const auto& node : plan.nodes) drops &= !node.isAutomatic;
    for (std::size_t t = 0; t < plan.terminals.size(); ++t) {
        const auto [last, gradient] = lastOf(plan, forward, t);
        std::map<const MPS::NNImageNode*, std::string> names;
        const auto handler = [&](const FilterNode& node, const FilterNode& inference, const ImageNode& source,
                                 const ImageNode&) {
            names[node->resultImage().get()] = source->handle()->label();
            if (inference) node->setLabel(fmt::format("gradient of {}", inference->label()));
        };
        for (const auto& terminus : last->trainingGraph(gradient, plan.usesHandler ? MPS::GradientNodeBlock(handler)
                                                                                  : MPS::GradientNodeBlock())) {
            const auto image = terminus->resultImage();
            const std::string name = plan.usesHandler ? names.at(image.get()) : image->handle()->label();
            const std::size_t index = std::stoul(name.substr(1));
            made.insert({t, index});
            termini.push_back(image);
            if (drops && chance(0.3)) continue;
            const bool isNeeded = !drops || chance(0.7);
            if (chance(0.9)) image->setImageAllocator(MPS::Image::defaultAllocator());
            results.push_back({image, gradientName(t, index), isNeeded});
            if (isNeeded) given.insert({t, index});
        }
        if (chance(0.2)) {
            const std::size_t image = plan.terminals[t].image;
            forward.images[image]->setImageAllocator(MPS::Image::defaultAllocator());
            results.push_back({forward.images[image], imageName(image), true});
        }
    }
    // An end of the forward filters, when no end of the backward ones was left.
    if (results.empty())
        results.push_back({forward.images[plan.terminals[0].image], imageName(plan.terminals[0].image), true});
    for (std::size_t i = results.size(); i > 1; --i)
        std::swap(results[i - 1], results[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i) - 1))]);

    if (plan.isMixed) {
        std::set<const MPS::NNImageNode*> seen;
        std::vector<ImageNode> open;
        for (const auto& result : results) open.push_back(result.image);
        while (!open.empty()) {
            const auto image = open.back();
            open.pop_back();
            if (!image->producer() || !seen.insert(image.get()).second) continue;
            if (chance(0.3)) halfImages.push_back(image);
            for (const auto& source : image->producer()->sources()) open.push_back(source);
        }
    }

    // Which gradient filters the graph will hold, and what they do.
    std::vector<ImageNode> ends;
    for (const auto& result : results) ends.push_back(result.image);
    const auto held = reachable(ends);
    std::map<const MPS::NNFilterNode*, std::size_t> ofNode;
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
        ofNode[forward.filters[i].get()] = i;
        isWhole[i] = true;
    }
    for (const auto* const filter : reachable(termini)) {
        if (!dynamic_cast<const MPS::NNGradientFilterNode*>(filter) || filter->sourceStates().empty()) continue;
        const auto found = ofNode.find(filter->sourceStates()[0]->producer());
        if (found == ofNode.end()) continue;
        const std::size_t i = found->second;
        if (held.contains(filter)) {
            isTrained[i] = true;
            updates[i] += plan.nodes[i].parameters && plan.nodes[i].style != MPS::NNTrainingStyle::UpdateDeviceNone;
        } else {
            isWhole[i] = false;
        }
    }
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
        isObserved[i] = updates[i] > 0;
        if (!isTrained[i] || !plan.nodes[i].parameters || !plan.nodes[i].exportsState) continue;
        isObserved[i] = true;
        const auto state = forward.filters[i]->resultState();
        state->setExportFromGraph(true);
        state->setHandle(std::make_shared<Name>(stateName(i)));
    }
}

void TrainingNodes::mixFormats(bool mixed) const {
    for (const auto& image : halfImages)
        image->setFormat(mixed ? MPS::ImageFeatureChannelFormat::Float16 : MPS::ImageFeatureChannelFormat::None);
}

}  // namespace pewter::fuzz
