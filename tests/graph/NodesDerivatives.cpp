#include <MPS/CNNDropout.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "Compare.h"
#include "NodesSupport.h"

using namespace pewter::test;
using Format = MPS::ImageFeatureChannelFormat;

// Every node and its gradient node through graphs in double on `reference`: the gradient image of an input
// equals the central difference of the forward graph.

namespace {

using Values = std::vector<double>;

struct Size {
    std::size_t width, height, channels;
};

constexpr std::size_t kBatch = 3;
constexpr double kStep = 1e-5;
/// Rounding of two results of order 10 in double, divided by the step, and the step's square.
constexpr double kTolerance = 1e-7;

std::shared_ptr<MTL::Device> device() { return MTL::copyDevice("reference"); }

std::size_t count(const Size& size) { return size.width * size.height * size.channels; }

MPS::ImageBatch batchOf(const Size& size, const Values& values) {
    MPS::ImageBatch batch;
    for (std::size_t i = 0; i < kBatch; ++i) {
        batch.push_back(std::make_shared<MPS::Image>(
            device(),
            MPS::ImageDescriptor::imageDescriptor(Format::Float64, size.width, size.height, size.channels)));
        batch[i]->writeBytes(values.data() + i * count(size), MPS::DataLayout::HeightxWidthxFeatureChannels,
                             0);
    }
    return batch;
}

Values valuesOf(const MPS::ImageBatch& batch) {
    Values all;
    for (const auto& image : batch) {
        Values one(image->width() * image->height() * image->featureChannels());
        image->readBytes(one.data(), MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

/// Distinct values a tenth apart, shuffled: no two candidates of a maximum come near one another, none is
/// near 0.
Values drawn(std::size_t n, unsigned seed) {
    Values values(n);
    for (std::size_t i = 0; i < n; ++i)
        values[i] = (static_cast<double>(i) - static_cast<double>(n) / 2 + 0.3) * 0.1;
    std::shuffle(values.begin(), values.end(), std::mt19937(seed));
    for (auto& value : values) value = 2 * std::sin(value) + 0.013 * value;
    return values;
}

std::shared_ptr<Weights> weights(std::size_t kernel, std::size_t inputs, std::size_t outputs) {
    auto source = std::make_shared<Weights>(kernel, inputs, outputs);
    for (std::size_t i = 0; i < source->values.size(); ++i)
        source->values[i] = std::sin(1.7F * static_cast<float>(i) + 0.5F);
    for (std::size_t i = 0; i < source->biases.size(); ++i) source->biases[i] = 0.1F * static_cast<float>(i);
    return source;
}

/// A net from one or two inputs to an image; made anew for every evaluation, so that a dropout draws the same
/// mask.
struct Case {
    std::string name;
    std::vector<Size> inputs;
    std::function<Image(const std::vector<Image>&)> build;
};

class Evaluation {
public:
    explicit Evaluation(const Case& c) : case_(c) {
        for (std::size_t i = 0; i < c.inputs.size(); ++i)
            inputs_.push_back(MPS::NNImageNode::node(name("input " + std::to_string(i))));
        result_ = c.build(inputs_);
    }

    Values forward(const std::vector<Values>& values) {
        MPS::NNGraph graph(device(), result_);
        return run(graph, values, {}).front();
    }

    /// Gradients of all inputs, in their order.
    std::vector<Values> backward(const std::vector<Values>& values, const Size& size,
                                 const Values& gradient) {
        const auto start = MPS::NNImageNode::node(name("gradient"));
        std::vector<Image> gradients(inputs_.size());
        const auto termini = result_->producer()->trainingGraph(start);
        std::vector<Image> results;
        for (const auto& input : inputs_) {
            const auto found = std::find_if(termini.begin(), termini.end(), [&](const auto& terminus) {
                return terminus->resultImage()->handle() == input->handle();
            });
            if (found == termini.end()) throw std::runtime_error("no terminus for an input");
            results.push_back((*found)->resultImage());
            // Results after the first are temporaries unless the node says otherwise.
            results.back()->setImageAllocator(MPS::Image::defaultAllocator());
        }
        MPS::NNGraph graph(device(), results);
        return run(graph, values, {{size, gradient}});
    }

private:
    std::vector<Values> run(MPS::NNGraph& graph, const std::vector<Values>& values,
                            const std::vector<std::pair<Size, Values>>& gradient) {
        graph.setFormat(Format::Float64);
        std::vector<MPS::ImageBatch> sources;
        for (const auto& handle : graph.sourceImageHandles()) {
            bool isInput = false;
            for (std::size_t i = 0; i < inputs_.size(); ++i)
                if (inputs_[i]->handle() == handle) {
                    sources.push_back(batchOf(case_.inputs[i], values[i]));
                    isInput = true;
                }
            if (!isInput) sources.push_back(batchOf(gradient.at(0).first, gradient[0].second));
        }
        const auto commands = device()->newCommandQueue()->commandBuffer();
        std::vector<MPS::ImageBatch> further;
        const auto first = graph.encodeBatch(commands, sources, {}, &further, nullptr);
        commands->commit();
        commands->waitUntilCompleted();
        if (commands->error()) throw std::runtime_error(commands->error()->localizedDescription);
        std::vector<Values> all{valuesOf(first)};
        for (const auto& batch : further) all.push_back(valuesOf(batch));
        last_ = {first[0]->width(), first[0]->height(), first[0]->featureChannels()};
        return all;
    }

    const Case& case_;
    std::vector<Image> inputs_;
    Image result_;

public:
    Size last_{};
};

double dot(const Values& a, const Values& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

Image normalized(const Image& source, std::size_t channels) {
    const auto node = MPS::CNNBatchNormalizationNode::node(source, std::make_shared<Normalization>(channels));
    node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways);
    return node->resultImage();
}

Image frozen(const Image& source, std::size_t channels) {
    const auto node = MPS::CNNBatchNormalizationNode::node(source, std::make_shared<Normalization>(channels));
    node->setFlags(MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever);
    return node->resultImage();
}

std::vector<Case> cases() {
    using Inputs = const std::vector<Image>&;
    const Size small{5, 4, 3};
    std::vector<Case> list{
        {"convolution",
         {small},
         [](Inputs x) { return MPS::CNNConvolutionNode::node(x[0], weights(3, 3, 4))->resultImage(); }},
        {"convolutionOfOneWindowSizeValid",
         {small},
         [](Inputs x) {
             const auto node = MPS::CNNConvolutionNode::node(x[0], weights(2, 3, 2));
             node->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
             return node->resultImage();
         }},
        {"fullyConnected",
         {{3, 3, 4}},
         [](Inputs x) { return MPS::CNNFullyConnectedNode::node(x[0], weights(3, 4, 5))->resultImage(); }},
        {"poolingMax",
         {small},
         [](Inputs x) { return MPS::CNNPoolingMaxNode::node(x[0], 3, 2)->resultImage(); }},
        {"poolingAverage",
         {small},
         [](Inputs x) { return MPS::CNNPoolingAverageNode::node(x[0], 3, 2)->resultImage(); }},
        {"dilatedPoolingMax",
         {{7, 6, 2}},
         [](Inputs x) { return MPS::CNNDilatedPoolingMaxNode::node(x[0], 2, 1, 2)->resultImage(); }},
        {"poolingLikeTensorflow",
         {small},
         [](Inputs x) {
             const auto node = MPS::CNNPoolingAverageNode::node(x[0], 2);
             node->setPaddingPolicy(MPS::NNDefaultPadding::paddingForTensorflowAveragePooling());
             return node->resultImage();
         }},
        {"softMax", {small}, [](Inputs x) { return MPS::CNNSoftMaxNode::node(x[0])->resultImage(); }},
        {"logSoftMax", {small}, [](Inputs x) { return MPS::CNNLogSoftMaxNode::node(x[0])->resultImage(); }},
        {"dropout",
         {small},
         [](Inputs x) { return MPS::CNNDropoutNode::node(x[0], 0.6F, 5)->resultImage(); }},
        {"batchNormalization", {small}, [](Inputs x) { return normalized(x[0], 3); }},
        {"batchNormalizationFrozen", {small}, [](Inputs x) { return frozen(x[0], 3); }},
        {"addition",
         {small, small},
         [](Inputs x) {
             const auto node = MPS::NNAdditionNode::node(x[0], x[1]);
             node->setPrimaryScale(2);
             node->setSecondaryScale(-3);
             node->setBias(1);
             return node->resultImage();
         }},
        {"subtraction",
         {small, small},
         [](Inputs x) {
             const auto node = MPS::NNSubtractionNode::node(x[0], x[1]);
             node->setPrimaryScale(2);
             node->setSecondaryScale(3);
             return node->resultImage();
         }},
        {"multiplication",
         {small, small},
         [](Inputs x) {
             const auto node = MPS::NNMultiplicationNode::node(x[0], x[1]);
             node->setPrimaryScale(2);
             node->setSecondaryScale(3);
             return node->resultImage();
         }},
        {"multiplicationByOneImageForAllPixels",
         {small, {1, 1, 3}},
         [](Inputs x) {
             const auto node = MPS::NNMultiplicationNode::node(x[0], x[1]);
             node->setSecondaryStrideInPixelsX(0);
             node->setSecondaryStrideInPixelsY(0);
             node->setSecondaryScale(3);
             return node->resultImage();
         }},
        {"additionOfOneImageToAllPixels",
         {{1, 1, 3}, small},
         [](Inputs x) {
             const auto node = MPS::NNAdditionNode::node(x[0], x[1]);
             node->setPrimaryStrideInPixelsX(0);
             node->setPrimaryStrideInPixelsY(0);
             node->setPrimaryScale(2);
             return node->resultImage();
         }},
        {"clampedSum",
         {small, small},
         [](Inputs x) {
             const auto node = MPS::NNAdditionNode::node(x[0], x[1]);
             node->setMinimumValue(-1);
             node->setMaximumValue(1.5F);
             return node->resultImage();
         }},
        {"square",
         {small},
         [](Inputs x) { return MPS::NNMultiplicationNode::node(x[0], x[0])->resultImage(); }},
        {"residualBlock",
         {small},
         [](Inputs x) {
             const auto start = MPS::CNNNeuronTanHNode::node(x[0])->resultImage();
             const auto branch = MPS::CNNConvolutionNode::node(start, weights(3, 3, 3))->resultImage();
             return MPS::NNAdditionNode::node(branch, start)->resultImage();
         }},
        {"chain",
         {{8, 8, 2}},
         [](Inputs x) {
             auto image = MPS::CNNConvolutionNode::node(x[0], weights(3, 2, 4))->resultImage();
             image = normalized(image, 4);
             image = MPS::CNNNeuronSigmoidNode::node(image)->resultImage();
             image = MPS::CNNPoolingAverageNode::node(image, 2)->resultImage();
             image = MPS::CNNFullyConnectedNode::node(image, weights(4, 4, 6))->resultImage();
             return MPS::CNNSoftMaxNode::node(image)->resultImage();
         }},
    };
    // The types that take any argument; the others see |x| + 1.
    for (const auto type :
         {MPS::CNNNeuronType::None, MPS::CNNNeuronType::ReLU, MPS::CNNNeuronType::Linear,
          MPS::CNNNeuronType::Sigmoid, MPS::CNNNeuronType::HardSigmoid, MPS::CNNNeuronType::TanH,
          MPS::CNNNeuronType::Absolute, MPS::CNNNeuronType::SoftPlus, MPS::CNNNeuronType::SoftSign,
          MPS::CNNNeuronType::ELU, MPS::CNNNeuronType::ReLUN, MPS::CNNNeuronType::Exponential,
          MPS::CNNNeuronType::GeLU})
        list.push_back({"neuron" + std::to_string(static_cast<int>(type)), {small}, [type](Inputs x) {
                            return MPS::CNNNeuronNode::node(
                                       x[0], MPS::NNNeuronDescriptor::cnnNeuronDescriptor(type))
                                ->resultImage();
                        }});
    list.push_back({"neuronPReLU", {small}, [](Inputs x) {
                        return MPS::CNNNeuronPReLUNode::node(x[0], {0.1F, 0.5F, -2.0F})->resultImage();
                    }});
    for (const auto type : {MPS::CNNNeuronType::Power, MPS::CNNNeuronType::Logarithm})
        list.push_back({"neuron" + std::to_string(static_cast<int>(type)), {small}, [type](Inputs x) {
                            auto image = MPS::CNNNeuronAbsoluteNode::node(x[0])->resultImage();
                            image = MPS::CNNNeuronLinearNode::node(image, 1, 1)->resultImage();
                            return MPS::CNNNeuronNode::node(
                                       image,
                                       MPS::NNNeuronDescriptor::cnnNeuronDescriptor(
                                           type, 2, 1, type == MPS::CNNNeuronType::Power ? 1.5F : -1.0F))
                                ->resultImage();
                        }});
    return list;
}

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class NodesDerivatives : public testing::TestWithParam<Case> {};

}  // namespace

TEST_P(NodesDerivatives, TheGradientImageIsTheCentralDifference) {
    const Case& c = GetParam();
    std::vector<Values> values;
    for (std::size_t i = 0; i < c.inputs.size(); ++i)
        values.push_back(drawn(kBatch * count(c.inputs[i]), static_cast<unsigned>(i) + 1));
    Evaluation forward(c);
    const std::size_t results = forward.forward(values).size();
    Values gradient(results);
    for (std::size_t i = 0; i < results; ++i) gradient[i] = std::cos(0.7 * static_cast<double>(i));
    Evaluation net(c);
    const auto gradients = net.backward(values, forward.last_, gradient);
    ASSERT_EQ(gradients.size(), c.inputs.size());
    for (std::size_t input = 0; input < values.size(); ++input) {
        ASSERT_EQ(gradients[input].size(), values[input].size());
        // Every seventh element: all positions and channels come up, and the suite stays quick.
        for (std::size_t i = input; i < values[input].size(); i += 7) {
            auto moved = values;
            moved[input][i] = values[input][i] + kStep;
            const double above = dot(Evaluation(c).forward(moved), gradient);
            moved[input][i] = values[input][i] - kStep;
            const double below = dot(Evaluation(c).forward(moved), gradient);
            const double expected = (above - below) / (2 * kStep);
            EXPECT_NEAR(gradients[input][i], expected, kTolerance * (1 + std::fabs(expected)))
                << "input " << input << ", element " << i;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, NodesDerivatives, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });
