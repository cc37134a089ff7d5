/// Every operation of the seam on the problems of bench/problems/, after the ceilings of the machine:
///
///     bench_Ops [--device cpu] [--problems FILE]... [--benchmark_filter=mnist/conv2]
///     [--benchmark_min_time=0.2] ...
///
/// Columns: GFLOP/s where an operation computes more than it moves, GB/s (each byte read or written once) for
/// all.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

#include "Arguments.h"
#include "Problems.h"
#include "ops/Backend.h"
#include "profile/Ceilings.h"
#include "profile/Work.h"

namespace {

using namespace pewter;
using bench::Problem;

/// The device and the memory of one benchmark; freed with it.
class Bench {
public:
    explicit Bench(ops::Backend& backend) : backend_(backend), stream_(backend.newStream()) {}
    ~Bench() {
        for (const auto& block : blocks_) backend_.deallocate(block.memory, block.bytes);
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    ops::Backend& backend() { return backend_; }
    ops::Stream& stream() { return *stream_; }

    ops::Tensor tensor(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                       ops::Type type = ops::Type::Float32) {
        return ops::Tensor::dense(memory(n * h * w * c, type), type, n, h, w, c);
    }
    ops::Tensor tensorLike(const ops::Tensor& t, ops::Type type = ops::Type::Float32) {
        return tensor(t.n, t.h, t.w, t.c, type);
    }
    ops::Array array(std::int64_t size) {
        return {memory(size, ops::Type::Float32), ops::Type::Float32, size};
    }

private:
    /// Values of both signs, none of them tiny: arithmetic on denormals would be another benchmark.
    void* memory(std::int64_t count, ops::Type type) {
        const auto bytes = static_cast<std::size_t>(count) * ops::sizeOf(type);
        void* out = backend_.allocate(bytes);
        blocks_.push_back({out, bytes});
        std::memset(out, 0, bytes);
        if (type != ops::Type::Float32) return out;
        auto* values = static_cast<float*>(out);
        std::uint32_t state = 1;
        for (std::int64_t i = 0; i < count; ++i) {
            state = state * 1664525u + 1013904223u;
            values[i] = static_cast<float>(static_cast<std::int32_t>(state >> 8) - (1 << 23)) * 0x1p-23f;
        }
        return out;
    }

    struct Block {
        void* memory;
        std::size_t bytes;
    };
    ops::Backend& backend_;
    std::unique_ptr<ops::Stream> stream_;
    std::vector<Block> blocks_;
};

template <class Op>
void measure(benchmark::State& state, Bench& bench, const Op& op) {
    bench.backend().run(op, bench.stream());  // primitives are made and pages touched before the clock starts
    bench.stream().synchronize();
    for (auto _ : state) {
        bench.backend().run(op, bench.stream());
        bench.stream().synchronize();
    }
    const auto rate = benchmark::Counter::kIsIterationInvariantRate;
    const profile::Work work = profile::workOf(op);
    if (work.flops > 0) state.counters["GFLOP/s"] = benchmark::Counter(work.flops * 1e-9, rate);
    state.counters["GB/s"] = benchmark::Counter(work.bytes * 1e-9, rate);
}

using Run = std::function<void(benchmark::State&, Bench&, const Problem&)>;

ops::Window windowOf(const Problem& p) {
    ops::Window window;
    window.width = window.height = p.value("kernel", 1);
    window.strideX = window.strideY = p.value("stride", 1);
    window.padLeft = window.padTop = p.value("pad", 0);
    return window;
}

/// src and the image that a window makes of it.
struct Sliding {
    ops::Tensor src, dst;
    ops::Window window;

    Sliding(Bench& bench, const Problem& p, std::int64_t channels) : window(windowOf(p)) {
        const auto [n, h, w, c] = p.source;
        src = bench.tensor(n, h, w, c);
        const auto slide = [&](std::int64_t extent) {
            const std::int64_t out = (extent + 2 * window.padLeft - window.width) / window.strideX + 1;
            if (out < 1)
                throw MTL::Error(p.name, "kernel", "no larger than the source",
                                 fmt::format("{}", window.width));
            return out;
        };
        dst = bench.tensor(n, slide(h), slide(w), channels);
    }
};

struct Convolution : Sliding {
    ops::Tensor weights;
    ops::Array bias;

    Convolution(Bench& bench, const Problem& p)
        : Sliding(bench, p, p.value("out", p.source[3])),
          weights(bench.tensor(p.value("out", p.source[3]), window.height, window.width, p.source[3])),
          bias(bench.array(p.value("out", p.source[3]))) {}
};

struct FullyConnected {
    ops::Tensor src, weights, dst;
    ops::Array bias;

    FullyConnected(Bench& bench, const Problem& p) {
        const auto [n, h, w, c] = p.source;
        const std::int64_t out = p.value("out", 1);
        src = bench.tensor(n, h, w, c);
        weights = bench.tensor(out, h, w, c);
        dst = bench.tensor(n, 1, 1, out);
        bias = bench.array(out);
    }
};

ops::Tensor source(Bench& bench, const Problem& p) {
    return bench.tensor(p.source[0], p.source[1], p.source[2], p.source[3]);
}

Run neuron(ops::NeuronType type, bool gradient) {
    return [=](benchmark::State& state, Bench& bench, const Problem& p) {
        const ops::Neuron f{.type = type, .a = 1, .b = 1};
        const auto src = source(bench, p), dst = source(bench, p);
        if (gradient)
            measure(state, bench, ops::NeuronGradient{src, dst, source(bench, p), f});
        else
            measure(state, bench, ops::NeuronForward{src, dst, f});
    };
}

Run pooling(ops::PoolingType type, bool gradient) {
    return [=](benchmark::State& state, Bench& bench, const Problem& p) {
        const Sliding s(bench, p, p.source[3]);
        if (gradient)
            measure(state, bench,
                    ops::PoolingGradient{.type = type,
                                         .src = s.src,
                                         .diffDst = s.dst,
                                         .diffSrc = bench.tensorLike(s.src),
                                         .window = s.window});
        else
            measure(state, bench,
                    ops::PoolingForward{.type = type, .src = s.src, .dst = s.dst, .window = s.window});
    };
}

Run optimizer(ops::OptimizerType type) {
    return [=](benchmark::State& state, Bench& bench, const Problem& p) {
        const std::int64_t size = p.source[0] * p.source[1] * p.source[2] * p.source[3];
        ops::OptimizerStep op{.type = type, .gradient = bench.array(size), .values = bench.array(size)};
        op.result = op.values;
        op.first = bench.array(size);
        if (type == ops::OptimizerType::Adam) op.second = bench.array(size);
        // Second moments are not negative.
        auto* squares = static_cast<float*>((op.second.isNull() ? op.first : op.second).data);
        if (type != ops::OptimizerType::StochasticGradientDescent)
            for (std::int64_t i = 0; i < size; ++i) squares[i] = squares[i] * squares[i];
        op.rate = 1e-6, op.momentum = 0.9, op.decay = 0.9, op.beta1 = 0.9, op.beta2 = 0.999,
        op.epsilon = 1e-8f;
        measure(state, bench, op);
    };
}

Run copyTo(ops::Type from, ops::Type to) {
    return [=](benchmark::State& state, Bench& bench, const Problem& p) {
        const auto src = bench.tensor(p.source[0], p.source[1], p.source[2], p.source[3], from);
        measure(state, bench, ops::Copy{src, bench.tensorLike(src, to)});
    };
}

/// Statistics and parameters of a batch normalisation.
struct Norm {
    ops::Tensor src, dst, addend;
    ops::Array mean, variance, gamma, beta, diffGamma, diffBeta;
    ops::Neuron relu{.type = ops::NeuronType::ReLU};
    std::int64_t pixels;

    Norm(Bench& bench, const Problem& p)
        : src(source(bench, p)), dst(source(bench, p)), addend(source(bench, p)), pixels(p.source[0] * p.source[1] * p.source[2]) {
        for (auto* array : {&mean, &variance, &gamma, &beta, &diffGamma, &diffBeta})
            *array = bench.array(p.source[3]);
        auto* values = static_cast<float*>(variance.data);
        for (std::int64_t i = 0; i < variance.size; ++i) values[i] = 0.5f + values[i] * values[i];
    }
};

/// The names that problem lists use.
const std::map<std::string, Run>& operations() {
    using State = benchmark::State;
    static const std::map<std::string, Run> known = {
        {"conv_forward",
         [](State& s, Bench& b, const Problem& p) {
             const Convolution c(b, p);
             measure(s, b, ops::ConvolutionForward{c.src, c.weights, c.dst, c.bias, c.window});
         }},
        {"conv_data",
         [](State& s, Bench& b, const Problem& p) {
             const Convolution c(b, p);
             measure(s, b, ops::ConvolutionDataGradient{c.dst, c.weights, c.src, c.window});
         }},
        {"conv_weights",
         [](State& s, Bench& b, const Problem& p) {
             const Convolution c(b, p);
             measure(s, b, ops::ConvolutionWeightsGradient{c.src, c.dst, c.weights, c.bias, c.window});
         }},
        {"fc_forward",
         [](State& s, Bench& b, const Problem& p) {
             const FullyConnected f(b, p);
             measure(s, b, ops::FullyConnectedForward{f.src, f.weights, f.dst, f.bias, {}});
         }},
        {"fc_data",
         [](State& s, Bench& b, const Problem& p) {
             const FullyConnected f(b, p);
             measure(s, b, ops::FullyConnectedDataGradient{f.dst, f.weights, f.src});
         }},
        {"fc_weights",
         [](State& s, Bench& b, const Problem& p) {
             const FullyConnected f(b, p);
             measure(s, b, ops::FullyConnectedWeightsGradient{f.src, f.dst, f.weights, f.bias});
         }},
        {"max_forward", pooling(ops::PoolingType::Max, false)},
        {"max_gradient", pooling(ops::PoolingType::Max, true)},
        {"average_forward", pooling(ops::PoolingType::Average, false)},
        {"average_gradient", pooling(ops::PoolingType::Average, true)},
        {"relu_forward", neuron(ops::NeuronType::ReLU, false)},
        {"relu_gradient", neuron(ops::NeuronType::ReLU, true)},
        {"sigmoid_forward", neuron(ops::NeuronType::Sigmoid, false)},
        {"tanh_forward", neuron(ops::NeuronType::TanH, false)},
        {"gelu_forward", neuron(ops::NeuronType::GeLU, false)},
        {"softmax_forward",
         [](State& s, Bench& b, const Problem& p) {
             measure(s, b, ops::SoftMaxForward{source(b, p), source(b, p)});
         }},
        {"softmax_gradient",
         [](State& s, Bench& b, const Problem& p) {
             measure(s, b, ops::SoftMaxGradient{source(b, p), source(b, p), source(b, p)});
         }},
        {"dropout_forward",
         [](State& s, Bench& b, const Problem& p) {
             const auto src = source(b, p);
             measure(s, b,
                     ops::DropoutForward{src, source(b, p), b.tensorLike(src, ops::Type::UInt8), 0.5f, 1, 0});
         }},
        {"dropout_gradient",
         [](State& s, Bench& b, const Problem& p) {
             const auto src = source(b, p);
             measure(s, b,
                     ops::DropoutGradient{src, b.tensorLike(src, ops::Type::UInt8), source(b, p), 0.5f});
         }},
        {"norm_statistics",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(s, b, ops::BatchNormalizationStatistics{n.src, n.mean, n.variance});
         }},
        {"norm_forward",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(s, b,
                     ops::BatchNormalizationForward{n.src, n.dst, n.mean, n.variance, n.gamma, n.beta, 1e-5f,
                                                    n.relu});
         }},
        {"norm_sum_forward",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(s, b,
                     ops::BatchNormalizationForward{n.src, n.addend, n.mean, n.variance, n.gamma, n.beta, 1e-5f, n.relu,
                                                    n.addend});
         }},
        {"norm_sum_statistics_gradient",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(s, b,
                     ops::BatchNormalizationStatisticsGradient{n.src, n.dst, n.mean, n.variance, n.gamma, n.beta, n.diffGamma,
                                                               n.diffBeta, 1e-5f, n.relu, false, n.addend, n.dst});
         }},
        {"norm_statistics_gradient",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(
                 s, b,
                 ops::BatchNormalizationStatisticsGradient{n.src, n.dst, n.mean, n.variance, n.gamma, n.beta,
                                                           n.diffGamma, n.diffBeta, 1e-5f, n.relu});
         }},
        {"norm_gradient",
         [](State& s, Bench& b, const Problem& p) {
             const Norm n(b, p);
             measure(
                 s, b,
                 ops::BatchNormalizationGradient{n.src, n.dst, source(b, p), n.mean, n.variance, n.gamma,
                                                 n.beta, n.diffGamma, n.diffBeta, 1e-5f, n.relu, n.pixels});
         }},
        {"add",
         [](State& s, Bench& b, const Problem& p) {
             measure(s, b,
                     ops::Arithmetic{ops::ArithmeticType::Add, source(b, p), source(b, p), source(b, p), {}});
         }},
        {"loss",
         [](State& s, Bench& b, const Problem& p) {
             const auto src = source(b, p);
             ops::Loss op{.function = {.type = ops::LossType::SoftMaxCrossEntropy},
                          .reduction = {ops::ReductionType::Sum},
                          .src = src};
             op.labels = source(b, p), op.gradient = source(b, p), op.loss = b.tensor(p.source[0], 1, 1, 1);
             op.function.numberOfClasses = p.source[3];
             measure(s, b, op);
         }},
        {"sgd", optimizer(ops::OptimizerType::StochasticGradientDescent)},
        {"rmsprop", optimizer(ops::OptimizerType::RMSProp)},
        {"adam", optimizer(ops::OptimizerType::Adam)},
        {"copy", copyTo(ops::Type::Float32, ops::Type::Float32)},
        {"copy_unorm8", copyTo(ops::Type::Unorm8, ops::Type::Float32)},
        {"copy_float16", copyTo(ops::Type::Float16, ops::Type::Float32)},
        {"copy_bfloat16", copyTo(ops::Type::BFloat16, ops::Type::Float32)},
        {"fill",
         [](State& s, Bench& b, const Problem& p) {
             measure(s, b, ops::Fill{source(b, p), 1.0f});
         }},
    };
    return known;
}

ops::Backend& backendNamed(const std::string& name) {
    std::string names;
    for (const auto& entry : ops::backends()) {
        if (entry.name == name && entry.backend) return *entry.backend;
        if (entry.backend) names += (names.empty() ? "" : ", ") + entry.name;
        if (entry.name == name)
            throw MTL::Error("bench_Ops", "--device", "one of " + names, name + ", " + entry.reason);
    }
    throw MTL::Error("bench_Ops", "--device", "one of " + names, fmt::format("\"{}\"", name));
}

void addCeilings() {
    const auto loop = profile::ceilings::widestLoop();
    benchmark::RegisterBenchmark(fmt::format("ceiling/multiply-add {}", loop.name).c_str(),
                                 [loop](benchmark::State& s) {
                                     double flops = 0;
                                     for (auto _ : s) flops += profile::runMultiplyAdds(loop, 1'000'000);
                                     s.counters["GFLOP/s"] =
                                         benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsRate);
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark("ceiling/copy 256 MiB",
                                 [](benchmark::State& s) {
                                     profile::CopyBuffers buffers;
                                     double bytes = 0;
                                     for (auto _ : s) bytes += buffers.copy();
                                     s.counters["GB/s"] =
                                         benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsRate);
                                 })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
}

void addProblems(ops::Backend& backend, const std::filesystem::path& list) {
    for (const auto& problem : bench::readProblems(list))
        for (const auto& operation : problem.operations) {
            const auto found = operations().find(operation);
            if (found == operations().end()) {
                std::string names;
                for (const auto& [name, run] : operations()) names += (names.empty() ? "" : ", ") + name;
                throw MTL::Error(list.string(), problem.name, "one of " + names,
                                 fmt::format("\"{}\"", operation));
            }
            const auto name = fmt::format("{}/{}/{}", list.stem().string(), problem.name, operation);
            benchmark::RegisterBenchmark(name.c_str(),
                                         [&backend, problem, run = found->second](benchmark::State& s) {
                                             Bench bench(backend);
                                             run(s, bench, problem);
                                         })
                ->UseRealTime()
                ->Unit(benchmark::kMicrosecond);
        }
}

void runBenchmarks(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    auto& backend =
        backendNamed(bench::takeOption(arguments, "--device").value_or(ops::backends().front().name));
    std::vector<std::filesystem::path> lists;
    while (const auto list = bench::takeOption(arguments, "--problems")) lists.push_back(*list);
    if (lists.empty())
        for (const char* name : {"mnist", "cifar_resnet18", "elementwise"})
            lists.push_back(std::filesystem::path(__FILE__).parent_path() / "problems" /
                            (std::string(name) + ".txt"));
    addCeilings();
    for (const auto& list : lists) addProblems(backend, list);

    int count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
        throw MTL::Error("bench_Ops", "arguments", "--device, --problems or those of Google Benchmark",
                         "others");
    benchmark::AddCustomContext("device", backend.name() + ": " + backend.description());
    benchmark::RunSpecifiedBenchmarks();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        runBenchmarks(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
