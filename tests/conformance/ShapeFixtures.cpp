#include <MPS/NNCompare.hpp>
#include <MPS/NNPad.hpp>
#include <MPS/NNReduce.hpp>
#include <MPS/NNReshape.hpp>
#include <map>

#include "UnaryKernels.h"

/// Padding, reshapes, reductions and comparisons against PyTorch: images of double on `reference` to 1e-10,
/// float32 on every device to 1e-5.
using namespace pewter::test;

namespace {

struct Target {
    DevicePtr device;
    Format format;
    double tolerance;
};

std::vector<Target> targets() {
    std::vector<Target> all;
    for (const auto& device : weightedDevices()) {
        if (device->name() == "reference") all.push_back({device, Format::Float64, 1e-10});
        all.push_back({device, Format::Float32, 1e-5});
    }
    return all;
}

template <class K>
std::shared_ptr<K> returning(std::shared_ptr<K> kernel) {
    kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    return kernel;
}

MPS::ImageCoordinate coordinateOf(const Json& three) {
    const auto v = three.get<std::vector<std::size_t>>();
    return {v.at(0), v.at(1), v.at(2)};
}

MPS::ImageBatch batchOf(const Target& target, const Json& tensor) {
    return imagesOf(target.device, extentsOf(tensor), numbers(tensor), target.format);
}

template <class K>
std::shared_ptr<MPS::NNReduceUnary> makeReduction(const DevicePtr& device) {
    return std::make_shared<K>(device);
}

const std::map<std::string, std::shared_ptr<MPS::NNReduceUnary> (*)(const DevicePtr&)> kReductions = {
#define PEWTER_ENTRY(name) \
    { #name, makeReduction < MPS::NNReduce##name> }
    PEWTER_ENTRY(RowMin),
    PEWTER_ENTRY(RowMax),
    PEWTER_ENTRY(RowMean),
    PEWTER_ENTRY(RowSum),
    PEWTER_ENTRY(ColumnMin),
    PEWTER_ENTRY(ColumnMax),
    PEWTER_ENTRY(ColumnMean),
    PEWTER_ENTRY(ColumnSum),
    PEWTER_ENTRY(FeatureChannelsMin),
    PEWTER_ENTRY(FeatureChannelsMax),
    PEWTER_ENTRY(FeatureChannelsMean),
    PEWTER_ENTRY(FeatureChannelsSum),
    PEWTER_ENTRY(FeatureChannelsArgumentMin),
    PEWTER_ENTRY(FeatureChannelsArgumentMax),
#undef PEWTER_ENTRY
};

}  // namespace

TEST(ShapeFixtures, PaddingAndItsGradientAgreeWithPyTorch) {
    const std::map<std::string, MPS::ImageEdgeMode> modes = {
        {"constant", MPS::ImageEdgeMode::Constant},
        {"replicate", MPS::ImageEdgeMode::Clamp},
        {"reflect", MPS::ImageEdgeMode::Mirror},
        {"symmetric", MPS::ImageEdgeMode::MirrorWithEdge}};
    for (const auto& target : targets())
        for (const auto all = fixture("pad"); const auto& c : all.at("cases")) {
            const auto pad = returning(std::make_shared<MPS::NNPad>(
                target.device, coordinateOf(c.at("before")), coordinateOf(c.at("after"))));
            const auto gradient = returning(std::make_shared<MPS::NNPadGradient>(target.device));
            pad->setEdgeMode(modes.at(c.at("mode")));
            pad->setFillValue(c.at("value"));
            const auto commands = target.device->newCommandQueue()->commandBuffer();
            const auto xs = batchOf(target, c.at("x"));
            MPS::StateBatch states;
            const auto ys = pad->encodeBatch(commands, xs, &states, true);
            const auto dxs = gradient->encodeBatch(commands, batchOf(target, c.at("g")), xs, states);
            finish(commands);
            EXPECT_EQ(read(ys), numbers(c.at("y"))) << c.at("name") << " on " << target.device->name();
            EXPECT_TRUE(allNear(read(dxs), numbers(c.at("dx")), target.tolerance))
                << c.at("name") << " on " << target.device->name();
        }
}

TEST(ShapeFixtures, ReshapesAgreeWithPyTorch) {
    for (const auto& target : targets())
        for (const auto all = fixture("reshape"); const auto& c : all.at("cases")) {
            const auto reshape = returning(std::make_shared<MPS::NNReshape>(target.device));
            const auto gradient = returning(std::make_shared<MPS::NNReshapeGradient>(target.device));
            const auto commands = target.device->newCommandQueue()->commandBuffer();
            const auto xs = batchOf(target, c.at("x"));
            const auto to = extentsOf(c.at("y"));
            MPS::StateBatch states;
            const auto ys = reshape->encodeBatch(commands, xs, &states, true, to.w, to.h, to.c);
            const auto dxs = gradient->encodeBatch(commands, batchOf(target, c.at("g")), xs, states);
            finish(commands);
            EXPECT_EQ(read(ys), numbers(c.at("y"))) << c.at("name") << " on " << target.device->name();
            EXPECT_EQ(read(dxs), numbers(c.at("dx"))) << c.at("name") << " on " << target.device->name();
        }
}

TEST(ShapeFixtures, ReductionsOfEveryAxisAgreeWithPyTorch) {
    for (const auto& target : targets())
        for (const auto all = fixture("reduce"); const auto& c : all.at("cases")) {
            ASSERT_EQ(c.at("results").size(), kReductions.size());
            for (const auto& [name, result] : c.at("results").items()) {
                const auto kernel = returning(kReductions.at(name)(target.device));
                const auto commands = target.device->newCommandQueue()->commandBuffer();
                const auto ys = kernel->encodeBatch(commands, batchOf(target, c.at("x")));
                finish(commands);
                const auto e = extentsOf(result);
                EXPECT_EQ(ys[0]->width(), e.w) << name;
                EXPECT_EQ(ys[0]->height(), e.h) << name;
                EXPECT_EQ(ys[0]->featureChannels(), e.c) << name;
                EXPECT_TRUE(allNear(read(ys), numbers(result), target.tolerance))
                    << name << " of " << c.at("name") << " on " << target.device->name();
            }
        }
}

TEST(ShapeFixtures, WeightedReductionsAgreeWithPyTorch) {
    for (const auto& target : targets())
        for (const auto all = fixture("reduce"); const auto& c : all.at("weightedCases")) {
            const auto reduce = [&](std::shared_ptr<MPS::NNReduceBinary> kernel) {
                returning(kernel);
                const auto commands = target.device->newCommandQueue()->commandBuffer();
                const auto ys =
                    kernel->encodeBatch(commands, batchOf(target, c.at("x")), batchOf(target, c.at("w")));
                finish(commands);
                return read(ys);
            };
            const auto& device = target.device;
            const auto mean = reduce(std::make_shared<MPS::NNReduceFeatureChannelsAndWeightsMean>(device));
            const auto sum = reduce(std::make_shared<MPS::NNReduceFeatureChannelsAndWeightsSum>(device));
            const auto byNonZero =
                reduce(std::make_shared<MPS::NNReduceFeatureChannelsAndWeightsSum>(device, true));
            EXPECT_TRUE(allNear(mean, numbers(c.at("mean")), target.tolerance)) << c.at("name");
            EXPECT_TRUE(allNear(sum, numbers(c.at("sum")), target.tolerance)) << c.at("name");
            EXPECT_TRUE(allNear(byNonZero, numbers(c.at("byNonZero")), target.tolerance)) << c.at("name");
        }
}

TEST(ShapeFixtures, ComparisonsAgreeWithPyTorchUnderBroadcasting) {
    for (const auto& target : targets())
        for (const auto all = fixture("compare"); const auto& c : all.at("cases"))
            for (std::size_t type = 0; type < 6; ++type) {
                const auto compare = returning(std::make_shared<MPS::NNCompare>(target.device));
                compare->setComparisonType(static_cast<MPS::NNComparisonType>(type));
                compare->setThreshold(c.at("threshold"));
                const auto x = extentsOf(c.at("x")), y = extentsOf(c.at("y"));
                compare->setSecondaryStrideInPixelsX(y.w == x.w ? 1 : 0);
                compare->setSecondaryStrideInPixelsY(y.h == x.h ? 1 : 0);
                compare->setSecondaryStrideInFeatureChannels(y.c == x.c ? 1 : 0);
                const auto commands = target.device->newCommandQueue()->commandBuffer();
                const auto results =
                    compare->encodeBatch(commands, batchOf(target, c.at("x")), batchOf(target, c.at("y")));
                finish(commands);
                EXPECT_EQ(read(results), c.at("results").at(type).get<Numbers>())
                    << c.at("name") << " type " << type << " on " << target.device->name();
            }
}
