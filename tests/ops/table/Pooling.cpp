// Maxima, means and norms of sliding windows.

#include <MPS/CNNPooling.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Edge = MPS::ImageEdgeMode;

struct Window {
    std::size_t width = 2, height = 2, strideX = 2, strideY = 2, dilationX = 1, dilationY = 1;
    Edge edge = Edge::Clamp;
    MPS::NNPaddingMethod padding = MPS::NNPaddingMethodSizeSame;

    double taps() const { return static_cast<double>(width * height); }
    /// Windows that can read one pixel: those that reach it, and under Clamp those that hang over it.
    double windows() const {
        const std::size_t x = (width - 1) * dilationX + 1, y = (height - 1) * dilationY + 1;
        return static_cast<double>(x * y) * (edge == Edge::Clamp ? 4 : 1);
    }
    template <class Kernel>
    std::shared_ptr<Kernel> prepared(std::shared_ptr<Kernel> kernel) const {
        kernel->setEdgeMode(edge);
        kernel->setPadding(MPS::NNDefaultPadding::padding(padding));
        return kernel;
    }
    template <class Kernel>
    std::shared_ptr<Kernel> make(const std::shared_ptr<MTL::Device>& device) const {
        return std::make_shared<Kernel>(device, width, height, strideX, strideY);
    }
    template <class Kernel>
    std::shared_ptr<Kernel> makeDilated(const std::shared_ptr<MTL::Device>& device) const {
        return std::make_shared<Kernel>(device, width, height, dilationX, dilationY, strideX, strideY);
    }
};

OpCase maximum(const std::string& name, const Shape& shape, const Window& window) {
    UnaryPair pair;
    pair.source = {"source", shape, Domain::Distinct};
    const bool dilated = window.dilationX > 1 || window.dilationY > 1;
    pair.forward = [=](const auto& device) -> std::shared_ptr<MPS::CNNKernel> {
        if (dilated) return window.prepared(window.makeDilated<MPS::CNNDilatedPoolingMax>(device));
        return window.prepared(window.make<MPS::CNNPoolingMax>(device));
    };
    pair.backward = [=](const auto& device) -> std::shared_ptr<MPS::CNNGradientKernel> {
        if (dilated) return window.makeDilated<MPS::CNNDilatedPoolingMaxGradient>(device);
        return window.make<MPS::CNNPoolingMaxGradient>(device);
    };
    auto op = caseOf((dilated ? "dilated maximum, " : "maximum, ") + name, pair);
    // A result is one of the taps; a gradient the sum of those of the windows that it wins.
    op.magnitude = 2;
    op.gradientLength = op.gradientMagnitude = window.windows();
    op.exactOnIntegers = true;
    return op;
}

OpCase average(const std::string& name, const Shape& shape, const Window& window, std::size_t zeroPad = 0) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const auto& device) {
        const auto kernel = window.make<MPS::CNNPoolingAverage>(device);
        kernel->setZeroPadSizeX(zeroPad);
        kernel->setZeroPadSizeY(zeroPad);
        return window.prepared(kernel);
    };
    pair.backward = [=](const auto& device) { return window.make<MPS::CNNPoolingAverageGradient>(device); };
    auto op = caseOf("average, " + name, pair);
    // The mean of numbers up to 1; a gradient is a sum over windows, each divided once.
    op.sumLength = window.taps();
    op.gradientLength = op.gradientMagnitude = window.windows();
    // Quotients by 4 are exact.
    op.exactOnIntegers = window.taps() == 4 && window.edge == Edge::Zero;
    return op;
}

OpCase norm(const std::string& name, const Shape& shape, const Window& window) {
    UnaryPair pair;
    pair.source = {"source", shape, Domain::Distinct};
    pair.forward = [=](const auto& device) {
        return window.prepared(window.make<MPS::CNNPoolingL2Norm>(device));
    };
    pair.backward = [=](const auto& device) { return window.make<MPS::CNNPoolingL2NormGradient>(device); };
    auto op = caseOf("norm, " + name, pair);
    // A root halves the relative error of the sum under it, which numbers up to 2 make. In the gradient in /
    // out is at most 1 and comes from such a sum, once for every tap that reads the pixel.
    op.sumLength = window.taps();
    op.magnitude = 2 * window.taps();
    op.gradientLength = window.windows() + window.taps();
    op.gradientMagnitude = window.windows() * (window.edge == Edge::Clamp ? window.taps() : 1);
    return op;
}

std::vector<ErrorCase> errors() {
    const auto backward = [](auto change) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const auto image = [&](const Shape& shape) {
                return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
            };
            const auto x = image({1, 4, 4, 4});
            MPS::CNNPoolingMax forward(device, 2, 2, 2, 2);
            const auto y = image({1, 2, 2, 4});
            const auto state = forward.resultState(x, {}, y);
            change(device, image, x, y, state);
        };
    };
    const auto commands = [](const auto& device) { return device->newCommandQueue()->commandBuffer(); };
    return {
        {"null device", [](const auto&) { MPS::CNNPoolingMax(nullptr, 2, 2); }, "device: expected"},
        {"no width", [](const auto& device) { MPS::CNNPoolingAverage(device, 0, 2); },
         "kernelWidth: expected at least 1, found 0"},
        {"no stride", [](const auto& device) { MPS::CNNPoolingL2NormGradient(device, 2, 2, 1, 0); },
         "strideInPixelsY: expected at least 1, found 0"},
        {"no dilation", [](const auto& device) { MPS::CNNDilatedPoolingMax(device, 2, 2, 0, 1, 1, 1); },
         "dilationRateX: expected at least 1, found 0"},
        {"a mirrored edge",
         [=](const auto& device) {
             MPS::CNNPoolingMax kernel(device, 2, 2);
             kernel.setEdgeMode(Edge::Mirror);
             kernel.encode(commands(device), imagesOf({device}, {{1, 1, 1, 1}, {1}})[0]);
         },
         "edgeMode: expected Zero or Clamp"},
        {"the state of another class", backward([=](auto& device, auto&, auto& x, auto& y, auto& state) {
             MPS::CNNPoolingL2NormGradient(device, 2, 2, 2, 2).encode(commands(device), y, x, state);
         }),
         "gradientState: expected one of the forward class of CNNPoolingL2NormGradient, found one made by "
         "CNNPoolingMax"},
        {"another window", backward([=](auto& device, auto&, auto& x, auto& y, auto& state) {
             MPS::CNNPoolingMaxGradient(device, 3, 2, 2, 2).encode(commands(device), y, x, state);
         }),
         "gradientState: expected a forward window of 3 x 2"},
        {"another source", backward([=](auto& device, auto& image, auto& x, auto& y, auto& state) {
             MPS::CNNPoolingMaxGradient(device, 2, 2, 2, 2)
                 .encode(commands(device), y, image({1, 5, 4, 4}), state, image(Shape{1, 4, 4, 4}));
             (void)x;
         }),
         "sourceImage: expected 4 x 4 pixels of 4 feature channels"},
        {"too large a gradient", backward([=](auto& device, auto& image, auto& x, auto&, auto& state) {
             MPS::CNNPoolingMaxGradient(device, 2, 2, 2, 2)
                 .encode(commands(device), image({1, 2, 3, 4}), x, state, image(Shape{1, 4, 4, 4}));
         }),
         "sourceGradient: expected at most 2 x 2 pixels"},
        {"too many channels", backward([=](auto& device, auto& image, auto& x, auto&, auto& state) {
             MPS::CNNPoolingMaxGradient(device, 2, 2, 2, 2)
                 .encode(commands(device), image({1, 2, 2, 8}), x, state, image(Shape{1, 4, 4, 8}));
         }),
         "sourceGradient: expected 4 feature channels"},
        {"an offset outside the gradient",
         backward([=](auto& device, auto& image, auto& x, auto& y, auto& state) {
             MPS::CNNPoolingMaxGradient kernel(device, 2, 2, 2, 2);
             kernel.setPrimaryOffset({2, 0, 0});
             kernel.encode(commands(device), y, x, state, image({1, 4, 4, 4}));
         }),
         "primaryOffset and sourceSize: expected pixels of the incoming gradient"},
        {"a kernel offset", backward([=](auto& device, auto& image, auto& x, auto& y, auto& state) {
             MPS::CNNPoolingMaxGradient kernel(device, 2, 2, 2, 2);
             kernel.setKernelOffsetX(1);
             kernel.encode(commands(device), y, x, state, image({1, 4, 4, 4}));
         }),
         "kernelOffset: expected (0, 0)"}};
}

}  // namespace

OpRow Pooling() {
    OpRow row;
    row.family = "pooling";
    row.classes = {"MPSCNNPooling",
                   "MPSCNNPoolingMax",
                   "MPSCNNDilatedPoolingMax",
                   "MPSCNNPoolingAverage",
                   "MPSCNNPoolingL2Norm",
                   "MPSCNNPoolingGradient",
                   "MPSCNNPoolingMaxGradient",
                   "MPSCNNDilatedPoolingMaxGradient",
                   "MPSCNNPoolingAverageGradient",
                   "MPSCNNPoolingL2NormGradient"};
    row.pytorch = "F.max_pool2d, F.avg_pool2d, F.lp_pool2d(x, 2, ...)";
    const Shape shape{2, 5, 6, 2};
    constexpr auto kValid = MPS::NNPaddingMethodSizeValidOnly, kFull = MPS::NNPaddingMethodSizeFull;
    constexpr auto kBottom = MPS::NNPaddingMethodSizeSame | MPS::NNPaddingMethodAddRemainderToBottomRight;
    for (const auto edge : {Edge::Zero, Edge::Clamp}) {
        const std::string ending = edge == Edge::Zero ? ", zeros outside" : ", edge pixels outside";
        const std::pair<const char*, Window> windows[] = {
            {"2 x 2, stride 2", {2, 2, 2, 2, 1, 1, edge}},
            {"3 x 3, stride 1", {3, 3, 1, 1, 1, 1, edge}},
            {"3 x 2, stride 2 x 1, valid", {3, 2, 2, 1, 1, 1, edge, kValid}},
            {"2 x 3, stride 1 x 2, full", {2, 3, 1, 2, 1, 1, edge, kFull}},
            {"4 x 4, stride 3, remainder to the bottom right", {4, 4, 3, 3, 1, 1, edge, kBottom}}};
        for (const auto& [name, window] : windows) {
            row.cases.push_back(maximum(name + ending, shape, window));
            row.cases.push_back(average(name + ending, shape, window));
            row.cases.push_back(norm(name + ending, shape, window));
        }
        row.cases.push_back(maximum("2 x 3, rate 2 x 1, stride 1" + ending, shape, {2, 3, 1, 1, 2, 1, edge}));
        row.cases.push_back(maximum("3 x 2, rate 2 x 3, stride 2" + ending, shape, {3, 2, 2, 2, 2, 3, edge}));
    }
    row.cases.push_back(average("3 x 3, a border of one zero", shape, {3, 3, 2, 2}, 1));
    row.cases.push_back(average("all of it", {2, 5, 5, 3}, {5, 5, 1, 1, 1, 1, Edge::Zero, kValid}));
    row.cases.push_back(norm("17 channels", {1, 2, 4, 17}, {2, 2, 2, 2}));
    row.cases.push_back(maximum("17 channels", {1, 2, 4, 17}, {2, 2, 2, 2}));
    const Shape wide{16, 112, 112, 32};
    row.large = {maximum("3 x 3, stride 2", wide, {3, 3, 2, 2}),
                 maximum("2 x 2, rate 2", wide, {2, 2, 2, 2, 2, 2}),
                 average("2 x 2, stride 2", wide, {2, 2, 2, 2}), norm("2 x 2, stride 2", wide, {2, 2, 2, 2})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
