#include <fmt/format.h>

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <cmath>

#include "Draw.h"

namespace pewter::fuzz {

namespace {

using Style = MPS::NNTrainingStyle;

/// Training style and whether the state leaves the graph.
void drawStyle(Drawer& d, PlanNode& node) {
    node.style = d.chance(0.6)   ? Style::UpdateDeviceGPU
                 : d.chance(0.5) ? Style::UpdateDeviceCPU
                                 : Style::UpdateDeviceNone;
    node.exportsState = d.chance(node.style == Style::UpdateDeviceNone ? 0.5 : 0.1);
}

std::shared_ptr<ConvolutionWeights> newWeights(Drawer& d, const std::shared_ptr<MPS::CNNConvolutionDescriptor>& descriptor) {
    const auto source = std::make_shared<ConvolutionWeights>(descriptor);
    source->name = fmt::format("weights {}", d.plan.parameters.size());
    const double fan = static_cast<double>(descriptor->kernelWidth() * descriptor->kernelHeight() *
                                           descriptor->inputChannelsPerGroup());
    source->first.values = d.parameters(descriptor->weightCount(), 1.5 / std::sqrt(fan));
    source->second.values = d.parameters(descriptor->outputFeatureChannels(), 0.5);
    d.plan.parameters.push_back(source);
    return source;
}

/// Sometimes the weights of another convolution of the same shape.
std::shared_ptr<ConvolutionWeights> weightsFor(Drawer& d, const std::shared_ptr<MPS::CNNConvolutionDescriptor>& wanted) {
    if (d.chance(0.3))
        for (const auto& source : d.plan.parameters) {
            const auto weights = std::dynamic_pointer_cast<ConvolutionWeights>(source);
            if (!weights) continue;
            const auto have = weights->descriptor();
            const auto same = [&](auto property) { return ((*have).*property)() == ((*wanted).*property)(); };
            using D = MPS::CNNConvolutionDescriptor;
            if (same(&D::kernelWidth) && same(&D::kernelHeight) && same(&D::inputFeatureChannels) &&
                same(&D::outputFeatureChannels) && same(&D::strideInPixelsX) && same(&D::strideInPixelsY) &&
                same(&D::dilationRateX) && same(&D::dilationRateY) && same(&D::groups) && same(&D::channelMultiplier))
                return weights;
        }
    return newWeights(d, wanted);
}

bool drawConvolution(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    const auto axis = [&] {
        Drawer::Axis axis;
        axis.window = d.between(1, 3);
        axis.stride = d.chance(0.7) ? 1 : d.between(2, 3);
        axis.dilation = axis.window > 1 && d.chance(0.2) ? 2 : 1;
        return axis;
    };
    const auto x = axis(), y = axis();
    const auto window = d.window(size, x, y);
    if (!window) return false;
    std::size_t outputs = d.oneOf<std::size_t>({1, 2, 3, 4, 4, 8}), groups = 1;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor;
    if (d.chance(0.12)) {
        outputs = size.channels;
        descriptor = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(x.window, y.window, size.channels,
                                                                                     outputs);
    } else {
        if (size.channels == 8 && d.chance(0.5)) groups = 2, outputs = 8;
        descriptor = MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(x.window, y.window, size.channels, outputs);
        descriptor->setGroups(groups);
    }
    descriptor->setStrideInPixelsX(x.stride);
    descriptor->setStrideInPixelsY(y.stride);
    descriptor->setDilationRateX(x.dilation);
    descriptor->setDilationRateY(y.dilation);
    const auto weights = weightsFor(d, descriptor);
    const bool depthwise = descriptor->channelMultiplier() != 0;
    PlanNode node;
    node.sources = {image};
    node.size = {window->width, window->height, outputs};
    node.blurs = true;
    node.text = fmt::format("{}convolution {}{}", depthwise ? "depthwise " : "", Drawer::textOf(x, y, *window),
                            groups > 1 ? " groups 2" : "");
    // Weights are chosen so that a sum is about as large as its terms; integers are not.
    node.magnitude = (d.plan.isExact ? static_cast<double>(descriptor->weightCount() / outputs) / 2 : 1.5) *
                         d.plan.magnitudeOf(image) +
                     0.5;
    node.terms = std::max({descriptor->weightCount() / outputs, descriptor->weightCount() / size.channels,
                           d.plan.batch * window->width * window->height});
    node.parameters = weights;
    drawStyle(d, node);
    const auto method = window->method;
    node.build = [weights, method](const std::vector<ImageNode>& s, const Building&) -> FilterNode {
        const auto filter = MPS::CNNConvolutionNode::node(s[0], weights);
        filter->setPaddingPolicy(MPS::NNDefaultPadding::padding(method));
        return filter;
    };
    d.add(std::move(node));
    return true;
}

bool drawFullyConnected(Drawer& d) {
    const auto image = d.pickWhere([](const Size& size) { return size.count() <= 100; });
    if (!image) return false;
    d.addFullyConnected(*image, d.between(1, 8));
    return true;
}

bool drawBatchNormalization(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    // One value alone is its own mean: its derivative is 0, and on a device nothing but rounding.
    if (d.plan.batch * size.width * size.height < 2) return false;
    std::shared_ptr<NormalizationWeights> weights;
    if (d.chance(0.1))
        for (const auto& source : d.plan.parameters)
            if (const auto other = std::dynamic_pointer_cast<NormalizationWeights>(source))
                if (other->numberOfFeatureChannels() == size.channels) weights = other;
    if (!weights) {
        weights = std::make_shared<NormalizationWeights>();
        weights->name = fmt::format("normalisation {}", d.plan.parameters.size());
        weights->first.values = d.parameters(size.channels, 1.5);
        weights->second.values = d.parameters(size.channels, 1);
        weights->means = d.parameters(size.channels, 0.5);
        weights->variances = d.parameters(size.channels, 0.5);
        for (auto& variance : weights->variances) variance += 1;
        d.plan.parameters.push_back(weights);
    }
    const auto flags = d.chance(0.7)   ? MPS::CNNBatchNormalizationFlagsCalculateStatisticsAutomatic
                       : d.chance(0.5) ? MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways
                                       : MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever;
    PlanNode node;
    node.sources = {image};
    node.size = size;
    node.text = fmt::format("batch normalisation flags {}", flags);
    node.magnitude = flags == MPS::CNNBatchNormalizationFlagsCalculateStatisticsNever
                         ? 2.5 * d.plan.magnitudeOf(image) + 2
                         : 5;
    node.terms = 2 * d.plan.batch * size.width * size.height;
    node.parameters = weights;
    node.isAutomatic = flags == MPS::CNNBatchNormalizationFlagsCalculateStatisticsAutomatic;
    node.ownsState = true;
    drawStyle(d, node);
    node.build = [weights, flags](const std::vector<ImageNode>& s, const Building& building) -> FilterNode {
        const auto filter = MPS::CNNBatchNormalizationNode::node(s[0], weights);
        const bool always =
            building.usesStatistics && flags == MPS::CNNBatchNormalizationFlagsCalculateStatisticsAutomatic;
        filter->setFlags(always ? MPS::CNNBatchNormalizationFlagsCalculateStatisticsAlways : flags);
        return filter;
    };
    d.add(std::move(node));
    return true;
}

/// By a policy, or with the state of a convolution: then its result is as large as what went into that.
bool drawTransposed(Drawer& d) {
    std::vector<std::size_t> convolutions;
    for (std::size_t i = 0; i < d.plan.nodes.size(); ++i)
        if (d.plan.nodes[i].text.starts_with("convolution")) convolutions.push_back(i);
    std::size_t image = d.pick(), linked = 0;
    const bool isLinked = !convolutions.empty() && d.chance(0.5);
    Size result;
    Drawer::Axis x{d.between(1, 3), d.between(1, 3), 1}, y{d.between(1, 3), d.between(1, 3), 1};
    MPS::NNPaddingMethod method = MPS::NNPaddingMethodSizeSame;
    if (isLinked) {
        linked = convolutions[d.between(0, convolutions.size() - 1)];
        const auto& convolution = d.plan.nodes[linked];
        const auto found = d.pickWhere([&](const Size& size) {
            return size.width == convolution.size.width && size.height == convolution.size.height;
        });
        image = *found;
        const Size& source = d.sizeOf(convolution.sources[0]);
        result = source;
        const auto descriptor = std::dynamic_pointer_cast<ConvolutionWeights>(convolution.parameters)->descriptor();
        x = {descriptor->kernelWidth(), descriptor->strideInPixelsX(), descriptor->dilationRateX()};
        y = {descriptor->kernelHeight(), descriptor->strideInPixelsY(), descriptor->dilationRateY()};
    } else {
        method = d.oneOf({MPS::NNPaddingMethodSizeSame, MPS::NNPaddingMethodSizeValidOnly, MPS::NNPaddingMethodSizeFull});
        const auto extent = [&](std::size_t size, const Drawer::Axis& axis) {
            const std::size_t base = (size - 1) * axis.stride + 1, more = axis.effective() - 1;
            if (method == MPS::NNPaddingMethodSizeFull) return base + more;
            if (method == MPS::NNPaddingMethodSizeSame) return base;
            return base > more ? base - more : 0;
        };
        const Size& size = d.sizeOf(image);
        result = {extent(size.width, x), extent(size.height, y), 1};
    }
    const std::size_t channels = d.sizeOf(image).channels, outputs = d.oneOf<std::size_t>({1, 2, 3, 4});
    result.channels = outputs;
    if (result.count() == 0 || result.count() > 200) return false;
    const auto descriptor =
        MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(x.window, y.window, channels, outputs);
    descriptor->setStrideInPixelsX(x.stride);
    descriptor->setStrideInPixelsY(y.stride);
    descriptor->setDilationRateX(x.dilation);
    descriptor->setDilationRateY(y.dilation);
    const auto weights = newWeights(d, descriptor);
    PlanNode node;
    node.sources = {image};
    node.size = result;
    node.blurs = true;
    node.text = fmt::format("transposed convolution {}{}", Drawer::textOf(x, y, {method}),
                            isLinked ? fmt::format(" state of #{}", linked + d.plan.inputs.size()) : "");
    node.magnitude = (d.plan.isExact ? static_cast<double>(x.window * y.window * channels) / 2 : 1.5) *
                         d.plan.magnitudeOf(image) +
                     0.5;
    node.terms = std::max(x.window * y.window * std::max(channels, outputs), d.plan.batch * result.width * result.height);
    node.parameters = weights;
    drawStyle(d, node);
    node.build = [=](const std::vector<ImageNode>& s, const Building& building) -> FilterNode {
        std::shared_ptr<MPS::CNNConvolutionGradientStateNode> state;
        if (isLinked)
            state = std::dynamic_pointer_cast<MPS::CNNConvolutionNode>(building.filters->at(linked))
                        ->convolutionGradientState();
        const auto filter = MPS::CNNConvolutionTransposeNode::node(s[0], state, weights);
        filter->setPaddingPolicy(MPS::NNDefaultPadding::padding(method));
        return filter;
    };
    d.add(std::move(node));
    return true;
}

template <class Weights>
void fill(Drawer& d, Weights& weights, std::size_t channels, const char* what) {
    weights.name = fmt::format("{} {}", what, d.plan.parameters.size());
    weights.first.values = d.parameters(channels, 1.5);
    weights.second.values = d.parameters(channels, 1);
}

bool drawSampleNormalization(Drawer& d) {
    const std::size_t image = d.pick();
    const Size size = d.sizeOf(image);
    if (size.width * size.height < 2) return false;
    PlanNode node;
    node.sources = {image};
    node.size = size;
    node.magnitude = 5;
    node.terms = 2 * size.count();
    node.ownsState = true;
    drawStyle(d, node);
    if (d.chance(0.5)) {
        const auto weights = std::make_shared<InstanceWeights>();
        fill(d, *weights, size.channels, "instance weights");
        node.text = "instance normalisation";
        node.parameters = weights;
        node.build = [weights](const std::vector<ImageNode>& s, const Building&) -> FilterNode {
            return MPS::CNNInstanceNormalizationNode::node(s[0], weights);
        };
    } else {
        std::vector<std::size_t> groups;
        for (std::size_t g = 1; g <= size.channels; ++g)
            if (size.channels % g == 0) groups.push_back(g);
        const auto weights = std::make_shared<GroupWeights>(groups[d.between(0, groups.size() - 1)]);
        fill(d, *weights, size.channels, "group weights");
        node.text = fmt::format("group normalisation, {} groups", weights->numberOfGroups());
        node.parameters = weights;
        node.build = [weights](const std::vector<ImageNode>& s, const Building&) -> FilterNode {
            return MPS::CNNGroupNormalizationNode::node(s[0], weights);
        };
    }
    d.plan.parameters.push_back(node.parameters);
    d.add(std::move(node));
    return true;
}

}  // namespace

std::size_t Drawer::addFullyConnected(std::size_t source, std::size_t channels) {
    const Size size = sizeOf(source);
    const auto weights =
        weightsFor(*this, MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(size.width, size.height, size.channels,
                                                                                 channels));
    PlanNode node;
    node.sources = {source};
    node.size = {1, 1, channels};
    node.text = "fully connected";
    node.magnitude =
        (plan.isExact ? static_cast<double>(size.count()) / 2 : 1.5) * plan.magnitudeOf(source) + 0.5;
    node.terms = std::max({size.count(), channels, plan.batch});
    node.parameters = weights;
    drawStyle(*this, node);
    node.build = [weights](const std::vector<ImageNode>& s, const Building&) -> FilterNode {
        return MPS::CNNFullyConnectedNode::node(s[0], weights);
    };
    return add(std::move(node));
}

std::vector<Family> weightedFamilies() {
    return {{"convolution", 4, drawConvolution, true},
            {"fully connected", 1.5, drawFullyConnected, true},
            {"transposed convolution", 0.8, drawTransposed, true},
            {"batch normalisation", 1.5, drawBatchNormalization, false},
            {"group normalisation", 0.8, drawSampleNormalization, false}};
}

}  // namespace pewter::fuzz
