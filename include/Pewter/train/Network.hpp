#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <MPS/NNImageNode.hpp>
#include <MPS/Types.hpp>
#include <Pewter/train/DataSources.hpp>

namespace MPS {
class NNGraph;
class NNPadding;
}  // namespace MPS

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
    /// The window is the whole source image of width x height pixels.
    Image fullyConnected(const Image& source, const std::string& label, std::size_t width, std::size_t height,
                         std::size_t inputs, std::size_t outputs, const Start& start);
    Image batchNormalization(const Image& source, const std::string& label, std::size_t channels);
    Image relu(const Image& source, const std::string& label);
    /// 2 x 2 with stride 2; the window starts at pixel 0, as TensorFlow has it.
    Image maxPool(const Image& source, const std::string& label);
    /// Nothing in an inference graph.
    Image dropout(const Image& source, const std::string& label, float keepProbability);

    const std::vector<std::shared_ptr<DataSource>>& dataSources() const { return order_; }

private:
    std::shared_ptr<ConvolutionDataSource> convolutionSource(const std::string& label,
                                                             const ConvolutionShape& shape, const Start& start);

    std::shared_ptr<MTL::Device> device_;
    OptimizerSettings optimizer_;
    std::uint64_t seed_;
    bool training_ = true;
    std::map<std::string, std::shared_ptr<ConvolutionDataSource>> convolutions_;
    std::map<std::string, std::shared_ptr<BatchNormalizationDataSource>> normalizations_;
    std::vector<std::shared_ptr<DataSource>> order_;
};

/// What a network is before any device: shapes, defaults, and the function that makes its nodes up to the logits.
struct PEWTER_API NetworkDescription {
    std::string name;
    std::size_t width = 1, height = 1, channels = 1, classes = 2;
    std::size_t batchSize = 32, epochs = 1;
    float learningRate = 1e-3f;
    std::function<std::shared_ptr<MPS::NNImageNode>(NetworkBuilder&, const std::shared_ptr<MPS::NNImageNode>&)> build;
};

/// The networks that the library knows: `digits` (8 x 8 digits) and `mnist` (Apple's sample network, 28 x 28).
PEWTER_API const std::vector<NetworkDescription>& networks();
/// By name; throws MPS::Error that lists the names.
PEWTER_API const NetworkDescription& network(const std::string& name);

/// How a classifier is set up.
struct ClassifierSettings {
    std::size_t batchSize = 32;
    std::uint64_t seed = 1;
    OptimizerSettings optimizer;
    /// Of the images inside the graphs; with less than float32 the gradient images stay float32.
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float32;
};

/// A classifying network on a device: a training graph that ends in a softmax cross-entropy loss (Sum, weight 1/batch) and
/// an inference graph that ends in a softmax, over the same data sources.
class PEWTER_API Classifier {
public:
    /// Throws MPS::Error for a description that does not fit together.
    Classifier(const NetworkDescription& description, const std::shared_ptr<MTL::Device>& device,
               const ClassifierSettings& settings);
    ~Classifier();

    const NetworkDescription& description() const { return description_; }
    const ClassifierSettings& settings() const { return settings_; }
    const std::shared_ptr<MTL::Device>& device() const { return device_; }
    /// Source images: pictures. Source states: one CNNLossLabels a picture.
    MPS::NNGraph& trainingGraph() { return *training_; }
    /// Result: probabilities, float32. Sees new weights after reloadFromDataSources().
    MPS::NNGraph& inferenceGraph() { return *inference_; }
    const std::vector<std::shared_ptr<DataSource>>& dataSources() const { return builder_.dataSources(); }
    /// For loops of one's own; Trainer::train sets the rate of the settings before every step.
    void setLearningRate(float rate);
    std::size_t parameterCount() const;

private:
    NetworkDescription description_;
    std::shared_ptr<MTL::Device> device_;
    ClassifierSettings settings_;
    NetworkBuilder builder_;
    std::shared_ptr<MPS::NNGraph> training_, inference_;
};

}  // namespace pewter::train
