#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Apart.h"
#include "CudaDevices.h"
#include "EnvironmentVariable.h"
#include "OpTensors.h"
#include "RunReference.h"

// Convolutions of images with one to four channels on device cuda, exact: sums of products of small integers.
// Without cuDNN, which a GPU may have chosen instead.

namespace pewter::test {
namespace {

using ops::Type;

/// Memory of a device with what lies in the host's, and the way back.
class OnDevice {
public:
    OnDevice(ops::Backend& backend, void* host, std::size_t bytes)
        : backend_(backend), host_(host), bytes_(bytes), memory_(bytes ? backend.allocate(bytes) : nullptr) {
        if (bytes) backend_.upload(memory_, host_, bytes_);
    }
    OnDevice(const OnDevice&) = delete;
    ~OnDevice() {
        if (bytes_) backend_.deallocate(memory_, bytes_);
    }
    void bringBack() {
        if (bytes_) backend_.download(host_, memory_, bytes_);
    }
    void* memory() const { return memory_; }

private:
    ops::Backend& backend_;
    void* host_;
    std::size_t bytes_;
    void* memory_;
};

std::size_t bytesOf(const ops::Tensor& t) {
    if (t.isNull()) return 0;
    const auto last =
        (t.n - 1) * t.strideN + (t.h - 1) * t.strideH + (t.w - 1) * t.strideW + (t.c - 1) * t.strideC;
    return static_cast<std::size_t>(last + 1) * ops::sizeOf(t.type);
}

/// Operands of an operation, moved to a device for it.
class Operands {
public:
    explicit Operands(ops::Backend& backend) : backend_(backend) {}
    void move(ops::Tensor& t) { t.data = moved(t.data, bytesOf(t)); }
    void move(ops::Array& a) {
        a.data = moved(a.data, a.isNull() ? 0 : static_cast<std::size_t>(a.size) * ops::sizeOf(a.type));
    }
    void bringBack() {
        for (auto& one : all_) one->bringBack();
    }

private:
    void* moved(void* host, std::size_t bytes) {
        return all_.emplace_back(std::make_unique<OnDevice>(backend_, host, bytes))->memory();
    }
    ops::Backend& backend_;
    std::vector<std::unique_ptr<OnDevice>> all_;
};

template <class Op, class... Members>
void runOn(ops::Backend& backend, Op op, Members... members) {
    const auto stream = backend.newStream();
    Operands operands(backend);
    (operands.move(op.*members), ...);
    backend.run(op, *stream);
    stream->synchronize();
    operands.bringBack();
}

struct Shape {
    std::int64_t n, h, w, inputs, outputs, windowHeight, windowWidth, strideY = 1, strideX = 1;
};

/// What every path of the kernels takes.
const Shape kShapes[] = {
    {2, 7, 9, 1, 3, 5, 5},           // channels one by one
    {1, 5, 6, 2, 8, 3, 3},           // eight at a time
    {2, 9, 8, 3, 16, 3, 3, 2, 1},    // strides that differ
    {1, 6, 7, 4, 24, 2, 5, 3, 4},    // beyond the window
    {1, 12, 13, 3, 9, 11, 11},       // the widest window
    {1, 15, 14, 3, 64, 7, 7, 2, 2},  // channels in several groups
    {2, 3, 4, 1, 72, 2, 1},          // more of them than a block has
    {430, 2, 3, 1, 2, 3, 2},         // more tiles than blocks of the gradient
    {3, 61, 58, 1, 64, 3, 3},        // eight pixels a thread
    {1, 3, 700, 1, 8, 3, 3},         // rows in parts
};

/// A convolution and its operands, small integers.
struct Case {
    Case(const Shape& s, Random& random) : shape(s) {
        window = {s.windowWidth,
                  s.windowHeight,
                  s.strideX,
                  s.strideY,
                  1,
                  1,
                  random.integer(-1, s.windowWidth + 1),
                  random.integer(-1, s.windowHeight + 1),
                  random.coin() ? ops::Edge::Zero : ops::Edge::Clamp};
        const Type sources[] = {Type::Float32, Type::BFloat16, Type::Float16, Type::Unorm8, Type::Unorm16};
        const Type results[] = {Type::Float32, Type::BFloat16, Type::Float16};
        const Type source = sources[random.integer(0, 4)], result = results[random.integer(0, 2)];
        const bool isUnit = source == Type::Unorm8 || source == Type::Unorm16;
        const auto extent = [&](std::int64_t size, std::int64_t stride) {
            return (size + stride - 1) / stride;
        };
        src = OpTensor(source, s.n, s.h, s.w, s.inputs, layout(random));
        src.fillIntegers(random, isUnit ? 0 : -3, isUnit ? 1 : 3);
        dst = OpTensor(result, s.n, extent(s.h, s.strideY) + random.integer(0, 1), extent(s.w, s.strideX),
                       s.outputs, layout(random));
        dst.fillIntegers(random, -3, 3);
        weights = OpTensor(Type::Float32, s.outputs, s.windowHeight, s.windowWidth, s.inputs);
        weights.fillIntegers(random, -3, 3);
        if (random.coin()) bias = OpArray(Type::Float32, s.outputs);
        bias.fillIntegers(random, -5, 5);
        name = std::to_string(s.inputs) + " to " + std::to_string(s.outputs) + " channels, " +
               std::to_string(s.windowHeight) + "x" + std::to_string(s.windowWidth) + ", " +
               ops::nameOf(source) + " to " + ops::nameOf(result);
    }
    static Layout layout(Random& random) {
        const Layout layouts[] = {Layout::dense(), Layout::dense(), Layout::gaps(), Layout::scattered()};
        return layouts[random.integer(0, 3)];
    }

    Shape shape;
    ops::Window window;
    OpTensor src, dst, weights;
    OpArray bias;
    std::string name, where;
};

constexpr int kDraws = 6;

template <class Check>
void forEveryCase(std::uint64_t seed, Check check) {
    const auto devices = cudaDevices();
    if (devices.empty()) GTEST_SKIP() << "no device cuda; PEWTER_CUDA_EMULATION=1 lists the emulated one";
    expectFineApart([&] {
        const EnvironmentVariable without("PEWTER_CUDNN", "off");
        Random random(seed);
        for (const auto& shape : kShapes)
            for (int draw = 0; draw < kDraws; ++draw) {
                Case drawn(shape, random);
                for (const auto& device : devices) {
                    drawn.where = drawn.name + " on " + device.name;
                    check(drawn, *device.backend, draw);
                }
            }
    });
}

TEST(CudaFewChannels, ForwardIsExactOnIntegers) {
    forEveryCase(31, [](const Case& drawn, ops::Backend& device, int draw) {
        ops::Neuron neuron;
        std::vector<float> slopes(static_cast<std::size_t>(drawn.shape.outputs), 0.5f);
        slopes[0] = -2;
        if (draw % 3 == 1) neuron = {ops::NeuronType::ReLU, 0.25f};
        if (draw % 3 == 2) neuron.type = ops::NeuronType::PReLU, neuron.slopes = slopes.data();
        OpTensor expected = drawn.dst, actual = drawn.dst;
        ops::ConvolutionForward op{drawn.src, drawn.weights, expected, drawn.bias, drawn.window, 1, neuron};
        runReference(op);
        op.dst = actual;
        using Op = ops::ConvolutionForward;
        runOn(device, op, &Op::src, &Op::weights, &Op::dst, &Op::bias);
        EXPECT_EQ(actual.values(), expected.values()) << drawn.where;
        EXPECT_TRUE(actual.guardsIntact()) << drawn.where;
    });
}

TEST(CudaFewChannels, GradientsOfWeightsAndBiasesAreExactOnIntegers) {
    forEveryCase(32, [](const Case& drawn, ops::Backend& device, int draw) {
        OpTensor expected = drawn.weights, actual = drawn.weights;
        OpArray expectedBias = drawn.bias, actualBias = drawn.bias;
        using Op = ops::ConvolutionWeightsGradient;
        Op op{drawn.src, drawn.dst, expected, expectedBias, drawn.window, 1, draw % 2 == 0};
        runReference(op);
        op.diffWeights = actual, op.diffBias = actualBias;
        runOn(device, op, &Op::src, &Op::diffDst, &Op::diffWeights, &Op::diffBias);
        EXPECT_EQ(actual.values(), expected.values()) << drawn.where;
        EXPECT_EQ(actualBias.values(), expectedBias.values()) << drawn.where;
        EXPECT_TRUE(actual.guardsIntact() && actualBias.guardsIntact()) << drawn.where;
    });
}

}  // namespace
}  // namespace pewter::test
