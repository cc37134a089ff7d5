#include <MPS/CNNConvolutionTransposeNode.hpp>

#include "GraphNets.h"
#include "TransposedLoops.h"

/// The acceptance test of graphs, 14: a convolution and the transposed convolution that is given its state.
using namespace pewter::test;

namespace {

/// Centred, remainder to the top left: the offset of a convolution of the same size (graph.md 4.3).
std::int64_t offsetOf(std::size_t size, std::size_t taps, std::size_t stride, std::int64_t& result) {
    const auto s = static_cast<std::int64_t>(size), k = static_cast<std::int64_t>(taps),
               step = static_cast<std::int64_t>(stride);
    result = (s + step - 1) / step;
    const std::int64_t extra = (result - 1) * step + k - s;
    return k / 2 - (extra + 1) / 2;
}

/// Never learns, and takes its reads.
struct Frozen : ListSource {
    using CNNConvolutionDataSource::update;
    using ListSource::ListSource;
    std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> update(
        const BufferPtr&, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
        const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) override {
        ++updates;
        gradientState->setReadCount(gradientState->readCount() - 1);
        sourceState->setReadCount(sourceState->readCount() - 1);
        return nullptr;
    }
    int updates = 0;
};

/// A convolution of `taps` x `taps` and its transpose.
struct Autoencoder {
    Autoencoder(std::size_t taps, std::size_t stride) {
        Random random(taps * 10 + stride);
        down = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, 2, 3);
        up = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, 3, 2);
        for (const auto& d : {down, up}) {
            d->setStrideInPixelsX(stride);
            d->setStrideInPixelsY(stride);
        }
        encoderWeights =
            std::make_shared<Frozen>(down, integers(random, down->weightCount(), -2, 2), Numbers{1, 0, -1});
        decoderWeights =
            std::make_shared<Frozen>(up, integers(random, up->weightCount(), -2, 2), Numbers{2, -2});
        encoder = MPS::CNNConvolutionNode::node(input, encoderWeights);
        decoder = MPS::CNNConvolutionTransposeNode::node(encoder->resultImage(),
                                                         encoder->convolutionGradientState(), decoderWeights);
    }
    std::shared_ptr<MPS::CNNConvolutionDescriptor> down, up;
    std::shared_ptr<Frozen> encoderWeights, decoderWeights;
    Node input = MPS::NNImageNode::node(tag("input"));
    std::shared_ptr<MPS::CNNConvolutionNode> encoder;
    std::shared_ptr<MPS::CNNConvolutionTransposeNode> decoder;
};

Numbers numbersOf(const std::vector<float>& floats) { return {floats.begin(), floats.end()}; }

}  // namespace

TEST(GraphAcceptance, N14_ATransposedConvolutionWithAStateHasTheSizeAndThePixelsOfTheConvolutionsSource) {
    for (const auto& device : weightedDevices())
        for (const std::size_t taps : {1u, 2u, 3u, 4u})
            for (const std::size_t stride : {1u, 2u, 3u})
                for (const auto& [width, height] : {std::pair{5u, 6u}, {6u, 7u}, {7u, 8u}, {8u, 9u}}) {
                    const Autoencoder net(taps, stride);
                    Random random(width);
                    const auto x = integers(random, std::size_t{width} * height * 2 * 2, -3, 3);
                    MPS::NNGraph graph(device, net.decoder->resultImage());
                    graph.setFormat(Format::Float32);
                    const auto commands = device->newCommandQueue()->commandBuffer();
                    const auto y = graph.encodeBatch(commands, {batchOf(device, 2, width, height, 2, x)});
                    finish(commands);
                    ASSERT_EQ(y[0]->width(), width);
                    ASSERT_EQ(y[0]->height(), height);
                    ASSERT_EQ(y[0]->featureChannels(), 2u);

                    Loops forward;
                    forward.d = net.down;
                    forward.width = width;
                    forward.height = height;
                    forward.offsetX = offsetOf(width, taps, stride, forward.outWidth);
                    forward.offsetY = offsetOf(height, taps, stride, forward.outHeight);
                    TransposedLoops backward;
                    backward.d = net.up;
                    backward.width = static_cast<std::size_t>(forward.outWidth);
                    backward.height = static_cast<std::size_t>(forward.outHeight);
                    backward.outWidth = width;
                    backward.outHeight = height;
                    const std::int64_t even = taps % 2 == 0;
                    backward.totalX = -forward.offsetX + even;
                    backward.totalY = -forward.offsetY + even;
                    const auto hidden = forward.forward(x, numbersOf(net.encoderWeights->floats),
                                                        numbersOf(net.encoderWeights->biases), 2);
                    EXPECT_EQ(read(y), backward.forward(hidden, numbersOf(net.decoderWeights->floats),
                                                        numbersOf(net.decoderWeights->biases), 2))
                        << taps << " taps, stride " << stride << ", " << width << " x " << height << ", "
                        << device->name();
                }
}

TEST(GraphAcceptance, N14b_InTrainingTheConvolutionsStateIsReadByItsTransposeAndByItsOwnGradient) {
    struct Strict {
        Strict() { MTL::setStrictTemporaries(true); }
        ~Strict() { MTL::setStrictTemporaries(false); }
    };
    const Strict strict;
    Diagnostics diagnostics;
    for (const auto& device : weightedDevices())
        for (const std::size_t stride : {1u, 2u, 3u}) {
            const Autoencoder net(3, stride);
            const auto start = MPS::NNImageNode::node(tag("gradient"));
            const auto termini = net.decoder->trainingGraph(start);
            ASSERT_EQ(termini.size(), 1u);
            MPS::NNGraph graph(device, termini[0]->resultImage());
            graph.setFormat(Format::Float32);
            Random random(stride);
            const auto commands = device->newCommandQueue()->commandBuffer();
            std::vector<MPS::ImageBatch> sources;
            // Picture and gradient have the same size.
            while (sources.size() < graph.sourceImageHandles().size())
                sources.push_back(batchOf(device, 2, 7, 6, 2, integers(random, std::size_t{7} * 6 * 2 * 2)));
            ASSERT_EQ(sources.size(), 2u);
            const auto gradients = graph.encodeBatch(commands, sources);
            EXPECT_EQ(Recorded(commands).liveBytes, 0u);
            finish(commands);
            EXPECT_EQ(net.encoderWeights->updates, 1);
            EXPECT_EQ(net.decoderWeights->updates, 1);
            EXPECT_EQ(gradients[0]->width(), 7u);
            EXPECT_EQ(gradients[0]->height(), 6u);
        }
    EXPECT_TRUE(diagnostics.messages.empty());
}
