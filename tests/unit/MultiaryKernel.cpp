#include <MPS/CNNMultiaryKernel.hpp>
#include <MPS/NNGradientState.hpp>

#include "UnaryKernels.h"
#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"

using namespace pewter;
using namespace pewter::test;

namespace {

/// dst(x, y) = sum over sources of source(x + offset.x, y + offset.y).
class Total final : public MPS::CNNMultiaryKernel {
public:
    Total(DevicePtr device, std::size_t sources) : CNNMultiaryKernel(std::move(device), sources) {
        setDestinationImageAllocator(MPS::Image::defaultAllocator());
    }
    const char* className() const override { return "Total"; }

protected:
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner, const std::vector<ImagePtr>&,
                                               const MPS::StateBatch&, const ImagePtr&) override {
        return std::make_shared<MPS::NNMultiaryGradientState>(owner);
    }
    void record(mps::MultiaryEncoding& encoding) override {
        auto& encoder = *encoding.encoder;
        mps::TensorRef sum;
        for (std::size_t i = 0; i < encoding.sources.size(); ++i) {
            const auto one =
                encoder.region(encoding.sources[i].tensor, offsetAtIndex(i).x, offsetAtIndex(i).y,
                               encoding.clip.width, encoding.clip.height, mps::edgeOf(edgeModeAtIndex(i)));
            if (i == 0) {
                encoder.run([one, to = encoding.destination] {
                    ops::Copy op;
                    op.src = one.tensor();
                    op.dst = to.tensor();
                    return op;
                });
                continue;
            }
            encoder.run([one, to = encoding.destination] {
                ops::Arithmetic op;
                op.primary = to.tensor();
                op.secondary = one.tensor();
                op.dst = to.tensor();
                return op;
            });
        }
    }
};

}  // namespace

TEST(MultiaryKernel, EverySourceHasItsOwnPlaceAndEveryWayGivesTheSameBits) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    Total total(device, 3);
    const Extents e{2, 2, 2, 4};
    std::vector<MPS::ImageBatch> sources;
    Numbers expected(e.count());
    Random random(71);
    for (int i = 0; i < 3; ++i) {
        const auto values = integers(random, e.count());
        for (std::size_t k = 0; k < values.size(); ++k) expected[k] += values[k];
        sources.push_back(
            imagesOf(device, e, values, Format::Float32, i == 1 ? Memory::Loose : Memory::Together));
    }
    const auto returned = total.encodeBatch(commands, sources);
    MPS::StateBatch states;
    const auto recorded = total.encodeBatch(commands, sources, &states, true);
    const auto given = imagesOf(device, e, Numbers(e.count(), 1));
    total.encodeBatch(commands, sources, given);
    const auto one = total.encode(commands, {sources[0][1], sources[1][1], sources[2][1]});
    finish(commands);
    EXPECT_EQ(read(returned), expected);
    EXPECT_EQ(read(recorded), expected);
    EXPECT_EQ(read(given), expected);
    EXPECT_EQ(read(*one), Numbers(expected.begin() + 16, expected.end()));
    ASSERT_EQ(states.size(), 2u);
    const auto& records = std::dynamic_pointer_cast<MPS::NNMultiaryGradientState>(states[1])->records();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[2]->className, "Total");
    EXPECT_EQ(records[2]->resultFeatureChannels, 4u);
}

TEST(MultiaryKernel, OffsetsChannelsAndReadCountsBelongToASource) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    Total total(device, 2);
    total.setOffset({1, 0, 0}, 1);
    total.setSourceFeatureChannelOffset(4, 1);
    total.setEdgeMode(MPS::ImageEdgeMode::Clamp, 1);
    total.setDestinationFeatureChannelOffset(4);
    total.setClipRect({{1, 0, 0}, {2, 1, 1}});
    const auto a = imageOf(device, 2, 1, 1, {10, 20}),
               b = imageOf(device, 2, 1, 5, {0, 0, 0, 0, 1, 0, 0, 0, 0, 2});
    const auto y = imageOf(device, 3, 1, 5, Numbers(15, -1));
    total.encode(commands, {a, b}, y);
    const auto t = MPS::TemporaryImage::temporaryImage(
        commands, MPS::ImageDescriptor::imageDescriptor(Format::Float32, 2, 1, 1));
    t->setReadCount(3);
    Total plain(device, 2);
    plain.encode(commands, {a, a}, t);
    plain.encode(commands, {t, a}, imageOf(device, 2, 1, 1));
    EXPECT_EQ(t->readCount(), 2u);
    plain.encode(commands, {t, t}, imageOf(device, 2, 1, 1));
    EXPECT_EQ(t->readCount(), 0u) << "an object given twice is read twice";
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{-1, -1, -1, -1, -1, -1, -1, -1, -1, 12, -1, -1, -1, -1, 22}));
}

TEST(MultiaryKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    EXPECT_THAT(sentenceOf([&] { Total(device, 0); }), HasSubstr("sourceCount: expected at least 1"));
    Total total(device, 2);
    total.setLabel("all");
    const auto a = imageOf(device, 2, 1, 1, {1, 2}), y = imageOf(device, 2, 1, 1);
    EXPECT_THAT(sentenceOf([&] { total.encode(commands, {a}, y); }),
                HasSubstr("Total 'all': sourceImages: expected 2 sources, found 1"));
    EXPECT_THAT(sentenceOf([&] {
                    total.encode(commands, {a, nullptr}, y);
                }),
                HasSubstr("sourceImages[1]: expected an image"));
    EXPECT_THAT(sentenceOf([&] {
                    total.encode(commands, {a, y}, y);
                }),
                HasSubstr("shares no memory with sourceImages[1]"));
    EXPECT_THAT(sentenceOf([&] {
                    total.encodeBatch(commands, {{a}, {a, a}});
                }),
                HasSubstr("sourceImages[1]: expected 1 images, as many as of source 0, found 2"));
    EXPECT_THAT(sentenceOf([&] { total.setOffset({}, 2); }), HasSubstr("index: expected less than 2"));
    EXPECT_THAT(sentenceOf([&] { total.resultState({a}, {}, y); }), HasSubstr("expected 2 sources"));
    total.setEdgeMode(MPS::ImageEdgeMode::Mirror, 1);
    EXPECT_THAT(sentenceOf([&] { total.encode(commands, {a, a}, y); }), HasSubstr("edgeModeAtIndex(1)"));
    total.setEdgeMode(MPS::ImageEdgeMode::Zero, 1);
    total.encode(commands, {a, a}, y);
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{2, 4}));
}
