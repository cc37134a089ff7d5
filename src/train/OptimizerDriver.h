#pragma once

#include <MPS/Archive.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/DataSources.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pewter::train {

/// One optimizer with the moments of the two parameter vectors of a layer (weights and biases, or gamma and beta; the second
/// has length 0 where there are no biases). The step count belongs to the layer: one encode updates both.
class OptimizerDriver {
public:
    OptimizerDriver(const std::shared_ptr<MTL::Device>& device, const OptimizerSettings& settings, std::size_t first,
                    std::size_t second);
    /// From an archive. Throws MPS::Error for moments of other lengths.
    OptimizerDriver(MPS::Coder& coder, std::size_t first, std::size_t second);
    void archive(MPS::Coder& coder) const;

    /// Encodes one update: gradient, values and result are any of the forms that optimizers take.
    template <class... Forms, class Result>
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::tuple<Forms...>& inputs,
                const Result& result) {
        std::apply(
            [&](const auto&... in) {
                if (adam_)
                    adam_->encode(commandBuffer, in..., moments_[0], moments_[1], result);
                else if (rms_)
                    rms_->encode(commandBuffer, in..., moments_[0], result);
                else
                    sgd_->encode(commandBuffer, in..., moments_.empty() ? MPS::OptimizerVectors{} : moments_[0],
                                 result);
            },
            inputs);
        ++updates_;
    }

    /// The same over two pairs of vectors, which are updated in place; one step of the optimizer for both.
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const MPS::OptimizerVectors& gradients,
                const MPS::OptimizerVectors& values);

    void setLearningRate(float rate);
    std::uint64_t updates() const { return updates_; }

private:
    /// The one of the three that is there.
    std::shared_ptr<MPS::NNOptimizer> optimizer() const;
    /// How many moments that one keeps.
    std::size_t momentCount() const;

    std::shared_ptr<MPS::NNOptimizerStochasticGradientDescent> sgd_;
    std::shared_ptr<MPS::NNOptimizerRMSProp> rms_;
    std::shared_ptr<MPS::NNOptimizerAdam> adam_;
    std::vector<MPS::OptimizerVectors> moments_;
    std::uint64_t updates_ = 0;
};

/// Floats of a data source: into an archive, and out of it into a buffer for `count` of them.
void archiveFloats(MPS::Coder& coder, const std::shared_ptr<MTL::Buffer>& values, std::size_t count,
                   const std::string& key);
void restoreFloats(MPS::Coder& coder, const std::shared_ptr<MTL::Buffer>& values, std::size_t count,
                   const std::string& key);

/// Runs what `encode` puts into a command buffer and waits for it; throws MPS::Error with the failure.
template <class Encode>
void runNow(const std::shared_ptr<MTL::Device>& device, Encode encode) {
    const auto commandBuffer = device->newCommandQueue()->commandBuffer();
    encode(commandBuffer);
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    if (const auto error = commandBuffer->error()) throw MPS::Error(error->localizedDescription);
}

}  // namespace pewter::train
