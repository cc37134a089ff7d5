#include <MPS/MPS.hpp>
#include <Pewter/Check.hpp>
#include <Pewter/HostKernel.hpp>
#include <Pewter/KernelNode.hpp>
#include <cmath>
#include <cstdio>

// Kernels and a data source written outside the project, checked the way the library checks its own: a row for each in an
// op table, central differences in double. The kernels by themselves, and as filters of a graph.

namespace {

using namespace pewter::check;

/// y = x / (1 + exp(-b x)), which MPS does not have.
class Swish final : public pewter::HostKernel {
public:
    using HostKernel::HostKernel;
    const char* className() const override { return "Swish"; }
    double b = 1;

protected:
    Computation computation() const override {
        return [b = b](const pewter::HostTensor& x, const pewter::HostGeometry&, pewter::HostTensor& y) {
            for (std::size_t i = 0; i < x.values.size(); ++i) y.values[i] = x.values[i] / (1 + std::exp(-b * x.values[i]));
        };
    }
};

class SwishGradient final : public pewter::HostGradientKernel {
public:
    using HostGradientKernel::HostGradientKernel;
    const char* className() const override { return "SwishGradient"; }
    double b = 1;
    /// Leaves out the product rule's second term: the mistake that a gradient check is for.
    bool careless = false;

protected:
    Computation computation() const override {
        return [b = b, careless = careless](const pewter::HostTensor& g, const pewter::HostTensor& x,
                                            const pewter::HostGeometry&, pewter::HostTensor& dx) {
            for (std::size_t i = 0; i < x.values.size(); ++i) {
                const double s = 1 / (1 + std::exp(-b * x.values[i]));
                const double slope = careless ? s : s + b * x.values[i] * s * (1 - s);
                dx.values[i] = g.values[i] * slope;
            }
        };
    }
};

OpCase swish(bool careless) {
    UnaryPair pair;
    pair.source = {"source", {2, 3, 2, 3}};
    pair.forward = [](const auto& device) {
        auto kernel = std::make_shared<Swish>(device);
        kernel->b = 1.5;
        return kernel;
    };
    pair.backward = [careless](const auto& device) {
        auto kernel = std::make_shared<SwishGradient>(device);
        kernel->b = 1.5;
        kernel->careless = careless;
        return kernel;
    };
    return caseOf(careless ? "careless" : "b = 1.5", pair);
}

/// y = x / sqrt(1 + mean of x^2) over the pixels of each channel: the root is kept for the gradient.
class Tame final : public pewter::HostStateKernel {
public:
    using HostStateKernel::HostStateKernel;
    const char* className() const override { return "Tame"; }

protected:
    std::size_t stateSize(const MPS::Image& source, const MPS::Image&) const override { return source.featureChannels(); }
    Computation computation() const override {
        return [](const pewter::HostTensor& x, const pewter::HostTensor&, const pewter::HostGeometry&, pewter::HostTensor& y,
                  pewter::HostTensor& roots) {
            for (std::size_t i = 0; i < x.values.size(); ++i) root(roots, x, i) += x.values[i] * x.values[i];
            for (double& value : roots.values) value = std::sqrt(1 + value / static_cast<double>(x.h * x.w));
            for (std::size_t i = 0; i < x.values.size(); ++i) y.values[i] = x.values[i] / root(roots, x, i);
        };
    }

public:
    /// The number that belongs to value i of x.
    static double& root(pewter::HostTensor& roots, const pewter::HostTensor& x, std::size_t i) {
        return roots.values[i / (x.h * x.w * x.c) * x.c + i % x.c];
    }
};

class TameGradient final : public pewter::HostStateGradientKernel {
public:
    using HostStateGradientKernel::HostStateGradientKernel;
    const char* className() const override { return "TameGradient"; }

protected:
    Computation computation() const override {
        return [](const pewter::HostTensor& g, const pewter::HostTensor& x, const pewter::HostTensor& state,
                  const pewter::HostGeometry&, pewter::HostTensor& dx) {
            auto roots = state, sums = state;
            for (double& value : sums.values) value = 0;
            for (std::size_t i = 0; i < x.values.size(); ++i) Tame::root(sums, x, i) += g.values[i] * x.values[i];
            for (std::size_t i = 0; i < x.values.size(); ++i) {
                const double r = Tame::root(roots, x, i);
                const double through = x.values[i] * Tame::root(sums, x, i) / (r * r * r * static_cast<double>(x.h * x.w));
                dx.values[i] = g.values[i] / r - through;
            }
        };
    }
};

/// Swish and Tame as filters of a graph, with a neuron of the library between them; trained through.
OpCase filters() {
    OpCase op;
    op.name = "two filters and a neuron";
    op.operands = {{"source", {2, 3, 2, 3}}};
    op.run = [](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        const auto swish = pewter::KernelNode::node(
            MPS::NNImageNode::node(), [](const auto& device) { return std::make_shared<Swish>(device); },
            [](const auto& device) { return std::make_shared<SwishGradient>(device); });
        const auto neuron = MPS::CNNNeuronTanHNode::node(swish->resultImage());
        const auto tame = pewter::KernelNode::node(
            neuron->resultImage(), [](const auto& device) { return std::make_shared<Tame>(device); },
            [](const auto& device) { return std::make_shared<TameGradient>(device); });
        const auto encoded = [&](const std::shared_ptr<MPS::NNImageNode>& result, const std::vector<MPS::ImageBatch>& sources) {
            MPS::NNGraph graph(setting.device, result);
            graph.setFormat(setting.format);
            const auto commands = setting.device->newCommandQueue()->commandBuffer();
            const auto images = graph.encodeBatch(commands, sources);
            finish(commands);
            return arrayOf(images);
        };
        const auto sources = imagesOf(setting, operands[0]);
        Outcome outcome{{encoded(tame->resultImage(), {sources})}, std::vector<Array>(1)};
        if (incoming) {
            const auto& shape = operands[0].shape;
            const auto termini = tame->trainingGraph(MPS::NNImageNode::node());
            outcome.gradients[0] = encoded(termini.at(0)->resultImage(),
                                           {imagesOf(setting, {shape, (*incoming)(0, shape)}), sources});
        }
        return outcome;
    };
    return op;
}

/// Weights and biases from lists.
class Weights final : public MPS::CNNConvolutionDataSource {
public:
    Weights(std::vector<float> weights, std::vector<float> biases)
        : weights_(std::move(weights)), biases_(std::move(biases)) {}
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<MPS::CNNConvolutionDescriptor> descriptor() const override {
        return MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(3, 3, 2, 4);
    }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return weights_.data(); }
    const float* biasTerms() const override { return biases_.data(); }
    std::string label() const override { return "weights of a list"; }

private:
    std::vector<float> weights_, biases_;
};

/// Forward and backward of a convolution with that data source: gradients of the source, the weights and the biases.
OpCase convolution() {
    OpCase op;
    op.name = "3x3, 2 to 4 channels";
    op.operands = {{"source", {2, 4, 5, 2}},
                   {"weights", {4, 3, 3, 2}, Domain::Signed, Kind::Parameter},
                   {"biases", {1, 1, 1, 4}, Domain::Signed, Kind::Parameter}};
    op.run = [](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        const auto data = std::make_shared<Weights>(floatsOf(operands[1]), floatsOf(operands[2]));
        MPS::CNNConvolution forward(setting.device, data);
        MPS::CNNConvolutionGradient backward(setting.device, data);
        forward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        backward.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        const auto sources = imagesOf(setting, operands[0]);
        MPS::StateBatch states;
        const auto results = forward.encodeBatch(commands, sources, &states, false);
        MPS::ImageBatch gradients;
        if (incoming) {
            const Shape shape{results.size(), results[0]->height(), results[0]->width(), results[0]->featureChannels()};
            gradients = backward.encodeBatch(commands, imagesOf(setting, {shape, (*incoming)(0, shape)}), sources, states);
        }
        finish(commands);
        Outcome outcome{{arrayOf(results)}, std::vector<Array>(3)};
        if (incoming) {
            auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states[0]);
            outcome.gradients = {arrayOf(gradients), arrayOf(*state.gradientForWeights(), operands[1].values.size()),
                                 arrayOf(*state.gradientForBiases(), operands[2].values.size())};
        }
        return outcome;
    };
    return op;
}

OpRow rowOf(std::string family, OpCase op) {
    OpRow row;
    row.family = std::move(family);
    row.cases = {std::move(op)};
    return row;
}

}  // namespace

int main() {
    const auto print = [](const std::string& line) { std::puts(line.c_str()); };
    const auto reference = MTL::copyDevice("reference");
    OpTable table;
    table.add(rowOf("swish", swish(false)));
    table.add(rowOf("filters", filters()));
    table.add(rowOf("convolution", convolution()));
    if (checkGradients(table, reference, {}, print).failed != 0) return 1;

    OpTable wrong;
    wrong.add(rowOf("swish", swish(true)));
    if (checkGradients(wrong, reference, {}, print).failed != 1) return 2;

    for (const auto& op : {swish(false), filters()}) {
        const auto report = compareDevices(op, MTL::createSystemDefaultDevice(), reference,
                                           MPS::ImageFeatureChannelFormat::Float32);
        if (!report.passed) {
            std::puts(report.problem.c_str());
            return 3;
        }
    }
    return 0;
}
