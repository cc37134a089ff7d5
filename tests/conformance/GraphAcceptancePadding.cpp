#include <MPS/CNNConvolutionTranspose.hpp>
#include <MPS/NNPadding.hpp>

#include "EveryDevice.h"
#include "GraphKernels.h"

/// The acceptance tests of graphs, 1: sizes and offsets of every published vector, as a graph sets them.
using namespace pewter::test;

namespace {

constexpr MPS::NNPaddingMethod kValid = MPS::NNPaddingMethodSizeValidOnly,
                               kSame = MPS::NNPaddingMethodSizeSame, kFull = MPS::NNPaddingMethodSizeFull;

/// r is 1 where the remainder goes to the left, or to the top.
struct Remainder {
    MPS::NNPaddingMethod method;
    bool left, top;
};
constexpr Remainder kRemainders[] = {{MPS::NNPaddingMethodAddRemainderToTopLeft, true, true},
                                     {MPS::NNPaddingMethodAddRemainderToTopRight, false, true},
                                     {MPS::NNPaddingMethodAddRemainderToBottomLeft, true, false},
                                     {MPS::NNPaddingMethodAddRemainderToBottomRight, false, false}};

struct Axis {
    std::size_t source, window, stride, dilation;
    MPS::NNPaddingMethod style;
    std::size_t result;
    /// With the remainder at the start of the axis (r = 1), and at its end.
    std::int64_t start, end;
};

constexpr Axis kAxes[] = {
    {28, 5, 1, 1, kSame, 28, 0, 0}, {28, 5, 1, 1, kValid, 24, 2, 2}, {28, 5, 1, 1, kFull, 32, -2, -2},
    {28, 2, 2, 1, kSame, 14, 1, 1}, {7, 2, 2, 1, kSame, 4, 0, 1},    {7, 2, 2, 1, kValid, 3, 1, 1},
    {8, 3, 2, 1, kSame, 4, 0, 1},   {8, 3, 2, 1, kFull, 5, -1, 0},   {13, 2, 1, 1, kSame, 13, 0, 1},
    {10, 2, 3, 1, kValid, 3, 1, 2}, {9, 1, 3, 1, kSame, 3, 0, 1},    {16, 3, 1, 2, kSame, 16, 0, 0}};

/// An axis of a transposed convolution; what is set is its kernelOffset.
constexpr Axis kReverseAxes[] = {{4, 3, 2, 1, kFull, 9, -1, -1},
                                 {4, 3, 2, 1, kSame, 7, 0, 0},
                                 {4, 3, 2, 1, kValid, 5, 1, 1},
                                 // Even windows: the published formula, by hand. extra = D - 1 + k - E.
                                 {4, 2, 2, 1, kFull, 8, 0, 0},   // extra 2
                                 {4, 2, 2, 1, kSame, 7, 0, 1},   // extra 1
                                 {4, 2, 2, 1, kValid, 6, 1, 1},  // extra 0
                                 {3, 4, 3, 1, kSame, 7, 0, 1}};  // extra 3

/// Every axis of a style as width with every other one as height, and all four remainders.
template <std::size_t n>
void forPairs(const Axis (&axes)[n], const auto& body) {
    for (const Axis& x : axes)
        for (const Axis& y : axes)
            for (const Remainder& remainder : kRemainders) {
                if (x.style != y.style) continue;
                SCOPED_TRACE("width " + std::to_string(&x - axes) + ", height " + std::to_string(&y - axes) +
                             ", method " + std::to_string(x.style | remainder.method));
                body(x, y, remainder);
            }
}

/// The result of one encode of a graph that is this filter.
ImagePtr encoded(const DevicePtr& device, pewter::KernelNode& filter, std::size_t width, std::size_t height) {
    MPS::NNGraph graph(device, filter.resultImage());
    graph.setFormat(Format::Float32);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto result = graph.encode(commands, drawImages(device, 1, width, height, 1, 1));
    run(commands);
    return result;
}

}  // namespace

TEST_ON_EVERY_DEVICE(GraphAcceptance,
                     N01_EveryVectorOfForwardFiltersGivesItsSizeAndOffsetOnBothAxesForAllRemainders) {
    forPairs(kAxes, [&](const Axis& x, const Axis& y, const Remainder& remainder) {
        std::shared_ptr<CopyKernel> kernel;
        const auto filter = pewter::KernelNode::node(MPS::NNImageNode::node(), [&](const DevicePtr& on) {
            kernel = std::make_shared<CopyKernel>(on);
            kernel->window(x.window, y.window, x.stride, y.stride, x.dilation, y.dilation);
            kernel->setOffset({77, 77, 0});
            return kernel;
        });
        filter->setPaddingPolicy(MPS::NNDefaultPadding::padding(x.style | remainder.method));
        const auto result = encoded(device, *filter, x.source, y.source);
        EXPECT_EQ(result->width(), x.result);
        EXPECT_EQ(result->height(), y.result);
        EXPECT_EQ(kernel->offset().x, remainder.left ? x.start : x.end);
        EXPECT_EQ(kernel->offset().y, remainder.top ? y.start : y.end);
    });
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N01b_EveryVectorOfTransposedConvolutionsGivesItsSizeAndKernelOffset) {
    forPairs(kReverseAxes, [&](const Axis& x, const Axis& y, const Remainder& remainder) {
        if (x.window != y.window || x.stride != y.stride) return;  // one data source, square windows
        const auto weights = std::make_shared<LayerSource>(device, "up", x.window, 1, 1, 1);
        weights->descriptor()->setStrideInPixelsX(x.stride);
        weights->descriptor()->setStrideInPixelsY(y.stride);
        std::shared_ptr<MPS::CNNConvolutionTranspose> kernel;
        const auto filter = pewter::KernelNode::node(MPS::NNImageNode::node(), [&](const DevicePtr& on) {
            return kernel = std::make_shared<MPS::CNNConvolutionTranspose>(on, weights);
        });
        filter->setPaddingPolicy(MPS::NNDefaultPadding::padding(x.style | remainder.method));
        const auto result = encoded(device, *filter, x.source, y.source);
        EXPECT_EQ(result->width(), x.result);
        EXPECT_EQ(result->height(), y.result);
        EXPECT_EQ(kernel->offset().x, 0);
        EXPECT_EQ(kernel->offset().y, 0);
        EXPECT_EQ(kernel->kernelOffsetX(), remainder.left ? x.start : x.end);
        EXPECT_EQ(kernel->kernelOffsetY(), remainder.top ? y.start : y.end);
    });
}

TEST_ON_EVERY_DEVICE(GraphAcceptance, N01c_AWindowReadsFromWhereTheOffsetSaysAndTheEdgeModeBeyond) {
    // Destination pixel x reads x s + offset - kd/2 + d p: seen by a convolution of one tap that is not zero.
    for (const Axis& axis : kAxes)
        for (const Remainder& remainder : kRemainders)
            for (std::size_t tap = 0; tap < axis.window; ++tap) {
                const auto weights = std::make_shared<LayerSource>(device, "tap", axis.window, 1, 1, 1);
                auto& descriptor = *weights->descriptor();
                descriptor.setStrideInPixelsX(axis.stride);
                descriptor.setStrideInPixelsY(axis.stride);
                descriptor.setDilationRateX(axis.dilation);
                descriptor.setDilationRateY(axis.dilation);
                weights->values.assign(weights->values.size(), 0);
                weights->values[tap * axis.window + tap] = 1;
                weights->biases = {0};
                const auto filter = MPS::CNNConvolutionNode::node(MPS::NNImageNode::node(), weights);
                filter->setPaddingPolicy(MPS::NNDefaultPadding::padding(axis.style | remainder.method));
                MPS::NNGraph graph(device, filter->resultImage());
                graph.setFormat(Format::Float32);
                const auto source = drawImages(device, 1, axis.source, axis.source, 1, 1)[0];
                const auto commands = device->newCommandQueue()->commandBuffer();
                const auto result = graph.encode(commands, {source});
                run(commands);
                const auto from = valuesOf(*source);
                const auto position = [&](std::size_t at, bool start) {
                    const auto signedOf = [](std::size_t value) { return static_cast<std::int64_t>(value); };
                    const auto kd = signedOf((axis.window - 1) * axis.dilation + 1);
                    return signedOf(at * axis.stride) + (start ? axis.start : axis.end) - kd / 2 +
                           signedOf(axis.dilation * tap);
                };
                const auto inside = [&](std::int64_t at) {
                    return at >= 0 && at < static_cast<std::int64_t>(axis.source);
                };
                std::vector<double> expected;
                for (std::size_t y = 0; y < axis.result; ++y)
                    for (std::size_t x = 0; x < axis.result; ++x) {
                        const auto sx = position(x, remainder.left), sy = position(y, remainder.top);
                        expected.push_back(inside(sx) && inside(sy)
                                               ? from[static_cast<std::size_t>(sy) * axis.source +
                                                      static_cast<std::size_t>(sx)]
                                               : 0);
                    }
                EXPECT_EQ(valuesOf(*result), expected)
                    << "axis " << &axis - kAxes << ", tap " << tap << ", remainder " << remainder.method;
            }
}
