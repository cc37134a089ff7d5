// Inner products of all pairs of channel planes.

#include <MPS/NNGramMatrix.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

Array formula(const Array& x, double alpha) {
    const Shape& s = x.shape;
    Array y{{s.n, 1, s.c, s.c}, std::vector<double>(s.n * s.c * s.c, 0.0)};
    for (std::size_t n = 0; n < s.n; ++n)
        for (std::size_t p = 0; p < s.h * s.w; ++p)
            for (std::size_t f = 0; f < s.c; ++f)
                for (std::size_t c = 0; c < s.c; ++c) {
                    const double* pixel = &x.values[(n * s.h * s.w + p) * s.c];
                    y.values[(n * s.c + f) * s.c + c] += alpha * pixel[f] * pixel[c];
                }
    return y;
}

/// A result is a sum over the pixels, a gradient one over twice the channels.
OpCase gram(const std::string& name, const Shape& shape, float alpha) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [alpha](const auto& device) {
        return std::make_shared<MPS::NNGramMatrixCalculation>(device, alpha);
    };
    // The state brings alpha.
    pair.backward = [](const auto& device) {
        return std::make_shared<MPS::NNGramMatrixCalculationGradient>(device);
    };
    auto op = caseOf(name, pair);
    op.exactOnIntegers = true;  // alpha is a power of two
    op.closedForm = [alpha](const std::vector<Array>& operands) {
        return std::vector<Array>{formula(operands[0], static_cast<double>(alpha))};
    };
    op.sumLength = static_cast<double>(shape.h * shape.w) + 2;
    op.magnitude = alpha * static_cast<double>(shape.h * shape.w);
    op.gradientLength = static_cast<double>(shape.c) + 3;
    op.gradientMagnitude = alpha * 2 * static_cast<double>(shape.c);
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto forward = [=](auto change, const Shape& destination) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            MPS::NNGramMatrixCalculation kernel(device);
            change(kernel);
            kernel.encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 3, 4, 2}),
                          image(device, destination));
        };
    };
    return {{"null device", [](const auto&) { MPS::NNGramMatrixCalculation(nullptr); }, "device: expected"},
            {"an offset",
             forward(
                 [](auto& k) {
                     k.setOffset({1, 0, 0});
                 },
                 {1, 1, 2, 2}),
             "offset: expected the default"},
            {"a clip rectangle",
             forward(
                 [](auto& k) {
                     k.setClipRect({{0, 0, 0}, {1, 1, 1}});
                 },
                 {1, 1, 2, 2}),
             "clipRect: expected the default"},
            {"a destination of another size", forward([](auto&) {}, {1, 2, 2, 2}),
             "destinationImage: expected 2 x 1 pixels"},
            {"a gradient of another size",
             [=](const std::shared_ptr<MTL::Device>& device) {
                 MPS::NNGramMatrixCalculation kernel(device);
                 const auto x = image(device, {1, 3, 4, 2}), y = image(device, {1, 1, 2, 2});
                 MPS::NNGramMatrixCalculationGradient(device).encode(
                     device->newCommandQueue()->commandBuffer(), image(device, {1, 1, 1, 2}), x,
                     kernel.resultState(x, {}, y), image(device, {1, 3, 4, 2}));
             },
             "sourceGradient: expected 2 x 1 pixels"}};
}

}  // namespace

OpRow GramMatrix() {
    OpRow row;
    row.family = "gram_matrix";
    row.classes = {"MPSNNGramMatrixCalculation", "MPSNNGramMatrixCalculationGradient",
                   "MPSNNGramMatrixCallback"};
    row.pytorch = "alpha * torch.einsum(\"nfyx,ncyx->nfc\", x, x)";
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{3, 1, 1, 4}, Shape{1, 4, 5, 1},
                               Shape{1, 2, 3, 17}, Shape{2, 5, 3, 2}})
        for (const float alpha : {1.0f, 0.125f})
            row.cases.push_back(gram(std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" +
                                         std::to_string(shape.w) + "x" + std::to_string(shape.c) +
                                         (alpha == 1 ? "" : ", alpha 1/8"),
                                     shape, alpha));
    row.large = {gram("style, 64 channels", {4, 256, 256, 64}, 0x1p-16f),
                 gram("style, 512 channels", {4, 64, 64, 512}, 0x1p-12f)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
