#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNFullyConnected.hpp>
#include <MPS/CNNPooling.hpp>
#include <MPS/CNNSoftMax.hpp>

#include "ArchiveBytes.h"
#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using namespace MPS;
using testing::HasSubstr;
using Json = nlohmann::json;

namespace {

/// A class of an application, for what archives refuse.
class Loop final : public SecureCoding {
public:
    Loop() = default;
    explicit Loop(Coder& coder) : next(coder.decodeObjectOfClass<Loop>("next")) {}
    const char* className() const override { return name; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeObject(next, "next");
        if (twice) coder.encodeBool(true, "next");
    }
    const char* name = "ArchiveErrors.Loop";
    bool twice = false;
    std::shared_ptr<Loop> next;
};

class Unknown final : public SecureCoding {
public:
    const char* className() const override { return "ArchiveErrors.Unknown"; }
    void encodeWithCoder(Coder&) const override {}
};

/// A data source that asks for more memory than there is, and one that throws what it likes.
class Greedy final : public SecureCoding {
public:
    explicit Greedy(Coder& coder) {
        const auto n = coder.decodeSize("n");
        if (n > std::vector<double>().max_size()) throw std::length_error("n");
        throw std::bad_alloc();
    }
    const char* className() const override { return "ArchiveErrors.Greedy"; }
    void encodeWithCoder(Coder&) const override {}
};

const bool registered = [] {
    RegisterArchivedClass<Loop>("ArchiveErrors.Loop");
    RegisterArchivedClass<Greedy>("ArchiveErrors.Greedy");
    RegisterArchivedClass("ArchiveErrors.Nothing", typeid(int), [](Coder&) { return nullptr; });
    return true;
}();

ArchiveData pooling() {
    const auto kernel = std::make_shared<CNNPoolingMax>(testDevice(), 2, 3, 1, 2);
    kernel->setLabel("pool");
    return KeyedArchiver::archivedData(kernel);
}

/// The archive of a pooling kernel after a change of its contents.
ArchiveData changed(const std::function<void(Json& contents)>& change) {
    auto contents = contentsOf(pooling());
    change(contents);
    return archiveOf(contents);
}

/// Values of the kernel, which is the first object.
Json& valuesOf(Json& contents) { return contents["objects"][0][1]; }

std::string readingOf(const ArchiveData& data) {
    return errorOf([&] { KeyedUnarchiver::unarchivedObjectOfClass<CNNPoolingMax>(data, testDevice()); });
}

}  // namespace

TEST(ArchiveErrors, AnythingButAnArchiveIsRefused) {
    EXPECT_EQ(readingOf(pooling()), "");
    EXPECT_EQ(readingOf({}), "archive: data: expected what a KeyedArchiver wrote, found no bytes.");
    EXPECT_EQ(readingOf({1, 2, 3}),
              "archive: data: expected what a KeyedArchiver wrote, found 3 bytes that begin otherwise.");
    EXPECT_THAT(readingOf(ArchiveData(100, 'P')), HasSubstr("100 bytes that begin otherwise"));
}

TEST(ArchiveErrors, AnotherVersionIsNamed) {
    auto data = pooling();
    data[8] = 2;
    EXPECT_EQ(readingOf(data), "archive: version: expected 1, which this library reads, found 2.");
}

TEST(ArchiveErrors, CutAndGrownDataSaysHowMuchIsMissing) {
    const auto whole = pooling();
    auto data = whole;
    data.resize(kArchiveHeader - 1);
    EXPECT_EQ(readingOf(data), "archive: data: expected a header of 24 bytes, found 23.");
    data = whole;
    data.pop_back();
    const auto length = std::to_string(whole.size() - kArchiveHeader),
               less = std::to_string(whole.size() - kArchiveHeader - 1);
    EXPECT_EQ(readingOf(data), "archive: data: expected " + length +
                                   " bytes after the header, as it says, found " + less + ".");
    data = whole;
    data.push_back(0);
    EXPECT_THAT(readingOf(data), HasSubstr("expected " + length + " bytes after the header"));
}

TEST(ArchiveErrors, DamageIsFoundByTheChecksum) {
    auto data = pooling();
    data.back() ^= 1;
    EXPECT_THAT(readingOf(data), HasSubstr("archive: checksum: expected 0x"));
    EXPECT_THAT(readingOf(data), HasSubstr("the data is damaged"));
}

TEST(ArchiveErrors, LyingSizesAreRefusedBeforeAnythingIsAllocated) {
    // Text, bytes, list and map that claim 2^62 and more elements.
    for (const std::uint8_t first : {0x7B, 0x5B, 0x9B, 0xBB}) {
        EXPECT_THAT(readingOf(sealed({first, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x60})),
                    HasSubstr("archive: payload byte 9: expected at most 1 bytes, which are left, found a "
                              "length of 4611686018427387904"));
        EXPECT_THAT(readingOf(sealed({first, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})),
                    HasSubstr("found a length of 18446744073709551615"));
    }
    EXPECT_THAT(readingOf(sealed({0x19, 1})), HasSubstr("expected another value, found the end"));
    EXPECT_THAT(readingOf(sealed({0xA0, 0})),
                HasSubstr("expected the end of the payload, found 1 more bytes"));
}

TEST(ArchiveErrors, DeepNestingIsRefusedBeforeTheParserFollowsIt) {
    std::vector<std::uint8_t> deep(1 << 20, 0x81);  // a list in a list in a list ...
    deep.push_back(0);
    EXPECT_THAT(readingOf(sealed(deep)),
                HasSubstr("archive: payload byte 6: expected at most 5 levels, found a deeper one"));
    // Texts, bytes, lists and maps of unknown length, within one another.
    for (const std::uint8_t first : {0x7F, 0x5F, 0x9F, 0xBF})
        EXPECT_THAT(readingOf(sealed(std::vector<std::uint8_t>(1 << 20, first))),
                    HasSubstr("a value whose length is known in advance"));
}

TEST(ArchiveErrors, OnlyWhatArchivesUseIsRead) {
    for (const std::uint8_t first : {0xC0, 0xF7, 0xF8, 0xE0})  // a tag, undefined, a simple value, another
        EXPECT_THAT(readingOf(sealed({first, 0x20})),
                    HasSubstr("expected a number, text, bytes, list, map, true, false or null"));
    EXPECT_THAT(readingOf(sealed({0x3B, 0x80, 0, 0, 0, 0, 0, 0, 0})),
                HasSubstr("expected integers of 64 bits"));
    EXPECT_THAT(readingOf(sealed({0xA1, 0x01, 0x01})), HasSubstr("expected a text as key"));
    EXPECT_THAT(readingOf(sealed({0x01})),
                HasSubstr("archive: objects: expected the part of that name, found none"));
    EXPECT_THAT(readingOf(changed([](Json& c) { c.erase("values"); })),
                HasSubstr("archive: values: expected the part"));
    EXPECT_THAT(readingOf(changed([](Json& c) { c["objects"][0] = 3; })),
                HasSubstr("archive: object 0: expected the name of a class and its values, found number"));
}

TEST(ArchiveErrors, ClassesThatAreUnknownOrNotAllowedAreNamed) {
    EXPECT_EQ(readingOf(changed([](Json& c) { c["objects"][0][0] = "Pool"; })),
              "archive: class: expected a class that archives can hold (see RegisterArchivedClass), found "
              "\"Pool\".");
    EXPECT_EQ(
        errorOf([] {
            KeyedUnarchiver::unarchivedObjectOfClasses({"CNNAdd", "CNNSoftMax"}, pooling(), testDevice());
        }),
        "archive: root: expected an object of class CNNAdd or CNNSoftMax, found a CNNPoolingMax.");
    EXPECT_EQ(errorOf([] { KeyedUnarchiver::unarchivedObjectOfClass<CNNSoftMax>(pooling(), testDevice()); }),
              "archive: root: expected an object of class CNNSoftMax, found a CNNPoolingMax.");
    // A member of a kernel that is no policy.
    const auto data =
        changed([](Json& c) { valuesOf(c)["padding"] = valuesOf(c)["destinationImageAllocator"]; });
    EXPECT_EQ(readingOf(data),
              "archived CNNPoolingMax: padding: expected an object of class NNPadding, found a "
              "TemporaryImageDefaultAllocator.");
}

TEST(ArchiveErrors, FieldsThatAreMissingOrOfAnotherTypeAreNamed) {
    const auto with = [](const char* key, Json value) {
        return readingOf(changed([&](Json& c) { valuesOf(c)[key] = std::move(value); }));
    };
    EXPECT_EQ(readingOf(changed([](Json& c) { valuesOf(c).erase("kernelWidth"); })),
              "archived CNNPoolingMax: kernelWidth: expected a value, found none.");
    EXPECT_EQ(with("kernelWidth", "two"),
              "archived CNNPoolingMax: kernelWidth: expected an integer, found a text.");
    EXPECT_EQ(with("kernelWidth", -2),
              "archived CNNPoolingMax: kernelWidth: expected an integer of at least 0, found -2.");
    EXPECT_EQ(with("kernelWidth", 2.5),
              "archived CNNPoolingMax: kernelWidth: expected an integer, found a number.");
    EXPECT_EQ(with("label", 7), "archived CNNPoolingMax: label: expected a text, found an integer.");
    EXPECT_EQ(with("label", true), "archived CNNPoolingMax: label: expected a text, found a truth value.");
    EXPECT_EQ(with("offset", Json::binary({1})),
              "archived CNNPoolingMax: offset: expected a list of integers, found bytes.");
    EXPECT_EQ(with("offset", {{"i64", Json::binary({1, 2, 3})}}),
              "archived CNNPoolingMax: offset: expected a list of elements of 8 bytes, found 3 bytes.");
    EXPECT_EQ(with("offset", {{"i64", Json::binary(std::vector<std::uint8_t>(16))}}),
              "archived CNNPoolingMax: offset: expected 3 integers, found 2.");
    EXPECT_EQ(with("offset", {{"f32", Json::binary(std::vector<std::uint8_t>(12))}}),
              "archived CNNPoolingMax: offset: expected a list of integers, found a list of floats.");
    EXPECT_EQ(with("offset", {{"what", 1}}),
              "archived CNNPoolingMax: offset: expected a value of a known type, found object.");
    EXPECT_EQ(with("offset", Json::array({1, 2, 3})),
              "archived CNNPoolingMax: offset: expected a value of a known type, found array.");
    EXPECT_EQ(with("edgeMode", 5), "archived CNNPoolingMax: edgeMode: expected 0 to 4, found 5.");
    EXPECT_EQ(with("padding", {{"object", 99}}),
              "archived CNNPoolingMax: padding: expected one of 3 objects, found number 99.");
    EXPECT_EQ(with("padding", 1),
              "archived CNNPoolingMax: padding: expected an object or null, found an integer.");
    EXPECT_THAT(with("padding", nullptr), HasSubstr("padding: expected a padding policy, found null"));
    EXPECT_THAT(with("kernelWidth", 0), HasSubstr("CNNPooling: kernelWidth: expected at least 1, found 0"));
    EXPECT_THAT(readingOf(changed([](Json& c) { c["values"].erase("root"); })),
                HasSubstr("archive: root: expected a value, found none"));
    EXPECT_THAT(errorOf([] {
                    KeyedUnarchiver::unarchivedObjectOfClasses(
                        {"CNNAdd"}, changed([](Json& c) { c["values"]["root"] = 1; }), testDevice());
                }),
                HasSubstr("archive: root: expected an object or null, found an integer"));
}

TEST(ArchiveErrors, NumbersMustFitWhatTheyAreReadInto) {
    const auto record =
        sealed(Json::to_cbor({{"objects", Json::array()},
                              {"values", {{"u", std::uint64_t(1) << 63}, {"d", 1e300}, {"n", nullptr}}}}));
    KeyedUnarchiver coder(record, testDevice());
    EXPECT_EQ(errorOf([&] { coder.decodeInteger("u"); }),
              "archive: u: expected a signed integer of 64 bits, found 9223372036854775808.");
    EXPECT_EQ(errorOf([&] { coder.decodeFloat("d"); }),
              "archive: d: expected a number that float32 holds, found 1e+300.");
    EXPECT_EQ(errorOf([&] { coder.decodeBool("n"); }),
              "archive: n: expected a truth value, found an object or null.");
}

TEST(ArchiveErrors, ObjectsThatContainThemselvesAreRefusedBothWays) {
    ASSERT_TRUE(registered);
    const auto loop = std::make_shared<Loop>();
    loop->next = loop;
    EXPECT_EQ(errorOf([&] { KeyedArchiver::archivedData(loop); }),
              "archived ArchiveErrors.Loop: next: expected an object that does not contain itself, found "
              "ArchiveErrors.Loop.");
    loop->next.reset();
    const auto chain = [](std::size_t length, std::size_t last) {
        Json objects = Json::array();
        for (std::size_t i = 0; i < length; ++i)
            objects.push_back(
                {"ArchiveErrors.Loop", {{"next", {{"object", i + 1 < length ? i + 1 : last}}}}});
        return sealed(Json::to_cbor({{"objects", objects}, {"values", {{"root", {{"object", 0}}}}}}));
    };
    const auto reading = [](const ArchiveData& data) {
        return errorOf([&] { KeyedUnarchiver::unarchivedObjectOfClass<Loop>(data, testDevice()); });
    };
    EXPECT_THAT(reading(chain(3, 0)), HasSubstr("object: expected one that does not contain itself"));
    EXPECT_THAT(reading(chain(100000, 0)),
                HasSubstr("object: expected at most 32 objects within one another, found more"));
}

TEST(ArchiveErrors, WhatCannotBeArchivedIsRefusedWhileWriting) {
    EXPECT_EQ(errorOf([] { KeyedArchiver::archivedData(nullptr); }),
              "KeyedArchiver: rootObject: expected an object, found null.");
    EXPECT_EQ(errorOf([] { KeyedArchiver::archivedData(std::make_shared<Unknown>()); }),
              "KeyedArchiver: root: expected an object of a class that archives can hold (see "
              "RegisterArchivedClass), found "
              "a ArchiveErrors.Unknown.");
    EXPECT_THAT(errorOf([] { KeyedArchiver::archivedData(std::make_shared<CopyKernel>()); }),
                HasSubstr("found a CopyKernel"));
    class Louder final : public CNNPoolingMax {
    public:
        using CNNPoolingMax::CNNPoolingMax;
    };
    EXPECT_THAT(errorOf([] { KeyedArchiver::archivedData(std::make_shared<Louder>(testDevice(), 2, 2)); }),
                HasSubstr("found a class of its own derived from a CNNPoolingMax"));
    const auto loop = std::make_shared<Loop>();
    loop->twice = true;
    EXPECT_THAT(errorOf([&] { KeyedArchiver::archivedData(loop); }),
                HasSubstr("next: expected a key that the object does not use yet"));
    loop->twice = false;
    loop->name = "Other";
    EXPECT_THAT(
        errorOf([&] { KeyedArchiver::archivedData(loop); }),
        HasSubstr("expected className() to be \"ArchiveErrors.Loop\", as registered, found \"Other\""));
    KeyedArchiver archiver;
    EXPECT_THAT(errorOf([&] { archiver.encodeBool(true, ""); }),
                HasSubstr("key: expected a key, found an empty one"));
    EXPECT_THAT(errorOf([&] { archiver.decodeBool("x"); }),
                HasSubstr("x: expected a coder that reads, found one that writes"));
    KeyedUnarchiver unarchiver(pooling(), nullptr);
    EXPECT_THAT(errorOf([&] { unarchiver.encodeBool(true, "x"); }),
                HasSubstr("x: expected a coder that writes, found one that reads"));
}

TEST(ArchiveErrors, PoliciesAllocatorsAndClassesWithoutSecureCodingAreNamed) {
    class Plain final : public NNPadding {
        NNPaddingMethod paddingMethod() const override { return 0; }
    };
    class Maker final : public ImageAllocator {
        ImagePtr image(const BufferPtr&, const ImageDescriptor&, const Kernel*) override { return nullptr; }
    };
    auto kernel = std::make_shared<CNNSoftMax>(testDevice());
    kernel->setLabel("s");
    kernel->setPadding(std::make_shared<Plain>());
    EXPECT_EQ(errorOf([&] { KeyedArchiver::archivedData(kernel); }),
              "CNNSoftMax 's': padding: expected an object with secure coding (derived from "
              "MPS::SecureCoding), found one without.");
    kernel = std::make_shared<CNNSoftMax>(testDevice());
    kernel->setDestinationImageAllocator(std::make_shared<Maker>());
    EXPECT_THAT(errorOf([&] { KeyedArchiver::archivedData(kernel); }),
                HasSubstr("CNNSoftMax: destinationImageAllocator: expected an object with secure coding"));
}

TEST(ArchiveErrors, AnArchiverGoesOnAfterARefusal) {
    KeyedArchiver archiver;
    const auto outer = std::make_shared<Loop>();
    outer->twice = true;
    EXPECT_NE(errorOf([&] { archiver.encodeObject(outer, "a"); }), "");
    outer->twice = false;
    archiver.encodeObject(outer, "a");
    const auto data = archiver.encodedData();
    EXPECT_NE(KeyedUnarchiver(data, nullptr).decodeObjectOfClass<Loop>("a"), nullptr);
}

TEST(ArchiveErrors, NamesAndClassesAreRegisteredOnce) {
    EXPECT_THAT(
        errorOf([] { RegisterArchivedClass("CNNAdd", typeid(Unknown), [](Coder&) { return nullptr; }); }),
        HasSubstr("RegisterArchivedClass: name: expected a name that no other class has, found \"CNNAdd\""));
    EXPECT_THAT(errorOf([] { RegisterArchivedClass("Sum", typeid(CNNAdd), [](Coder&) { return nullptr; }); }),
                HasSubstr("RegisterArchivedClass: type: expected a class that is not registered yet, found "
                          "the one of \"CNNAdd\""));
    EXPECT_THAT(errorOf([] { RegisterArchivedClass("", typeid(Unknown), [](Coder&) { return nullptr; }); }),
                HasSubstr("a name"));
    EXPECT_THAT(errorOf([] { RegisterArchivedClass("X", typeid(Unknown), nullptr); }),
                HasSubstr("a function"));
}

TEST(ArchiveErrors, FactoriesThatRunOutOfMemoryOrMakeNothingAreRefused) {
    const auto data = [](const char* name, Json values) {
        return sealed(Json::to_cbor({{"objects", Json::array({Json::array({name, values})})},
                                     {"values", {{"root", {{"object", 0}}}}}}));
    };
    const auto reading = [](const ArchiveData& bytes) {
        return errorOf([&] { KeyedUnarchiver::unarchivedObjectOfClass<SecureCoding>(bytes, testDevice()); });
    };
    EXPECT_THAT(reading(data("ArchiveErrors.Greedy", {{"n", 1}})),
                HasSubstr("values: expected sizes that fit into memory, found larger ones"));
    EXPECT_THAT(reading(data("ArchiveErrors.Greedy", {{"n", ~std::uint64_t(0)}})),
                HasSubstr("sizes that fit into memory"));
    EXPECT_THAT(reading(data("ArchiveErrors.Nothing", Json::object())),
                HasSubstr("values: expected an object, found null"));
}

namespace {

/// A fully connected kernel of stored weights with every kind of value in its archive.
ArchiveData dense() {
    auto d = CNNConvolutionDescriptor::cnnConvolutionDescriptor(2, 1, 3, 2);
    d->setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU, 0.5f));
    d->setBatchNormalizationParametersForInference({0, 1}, {1, 2}, {1, 1}, {0, 3}, 0.5f);
    const auto kernel =
        std::make_shared<CNNFullyConnected>(testDevice(), listSource(d, Numbers(12, 0.5), {1, 2}));
    return KeyedArchiver::archivedData(kernel);
}

}  // namespace

TEST(ArchiveErrors, StoredWeightsMustFitTheirDescriptor) {
    const auto with = [](const std::function<void(Json & kernel, Json & descriptor)>& change) {
        auto contents = Json::from_cbor(payloadOf(dense()));
        Json* descriptor = nullptr;
        for (auto& object : contents["objects"])
            if (object[0] == "CNNConvolutionDescriptor") descriptor = &object[1];
        change(valuesOf(contents), *descriptor);
        const auto data = archiveOf(contents);
        return errorOf(
            [&] { KeyedUnarchiver::unarchivedObjectOfClass<CNNFullyConnected>(data, testDevice()); });
    };
    EXPECT_EQ(with([](Json&, Json&) {}), "");
    const Json none = {{"f32", Json::binary({})}};
    EXPECT_EQ(with([&](Json& k, Json&) { k["weights"] = none; }),
              "archived CNNFullyConnected: weights: expected 12 values, as the descriptor says, found 0.");
    EXPECT_EQ(with([&](Json& k, Json&) { k["biases"] = none; }),
              "archived CNNFullyConnected: biases: expected 2 values, one an output channel, found 0.");
    EXPECT_THAT(with([](Json&, Json& d) { d["kernelWidth"] = std::uint64_t(1) << 40; }),
                HasSubstr("weights: expected"));
    EXPECT_EQ(with([](Json&, Json& d) { d["kernelWidth"] = d["kernelHeight"] = std::uint64_t(1) << 62; }),
              "archived CNNFullyConnected: weights: expected fewer of them, found too many to count.");
    EXPECT_THAT(with([](Json&, Json& d) { d["groups"] = 0; }),
                HasSubstr("groups: expected at least 1, found 0"));
    EXPECT_THAT(with([](Json&, Json& d) { d["inputFeatureChannels"] = 0; }),
                HasSubstr("inputFeatureChannels: expected at least 1"));
    EXPECT_THAT(with([](Json& k, Json&) { k["descriptor"] = nullptr; }),
                HasSubstr("descriptor: expected a convolution descriptor, found null"));
    EXPECT_THAT(with([](Json& k, Json&) { k["dataSource"] = nullptr; }),
                HasSubstr("dataSource: expected a data source, found null"));
    EXPECT_THAT(with([&](Json&, Json& d) {
                    d["variance"] = {{"f32", Json::binary(std::vector<std::uint8_t>(12))}};
                }),
                HasSubstr("variance"));
}

TEST(ArchiveErrors, NoByteThatIsChangedOrCutOffDoesMoreThanAnError) {
    std::size_t refused = 0, read = 0;
    const auto attempt = [&](const ArchiveData& data) {
        try {
            const auto kernel = KeyedUnarchiver::unarchivedObjectOfClass<CNNKernel>(data, testDevice());
            ASSERT_NE(kernel, nullptr);
            ++read;
        } catch (const MPS::Error&) {
            ++refused;
        }  // anything else ends the test
    };
    for (const auto& whole : {pooling(), dense()}) {
        const auto payload = payloadOf(whole);
        for (std::size_t i = 0; i < whole.size(); ++i) {
            attempt(ArchiveData(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(i)));
            for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
                auto data = whole;
                data[i] ^= flip;
                attempt(data);
                if (i < payload.size()) {
                    // Behind a checksum that fits.
                    auto inside = payload;
                    inside[i] ^= flip;
                    attempt(sealed(inside));
                }
            }
            if (i < payload.size())
                attempt(sealed({payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(i)}));
        }
        // Every value that the first byte of a payload's item can have.
        for (std::size_t i = 0; i < payload.size(); i += 7)
            for (int value = 0; value < 256; ++value) {
                auto inside = payload;
                inside[i] = static_cast<std::uint8_t>(value);
                attempt(sealed(inside));
            }
    }
    EXPECT_GT(refused, 1000u);
    EXPECT_GT(read, 50u) << "a changed number is still a number";
}
