#include <MPS/NNGraph.hpp>
#include <MTL/MTL.hpp>
#include <cmath>
#include <functional>
#include <map>

#include "NodesSupport.h"

/// Every way to make a node, run through graphs on `reference`.
using namespace pewter::test;
using namespace MPS;
using Format = ImageFeatureChannelFormat;
using ImageNode = std::shared_ptr<NNImageNode>;

namespace {

using Values = std::vector<float>;

struct Picture {
    std::size_t width = 1, height = 1, channels = 1;
    Values values;
};

/// The result of a graph over named inputs.
Values valuesOf(const ImageNode& result, const std::map<std::string, Picture>& inputs) {
    const auto device = MTL::copyDevice("reference");
    NNGraph graph(device, result);
    graph.setFormat(Format::Float32);
    std::vector<std::shared_ptr<MPS::Image>> sources;
    for (const auto& handle : graph.sourceImageHandles()) {
        const auto& picture = inputs.at(handle->label());
        sources.push_back(std::make_shared<MPS::Image>(
            device, ImageDescriptor::imageDescriptor(Format::Float32, picture.width, picture.height,
                                                     picture.channels)));
        sources.back()->writeBytes(picture.values.data(), DataLayout::HeightxWidthxFeatureChannels, 0);
    }
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto image = graph.encode(commands, sources);
    commands->commit();
    commands->waitUntilCompleted();
    EXPECT_FALSE(commands->error());
    Values values(image->width() * image->height() * image->featureChannels());
    image->readBytes(values.data(), DataLayout::HeightxWidthxFeatureChannels, 0);
    return values;
}

ImageNode input(const std::string& text) { return NNImageNode::node(name(text)); }

Values drawn(std::size_t count, float phase) {
    Values values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = std::sin(1.7F * static_cast<float>(i) + phase);
    return values;
}

/// A result of one input "x": a row of one channel.
Values row(const std::shared_ptr<NNFilterNode>& node, const Values& x) {
    return valuesOf(node->resultImage(), {{"x", {x.size(), 1, 1, x}}});
}

void expectFunction(const std::shared_ptr<NNFilterNode>& node, const std::function<double(double)>& f) {
    const Values x{0.5F, 2, -1.5F, 3, -0.25F};
    const auto y = row(node, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = f(x[i]);
        if (std::isnan(expected)) continue;
        EXPECT_NEAR(y[i], expected, 1e-6 * (1 + std::fabs(expected))) << node->className() << " at " << x[i];
    }
}

}  // namespace

TEST(NodesForms, EveryShortFormOfANeuronComputesItsFunction) {
    using std::exp, std::log, std::tanh;
    const auto x = [] { return input("x"); };
    const auto soft = [](double v) { return log(1 + exp(v)); };
    expectFunction(CNNNeuronAbsoluteNode::node(x()), [](double v) { return std::fabs(v); });
    expectFunction(CNNNeuronELUNode::node(x()), [](double v) { return v >= 0 ? v : exp(v) - 1; });
    expectFunction(CNNNeuronELUNode::node(x(), 2), [](double v) { return v >= 0 ? v : 2 * (exp(v) - 1); });
    expectFunction(CNNNeuronReLUNNode::node(x()), [](double v) { return v; });
    expectFunction(CNNNeuronReLUNNode::node(x(), 0.5F, 1),
                   [](double v) { return std::min(v >= 0 ? v : 0.5 * v, 1.0); });
    expectFunction(CNNNeuronLinearNode::node(x()), [](double v) { return v; });
    expectFunction(CNNNeuronLinearNode::node(x(), 2, 3), [](double v) { return 2 * v + 3; });
    expectFunction(CNNNeuronReLUNode::node(x()), [](double v) { return std::max(v, 0.0); });
    expectFunction(CNNNeuronReLUNode::node(x(), 0.25F), [](double v) { return v >= 0 ? v : 0.25 * v; });
    expectFunction(CNNNeuronSigmoidNode::node(x()), [](double v) { return 1 / (1 + exp(-v)); });
    expectFunction(CNNNeuronHardSigmoidNode::node(x()),
                   [](double v) { return std::clamp(0.2 * v + 0.5, 0.0, 1.0); });
    expectFunction(CNNNeuronHardSigmoidNode::node(x(), 1, 0),
                   [](double v) { return std::clamp(v, 0.0, 1.0); });
    expectFunction(CNNNeuronSoftPlusNode::node(x()), soft);
    expectFunction(CNNNeuronSoftPlusNode::node(x(), 2, 3), [&](double v) { return 2 * soft(3 * v); });
    expectFunction(CNNNeuronSoftSignNode::node(x()), [](double v) { return v / (1 + std::fabs(v)); });
    expectFunction(CNNNeuronTanHNode::node(x()), [](double v) { return tanh(v); });
    expectFunction(CNNNeuronTanHNode::node(x(), 2, 0.5F), [](double v) { return 2 * tanh(0.5 * v); });
    expectFunction(CNNNeuronPReLUNode::node(x(), {0.5F}), [](double v) { return v >= 0 ? v : 0.5 * v; });
    expectFunction(CNNNeuronPowerNode::node(x()), [](double v) { return v; });
    expectFunction(CNNNeuronPowerNode::node(x(), 1, 2, 2), [](double v) { return (v + 2) * (v + 2); });
    expectFunction(CNNNeuronExponentialNode::node(x()), [](double v) { return exp(v); });
    expectFunction(CNNNeuronExponentialNode::node(x(), 2, 1, 2),
                   [](double v) { return std::exp2(2 * v + 1); });
    expectFunction(CNNNeuronLogarithmNode::node(x()), [](double v) { return log(v); });
    expectFunction(CNNNeuronLogarithmNode::node(x(), 1, 4, 2), [](double v) { return std::log2(v + 4); });
    expectFunction(CNNNeuronGeLUNode::node(x()),
                   [](double v) { return 0.5 * v * (1 + std::erf(v * std::sqrt(0.5))); });
    const auto tanhNode = CNNNeuronTanHNode::node(x(), 2, 0.5F);
    EXPECT_EQ(tanhNode->a(), 2);
    EXPECT_EQ(tanhNode->b(), 0.5F);
    EXPECT_EQ(CNNNeuronPowerNode::node(x(), 1, 2, 4)->c(), 4);
}

TEST(NodesForms, EveryShortFormOfAPoolingComputesItsWindow) {
    const auto x = [] { return input("x"); };
    const Values v{1, 5, 2, 8, 4};
    // Window 2 reaches one pixel to the left; what lies outside does not count.
    EXPECT_EQ(row(CNNPoolingMaxNode::node(x(), 1, 1), v), v);
    EXPECT_EQ(row(CNNPoolingMaxNode::node(x(), 2, 1), v), (Values{1, 5, 5, 8, 8}));
    EXPECT_EQ(row(CNNPoolingMaxNode::node(x(), 3, 1, 1, 1), v), (Values{5, 5, 8, 8, 8}));
    EXPECT_EQ(row(CNNPoolingAverageNode::node(x(), 2, 1), v), (Values{1, 3, 3.5F, 5, 6}));
    EXPECT_EQ(row(CNNPoolingAverageNode::node(x(), 3, 1, 2, 1), v), (Values{3, 5, 6}));
    // Window and stride 5, one row: everything.
    EXPECT_EQ(row(CNNPoolingAverageNode::node(x(), 5), v), Values{4});
    EXPECT_EQ(row(CNNPoolingMaxNode::node(x(), 5), v), Values{8});
    // Taps two apart: -1 and 1 around the centre.
    EXPECT_EQ(row(CNNDilatedPoolingMaxNode::node(x(), 2, 1, 1, 1, 2, 1), v), (Values{5, 2, 8, 4, 8}));
    const auto dilated = CNNDilatedPoolingMaxNode::node(x(), 2, 1, 3);
    EXPECT_EQ(dilated->dilationRateX() + dilated->dilationRateY(), 6u);
    EXPECT_EQ(row(CNNDilatedPoolingMaxNode::node(x(), 1), v), v);
}

TEST(NodesForms, ArithmeticNodesScaleAddAndBroadcast) {
    const std::map<std::string, Picture> inputs{{"x", {2, 1, 2, {1, 2, 3, 4}}}, {"y", {2, 1, 1, {10, 20}}}};
    const auto quotient = NNDivisionNode::node({input("x"), input("y")});
    quotient->setPrimaryScale(30);
    quotient->setSecondaryScale(0.5F);
    quotient->setBias(1);
    quotient->setSecondaryStrideInFeatureChannels(0);
    EXPECT_EQ(valuesOf(quotient->resultImage(), inputs), (Values{7, 13, 10, 13}));
    const auto sum = NNAdditionNode::node(input("y"), input("x"));
    sum->setPrimaryStrideInFeatureChannels(0);
    sum->setBias(100);
    EXPECT_EQ(valuesOf(sum->resultImage(), inputs), (Values{111, 112, 123, 124}));
    const auto difference = NNSubtractionNode::node({input("x"), input("x")});
    difference->setBias(-1);
    EXPECT_EQ(valuesOf(difference->resultImage(), inputs), (Values{-1, -1, -1, -1}));
    const auto product = NNMultiplicationNode::node({input("x"), input("x")});
    product->setMaximumValue(5);
    EXPECT_EQ(valuesOf(product->resultImage(), inputs), (Values{1, 4, 5, 5}));
}

TEST(NodesForms, ShortFormsOfDropoutKeepWithTheirProbability) {
    const Values ones(64, 1);
    const auto count = [&](const std::shared_ptr<CNNDropoutNode>& node, float kept) {
        std::size_t n = 0;
        for (const float v : row(node, ones)) {
            EXPECT_TRUE(v == 0 || v == kept) << v;
            n += v != 0;
        }
        return n;
    };
    // Six standard deviations of a binomial count.
    EXPECT_NEAR(static_cast<double>(count(CNNDropoutNode::node(input("x")), 2)), 32, 24);
    EXPECT_NEAR(static_cast<double>(count(CNNDropoutNode::node(input("x"), 0.25F), 4)), 16, 16 + 4);
    EXPECT_EQ(row(CNNDropoutNode::node(input("x"), 0.5F, 3, {1, 1, 1}), ones),
              row(CNNDropoutNode::node(input("x"), 0.5F, 3), ones));
    EXPECT_NE(row(CNNDropoutNode::node(input("x"), 0.5F, 4), ones),
              row(CNNDropoutNode::node(input("x"), 0.5F, 3), ones));
    const auto shared = row(CNNDropoutNode::node(input("x"), 0.5F, 3, {0, 1, 1}), ones);
    EXPECT_EQ(shared, Values(64, shared[0]));
}

namespace {

/// What `gradient` makes of a new forward filter, from inputs "x" and "g".
template <class Forward>
Values gradientOf(const std::function<std::shared_ptr<Forward>(const ImageNode&)>& forward,
                  const std::function<Filter(const std::shared_ptr<Forward>&, const ImageNode& gradient,
                                             const ImageNode& source)>& gradient,
                  const Picture& x, const Picture& g) {
    const auto source = input("x");
    return valuesOf(gradient(forward(source), input("g"), source)->resultImage(), {{"x", x}, {"g", g}});
}

/// The filter that the forward filter makes, by all four methods, and the one made by hand.
template <class Forward>
void expectEqual(
    const std::function<std::shared_ptr<Forward>(const ImageNode&)>& forward,
    const std::function<Filter(const std::shared_ptr<Forward>&, const ImageNode&, const ImageNode&)>& byHand,
    const Picture& x, const Picture& g) {
    using Node = std::shared_ptr<Forward>;
    const auto expected = gradientOf<Forward>(
        forward, [](const Node& f, const ImageNode& d, const ImageNode&) { return f->gradientFilter(d); }, x,
        g);
    EXPECT_NE(expected, Values(expected.size()));
    EXPECT_EQ(gradientOf<Forward>(forward, byHand, x, g), expected) << forward(input("x"))->className();
    const auto again = [&](auto method) {
        EXPECT_EQ(
            gradientOf<Forward>(
                forward, [&](const Node& f, const ImageNode& d, const ImageNode&) { return method(f, d); }, x,
                g),
            expected);
    };
    again([](const Node& f, const ImageNode& d) { return f->gradientFilter(NNImageNodes{d}); });
    again([](const Node& f, const ImageNode& d) { return f->gradientFilters(d).at(0); });
    again([](const Node& f, const ImageNode& d) { return f->gradientFilters(NNImageNodes{d}).at(0); });
}

template <class State>
std::shared_ptr<State> stateOf(const Filter& forward) {
    return std::static_pointer_cast<State>(forward->resultState());
}

}  // namespace

TEST(NodesForms, GradientNodesMadeByHandEqualThoseOfTheirForwardNode) {
    const Picture x{4, 4, 2, drawn(32, 0.5F)}, g{4, 4, 2, drawn(32, 2)}, half{2, 2, 2, drawn(8, 2)},
        pixel{1, 1, 3, drawn(3, 2)};
    using G = NNGradientStateNode;
    const auto weights = [](std::size_t kernel, std::size_t outputs) {
        auto source = std::make_shared<Weights>(kernel, 2, outputs);
        source->values = drawn(source->values.size(), 1);
        return source;
    };
    const auto conv = weights(3, 2), dense = weights(4, 3);
    expectEqual<CNNConvolutionNode>([&](const ImageNode& i) { return CNNConvolutionNode::node(i, conv); },
                                    [&](const auto& f, const ImageNode& d, const ImageNode& i) {
                                        return CNNConvolutionGradientNode::node(
                                            d, i, f->convolutionGradientState(), conv);
                                    },
                                    x, g);
    expectEqual<CNNFullyConnectedNode>(
        [&](const ImageNode& i) { return CNNFullyConnectedNode::node(i, dense); },
        [&](const auto& f, const ImageNode& d, const ImageNode& i) {
            return CNNFullyConnectedGradientNode::node(d, i, f->convolutionGradientState(), dense);
        },
        x, pixel);
    expectEqual<CNNNeuronTanHNode>([](const ImageNode& i) { return CNNNeuronTanHNode::node(i, 2, 0.5F); },
                                   [](const auto& f, const ImageNode& d, const ImageNode& i) {
                                       return CNNNeuronGradientNode::node(d, i, stateOf<G>(f),
                                                                          f->descriptor());
                                   },
                                   x, g);
    expectEqual<CNNPoolingMaxNode>([](const ImageNode& i) { return CNNPoolingMaxNode::node(i, 2); },
                                   [](const auto& f, const ImageNode& d, const ImageNode& i) {
                                       return CNNPoolingMaxGradientNode::node(d, i, stateOf<G>(f), 2, 2, 2,
                                                                              2);
                                   },
                                   x, half);
    expectEqual<CNNPoolingAverageNode>([](const ImageNode& i) { return CNNPoolingAverageNode::node(i, 2); },
                                       [](const auto& f, const ImageNode& d, const ImageNode& i) {
                                           return CNNPoolingAverageGradientNode::node(
                                               d, i, stateOf<G>(f), 2, 2, 2, 2, f->paddingPolicy());
                                       },
                                       x, half);
    expectEqual<CNNDilatedPoolingMaxNode>(
        [](const ImageNode& i) { return CNNDilatedPoolingMaxNode::node(i, 2, 2, 2); },
        [](const auto& f, const ImageNode& d, const ImageNode& i) {
            return CNNDilatedPoolingMaxGradientNode::node(d, i, stateOf<G>(f), 2, 2, 2, 2, 2, 2);
        },
        x, half);
    expectEqual<CNNSoftMaxNode>([](const ImageNode& i) { return CNNSoftMaxNode::node(i); },
                                [](const auto& f, const ImageNode& d, const ImageNode& i) {
                                    return CNNSoftMaxGradientNode::node(d, i, stateOf<G>(f));
                                },
                                x, g);
    expectEqual<CNNLogSoftMaxNode>([](const ImageNode& i) { return CNNLogSoftMaxNode::node(i); },
                                   [](const auto& f, const ImageNode& d, const ImageNode& i) {
                                       return CNNLogSoftMaxGradientNode::node(d, i, stateOf<G>(f));
                                   },
                                   x, g);
    expectEqual<CNNDropoutNode>(
        [](const ImageNode& i) { return CNNDropoutNode::node(i, 0.5F, 3); },
        [](const auto& f, const ImageNode& d, const ImageNode& i) {
            return CNNDropoutGradientNode::node(d, i, stateOf<G>(f), 0.5F, 3, {1, 1, 1});
        },
        x, g);
    expectEqual<CNNBatchNormalizationNode>(
        [](const ImageNode& i) {
            return CNNBatchNormalizationNode::node(i, std::make_shared<Normalization>(2));
        },
        [](const auto& f, const ImageNode& d, const ImageNode& i) {
            return CNNBatchNormalizationGradientNode::node(d, i, stateOf<G>(f));
        },
        x, g);
}

TEST(NodesForms, ArithmeticGradientsMadeByHandEqualThoseOfTheirForwardNode) {
    const std::map<std::string, Picture> inputs{
        {"x", {2, 1, 1, {1, 2}}}, {"y", {2, 1, 1, {3, 5}}}, {"g", {2, 1, 1, {10, 100}}}};
    using S = NNBinaryGradientStateNode;
    const auto check = [&](auto forward, auto byHand, auto fromForward, const Values& first,
                           const Values& second) {
        for (const bool secondary : {false, true}) {
            const auto& expected = secondary ? second : first;
            const auto run = [&](auto make) {
                const auto x = input("x"), y = input("y"), g = input("g");
                return valuesOf(make(forward(x, y), x, y, g)->resultImage(), inputs);
            };
            EXPECT_EQ(run([&](const auto& f, const ImageNode&, const ImageNode&, const ImageNode& g) {
                          return f->gradientFilters(NNImageNodes{g}).at(secondary);
                      }),
                      expected);
            EXPECT_EQ(run([&](const auto& f, const ImageNode&, const ImageNode&, const ImageNode& g) {
                          return fromForward(NNImageNodes{g}, f, secondary);
                      }),
                      expected);
            EXPECT_EQ(run([&](const auto& f, const ImageNode& x, const ImageNode& y, const ImageNode& g) {
                          const auto node = byHand(g, x, y, stateOf<S>(f), secondary);
                          EXPECT_EQ(node->isSecondarySourceFilter(), secondary);
                          // Neither has a say backward.
                          node->setBias(1000);
                          node->setMinimumValue(0);
                          node->setMaximumValue(1);
                          EXPECT_EQ(node->bias() + node->minimumValue() + node->maximumValue(), 1001);
                          return node;
                      }),
                      expected);
        }
    };
    check([](const ImageNode& x, const ImageNode& y) { return NNAdditionNode::node(x, y); },
          [](const ImageNode& g, const ImageNode& x, const ImageNode& y, const auto& state, bool secondary) {
              return NNAdditionGradientNode::node(g, secondary ? y : x, state, secondary);
          },
          [](const NNImageNodes& g, const auto& f, bool secondary) {
              return NNAdditionGradientNode::node(g, f, secondary);
          },
          {10, 100}, {10, 100});
    check([](const ImageNode& x, const ImageNode& y) { return NNSubtractionNode::node(x, y); },
          [](const ImageNode& g, const ImageNode& x, const ImageNode& y, const auto& state, bool secondary) {
              const auto node = NNSubtractionGradientNode::node(g, secondary ? y : x, state, secondary);
              if (secondary) node->setPrimaryScale(-1);
              return node;
          },
          [](const NNImageNodes& g, const auto& f, bool secondary) {
              return NNSubtractionGradientNode::node(g, f, secondary);
          },
          {10, 100}, {-10, -100});
    check([](const ImageNode& x, const ImageNode& y) { return NNMultiplicationNode::node(x, y); },
          [](const ImageNode& g, const ImageNode& x, const ImageNode& y, const auto& state, bool secondary) {
              return NNMultiplicationGradientNode::node(g, secondary ? x : y, state, secondary);
          },
          [](const NNImageNodes& g, const auto& f, bool secondary) {
              return NNMultiplicationGradientNode::node(g, f, secondary);
          },
          {30, 500}, {10, 200});
}

TEST(NodesForms, LabelsOfSeveralLossesComeInTheOrderOfTheirHandles) {
    const auto device = MTL::copyDevice("reference");
    const auto loss = [](const char* labels, float weight) {
        auto d = CNNLossDescriptor::cnnLossDescriptor(CNNLossType::MeanSquaredError, CNNReductionType::Sum);
        d.weight = weight;
        const auto node = CNNLossNode::node(input("x"), d);
        node->inputLabels()->setHandle(name(labels));
        return node;
    };
    const auto first = loss("tens", 10), second = loss("ones", 1);
    NNGraph graph(device, NNAdditionNode::node(first->resultImage(), second->resultImage())->resultImage());
    graph.setFormat(Format::Float32);
    const auto of = [&](float value) {
        const auto image =
            std::make_shared<MPS::Image>(device, ImageDescriptor::imageDescriptor(Format::Float32, 1, 1, 1));
        image->writeBytes(&value, DataLayout::HeightxWidthxFeatureChannels, 0);
        return image;
    };
    std::vector<std::shared_ptr<MPS::Image>> sources(graph.sourceImageHandles().size(), of(0));
    std::vector<std::shared_ptr<State>> labels;
    ASSERT_EQ(graph.sourceStateHandles().size(), 2u);
    for (const auto& handle : graph.sourceStateHandles())
        labels.push_back(std::make_shared<CNNLossLabels>(
            device, MTL::Size{1, 1, 1}, of(handle->label() == "tens" ? -3.0F : -4.0F), nullptr));
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto sum = graph.encode(commands, sources, labels);
    commands->commit();
    commands->waitUntilCompleted();
    float value = 0;
    sum->readBytes(&value, DataLayout::HeightxWidthxFeatureChannels, 0);
    EXPECT_EQ(value, 2 * (10 * 3 + 4));
}

TEST(NodesForms, SumsOfAConvolutionStayInFloat32WhateverPrecisionItsNodeAsksFor) {
    const auto weights = std::make_shared<Weights>(1, 2, 1);
    weights->values = {1, 1};
    for (const auto precision :
         {NNConvolutionAccumulatorPrecisionOption::Float, NNConvolutionAccumulatorPrecisionOption::Half}) {
        const auto node = CNNConvolutionNode::node(input("x"), weights);
        EXPECT_EQ(node->accumulatorPrecision(), NNConvolutionAccumulatorPrecisionOption::Float);
        node->setAccumulatorPrecision(precision);
        EXPECT_EQ(node->accumulatorPrecision(), precision);
        // 2049 has no float16.
        EXPECT_EQ(valuesOf(node->resultImage(), {{"x", {1, 1, 2, {2048, 1}}}}), Values{2049});
    }
}
