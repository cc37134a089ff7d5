#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNSoftMax.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <regex>
#include <set>

#include "TestKernel.h"

using namespace pewter::test;
using namespace MPS;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// An object of an application: every kind of value, and another object.
class Record final : public SecureCoding {
public:
    Record() = default;
    explicit Record(Coder& coder)
        : yes(coder.decodeBool("yes")),
          whole(coder.decodeInteger("whole")),
          large(coder.decodeUnsigned("large")),
          real(coder.decodeDouble("real")),
          text(coder.decodeString("text")),
          bytes(coder.decodeBytes("bytes")),
          floats(coder.decodeFloats("floats")),
          doubles(coder.decodeDoubles("doubles")),
          integers(coder.decodeIntegers("integers")),
          first(coder.decodeObjectOfClass<Record>("first")),
          second(coder.decodeObjectOfClass<Record>("second")) {}
    const char* className() const override { return "ArchiveTest.Record"; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeBool(yes, "yes");
        coder.encodeInteger(whole, "whole");
        coder.encodeUnsigned(large, "large");
        coder.encodeDouble(real, "real");
        coder.encodeString(text, "text");
        coder.encodeBytes(bytes, "bytes");
        coder.encodeFloats(floats, "floats");
        coder.encodeDoubles(doubles, "doubles");
        coder.encodeIntegers(integers, "integers");
        coder.encodeObject(first, "first");
        coder.encodeObject(second, "second");
    }

    bool yes = false;
    std::int64_t whole = 0;
    std::uint64_t large = 0;
    double real = 0;
    std::string text;
    std::vector<std::uint8_t> bytes;
    std::vector<float> floats;
    std::vector<double> doubles;
    std::vector<std::int64_t> integers;
    std::shared_ptr<Record> first, second;
};

/// A kernel of an application: CopyKernel with a property of its own.
class OwnKernel final : public CopyKernel {
public:
    using CopyKernel::CopyKernel;
    explicit OwnKernel(Coder& coder) : CopyKernel(coder.device()), strength(coder.decodeInteger("strength")) {
        restoreProperties(coder);
    }
    const char* className() const override { return "ArchiveTest.OwnKernel"; }
    void encodeWithCoder(Coder& coder) const override {
        CopyKernel::encodeWithCoder(coder);
        coder.encodeInteger(strength, "strength");
    }
    std::int64_t strength = 0;
};

/// A padding policy and an allocator of an application.
class OwnPadding final : public NNPadding, public SecureCoding {
public:
    OwnPadding() = default;
    explicit OwnPadding(Coder& coder) : method(coder.decodeUnsigned("method")) {}
    NNPaddingMethod paddingMethod() const override { return method; }
    const char* className() const override { return "ArchiveTest.OwnPadding"; }
    void encodeWithCoder(Coder& coder) const override { coder.encodeUnsigned(method, "method"); }
    NNPaddingMethod method = NNPaddingMethodSizeFull;
};

class OwnAllocator final : public ImageAllocator, public SecureCoding {
public:
    OwnAllocator() = default;
    explicit OwnAllocator(Coder&) {}
    ImagePtr image(const BufferPtr& buffer, const ImageDescriptor& d, const Kernel* kernel) override {
        return Image::defaultAllocator()->image(buffer, d, kernel);
    }
    const char* className() const override { return "ArchiveTest.OwnAllocator"; }
    void encodeWithCoder(Coder&) const override {}
};

/// A coder of an application, which knows no device: values in a map.
class MapCoder final : public Coder {
public:
    std::string name() const override { return "map"; }
    bool containsValue(const std::string& key) const override { return values.count(key) > 0; }
    std::map<std::string, Value> values;

protected:
    void encode(Value value, const std::string& key) override { values[key] = std::move(value); }
    Value decode(const std::string& key) override { return values.at(key); }
};

const bool registered = [] {
    RegisterArchivedClass<Record>("ArchiveTest.Record");
    RegisterArchivedClass<OwnKernel>("ArchiveTest.OwnKernel");
    RegisterArchivedClass<OwnPadding>("ArchiveTest.OwnPadding");
    RegisterArchivedClass<OwnAllocator>("ArchiveTest.OwnAllocator");
    return true;
}();

}  // namespace

TEST(Archive, EveryKindOfValueComesBackAsItWas) {
    ASSERT_TRUE(registered);
    const auto record = std::make_shared<Record>();
    record->yes = true;
    record->whole = std::numeric_limits<std::int64_t>::min();
    record->large = std::numeric_limits<std::uint64_t>::max();
    record->real = 0.1;
    record->text = "Zinn \xE2\x80\x94 pewter";
    record->bytes = {0, 127, 128, 255};
    record->floats = {1.5f, -0.0f, std::numeric_limits<float>::denorm_min(),
                      std::numeric_limits<float>::infinity()};
    record->doubles = {0.1, std::numeric_limits<double>::max()};
    record->integers = {std::numeric_limits<std::int64_t>::min(), -1, 0,
                        std::numeric_limits<std::int64_t>::max()};
    const auto bytes = KeyedArchiver::archivedData(record);
    const auto again = KeyedUnarchiver::unarchivedObjectOfClass<Record>(bytes, nullptr);
    EXPECT_TRUE(again->yes);
    EXPECT_EQ(again->whole, record->whole);
    EXPECT_EQ(again->large, record->large);
    EXPECT_EQ(again->real, record->real);
    EXPECT_EQ(again->text, record->text);
    EXPECT_EQ(again->bytes, record->bytes);
    EXPECT_EQ(again->floats, record->floats);
    EXPECT_TRUE(std::signbit(again->floats[1]));
    EXPECT_EQ(again->doubles, record->doubles);
    EXPECT_EQ(again->integers, record->integers);
    EXPECT_EQ(again->first, nullptr);
    EXPECT_EQ(KeyedArchiver::archivedData(again), bytes) << "the same object, the same bytes";
}

TEST(Archive, NumbersThatAreNotFiniteKeepTheirKind) {
    const auto record = std::make_shared<Record>();
    const auto there = [&](double value) {
        record->real = value;
        return KeyedUnarchiver::unarchivedObjectOfClass<Record>(KeyedArchiver::archivedData(record), nullptr)
            ->real;
    };
    EXPECT_TRUE(std::isnan(there(std::numeric_limits<double>::quiet_NaN())));
    EXPECT_EQ(there(-std::numeric_limits<double>::infinity()), -std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::signbit(there(-0.0)));
    EXPECT_EQ(there(std::numeric_limits<double>::denorm_min()), std::numeric_limits<double>::denorm_min());
}

TEST(Archive, AnObjectThatTwoHoldIsWrittenOnceAndSharedAgain) {
    const auto outer = std::make_shared<Record>(), inner = std::make_shared<Record>();
    inner->text = "shared";
    outer->first = outer->second = inner;
    const auto again =
        KeyedUnarchiver::unarchivedObjectOfClass<Record>(KeyedArchiver::archivedData(outer), nullptr);
    ASSERT_NE(again->first, nullptr);
    EXPECT_EQ(again->first->text, "shared");
    EXPECT_EQ(again->first, again->second);
}

TEST(Archive, SeveralObjectsStandUnderKeysOfTheirOwn) {
    const auto device = testDevice();
    KeyedArchiver archiver;
    archiver.encodeObject(std::make_shared<CNNSoftMax>(device), "head");
    archiver.encodeObject(std::make_shared<CNNPoolingMax>(device, 2, 3), "pool");
    archiver.encodeInteger(7, "epoch");
    EXPECT_TRUE(archiver.containsValue("epoch"));
    const auto data = archiver.encodedData();
    KeyedUnarchiver unarchiver(data, device);
    EXPECT_EQ(unarchiver.mpsMTLDevice(), device);
    EXPECT_TRUE(unarchiver.containsValue("head"));
    EXPECT_FALSE(unarchiver.containsValue("tail"));
    EXPECT_EQ(unarchiver.decodeInteger("epoch"), 7);
    const auto pool = unarchiver.decodeObjectOfClass<CNNPoolingMax>("pool");
    EXPECT_EQ(pool->kernelHeight(), 3u);
    EXPECT_EQ(unarchiver.decodeObject("pool"), pool) << "made once";
    EXPECT_NE(unarchiver.decodeObjectOfClass<CNNSoftMax>("head"), nullptr);
}

TEST(Archive, DecodedKernelsLiveOnTheDeviceOfTheUnarchiver) {
    const auto bytes = KeyedArchiver::archivedData(std::make_shared<CNNSoftMax>(testDevice()));
    for (const auto& device : MTL::copyAllDevices())
        EXPECT_EQ(KeyedUnarchiver::unarchivedObjectOfClass<CNNSoftMax>(bytes, device)->device(), device);
    const auto byDefault = KeyedUnarchiver::unarchivedObjectOfClass<CNNSoftMax>(bytes, nullptr);
    EXPECT_EQ(byDefault->device(), MTL::createSystemDefaultDevice());
    EXPECT_EQ(MapCoder().device(), MTL::createSystemDefaultDevice()) << "a coder that is no DeviceProvider";
}

TEST(Archive, TheRootMayBeAskedForByNamesOrByABaseClass) {
    const auto bytes = KeyedArchiver::archivedData(std::make_shared<CNNPoolingMax>(testDevice(), 2, 2));
    const auto any =
        KeyedUnarchiver::unarchivedObjectOfClasses({"CNNSoftMax", "CNNPoolingMax"}, bytes, testDevice());
    EXPECT_STREQ(any->className(), "CNNPoolingMax");
    EXPECT_NE(KeyedUnarchiver::unarchivedObjectOfClass<CNNKernel>(bytes, testDevice()), nullptr);
}

TEST(Archive, TheDeprecatedCreatorsReturnNull) {
    const auto bytes = KeyedArchiver::archivedData(std::make_shared<CNNSoftMax>(testDevice()));
    EXPECT_EQ(KeyedUnarchiver::unarchiveObject(bytes, testDevice()), nullptr);
    EXPECT_EQ(KeyedUnarchiver::unarchiveObject(std::string("file"), testDevice()), nullptr);
    EXPECT_EQ(KeyedUnarchiver::unarchiveTopLevelObject(bytes, testDevice()), nullptr);
    EXPECT_EQ(KeyedUnarchiver::init(testDevice()), nullptr);
    EXPECT_EQ(KeyedUnarchiver::initForReading(bytes, testDevice()), nullptr);
}

TEST(Archive, AKernelOfAnApplicationAddsItsOwnPropertiesToThoseOfItsBase) {
    const auto kernel = std::make_shared<OwnKernel>(testDevice());
    kernel->strength = -3;
    kernel->setLabel("mine");
    kernel->setOptions(KernelOptionsVerbose | KernelOptionsInsertDebugGroups);
    kernel->setOffset({-1, 2, 0});
    kernel->setClipRect({{1, 2, 0}, {3, 4, 1}});
    kernel->setDestinationFeatureChannelOffset(8);
    kernel->setSourceFeatureChannelOffset(4);
    kernel->setSourceFeatureChannelMaxCount(5);
    kernel->setEdgeMode(ImageEdgeMode::Clamp);
    const auto padding = std::make_shared<OwnPadding>();
    padding->method = NNPaddingMethodSizeValidOnly | NNPaddingMethodAlignTopLeft;
    kernel->setPadding(padding);
    kernel->setDestinationImageAllocator(std::make_shared<OwnAllocator>());
    const auto again = KeyedUnarchiver::unarchivedObjectOfClass<OwnKernel>(
        KeyedArchiver::archivedData(kernel), testDevice());
    EXPECT_EQ(again->strength, -3);
    EXPECT_EQ(again->name(), "ArchiveTest.OwnKernel 'mine'");
    EXPECT_EQ(again->options(), kernel->options());
    EXPECT_EQ(again->offset(), kernel->offset());
    EXPECT_EQ(again->clipRect().origin.y, 2u);
    EXPECT_EQ(again->clipRect().size.width, 3u);
    EXPECT_EQ(again->destinationFeatureChannelOffset(), 8u);
    EXPECT_EQ(again->sourceFeatureChannelOffset(), 4u);
    EXPECT_EQ(again->sourceFeatureChannelMaxCount(), 5u);
    EXPECT_EQ(again->edgeMode(), ImageEdgeMode::Clamp);
    EXPECT_EQ(again->padding()->paddingMethod(), padding->method);
    EXPECT_NE(dynamic_cast<OwnAllocator*>(again->destinationImageAllocator().get()), nullptr);
}

TEST(Archive, ReadyMadePoliciesAndAllocatorsComeBackAsTheSharedObjects) {
    const auto kernel = std::make_shared<CNNPoolingMax>(testDevice(), 2, 2);
    for (const auto& policy : {NNDefaultPadding::padding(NNPaddingMethodSizeFull),
                               NNDefaultPadding::paddingForTensorflowAveragePooling(),
                               NNDefaultPadding::paddingForTensorflowAveragePoolingValidOnly()})
        for (const auto& allocator : {Image::defaultAllocator(), TemporaryImage::defaultAllocator()}) {
            kernel->setPadding(policy);
            kernel->setDestinationImageAllocator(allocator);
            const auto again = KeyedUnarchiver::unarchivedObjectOfClass<CNNPoolingMax>(
                KeyedArchiver::archivedData(kernel), testDevice());
            EXPECT_EQ(again->padding(), policy);
            EXPECT_EQ(again->destinationImageAllocator(), allocator);
        }
}

TEST(Archive, EveryKernelOfThePublicHeadersCanBeHeld) {
    // Classes that nobody makes.
    const std::set<std::string> others = {
        "Kernel",        "CNNKernel",      "CNNBinaryKernel",       "CNNGradientKernel",  "CNNMultiaryKernel",
        "CNNArithmetic", "CNNPooling",     "CNNArithmeticGradient", "CNNPoolingGradient", "CNNUpsampling",
        "NNReduceUnary", "NNReduceBinary", "CNNUpsamplingGradient", "CNNLossLabels",      "NNLabelsNode",
        "ImageScale"};
    const auto known = ArchivedClassNames();
    const std::regex pattern("className\\(\\) const override \\{ return \"(\\w+)\"; \\}");
    std::size_t found = 0;
    for (const auto& file : std::filesystem::directory_iterator(PEWTER_FIXTURES "/../../include/MPS")) {
        std::ifstream stream(file.path());
        const std::string text(std::istreambuf_iterator<char>(stream), {});
        for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
            const std::string name = (*it)[1];
            if (name.ends_with("State") || name.ends_with("StateNode") || others.count(name)) continue;
            ++found;
            EXPECT_TRUE(std::binary_search(known.begin(), known.end(), name)) << name;
        }
    }
    EXPECT_GT(found, 80u);
}

TEST(Archive, NamesOfEveryClassAreListed) {
    EXPECT_THAT(ArchivedClassNames(),
                testing::IsSupersetOf({"ArchiveTest.Record", "CNNConvolution", "CNNPoolingMax",
                                       "NNDefaultPadding", "NNOptimizerAdam"}));
    EXPECT_EQ(errorOf([] { RegisterArchivedClass<Record>("ArchiveTest.Record"); }), "") << "saying it again";
}
