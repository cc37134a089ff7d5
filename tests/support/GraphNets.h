#pragma once

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNLossNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/Handle.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNImageNode.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "OpTensors.h"
#include "TestKernel.h"

/// Small networks, data sources that write down what is asked of them, and pictures in any format.
namespace pewter::test {

using DevicePtr = std::shared_ptr<MTL::Device>;
using Node = std::shared_ptr<MPS::NNImageNode>;

/// A handle that is only a name.
class Tag final : public MPS::Handle {
public:
    explicit Tag(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};
inline std::shared_ptr<MPS::Handle> tag(const std::string& text) { return std::make_shared<Tag>(text); }

/// What data sources were asked to do, in order.
using CallLog = std::vector<std::string>;

// --- values ---

inline std::vector<double> valuesOf(MPS::Image& image) {
    const std::size_t count = image.width() * image.height() * image.featureChannels();
    std::vector<double> all;
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        const auto read = [&](auto zero, auto convert) {
            std::vector<decltype(zero)> raw(count);
            image.readBytes(raw.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
            for (const auto value : raw) all.push_back(convert(value));
        };
        switch (image.featureChannelFormat()) {
            case Format::Float32:
                read(0.0f, [](float v) { return static_cast<double>(v); });
                break;
            case Format::Float64:
                read(0.0, [](double v) { return v; });
                break;
            case Format::Float16:
                read(std::uint16_t{}, [](std::uint16_t v) { return reference::fromFloat16(v); });
                break;
            case Format::BFloat16:
                read(std::uint16_t{}, [](std::uint16_t v) { return reference::fromBFloat16(v); });
                break;
            case Format::Unorm8:
                read(std::uint8_t{}, [](std::uint8_t v) { return v / 255.0; });
                break;
            default:
                ADD_FAILURE() << "no such format in the tests";
        }
    }
    return all;
}

inline void fillImage(MPS::Image& image, const std::vector<double>& values) {
    const std::size_t count = image.width() * image.height() * image.featureChannels();
    ASSERT_EQ(values.size(), count * image.numberOfImages());
    for (std::size_t n = 0; n < image.numberOfImages(); ++n) {
        const auto write = [&](auto zero, auto convert) {
            std::vector<decltype(zero)> raw(count);
            for (std::size_t i = 0; i < count; ++i) raw[i] = convert(values[n * count + i]);
            image.writeBytes(raw.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, n);
        };
        switch (image.featureChannelFormat()) {
            case Format::Float32:
                write(0.0f, [](double v) { return static_cast<float>(v); });
                break;
            case Format::Float64:
                write(0.0, [](double v) { return v; });
                break;
            case Format::Float16:
                write(std::uint16_t{}, [](double v) { return reference::toFloat16(v); });
                break;
            case Format::BFloat16:
                write(std::uint16_t{}, [](double v) { return reference::toBFloat16(v); });
                break;
            default:
                ADD_FAILURE() << "no such format in the tests";
        }
    }
}

/// Multiples of 1/64 between -1 and 1: exact in every float format.
inline std::vector<double> drawValues(Random& random, std::size_t count) {
    std::vector<double> values(count);
    for (auto& value : values) value = static_cast<double>(random.integer(-64, 64)) / 64;
    return values;
}

inline MPS::ImageBatch drawImages(const DevicePtr& device, std::size_t count, std::size_t width, std::size_t height,
                                  std::size_t channels, std::uint64_t seed, Format format = Format::Float32) {
    Random random(seed);
    MPS::ImageBatch batch;
    for (std::size_t i = 0; i < count; ++i) {
        batch.push_back(std::make_shared<MPS::Image>(device, describe(width, height, channels, 1, format)));
        fillImage(*batch.back(), drawValues(random, width * height * channels));
    }
    return batch;
}

/// One-hot labels for images of 1 x 1 x classes.
inline MPS::StateBatch drawLabels(const DevicePtr& device, std::size_t count, std::size_t classes,
                                  std::uint64_t seed, Format format = Format::Float32) {
    Random random(seed);
    MPS::StateBatch labels;
    for (std::size_t i = 0; i < count; ++i) {
        std::vector<double> values(classes);
        values[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(classes) - 1))] = 1;
        const auto image = std::make_shared<MPS::Image>(device, describe(1, 1, classes, 1, format));
        fillImage(*image, values);
        labels.push_back(std::make_shared<MPS::CNNLossLabels>(device, MTL::Size{1, 1, 1}, image, nullptr));
    }
    return labels;
}

/// Sum of the loss images.
inline double lossOf(const MPS::StateBatch& labels) {
    double sum = 0;
    for (const auto& label : labels)
        for (const double value : valuesOf(*dynamic_cast<MPS::CNNLossLabels&>(*label).lossImage())) sum += value;
    return sum;
}

inline std::vector<float> floatsOf(const std::shared_ptr<MTL::Buffer>& buffer) {
    const auto* values = static_cast<const float*>(buffer->contents());
    return {values, values + buffer->length() / sizeof(float)};
}

// --- data sources ---

/// How a data source answers an update on the device.
enum class Answer {
    Own,        ///< a state of its own, the same every time
    Temporary,  ///< a new temporary state
    InPlace,    ///< the source state, overwritten
    Nothing,    ///< null, reads given back
    Missing,    ///< the method is not there
    Forgetful,  ///< null, and reads not given back
};

/// Weights of a convolution, trained by plain descent or with momentum.
class LayerSource : public MPS::CNNConvolutionDataSource {
public:
    LayerSource(const DevicePtr& device, std::string label, std::size_t kernel, std::size_t inputs,
                std::size_t outputs, std::uint64_t seed, std::shared_ptr<CallLog> log = nullptr)
        : device_(device),
          label_(std::move(label)),
          log_(std::move(log)),
          descriptor_(MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kernel, kernel, inputs, outputs)),
          optimizer(device, rate) {
        Random random(seed);
        // Multiples of 2^-10: a step of 2^-17 is exact in float32.
        for (std::size_t i = 0; i < kernel * kernel * inputs * outputs; ++i)
            values.push_back(static_cast<float>(random.integer(-512, 512)) / 1024);
        for (std::size_t i = 0; i < outputs; ++i)
            biases.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
    }

    bool load() override { return note("load"), loads; }
    void purge() override { note("purge"); }
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return values.data(); }
    const float* biasTerms() const override { return biases.data(); }
    std::string label() const override { return label_; }

    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const BufferPtr& commandBuffer, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("update");
        ++updates;
        if (answer == Answer::Missing)
            return CNNConvolutionDataSource::update(commandBuffer, gradientState, sourceState);
        if (answer == Answer::Forgetful) return nullptr;
        if (answer == Answer::Nothing) {
            if (gradientState->isTemporary()) gradientState->setReadCount(gradientState->readCount() - 1);
            if (sourceState->isTemporary()) sourceState->setReadCount(sourceState->readCount() - 1);
            return nullptr;
        }
        auto result = sourceState;
        if (answer == Answer::Own) {
            if (!state) state = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(device_, *descriptor_);
            result = state;
        } else if (answer == Answer::Temporary) {
            result = MPS::CNNConvolutionWeightsAndBiasesState::temporaryCNNConvolutionWeightsAndBiasesState(
                commandBuffer, *descriptor_);
        } else {
            sourceState->setReadCount(sourceState->readCount() + 1);
        }
        if (momentum.empty())
            optimizer.encode(commandBuffer, gradientState, sourceState, {}, result);
        else
            withMomentum->encode(commandBuffer, gradientState, sourceState, momentum, result);
        return result;
    }

    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        note("host update");
        ++updates;
        if (!accepts) return false;
        const auto step = [&](const auto& gradient, const auto& from, std::vector<float>& to) {
            const auto g = floatsOf(gradient), v = floatsOf(from);
            for (std::size_t i = 0; i < to.size(); ++i) to[i] = v[i] - rate * g[i];
        };
        step(gradientState->gradientForWeights(), sourceState->weights(), values);
        step(gradientState->gradientForBiases(), sourceState->biases(), biases);
        return true;
    }

    /// From now on with momentum 0.9 kept on the device.
    void useMomentum() {
        withMomentum = std::make_unique<MPS::NNOptimizerStochasticGradientDescent>(
            device_, 0.9f, false, MPS::NNOptimizerDescriptor{.learningRate = rate});
        for (const std::size_t length : {values.size(), biases.size()})
            momentum.push_back(std::make_shared<MPS::Vector>(
                device_, MPS::VectorDescriptor::vectorDescriptor(length, MPS::DataType::Float32)));
    }
    /// Weights and biases after the last completed update of Answer::Own.
    std::vector<float> trained() const {
        auto all = floatsOf(state->weights());
        const auto more = floatsOf(state->biases());
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

private:
    void note(const char* what) {
        if (log_) log_->push_back(std::string(what) + " " + label_);
    }
    DevicePtr device_;
    std::string label_;
    std::shared_ptr<CallLog> log_;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor_;

public:
    static constexpr float rate = 0.0625f;
    std::vector<float> values, biases;
    Answer answer = Answer::Own;
    bool loads = true, accepts = true;
    std::size_t updates = 0;
    MPS::NNOptimizerStochasticGradientDescent optimizer;
    std::unique_ptr<MPS::NNOptimizerStochasticGradientDescent> withMomentum;
    MPS::OptimizerVectors momentum;
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> state;
};

/// Parameters of a batch normalisation.
class NormSource : public MPS::CNNBatchNormalizationDataSource {
public:
    NormSource(const DevicePtr& device, std::string label, std::size_t channels, std::uint64_t seed,
               std::shared_ptr<CallLog> log = nullptr)
        : device_(device), label_(std::move(label)), log_(std::move(log)), optimizer(device, LayerSource::rate) {
        Random random(seed);
        for (std::size_t i = 0; i < channels; ++i) {
            gammas.push_back(1 + static_cast<float>(random.integer(-256, 256)) / 1024);
            betas.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
            means.push_back(static_cast<float>(random.integer(-256, 256)) / 1024);
            variances.push_back(1 + static_cast<float>(random.integer(-256, 256)) / 1024);
        }
    }
    std::size_t numberOfFeatureChannels() const override { return gammas.size(); }
    const float* gamma() override { return gammas.data(); }
    const float* beta() override { return betas.data(); }
    const float* mean() override { return means.data(); }
    const float* variance() override { return variances.data(); }
    bool load() override { return note("load"), true; }
    void purge() override { note("purge"); }
    std::string label() const override { return label_; }
    float epsilon() const override { return 1e-3f; }

    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const BufferPtr& commandBuffer, const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("update gamma and beta");
        if (answer == Answer::Nothing) return give(source), nullptr;
        if (!state)
            state = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
                device_->newBuffer(gammas.size() * sizeof(float)), device_->newBuffer(gammas.size() * sizeof(float)));
        optimizer.encode(commandBuffer, source, {}, state);
        return state;
    }
    std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> updateMeanAndVariance(
        const BufferPtr&, const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("update mean and variance");
        give(source);
        return nullptr;
    }
    bool updateGammaAndBeta(const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("host update gamma and beta");
        if (!accepts) return false;
        const auto step = [](std::vector<float>& values, const std::shared_ptr<MTL::Buffer>& gradient) {
            const auto g = floatsOf(gradient);
            for (std::size_t i = 0; i < values.size(); ++i) values[i] -= LayerSource::rate * g[i];
        };
        step(gammas, source->gradientForGamma());
        step(betas, source->gradientForBeta());
        return true;
    }
    bool updateMeanAndVariance(const std::shared_ptr<MPS::CNNBatchNormalizationState>& source) override {
        note("host update mean and variance");
        if (!accepts) return false;
        means = floatsOf(source->mean());
        variances = floatsOf(source->variance());
        return true;
    }

private:
    static void give(const std::shared_ptr<MPS::State>& state) {
        if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
    }
    void note(const char* what) {
        if (log_) log_->push_back(std::string(what) + " " + label_);
    }
    DevicePtr device_;
    std::string label_;
    std::shared_ptr<CallLog> log_;

public:
    std::vector<float> gammas, betas, means, variances;
    Answer answer = Answer::Own;
    bool accepts = true;
    MPS::NNOptimizerStochasticGradientDescent optimizer;
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> state;
};

// --- networks ---

/// A network with its training graph.
struct Net {
    explicit Net(DevicePtr d = testDevice()) : device(std::move(d)), queue(device->newCommandQueue()) {}

    DevicePtr device;
    std::shared_ptr<MTL::CommandQueue> queue;
    std::shared_ptr<CallLog> log = std::make_shared<CallLog>();
    std::vector<std::shared_ptr<LayerSource>> layers;
    std::vector<std::shared_ptr<NormSource>> norms;
    std::size_t width = 6, height = 6, channels = 3, classes = 5;
    Node input = MPS::NNImageNode::node(tag("input"));
    Node logits;
    std::shared_ptr<MPS::CNNLossNode> loss;
    MPS::NNFilterNodes termini;
    std::shared_ptr<MPS::NNGraph> graph;

    /// A convolution or, with `full`, a fully connected filter with weights of its own.
    std::shared_ptr<MPS::CNNConvolutionNode> layer(const Node& source, const std::string& label, std::size_t kernel,
                                                   std::size_t inputs, std::size_t outputs, bool full = false) {
        layers.push_back(
            std::make_shared<LayerSource>(device, label, kernel, inputs, outputs, 100 + layers.size(), log));
        return full ? MPS::CNNFullyConnectedNode::node(source, layers.back())
                    : MPS::CNNConvolutionNode::node(source, layers.back());
    }
    Node norm(const Node& source, const std::string& label, std::size_t size) {
        norms.push_back(std::make_shared<NormSource>(device, label, size, 200 + norms.size(), log));
        return MPS::CNNBatchNormalizationNode::node(source, norms.back())->resultImage();
    }
    static Node relu(const Node& source) { return MPS::CNNNeuronReLUNode::node(source)->resultImage(); }

    /// Loss, gradient filters and graph behind logits.
    void train(const MPS::GradientNodeBlock& handler = nullptr, bool needed = false, Format format = Format::Float32) {
        auto descriptor = MPS::CNNLossDescriptor::cnnLossDescriptor(MPS::CNNLossType::SoftMaxCrossEntropy,
                                                                    MPS::CNNReductionType::Sum);
        descriptor.weight = 0.25f;
        loss = MPS::CNNLossNode::node(logits, descriptor);
        termini = loss->trainingGraph(nullptr, handler);
        graph = MPS::NNGraph::graph(device, termini.front()->resultImage(), needed);
        graph->setFormat(format);
        graph->setLabel("training");
    }

    MPS::ImageBatch images(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) const {
        return drawImages(device, count, width, height, channels, seed, format);
    }
    MPS::StateBatch labels(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) const {
        return drawLabels(device, count, classes, seed, format);
    }
    /// One committed and completed training step; the loss.
    double step(std::size_t count, std::uint64_t seed = 1, Format format = Format::Float32) {
        const auto state = labels(count, seed);
        const auto commands = queue->commandBuffer();
        result = graph->encodeBatch(commands, {images(count, seed, format)}, {state});
        run(commands);
        peak = commands->peakTemporaryMemory();
        livePeak = commands->liveTemporaryMemoryPeak();
        return lossOf(state);
    }
    MPS::ImageBatch result;
    std::size_t peak = 0, livePeak = 0;
};

/// Convolution, ReLU, max pooling, fully connected, loss.
inline void buildChain(Net& net) {
    const auto conv = net.layer(net.input, "conv", 3, net.channels, 8);
    const auto pool = MPS::CNNPoolingMaxNode::node(Net::relu(conv->resultImage()), 2);
    net.logits = net.layer(pool->resultImage(), "dense", 3, 8, net.classes, true)->resultImage();
}

/// Every class of filter of the library between a picture and a loss: batch normalisation, a residual addition, a
/// product, both poolings, dropout.
inline void buildWhole(Net& net) {
    const auto first = net.layer(net.input, "first", 3, net.channels, 4)->resultImage();
    const auto x = MPS::CNNNeuronTanHNode::node(net.norm(first, "norm", 4))->resultImage();
    const auto inside = MPS::CNNNeuronSoftPlusNode::node(net.layer(x, "inside", 3, 4, 4)->resultImage());
    const auto sum = MPS::NNAdditionNode::node(x, inside->resultImage())->resultImage();
    const auto pooled = MPS::CNNPoolingMaxNode::node(sum, 3, 2)->resultImage();
    const auto gate = MPS::CNNNeuronSigmoidNode::node(net.layer(pooled, "gate", 1, 4, 4)->resultImage());
    const auto product = MPS::NNMultiplicationNode::node(pooled, gate->resultImage())->resultImage();
    const auto dropped = MPS::CNNDropoutNode::node(product, 0.75f, 11)->resultImage();
    const auto mean = MPS::CNNPoolingAverageNode::node(dropped, 2, 1)->resultImage();
    net.logits = net.layer(mean, "dense", 3, 4, net.classes, true)->resultImage();
}

}  // namespace pewter::test
