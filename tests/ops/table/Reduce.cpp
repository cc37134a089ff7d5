// Reductions of rows, columns and channels, and of channels against weights; without gradients.

#include <MPS/NNReduce.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

enum class Along { Row, Column, Channels };
/// What one line of numbers becomes.
using Formula = double (*)(const std::vector<double>& line);

double least(const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); }
double greatest(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }
double total(const std::vector<double>& v) {
    double sum = 0;
    for (const double value : v) sum += value;
    return sum;
}
double indexOfLeast(const std::vector<double>& v) {
    return static_cast<double>(std::min_element(v.begin(), v.end()) - v.begin());
}
double indexOfGreatest(const std::vector<double>& v) {
    return static_cast<double>(std::max_element(v.begin(), v.end()) - v.begin());
}

Array apply(const Array& x, Along along, Formula formula) {
    const Shape& s = x.shape;
    const Shape to{s.n, along == Along::Column ? 1 : s.h, along == Along::Row ? 1 : s.w,
                   along == Along::Channels ? 1 : s.c};
    Array y{to, {}};
    for (std::size_t n = 0; n < to.n; ++n)
        for (std::size_t h = 0; h < to.h; ++h)
            for (std::size_t w = 0; w < to.w; ++w)
                for (std::size_t c = 0; c < to.c; ++c) {
                    const std::size_t first = ((n * s.h + h) * s.w + w) * s.c + c;
                    const std::size_t step = along == Along::Channels ? 1
                                             : along == Along::Row    ? s.c
                                                                      : s.w * s.c;
                    const std::size_t count = s.count() / to.count();
                    std::vector<double> line;
                    for (std::size_t i = 0; i < count; ++i) line.push_back(x.values[first + i * step]);
                    y.values.push_back(formula(line));
                }
    return y;
}

struct Kind {
    const char* name;
    Maker<MPS::NNReduceUnary> make;
    Along along;
    Formula formula;  ///< null for means, which need not be integers
    bool sums;
};

template <class K>
Maker<MPS::NNReduceUnary> make() {
    return [](const auto& device) { return std::make_shared<K>(device); };
}

const std::vector<Kind>& kinds() {
    using namespace MPS;
    static const std::vector<Kind> all = {
        {"row minimum", make<NNReduceRowMin>(), Along::Row, least, false},
        {"row maximum", make<NNReduceRowMax>(), Along::Row, greatest, false},
        {"row mean", make<NNReduceRowMean>(), Along::Row, nullptr, true},
        {"row sum", make<NNReduceRowSum>(), Along::Row, total, true},
        {"column minimum", make<NNReduceColumnMin>(), Along::Column, least, false},
        {"column maximum", make<NNReduceColumnMax>(), Along::Column, greatest, false},
        {"column mean", make<NNReduceColumnMean>(), Along::Column, nullptr, true},
        {"column sum", make<NNReduceColumnSum>(), Along::Column, total, true},
        {"channel minimum", make<NNReduceFeatureChannelsMin>(), Along::Channels, least, false},
        {"channel maximum", make<NNReduceFeatureChannelsMax>(), Along::Channels, greatest, false},
        {"channel mean", make<NNReduceFeatureChannelsMean>(), Along::Channels, nullptr, true},
        {"channel sum", make<NNReduceFeatureChannelsSum>(), Along::Channels, total, true},
        {"channel of the minimum", make<NNReduceFeatureChannelsArgumentMin>(), Along::Channels, indexOfLeast,
         false},
        {"channel of the maximum", make<NNReduceFeatureChannelsArgumentMax>(), Along::Channels,
         indexOfGreatest, false},
    };
    return all;
}

std::string text(const Shape& s) {
    return std::to_string(s.n) + "x" + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" +
           std::to_string(s.c);
}

OpCase unary(const Kind& kind, const Shape& shape) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = kind.make;
    auto op = caseOf(std::string(kind.name) + " of " + text(shape), pair);
    const double terms = static_cast<double>(kind.along == Along::Row      ? shape.w
                                             : kind.along == Along::Column ? shape.h
                                                                           : shape.c);
    op.sumLength = kind.sums ? terms : 1;
    op.magnitude = kind.sums ? terms : 1;
    op.exactOnIntegers = true;
    if (kind.formula)
        op.closedForm = [kind](const std::vector<Array>& operands) {
            return std::vector<Array>{apply(operands[0], kind.along, kind.formula)};
        };
    return op;
}

template <class Make>
OpCase weighted(const std::string& name, const Shape& shape, Make make, bool sum) {
    BinaryPair pair;
    pair.primary = {"primary", shape};
    pair.secondary = {"weights", shape, Domain::Integers};  // some of them 0
    pair.forward = make;
    auto op = caseOf(name + " of " + text(shape), pair);
    op.sumLength = static_cast<double>(shape.c) + 1;
    op.magnitude = 4 * static_cast<double>(shape.c);
    op.exactOnIntegers = true;
    if (sum)
        op.closedForm = [](const std::vector<Array>& operands) {
            Array products = operands[0];
            for (std::size_t i = 0; i < products.values.size(); ++i)
                products.values[i] *= operands[1].values[i];
            return std::vector<Array>{apply(products, Along::Channels, total)};
        };
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const std::shared_ptr<MTL::Device>& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    const auto binary = [=](const Shape& weights) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            MPS::NNReduceFeatureChannelsAndWeightsSum(device).encode(
                device->newCommandQueue()->commandBuffer(), image(device, {1, 2, 3, 2}),
                image(device, weights));
        };
    };
    return {
        {"null device", [](const auto&) { MPS::NNReduceRowSum(nullptr); }, "device: expected"},
        {"a region outside",
         [=](const std::shared_ptr<MTL::Device>& device) {
             MPS::NNReduceRowSum kernel(device);
             kernel.setClipRectSource({{3, 0, 0}, {1, 1, 1}});
             kernel.encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 2, 3, 2}));
         },
         "clipRectSource: expected a region that meets the image of 3 x 2"},
        {"an image that is not there",
         [=](const std::shared_ptr<MTL::Device>& device) {
             MPS::NNReduceRowSum kernel(device);
             kernel.setClipRectSource({{0, 0, 1}, {3, 2, 1}});
             kernel.encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 2, 3, 2}));
         },
         "clipRectSource: expected 1 images, as many as are written, of 1"},
        {"weights of another size", binary({1, 3, 3, 2}), "secondarySourceClipRect: expected 3 x 2 pixels"},
        {"weights of other channels", binary({1, 2, 3, 3}), "secondaryImage: expected 2 feature channels"}};
}

}  // namespace

OpRow Reduce() {
    OpRow row;
    row.family = "reduce";
    row.classes = {"MPSNNReduceUnary"};
    for (const char* axis : {"Row", "Column", "FeatureChannels"})
        for (const char* operation : {"Min", "Max", "Mean", "Sum"})
            row.classes.push_back(std::string("MPSNNReduce") + axis + operation);
    for (const char* name : {"FeatureChannelsArgumentMin", "FeatureChannelsArgumentMax", "Binary",
                             "FeatureChannelsAndWeightsMean", "FeatureChannelsAndWeightsSum"})
        row.classes.push_back(std::string("MPSNNReduce") + name);
    row.pytorch =
        "x.amin, x.amax, x.mean, x.sum, x.argmin, x.argmax (dim, keepdim=True): dim=3 rows, 2 columns, 1 "
        "channels";
    for (const auto& kind : kinds())
        for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 4, 3, 40}})
            row.cases.push_back(unary(kind, shape));
    using Sum = MPS::NNReduceFeatureChannelsAndWeightsSum;
    const auto mean = [](const auto& device) {
        return std::make_shared<MPS::NNReduceFeatureChannelsAndWeightsMean>(device);
    };
    const auto sum = [](const auto& device) { return std::make_shared<Sum>(device); };
    const auto byNonZero = [](const auto& device) { return std::make_shared<Sum>(device, true); };
    for (const Shape& shape : {Shape{2, 3, 2, 7}, Shape{1, 2, 2, 40}}) {
        row.cases.push_back(weighted("weighted mean", shape, mean, false));
        row.cases.push_back(weighted("weighted sum", shape, sum, true));
        row.cases.push_back(weighted("weighted sum by non-zero weights", shape, byNonZero, false));
    }
    auto regions = unary(kinds()[3], {2, 4, 5, 3});
    regions.name = "row sum of a region";
    UnaryPair part;
    part.source = {"source", {2, 4, 5, 3}};
    part.forward = [](const auto& device) {
        const auto kernel = std::make_shared<MPS::NNReduceRowSum>(device);
        kernel->setClipRectSource({{1, 2, 0}, {3, 2, 1}});
        return kernel;
    };
    regions.run = caseOf("", part).run;
    regions.closedForm = {};
    row.cases.push_back(regions);

    const Shape wide{32, 56, 56, 64}, few{32, 224, 224, 4};
    row.large = {unary(kinds()[3], wide),  unary(kinds()[5], wide),
                 unary(kinds()[11], wide), unary(kinds()[13], wide),
                 unary(kinds()[13], few),  weighted("weighted sum", wide, sum, true)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
