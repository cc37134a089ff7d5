#include <fmt/format.h>

#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <cmath>

#include "Draw.h"

namespace pewter::fuzz {

namespace {

using Type = MPS::CNNNeuronType;

bool addNeuron(Drawer& d, std::size_t image, const MPS::NNNeuronDescriptor& neuron, double magnitude) {
    d.addUnary(image, d.sizeOf(image),
               fmt::format("neuron {} a={} b={} c={}", static_cast<int>(neuron.neuronType()), neuron.a(), neuron.b(),
                           neuron.c()),
               [neuron](const ImageNode& x) { return MPS::CNNNeuronNode::node(x, neuron); }, magnitude);
    return true;
}

MPS::NNNeuronDescriptor descriptor(Type type, float a, float b = 0, float c = 0) {
    return MPS::NNNeuronDescriptor::cnnNeuronDescriptor(type, a, b, c);
}

/// Those that keep small integers.
bool drawPiecewise(Drawer& d) {
    const std::size_t image = d.pick();
    const double m = d.plan.magnitudeOf(image);
    switch (d.between(0, 5)) {
        case 0:
            return addNeuron(d, image, descriptor(Type::None, 0), m);
        case 1:
            return addNeuron(d, image, descriptor(Type::ReLU, d.chance(0.6) ? 0.0F : d.number(-1, 1)), m);
        case 2: {
            const float a = d.number(-2, 2), b = d.number(-1, 1);
            return addNeuron(d, image, descriptor(Type::Linear, a, b), m * std::fabs(a) + 1);
        }
        case 3:
            return addNeuron(d, image, descriptor(Type::Absolute, 0), m);
        case 4:
            return addNeuron(d, image, descriptor(Type::ReLUN, d.number(0, 1), d.number(1, 3)), m);
        default: {
            std::vector<float> slopes(d.sizeOf(image).channels);
            for (auto& slope : slopes) slope = d.number(-2, 2);
            return addNeuron(d, image, MPS::NNNeuronDescriptor::cnnNeuronPReLUDescriptor(slopes), 2 * m);
        }
    }
}

bool drawSmooth(Drawer& d) {
    const Type type = d.oneOf({Type::Sigmoid, Type::HardSigmoid, Type::TanH, Type::SoftPlus, Type::SoftSign, Type::ELU,
                               Type::GeLU, Type::Exponential});
    const float a = d.number(0.25, 1.5), b = d.number(0.25, 1.5);
    const std::size_t image = type == Type::Exponential ? d.pickTame(2.5) : d.pick();
    const double m = d.plan.magnitudeOf(image);
    switch (type) {
        case Type::Sigmoid:
        case Type::SoftSign:
            return addNeuron(d, image, descriptor(type, 0), 1);
        case Type::HardSigmoid:
            return addNeuron(d, image, descriptor(type, a, 0.5F), 1);
        case Type::TanH:
            return addNeuron(d, image, descriptor(type, a, b), a);
        case Type::SoftPlus:
            return addNeuron(d, image, descriptor(type, a, b), a * (b * m + 1));
        case Type::Exponential:
            return addNeuron(d, image, descriptor(type, a / 2, b - 1, d.chance(0.5) ? -1.0F : 2.0F), std::exp(m / 2 + 0.5));
        default:
            return addNeuron(d, image, descriptor(type, a), m);
    }
}

/// Those of positive arguments: |x| comes first.
bool drawPositive(Drawer& d) {
    const std::size_t image = d.pick();
    const double m = d.plan.magnitudeOf(image);
    const std::size_t positive = d.addUnary(
        image, d.sizeOf(image), "absolute", [](const ImageNode& x) { return MPS::CNNNeuronAbsoluteNode::node(x); }, m);
    const float a = d.number(0.25, 1), b = d.number(0.75, 1.5);
    if (d.chance(0.5)) return addNeuron(d, positive, descriptor(Type::Logarithm, a, b, d.oneOf({-1.0F, 2.0F, 10.0F})), m);
    const float c = d.oneOf({0.5F, 1.5F, 2.0F, -1.0F});
    return addNeuron(d, positive, descriptor(Type::Power, a, b, c), std::pow(m + 1.5, std::max(c, 0.5F)));
}

bool drawSoftMax(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    if (d.chance(0.5))
        d.addUnary(image, size, "softmax", [](const ImageNode& x) { return MPS::CNNSoftMaxNode::node(x); }, 1, size.channels);
    else
        d.addUnary(
            image, size, "log softmax", [](const ImageNode& x) { return MPS::CNNLogSoftMaxNode::node(x); },
            2 * d.plan.magnitudeOf(image) + 3, size.channels);
    return true;
}

bool drawDropout(Drawer& d) {
    const std::size_t image = d.pick();
    const float keep = d.plan.isExact ? 0.5F : d.oneOf({0.25F, 0.5F, 0.75F});
    const std::size_t seed = d.between(0, 1000);
    const MTL::Size stride{d.between(0, 1), d.between(0, 1), d.between(0, 1)};
    PlanNode node;
    node.sources = {image};
    node.size = d.sizeOf(image);
    node.text = fmt::format("dropout {} seed {} stride {},{},{}", keep, seed, stride.width, stride.height, stride.depth);
    node.magnitude = d.plan.magnitudeOf(image) / keep;
    node.isRandom = true;
    node.build = [=](const std::vector<ImageNode>& x, const Building&) {
        return MPS::CNNDropoutNode::node(x[0], keep, seed, stride);
    };
    d.add(std::move(node));
    return true;
}

/// Strides of 0 where an operand has one element and the other has more, or sometimes where both have one.
struct Broadcast {
    bool x = false, y = false, channels = false;
};

bool fits(const Size& a, const Size& b) {
    const auto axis = [](std::size_t p, std::size_t q) { return p == q || p == 1 || q == 1; };
    return axis(a.width, b.width) && axis(a.height, b.height) && axis(a.channels, b.channels);
}

template <class Node>
FilterNode arithmetic(const std::vector<ImageNode>& x, const Broadcast& left, const Broadcast& right, float ps, float ss,
                      float bias, bool clamps, float low, float high) {
    const auto node = Node::node(x[0], x[1]);
    if (left.x) node->setPrimaryStrideInPixelsX(0);
    if (left.y) node->setPrimaryStrideInPixelsY(0);
    if (left.channels) node->setPrimaryStrideInFeatureChannels(0);
    if (right.x) node->setSecondaryStrideInPixelsX(0);
    if (right.y) node->setSecondaryStrideInPixelsY(0);
    if (right.channels) node->setSecondaryStrideInFeatureChannels(0);
    node->setPrimaryScale(ps);
    node->setSecondaryScale(ss);
    node->setBias(bias);
    if (clamps) {
        node->setMinimumValue(low);
        node->setMaximumValue(high);
    }
    return node;
}

bool drawArithmetic(Drawer& d) {
    const std::size_t a = d.pick();
    const Size sa = d.sizeOf(a);
    std::size_t b = a;
    if (const auto other = d.pickWhere([&](const Size& size) { return fits(sa, size); }); other && !d.chance(0.05))
        b = *other;
    else if (d.chance(0.3))
        b = d.addFullyConnected(d.pick(), sa.channels);
    const Size sb = d.sizeOf(b);
    Broadcast left, right;
    const auto axis = [&](std::size_t p, std::size_t q, bool& zeroLeft, bool& zeroRight) {
        zeroLeft = p == 1 && (q > 1 || d.chance(0.1));
        zeroRight = q == 1 && (p > 1 || d.chance(0.1));
    };
    axis(sa.width, sb.width, left.x, right.x);
    axis(sa.height, sb.height, left.y, right.y);
    axis(sa.channels, sb.channels, left.channels, right.channels);
    PlanNode node;
    node.sources = {a, b};
    node.size = {std::max(sa.width, sb.width), std::max(sa.height, sb.height), std::max(sa.channels, sb.channels)};
    if (node.size.count() > 300) return false;
    node.replicates = left.x || left.y || right.x || right.y;
    const bool plain = d.chance(0.5);
    const float ps = plain ? 1.0F : d.number(-2, 2), ss = plain ? 1.0F : d.number(-2, 2), bias = plain ? 0.0F : d.number(-1, 1);
    const bool clamps = d.chance(0.15);
    const float low = -d.number(1, 2), high = d.number(1, 2);
    const double ma = d.plan.magnitudeOf(a) * std::fabs(ps), mb = d.plan.magnitudeOf(b) * std::fabs(ss);
    node.terms = d.plan.batch * node.size.count() / std::min(sa.count(), sb.count());
    const auto kind = d.between(0, 8);
    node.magnitude = kind >= 6 ? ma * mb + 1 : ma + mb + 1;
    if (d.plan.isExact && node.magnitude > 1000) return false;
    if (clamps) node.magnitude = std::max(2.0, std::fabs(static_cast<double>(bias)));
    node.text = fmt::format("{} {},{}{}{}{}|{}{}{} bias {}{}", kind < 3 ? "add" : kind < 6 ? "subtract" : "multiply", ps, ss,
                            left.x ? " x" : "", left.y ? " y" : "", left.channels ? " c" : "", right.x ? " x" : "",
                            right.y ? " y" : "", right.channels ? " c" : "", bias,
                            clamps ? fmt::format(" clamp {}..{}", low, high) : "");
    node.build = [=](const std::vector<ImageNode>& x, const Building&) {
        if (kind < 3) return arithmetic<MPS::NNAdditionNode>(x, left, right, ps, ss, bias, clamps, low, high);
        if (kind < 6) return arithmetic<MPS::NNSubtractionNode>(x, left, right, ps, ss, bias, clamps, low, high);
        return arithmetic<MPS::NNMultiplicationNode>(x, left, right, ps, ss, bias, clamps, low, high);
    };
    d.add(std::move(node));
    return true;
}

/// Without a gradient: the result stops it.
bool drawDivision(Drawer& d) {
    const std::size_t a = d.pick();
    const Size size = d.sizeOf(a);
    const std::size_t positive = d.addUnary(
        a, size, "softplus", [](const ImageNode& x) { return MPS::CNNNeuronSoftPlusNode::node(x, 1, 1); },
        d.plan.magnitudeOf(a) + 1);
    // At least ln(1 + e^0) / 2 away from 0.
    const std::size_t apart = d.addUnary(
        positive, size, "linear a=1 b=0.5", [](const ImageNode& x) { return MPS::CNNNeuronLinearNode::node(x, 1, 0.5F); },
        d.plan.magnitudeOf(a) + 2);
    const auto other = d.pickWhere([&](const Size& s) { return s == size; });
    PlanNode node;
    node.sources = {other.value_or(a), apart};
    node.size = size;
    node.text = "divide";
    node.magnitude = 2 * d.plan.magnitudeOf(node.sources[0]);
    node.hasGradient = false;
    node.build = [](const std::vector<ImageNode>& x, const Building&) { return MPS::NNDivisionNode::node(x[0], x[1]); };
    d.add(std::move(node));
    return true;
}

}  // namespace

std::vector<Family> pointwiseFamilies() {
    return {{"neuron 1 ", 3, drawPiecewise, true}, {"neuron 15 ", 3, drawSmooth, false},
            {"neuron 12 ", 0.7, drawPositive, false}, {"softmax", 1, drawSoftMax, false},
            {"dropout", 0.6, drawDropout, true},            {"multiply ", 5, drawArithmetic, true},
            {"divide", 0.2, drawDivision, false}};
}

}  // namespace pewter::fuzz
