#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <MPS/Types.hpp>
#include <Pewter/train/Network.hpp>

namespace MPS {
class NNGraph;
}

namespace pewter::train {

/// The loss scale with float16: gradients from 6e-11 to 64 arrive.
inline constexpr float kLossScale = 1024;

/// How a network is set up for training.
struct TrainingSettings {
    std::size_t batchSize = 32;
    std::uint64_t seed = 1;
    OptimizerSettings optimizer;
    /// Of the images inside the graphs, those of gradients too.
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float32;
    /// Of the kernels of both graphs.
    MPS::KernelOptions options = MPS::KernelOptionsNone;
    /// What losses and their gradients are multiplied by and weights' gradients divided by, so that float16 does not lose
    /// small gradients on the way. 0: kLossScale with float16, 1 with everything else, which has the exponents of float32.
    float lossScale = 0;
    /// Bytes of temporary memory for a training step: forward images are computed again where that keeps it within them
    /// (NNRecomputePolicy::budget). Nothing: all that gradients need is kept.
    std::optional<std::size_t> memoryBudget;
};

/// A network on a device: a training graph that ends in the loss of its target, and an inference graph over the same data
/// sources that ends in a softmax (classes) or in the network's own result (images).
class PEWTER_API TrainingNetwork {
public:
    /// Throws MPS::Error for a description that does not fit together.
    TrainingNetwork(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
                    const TrainingSettings& settings);
    ~TrainingNetwork();

    const NetworkDescription& description() const { return description_; }
    const TrainingSettings& settings() const { return settings_; }
    const std::shared_ptr<MTL::Device>& device() const { return device_; }
    /// Source images: pictures. Source states: one CNNLossLabels a picture, with the extents of the target.
    MPS::NNGraph& trainingGraph() { return *training_; }
    /// Result: probabilities or images, float32. Made at the first call, with the weights of that moment (wait for training
    /// steps first): a process that only trains holds no second copy of them. Sees new weights after reloadFromDataSources().
    MPS::NNGraph& inferenceGraph();
    const std::vector<std::shared_ptr<DataSource>>& dataSources() const { return sources_; }
    /// What loss images hold times the loss: divide by it. A power of two costs no accuracy.
    float lossScale() const { return lossScale_; }
    /// For loops of one's own; Trainer::train sets the rate of the settings before every step.
    void setLearningRate(float rate);
    std::size_t parameterCount() const;

    /// Both graphs with their weights, optimizers and moments into one file; wait for training steps first. Throws MPS::Error
    /// with the path when it cannot be written.
    void save(const std::string& path);
    /// Takes what save() of the same network wrote, on any device, in place of graphs and data sources: training goes on
    /// where it was. Throws MPS::Error for anything else, and for another batch size or format than the settings have;
    /// nothing has changed then. References to the graphs of before end.
    void load(const std::string& path);

private:
    NetworkDescription description_;
    std::shared_ptr<MTL::Device> device_;
    TrainingSettings settings_;
    float lossScale_;
    NetworkBuilder builder_;
    std::vector<std::shared_ptr<DataSource>> sources_;
    std::shared_ptr<MPS::NNGraph> training_, inference_;
};

}  // namespace pewter::train
