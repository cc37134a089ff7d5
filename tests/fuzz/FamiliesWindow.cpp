#include <fmt/format.h>

#include <MPS/CNNNormalizationNode.hpp>
#include <MPS/CNNPoolingNode.hpp>

#include "Draw.h"

namespace pewter::fuzz {

namespace {

template <class Node>
std::size_t addPooling(Drawer& d, std::size_t image, const char* name, double magnitude,
                       Drawer::Ties ties = Drawer::Ties::Sums) {
    const Size size = d.sizeOf(image);
    const Drawer::Axis x{d.between(1, 3), d.between(1, 3), 1}, y{d.between(1, 3), d.between(1, 3), 1};
    auto window = d.window(size, x, y);
    if (!window) return 0;
    std::shared_ptr<MPS::NNPadding> policy = MPS::NNDefaultPadding::padding(window->method);
    std::string text = fmt::format("{} pooling {}", name, Drawer::textOf(x, y, *window));
    if ((window->method & MPS::NNPaddingMethodSizeMask) == MPS::NNPaddingMethodSizeSame && d.chance(0.2)) {
        policy = MPS::NNDefaultPadding::paddingForTensorflowAveragePooling();
        text += " like TensorFlow";
    }
    return d.addUnary(
        image, {window->width, window->height, size.channels}, text,
        [=](const ImageNode& s) {
            const auto node = Node::node(s, x.window, y.window, x.stride, y.stride);
            node->setPaddingPolicy(policy);
            return node;
        },
        magnitude, x.window * y.window, ties);
}

bool drawMax(Drawer& d) {
    const std::size_t image = d.pick();
    return d.isFitForMaximum(image) &&
           addPooling<MPS::CNNPoolingMaxNode>(d, image, "max", d.plan.magnitudeOf(image), Drawer::Ties::Copies) != 0;
}

bool drawAverage(Drawer& d) {
    const std::size_t image = d.pick();
    return addPooling<MPS::CNNPoolingAverageNode>(d, image, "average", d.plan.magnitudeOf(image)) != 0;
}

bool drawL2(Drawer& d) {
    const std::size_t image = d.pick();
    return addPooling<MPS::CNNPoolingL2NormNode>(d, image, "L2", 3 * d.plan.magnitudeOf(image)) != 0;
}

bool drawDilated(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    const Drawer::Axis x{d.between(1, 3), d.between(1, 2), d.between(1, 2)}, y{d.between(1, 3), d.between(1, 2), d.between(1, 2)};
    const auto window = d.window(size, x, y);
    if (!window || !d.isFitForMaximum(image)) return false;
    const auto method = window->method;
    d.addUnary(
        image, {window->width, window->height, size.channels},
        fmt::format("dilated max pooling {}", Drawer::textOf(x, y, *window)),
        [=](const ImageNode& s) {
            const auto node = MPS::CNNDilatedPoolingMaxNode::node(s, x.window, y.window, x.stride, y.stride, x.dilation,
                                                                  y.dilation);
            node->setPaddingPolicy(MPS::NNDefaultPadding::padding(method));
            return node;
        },
        d.plan.magnitudeOf(image), x.window * y.window, Drawer::Ties::Copies);
    return true;
}

template <class Node>
std::shared_ptr<Node> withParameters(const std::shared_ptr<Node>& node, float alpha, float beta, float delta) {
    node->setAlpha(alpha);
    node->setBeta(beta);
    node->setDelta(delta);
    return node;
}

/// Normalisations by a neighbourhood. A large delta: nothing near 0 is divided by.
bool drawLocalNormalization(Drawer& d) {
    const std::size_t image = d.pickTame(6);
    const Size size = d.sizeOf(image);
    const float alpha = d.number(0.25, 2), beta = d.number(0.25, 1.5), delta = d.number(0.5, 2);
    const std::size_t window = d.between(1, 5), kind = d.between(0, 2);
    const char* const names[] = {"spatial", "local contrast", "cross-channel"};
    d.addUnary(
        image, size, fmt::format("{} normalisation {} alpha={} beta={} delta={}", names[kind], window, alpha, beta, delta),
        [=](const ImageNode& x) -> FilterNode {
            if (kind == 0) return withParameters(MPS::CNNSpatialNormalizationNode::node(x, window), alpha, beta, delta);
            if (kind == 1)
                return withParameters(MPS::CNNLocalContrastNormalizationNode::node(x, window), alpha, beta, delta);
            return withParameters(MPS::CNNCrossChannelNormalizationNode::node(x, window), alpha, beta, delta);
        },
        3 * d.plan.magnitudeOf(image), window * window + 4, Drawer::Ties::Sums);
    return true;
}

}  // namespace

std::vector<Family> windowFamilies() {
    return {{"max pooling", 1.2, drawMax, true},
            {"average pooling", 1, drawAverage, false},
            {"L2 pooling", 0.5, drawL2, false},
            {"dilated max pooling", 0.5, drawDilated, true},
            {"spatial normalisation", 0.8, drawLocalNormalization, false}};
}

}  // namespace pewter::fuzz
