#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <MPS/NNImageNode.hpp>
#include <Pewter/train/DataSources.hpp>

namespace MPS {
class NNFilterNode;
}

namespace pewter::train {

/// Makes the nodes of a network. The training and the inference graph are built by the same function, called twice: layers
/// with weights get their data source by label, so both graphs read the same ones.
class PEWTER_API NetworkBuilder {
public:
    using Image = std::shared_ptr<MPS::NNImageNode>;

    /// Weights and biases of a layer at the start.
    struct Start {
        Initializer weights = Initializer::xavier();
        float bias = 0;
    };

    NetworkBuilder(std::shared_ptr<MTL::Device> device, const OptimizerSettings& optimizer, std::uint64_t seed)
        : device_(std::move(device)), optimizer_(optimizer), seed_(seed) {}

    /// Whether the graph being built is the training graph: dropout exists only there.
    bool isTraining() const { return training_; }
    void setTraining(bool training) { training_ = training; }

    /// kernel x kernel, same size, with bias.
    Image convolution(const Image& source, const std::string& label, std::size_t kernel, std::size_t inputs,
                      std::size_t outputs, const Start& start);
    /// The size of the source divided by the stride, rounded up. Of an odd kernel every window is centred on the first
    /// pixel of its stride, as with a padding of kernel / 2 on all sides.
    Image convolution(const Image& source, const std::string& label, const ConvolutionShape& shape, const Start& start);
    /// The window is the whole source image of width x height pixels.
    Image fullyConnected(const Image& source, const std::string& label, std::size_t width, std::size_t height,
                         std::size_t inputs, std::size_t outputs, const Start& start);
    Image batchNormalization(const Image& source, const std::string& label, std::size_t channels);
    Image instanceNormalization(const Image& source, const std::string& label, std::size_t channels);
    /// `slope` is that of negative values.
    Image relu(const Image& source, const std::string& label, float slope = 0);
    Image sigmoid(const Image& source, const std::string& label);
    Image addition(const Image& left, const Image& right, const std::string& label);
    /// 2 x 2 with stride 2; the window starts at pixel 0, as TensorFlow has it.
    Image maxPool(const Image& source, const std::string& label);
    /// kernel x kernel, the size of the source divided by the stride, rounded up: centred windows as those of convolutions,
    /// which shrink at the edge.
    Image maxPool(const Image& source, const std::string& label, std::size_t kernel, std::size_t stride);
    /// The mean of all pixels, a channel: 1 x 1.
    Image spatialMean(const Image& source, const std::string& label);
    /// Every pixel becomes factor x factor of it.
    Image upsamplingNearest(const Image& source, const std::string& label, std::size_t factor);
    /// Nothing in an inference graph.
    Image dropout(const Image& source, const std::string& label, float keepProbability);

    /// In the order of the layers.
    const std::vector<std::shared_ptr<DataSource>>& dataSources() const { return order_; }

private:
    /// The data source of a label, made by make(stream) at the first call: every layer has its own stream of the one seed.
    template <class Source, class Make>
    std::shared_ptr<Source> source(const std::string& label, Make make);
    std::shared_ptr<ConvolutionDataSource> convolutionSource(const std::string& label, const ConvolutionShape& shape,
                                                             const Start& start);

    std::shared_ptr<MTL::Device> device_;
    OptimizerSettings optimizer_;
    std::uint64_t seed_;
    bool training_ = true;
    std::map<std::string, std::shared_ptr<DataSource>> sources_;
    std::vector<std::shared_ptr<DataSource>> order_;
};

}  // namespace pewter::train
