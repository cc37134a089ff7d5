#include <fmt/format.h>

#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/NNConcatenationNode.hpp>
#include <MPS/NNGramMatrixNode.hpp>
#include <MPS/NNPadNode.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MPS/NNScaleNode.hpp>

#include "Draw.h"

namespace pewter::fuzz {

namespace {

constexpr std::size_t kMostElements = 260;

bool drawUpsampling(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    const std::size_t fx = d.between(1, 3), fy = d.between(1, 3);
    const Size result{size.width * fx, size.height * fy, size.channels};
    if (result.count() > kMostElements) return false;
    const double m = d.plan.magnitudeOf(image);
    if (d.plan.isExact || d.chance(0.5)) {
        d.addUnary(
            image, result, fmt::format("nearest upsampling {},{}", fx, fy),
            [=](const ImageNode& x) { return MPS::CNNUpsamplingNearestNode::node(x, fx, fy); }, m, fx * fy,
            Drawer::Ties::Copies);
    } else {
        const bool align = d.chance(0.5);
        d.addUnary(
            image, result, fmt::format("bilinear upsampling {},{}{}", fx, fy, align ? " corners" : ""),
            [=](const ImageNode& x) { return MPS::CNNUpsamplingBilinearNode::node(x, fx, fy, align); }, m, 9 * fx * fy,
            Drawer::Ties::Interpolates);
    }
    return true;
}

bool drawPad(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    const bool channels = d.chance(0.5);
    const auto border = [&] {
        return MPS::ImageCoordinate{d.between(0, 2), d.between(0, 2), channels ? d.between(0, 2) : 0};
    };
    const auto before = border(), after = border();
    const Size result{size.width + before.x + after.x, size.height + before.y + after.y,
                      size.channels + before.channel + after.channel};
    if (result.count() > kMostElements) return false;
    const auto mode = d.oneOf({MPS::ImageEdgeMode::Zero, MPS::ImageEdgeMode::Clamp, MPS::ImageEdgeMode::Mirror,
                               MPS::ImageEdgeMode::MirrorWithEdge, MPS::ImageEdgeMode::Constant});
    const float value = d.number(-1, 1);
    d.addUnary(
        image, result,
        fmt::format("pad {},{},{} {},{},{} mode {}", before.x, before.y, before.channel, after.x, after.y, after.channel,
                    static_cast<int>(mode)),
        [=](const ImageNode& x) {
            const auto node = MPS::NNPadNode::node(x, before, after, mode);
            if (mode == MPS::ImageEdgeMode::Constant) node->setFillValue(value);
            return node;
        },
        std::max(1.0, d.plan.magnitudeOf(image)), result.count() / size.count() + 8, Drawer::Ties::Copies);
    return true;
}

bool drawReshape(Drawer& d) {
    const std::size_t image = d.pick();
    const std::size_t count = d.sizeOf(image).count();
    const auto divisor = [&](std::size_t n) {
        std::vector<std::size_t> all;
        for (std::size_t i = 1; i <= n && i <= 12; ++i)
            if (n % i == 0) all.push_back(i);
        return all[d.between(0, all.size() - 1)];
    };
    const std::size_t width = divisor(count), height = divisor(count / width), channels = count / width / height;
    d.addUnary(
        image, {width, height, channels}, "reshape",
        [=](const ImageNode& x) { return MPS::NNReshapeNode::node(x, width, height, channels); },
        d.plan.magnitudeOf(image));
    return true;
}

bool drawGram(Drawer& d) {
    const auto image = d.pickWhere([](const Size& size) { return size.channels <= 5; });
    if (!image) return false;
    const Size size = d.sizeOf(*image);
    const std::size_t pixels = size.width * size.height;
    const float alpha = d.plan.isExact ? 1.0F : static_cast<float>(1.0 / static_cast<double>(pixels));
    const double m = d.plan.magnitudeOf(*image), magnitude = m * m * alpha * static_cast<double>(pixels);
    if (d.plan.isExact && magnitude > 1000) return false;
    d.addUnary(
        *image, {size.channels, 1, size.channels}, fmt::format("Gram matrix alpha={}", alpha),
        [=](const ImageNode& x) { return MPS::NNGramMatrixCalculationNode::node(x, alpha); }, magnitude,
        pixels + 2 * size.channels);
    return true;
}

bool drawConcatenation(Drawer& d) {
    const std::size_t first = d.pick();
    const Size size = d.sizeOf(first);
    PlanNode node;
    node.sources = {first};
    node.size = {size.width, size.height, (size.channels + 3) / 4 * 4};
    node.magnitude = d.plan.magnitudeOf(first);
    for (std::size_t more = d.between(0, 2); more > 0; --more) {
        const auto other =
            d.pickWhere([&](const Size& s) { return s.width == size.width && s.height == size.height; });
        node.sources.push_back(*other);
        node.size.channels += (d.sizeOf(*other).channels + 3) / 4 * 4;
        node.magnitude = std::max(node.magnitude, d.plan.magnitudeOf(*other));
    }
    if (node.size.count() > kMostElements) return false;
    node.text = "concatenation";
    node.build = [](const std::vector<ImageNode>& x, const Building&) { return MPS::NNConcatenationNode::node(x); };
    d.add(std::move(node));
    return true;
}

bool drawSpatialMean(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    MTL::Region clip;
    const bool clips = d.chance(0.3);
    if (clips) {
        const std::size_t x = d.between(0, size.width - 1), y = d.between(0, size.height - 1);
        clip = MTL::Region{{x, y, 0}, {d.between(1, size.width - x), d.between(1, size.height - y), 1}};
    }
    d.addUnary(
        image, {1, 1, size.channels},
        fmt::format("spatial mean{}", clips ? fmt::format(" of {}x{} at {},{}", clip.size.width, clip.size.height,
                                                          clip.origin.x, clip.origin.y)
                                            : ""),
        [=](const ImageNode& x) {
            const auto node = MPS::NNReductionSpatialMeanNode::node(x);
            if (clips) node->setClipRectSource(clip);
            return node;
        },
        d.plan.magnitudeOf(image), size.width * size.height);
    return true;
}

/// Filters without a gradient: what they give stops it.
bool drawReduction(Drawer& d) {
    const std::size_t image = d.pick(), kind = d.between(0, 8);
    const Size size = d.sizeOf(image);
    PlanNode node;
    node.sources = {image};
    node.hasGradient = false;
    node.blurs = true;
    node.magnitude = d.plan.magnitudeOf(image);
    node.terms = std::max({size.width, size.height, size.channels});
    node.text = fmt::format("reduction {}", kind);
    if (kind < 3)
        node.size = {1, size.height, size.channels};
    else if (kind < 6)
        node.size = {size.width, 1, size.channels};
    else
        node.size = {size.width, size.height, 1};
    if (kind == 2 || kind == 8) node.magnitude *= static_cast<double>(kind == 2 ? size.width : size.channels);
    node.build = [kind](const std::vector<ImageNode>& x, const Building&) -> FilterNode {
        switch (kind) {
            case 0:
                return MPS::NNReductionRowMinNode::node(x[0]);
            case 1:
                return MPS::NNReductionRowMeanNode::node(x[0]);
            case 2:
                return MPS::NNReductionRowSumNode::node(x[0]);
            case 3:
                return MPS::NNReductionColumnMaxNode::node(x[0]);
            case 4:
                return MPS::NNReductionColumnMeanNode::node(x[0]);
            case 5:
                return MPS::NNReductionColumnMinNode::node(x[0]);
            case 6:
                return MPS::NNReductionFeatureChannelsMaxNode::node(x[0]);
            case 7:
                return MPS::NNReductionFeatureChannelsMeanNode::node(x[0]);
            default:
                return MPS::NNReductionFeatureChannelsSumNode::node(x[0]);
        }
    };
    d.add(std::move(node));
    return true;
}

bool drawScale(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    PlanNode node;
    node.sources = {image};
    node.hasGradient = false;
    node.size = {d.between(1, 6), d.between(1, 6), size.channels};
    node.magnitude = 2 * d.plan.magnitudeOf(image);
    node.terms = 64;
    node.nearlyTies = true;
    const bool bilinear = d.chance(0.5);
    const Size result = node.size;
    node.text = bilinear ? "bilinear scale" : "Lanczos scale";
    node.build = [=](const std::vector<ImageNode>& x, const Building&) -> FilterNode {
        const MTL::Size output{result.width, result.height, result.channels};
        if (bilinear) return MPS::NNBilinearScaleNode::node(x[0], output);
        return MPS::NNLanczosScaleNode::node(x[0], output);
    };
    d.add(std::move(node));
    return true;
}

}  // namespace

std::vector<Family> shapeFamilies() {
    return {{"nearest upsampling", 0.8, drawUpsampling, true}, {"pad ", 0.8, drawPad, true},
            {"reshape", 0.7, drawReshape, true},               {"Gram matrix", 0.4, drawGram, true},
            {"concatenation", 1.5, drawConcatenation, true},   {"spatial mean", 0.8, drawSpatialMean, false},
            {"reduction", 0.3, drawReduction, false},          {"scale", 0.15, drawScale, false}};
}

}  // namespace pewter::fuzz
