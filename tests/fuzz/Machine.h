#pragma once

#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>

#include "Nodes.h"

namespace pewter::fuzz {

using Format = MPS::ImageFeatureChannelFormat;
using Batch = MPS::ImageBatch;
/// Values of images by number; the whole batch each.
using ImageValues = std::map<std::size_t, std::vector<double>>;

/// A device with its queue, kept for all graphs.
struct Machine {
    explicit Machine(const std::string& device);
    std::shared_ptr<MTL::Device> device;
    std::shared_ptr<MTL::CommandQueue> queue;
};

/// What a graph gave: losses, gradients, exported and result images, gradients of parameters.
struct Outcome {
    std::map<std::string, std::vector<double>> values;
    /// Updates that each data source was asked for.
    std::vector<std::size_t> updates;
    std::size_t peak = 0, livePeak = 0;
};

/// A mistake that the checks found, as opposed to one that the library reports.
class Finding : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Where graphs get their options: every graph of the fuzzer is made here. In double, where derivatives are checked,
/// without rewrites, else with those of the plan.
std::shared_ptr<MPS::NNGraph> makeGraph(const Machine& machine, const Plan& plan, const std::vector<ImageNode>& results,
                                        const std::vector<bool>& needed, Format format);

/// A compiled graph of a plan.
class TrainingRun {
public:
    TrainingRun(const Machine& machine, const Plan& plan, const TrainingNodes& nodes, Format format);

    /// What comes before the good encode: on the same command buffer, with the same images, and refused.
    using Mistake = std::function<void(const CommandBuffer&, std::vector<Batch> images, std::vector<MPS::StateBatch> labels)>;
    /// One encode, executed. Throws Finding for read counts that are wrong afterwards.
    Outcome encode(const ImageValues& inputs, const Mistake& mistake = nullptr);
    MPS::NNGraphReport report(const ImageValues& inputs);
    MPS::NNGraph& graph() { return *graph_; }

private:
    std::vector<Batch> sources(const CommandBuffer& commandBuffer, const ImageValues& inputs) const;
    std::vector<MPS::StateBatch> states() const;

    const Machine& machine_;
    const Plan& plan_;
    const TrainingNodes& nodes_;
    Format format_;
    std::shared_ptr<MPS::NNGraph> graph_;
};

/// The sum of a plan's losses as a function of inputs and parameters, on forward filters alone.
class Objective {
public:
    /// cutAt: images that are inputs here; what leads to them is constant.
    Objective(const Machine& machine, const Plan& plan, const std::vector<bool>& isTrained,
              const std::set<std::size_t>& cutAt);
    double operator()(const ImageValues& inputs);

private:
    void build();
    const Machine& machine_;
    const Plan& plan_;
    std::vector<bool> isTrained_;
    std::set<std::size_t> cutAt_;
    std::shared_ptr<ForwardNodes> nodes_;
    std::shared_ptr<MPS::NNGraph> graph_;
};

/// Results of the forward filters as an application would infer with them.
std::map<std::string, std::vector<double>> infer(const Machine& machine, const Plan& plan, const TrainingNodes& nodes,
                                                 Format format);

/// An image of forward filters in double, with the plan's inputs.
std::vector<double> valueOf(const Machine& machine, const Plan& plan, const ForwardNodes& nodes, std::size_t image);

/// An encode of the same inputs with a random mistake in them: too few or too many, null, of another device or size, a data
/// source that fails. Throws Finding unless it is refused and leaves the command buffer and the images as they were.
TrainingRun::Mistake randomMistake(const Plan& plan, const TrainingNodes& nodes, TrainingRun& run, std::uint64_t seed);

/// Inputs of the plan by their numbers.
ImageValues inputsOf(const Plan& plan);

}  // namespace pewter::fuzz
