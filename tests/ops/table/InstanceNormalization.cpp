// Instance normalisation: each channel of each image by its own mean and variance.

#include <cmath>

#include "table/Normalization.h"
#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Device = std::shared_ptr<MTL::Device>;
using Kernel = MPS::CNNInstanceNormalization;
using Gradient = MPS::CNNInstanceNormalizationGradient;
using Source = NormalizationSource<MPS::CNNInstanceNormalizationDataSource>;

auto kernelOf(std::size_t channels, float epsilon) {
    return [=](const Device& device, std::vector<float> gamma, std::vector<float> beta) {
        return std::make_shared<Kernel>(
            device, std::make_shared<Source>(channels, std::move(gamma), std::move(beta), epsilon));
    };
}

OpCase instance(std::string name, const Shape& shape, float epsilon = kNormalizationEpsilon) {
    return normalizationCase<Kernel, Gradient>(std::move(name), normalizationOperands(shape, shape.c), shape,
                                               kernelOf(shape.c, epsilon));
}

std::shared_ptr<Kernel> kernel(const Device& device, std::size_t channels) {
    return kernelOf(channels, 1)(device, {}, {});
}

MPS::ImageBatch images(const Device& device, const Shape& shape) {
    return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1.0)});
}

std::vector<ErrorCase> errors() {
    class Refusing final : public Source {
    public:
        using Source::Source;
        bool load() override { return false; }
    };
    return {
        {"null data source", [](const auto& device) { Kernel(device, nullptr); },
         "CNNInstanceNormalization: dataSource: expected a data source, found null"},
        {"no channels", [](const auto& device) { kernel(device, 0); },
         "dataSource.numberOfFeatureChannels: expected at least 1, found 0"},
        {"a source that does not load",
         [](const auto& device) {
             Kernel(device, std::make_shared<Refusing>(2, std::vector<float>(), std::vector<float>(), 1.0f));
         },
         "CNNInstanceNormalization 'norm': dataSource: expected one that loads"},
        {"another number of channels",
         [](const auto& device) {
             kernel(device, 4)->encodeBatch(device->newCommandQueue()->commandBuffer(),
                                            images(device, {1, 2, 2, 3}));
         },
         "CNNInstanceNormalization 'norm': sourceImage: expected 4 feature channels, found 3"},
        {"an offset",
         [](const auto& device) {
             const auto k = kernel(device, 4);
             k->setOffset({1, 0, 0});
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4});
             k->encodeBatch(device->newCommandQueue()->commandBuffer(), x, y);
         },
         "offset: expected (0, 0), since the statistics are those of the whole image, found (1, 0)"},
        {"a clip rectangle",
         [](const auto& device) {
             const auto k = kernel(device, 4);
             k->setClipRect({{0, 0, 0}, {1, 2, 1}});
             k->encodeBatch(device->newCommandQueue()->commandBuffer(), images(device, {1, 2, 2, 4}));
         },
         "clipRect: expected the whole destination"},
        {"reload from a null source",
         [](const auto& device) { kernel(device, 4)->reloadDataSource(nullptr); },
         "dataSource: expected a data source, found null"},
        {"reload from a null state",
         [](const auto& device) {
             kernel(device, 4)->reloadGammaAndBeta(device->newCommandQueue()->commandBuffer(), nullptr);
         },
         "gammaAndBetaState: expected a state, found null"},
        {"a gradient before the forward pass",
         [](const auto& device) {
             const auto k = kernel(device, 4);
             const auto x = images(device, {1, 2, 2, 4});
             Gradient(device).encodeBatch(device->newCommandQueue()->commandBuffer(), x, x,
                                          k->resultStateBatch(x, {}, x));
         },
         "gradientState: expected one that a forward encode has filled"},
    };
}

}  // namespace

OpRow InstanceNormalization() {
    OpRow row;
    row.family = "instance_normalization";
    row.classes = {"MPSCNNInstanceNormalization", "MPSCNNInstanceNormalizationGradient",
                   "MPSCNNInstanceNormalizationGradientState", "MPSCNNInstanceNormalizationDataSource",
                   "MPSCNNNormalizationGammaAndBetaState"};
    row.pytorch = "F.instance_norm(x, weight=gamma, bias=beta, use_input_stats=True, eps=epsilon)";
    for (const Shape& shape : {Shape{1, 3, 4, 3}, Shape{2, 2, 3, 5}, Shape{3, 2, 4, 1}, Shape{1, 1, 7, 8},
                               Shape{2, 1, 1, 6}, Shape{1, 4, 4, 7}, Shape{4, 2, 2, 4}})
        row.cases.push_back(instance(std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" +
                                         std::to_string(shape.w) + "x" + std::to_string(shape.c),
                                     shape));
    row.cases.push_back(instance("epsilon 1", {2, 3, 3, 2}, 1));
    // Parameters that the data source leaves out.
    auto plain = instance("no gamma, no beta", {2, 3, 3, 3});
    plain.operands.resize(1);
    row.cases.push_back(plain);
    // Pairs of pixels of one channel, one of them 1: mean 1/2, deviation 1/2, every sum exact.
    const Shape pairs{2, 2, 4, 2}, image{2, 2, 8, 1};
    auto exact = normalizationCase<Kernel, Gradient>(
        "balanced ones", normalizationOperands(pairs, 1, Domain::OneHot), image, kernelOf(1, 0));
    exact.exactOnIntegers = true;
    exact.closedForm = [image](const std::vector<Array>& operands) {
        Array y{image, operands[0].values};
        for (double& v : y.values) v = (2 * v - 1) * operands[1].values[0] + operands[2].values[0];
        return std::vector<Array>{y};
    };
    row.cases.push_back(exact);
    row.large = {instance("stage of a generator, 26 MB", {32, 56, 56, 64}),
                 instance("one large picture, 64 MB", {1, 512, 512, 64}),
                 instance("many channels, 26 MB", {64, 14, 14, 512})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
