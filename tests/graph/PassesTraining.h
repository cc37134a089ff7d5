#pragma once

#include <MPS/CNNConvolutionState.hpp>

#include "PassesRun.h"

/// Training graphs compiled with and without rewrites: images, weight gradients, steps and memory.
namespace pewter::test {

/// Notes the gradients that it is handed.
class Watched final : public Weights {
public:
    using Weights::Weights;
    using Weights::update;
    bool update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>&) override {
        for (const auto& buffer : {gradientState->gradientForWeights(), gradientState->gradientForBiases()}) {
            const auto* numbers = static_cast<const float*>(buffer->contents());
            gradients.insert(gradients.end(), numbers, numbers + buffer->length() / sizeof(float));
        }
        return false;
    }
    std::vector<float> gradients;
};

/// A net under construction, with weights that are small integers.
class TrainedNet {
public:
    Image x = inputNamed("x");

    Image convolved(const Image& source, std::size_t kernel, std::size_t inputs, std::size_t outputs) {
        return MPS::CNNConvolutionNode::node(source, weights(kernel, inputs, outputs))->resultImage();
    }
    std::shared_ptr<Watched> weights(std::size_t kernel, std::size_t inputs, std::size_t outputs) {
        watched.push_back(std::make_shared<Watched>(kernel, inputs, outputs));
        const auto values = integerWeights(kernel, inputs, outputs);
        watched.back()->values = values->values;
        watched.back()->biases = values->biases;
        return watched.back();
    }
    std::vector<std::shared_ptr<Watched>> watched;
};

/// What a net computes and needs.
struct Training {
    std::vector<Pictures> gradients;  ///< of the input, run twice
    std::vector<std::vector<float>> ofWeights;
    std::size_t steps = 0;
    std::size_t peak = 0;  ///< with trainable filters asleep, so that the encode runs a plan
    MPS::NNGraphReport report;
};

using BuildTrained = std::function<Image(TrainedNet&)>;

struct TrainedShape {
    std::size_t width = 8, height = 4, channels = 3, count = 1;
    /// Of the net's result.
    std::size_t outputWidth = 8, outputHeight = 4, outputChannels = 3;
    PixelFormat format = PixelFormat::Float32;
    /// Told of every gradient filter.
    MPS::GradientNodeBlock handler = nullptr;
};

inline std::shared_ptr<MPS::NNGraph> trainedGraph(const std::shared_ptr<MTL::Device>& device, TrainedNet& net,
                                                  const BuildTrained& build, const TrainedShape& shape,
                                                  const Options& options, MPS::NNTrainingStyle style) {
    const auto result = build(net);
    const auto termini = result->producer()->trainingGraph(
        inputNamed("gradient"), [&](const auto& filter, const auto& forward, const auto& source, const auto& gradient) {
            if (auto* trainable = dynamic_cast<MPS::NNTrainableNode*>(filter.get())) trainable->setTrainingStyle(style);
            if (shape.handler) shape.handler(filter, forward, source, gradient);
        });
    const auto graph = compile(device, {termini.front()->resultImage()}, options);
    graph->setFormat(shape.format);
    return graph;
}

inline Training train(const std::shared_ptr<MTL::Device>& device, const BuildTrained& build, const Options& options,
                      const TrainedShape& shape = {}) {
    const NamedPictures given{{"x", integers(shape.width, shape.height, shape.channels, shape.count)},
                              {"gradient", integers(shape.outputWidth, shape.outputHeight, shape.outputChannels, shape.count)}};
    Training training;
    // Updates on the host see the gradients of weights; without updates the encode runs a plan, whose memory is asked for.
    for (const auto style : {MPS::NNTrainingStyle::UpdateDeviceCPU, MPS::NNTrainingStyle::UpdateDeviceNone}) {
        TrainedNet net;
        const auto graph = trainedGraph(device, net, build, shape, options, style);
        for (int twice = 0; twice < 2; ++twice) {
            const auto results = run(device, *graph, given, shape.format);
            training.gradients.insert(training.gradients.end(), results.begin(), results.end());
        }
        training.steps = stepsOf(*graph);
        if (style != MPS::NNTrainingStyle::UpdateDeviceNone) {
            for (const auto& watched : net.watched) training.ofWeights.push_back(watched->gradients);
            continue;
        }
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph->sourceImageHandles())
            sources.push_back(batchAs<float>(device, PixelFormat::Float32, given.at(handle->label())));
        EXPECT_TRUE(graph->isReplayed(sources));
        training.report = graph->memoryReport(sources);
        training.peak = training.report.peakBytes;
    }
    return training;
}

/// The gradient of the input by the form of encode() that takes images, not batches; as often as `encodes` says.
inline std::vector<Pictures> singleForm(const std::shared_ptr<MTL::Device>& device, const BuildTrained& build,
                                        const Options& options, int encodes) {
    TrainedNet net;
    const auto graph = trainedGraph(device, net, build, {}, options, MPS::NNTrainingStyle::UpdateDeviceNone);
    std::vector<Pictures> found;
    for (int i = 0; i < encodes; ++i) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<std::shared_ptr<MPS::Image>> sources;
        for (std::size_t source = 0; source < graph->sourceImageHandles().size(); ++source)
            sources.push_back(batchAs<float>(device, PixelFormat::Float32, integers(8, 4, 3))[0]);
        const auto image = graph->encode(commands, sources);
        commands->commit();
        commands->waitUntilCompleted();
        found.push_back(picturesAs<float>({image}));
    }
    return found;
}

/// The same numbers, bit for bit.
inline void expectSame(const Training& found, const Training& expected) {
    EXPECT_EQ(found.gradients, expected.gradients);
    EXPECT_EQ(found.ofWeights, expected.ofWeights);
}

}  // namespace pewter::test
