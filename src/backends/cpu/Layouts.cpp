#include <algorithm>
#include <vector>

#include "backends/cpu/ConvolutionChoices.h"
#include "backends/cpu/ConvolutionSlices.h"
#include "backends/cpu/ConvolutionTask.h"
#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

// Which operations take images in blocks of channels. Convolutions read and write either layout, with a reorder where their
// kernel has the other one; for element-wise kernels images in blocks that are all alike are dense runs as well; batch
// normalisation takes a block of channels at a time. For what treats each picture and channel by itself (pooling, resampling,
// instance normalisation) an image in blocks is an image of 16 channels and c / 16 times as many pictures.

namespace pewter::cpu {

using ops::ImageLayout;
using ops::LayoutCost;
using ops::Tensor;

namespace {

/// Winograd's kernels send blocks past the caches, and whoever reads them next waits for memory; what is carried back to
/// N,H,W,C is in the caches, if it is small enough. Of the time of a reorder: 0.2 ms of 4 MiB, see docs/performance.md.
constexpr double kColdRead = 0.5;

bool canBeInBlocks(const Tensor& t) {
    return t.type == ops::Type::Float32 && t.isDense() && t.c % ops::kChannelBlock == 0 && t.count() > 0;
}

/// Images of equal extents that have to be alike, leaving out null ones; none where the neuron has a slope a channel.
LayoutCost alike(std::vector<const Tensor*> images, const ops::Neuron& neuron = {}) {
    if (neuron.slopes) return {};
    std::erase_if(images, [](const Tensor* image) { return image->isNull(); });
    for (const Tensor* image : images)
        if (!canBeInBlocks(*image) || !image->sameExtents(*images[0])) return {};
    return {std::move(images), std::nullopt};
}

/// Images of one operation that takes each plane of an image in blocks as a picture of 16 channels.
LayoutCost inPlanes(std::vector<const Tensor*> images) {
    std::erase_if(images, [](const Tensor* image) { return image->isNull(); });
    for (const Tensor* image : images)
        if (!canBeInBlocks(*image)) return {};
    return {std::move(images), std::nullopt};
}

}  // namespace

bool Cpu::hasLayouts() const { return choices_->measuresLayouts(); }

LayoutCost Cpu::convolutionCost(ConvolutionTask task, const Tensor& src, const Tensor& dst, ops::Exactness exactness) {
    const Problem& p = task.problem;
    // What is neither float32 nor bfloat16 is converted before.
    const auto isShort = [](const Tensor& t) { return t.type == ops::Type::BFloat16; };
    if (p.isEmpty() || p.groups != 1 || p.needsBorder() || isShort(src) || isShort(dst)) return {};
    const bool first = canBeInBlocks(src), second = canBeInBlocks(dst);
    if (!first && !second) return {};
    const auto with = [&](bool srcInBlocks, bool dstInBlocks) {
        task.srcLayout = srcInBlocks ? ImageLayout::ChannelBlocks : ImageLayout::ChannelsLast;
        task.dstLayout = dstInBlocks ? ImageLayout::ChannelBlocks : ImageLayout::ChannelsLast;
        return choices_->measured(task, exactness);
    };
    // Slices, which save memory, are of images N,H,W,C.
    const auto isPossible = [&](const auto& choice) {
        return choice && !(choice->algorithm == Algorithm::Winograd && isForSlices(task));
    };
    const auto inPixels = with(false, false);
    if (!isPossible(inPixels)) return {};
    const auto inBlocks = with(first, second);
    if (!isPossible(inBlocks)) return {};
    const auto reorder = [&](const Tensor& t) { return choices_->reorderMilliseconds(t.n, t.h * t.w, t.c); };
    const double plain = inPixels->milliseconds();
    double blocks = inBlocks->milliseconds();
    const auto direction = task.direction;
    const Tensor& result = direction == Direction::Forward ? dst : src;
    if (inBlocks->algorithm == Algorithm::Winograd && direction != Direction::WeightsGradient && !isStreamed(result))
        blocks += kColdRead * reorder(result);
    std::array<std::array<double, 2>, 2> times{{{plain, plain}, {plain, plain}}};
    times[first][second] = blocks;
    if (first && second) {
        // One of them by itself: a reorder more than the one or the other way, unless that is a kernel of this library.
        const double ofSrc = reorder(src), ofDst = reorder(dst);
        times[0][1] = blocks + ofSrc;
        times[1][0] = blocks + ofDst;
        if (!isOwn(inPixels->algorithm)) {
            times[0][1] = std::min(times[0][1], plain + ofDst);
            times[1][0] = std::min(times[1][0], plain + ofSrc);
        }
    }
    return {{&src, &dst}, times};
}

LayoutCost Cpu::layoutCost(const ops::ConvolutionForward& op) {
    return op.neuron.slopes ? LayoutCost{} : convolutionCost(taskOf(op), op.src, op.dst, op.exactness);
}

LayoutCost Cpu::layoutCost(const ops::ConvolutionDataGradient& op) {
    const bool finishing = !op.bias.isNull() || op.neuron.type != ops::NeuronType::None;
    return finishing ? LayoutCost{} : convolutionCost(taskOf(op), op.diffSrc, op.diffDst, op.exactness);
}

LayoutCost Cpu::layoutCost(const ops::ConvolutionWeightsGradient& op) {
    return op.diffWeights.isNull() ? LayoutCost{} : convolutionCost(taskOf(op), op.src, op.diffDst, op.exactness);
}

LayoutCost Cpu::layoutCost(const ops::BatchNormalizationStatistics& op) { return alike({&op.src}); }
LayoutCost Cpu::layoutCost(const ops::BatchNormalizationForward& op) {
    return alike({&op.src, &op.addend, &op.dst}, op.neuron);
}
LayoutCost Cpu::layoutCost(const ops::BatchNormalizationStatisticsGradient& op) {
    return alike({&op.src, &op.diffDst, &op.addend, &op.diffSum}, op.neuron);
}
LayoutCost Cpu::layoutCost(const ops::BatchNormalizationGradient& op) {
    return alike({&op.src, &op.diffDst, &op.diffSrc}, op.neuron);
}
LayoutCost Cpu::layoutCost(const ops::NeuronForward& op) { return alike({&op.src, &op.dst}, op.neuron); }
LayoutCost Cpu::layoutCost(const ops::NeuronGradient& op) {
    return alike({&op.src, &op.diffDst, &op.diffSrc}, op.neuron);
}
LayoutCost Cpu::layoutCost(const ops::Arithmetic& op) {
    return op.mask.isNull() ? alike({&op.primary, &op.secondary, &op.dst}) : LayoutCost{};
}
LayoutCost Cpu::layoutCost(const ops::ArithmeticGradient& op) {
    return op.mask.isNull() ? alike({&op.diffDst, &op.other, &op.diffSrc}) : LayoutCost{};
}
LayoutCost Cpu::layoutCost(const ops::GroupNormalizationForward& op) {
    return op.groups == op.src.c ? inPlanes({&op.src, &op.dst}) : LayoutCost{};
}
LayoutCost Cpu::layoutCost(const ops::GroupNormalizationGradient& op) {
    return op.groups == op.src.c ? inPlanes({&op.src, &op.diffDst, &op.diffSrc}) : LayoutCost{};
}
LayoutCost Cpu::layoutCost(const ops::PoolingForward& op) { return inPlanes({&op.src, &op.dst}); }
LayoutCost Cpu::layoutCost(const ops::PoolingGradient& op) { return inPlanes({&op.src, &op.diffDst, &op.diffSrc}); }
LayoutCost Cpu::layoutCost(const ops::ResampleForward& op) {
    return op.viewCount == 1 ? inPlanes({&op.src, &op.dst}) : LayoutCost{};
}
LayoutCost Cpu::layoutCost(const ops::ResampleGradient& op) { return inPlanes({&op.diffDst, &op.diffSrc}); }

}  // namespace pewter::cpu
