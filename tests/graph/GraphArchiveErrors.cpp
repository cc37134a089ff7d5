#include <gmock/gmock.h>

#include <cstring>

#include "ArchiveBytes.h"
#include "GraphRuns.h"

using namespace pewter::test;
using testing::HasSubstr;
using Json = nlohmann::json;
using Bytes = MPS::ArchiveData;

namespace {

/// Values as the archiver packs them.
Json integers(const std::vector<std::int64_t>& values) {
    std::vector<std::uint8_t> bytes(values.size() * sizeof(std::int64_t));
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return {{"i64", Json::binary(bytes)}};
}

/// A small training graph without updates: convolution, neuron, a pool whose state is read, a loss.
std::shared_ptr<MPS::NNGraph> smallGraph(const DevicePtr& device) {
    Net net(device);
    net.input = MPS::NNImageNode::node(nullptr);
    net.layers.push_back(std::make_shared<LayerSource>(device, "conv", 1, 3, 2, 5));
    const auto conv = MPS::CNNConvolutionNode::node(net.input, net.layers[0]);
    conv->setTrainingStyle(MPS::NNTrainingStyle::UpdateDeviceNone);
    const auto pool = MPS::CNNPoolingMaxNode::node(conv->resultImage(), 6, 6);
    pool->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
    pool->setLabel("pool");
    net.logits = pool->resultImage();
    net.train(nullptr, true);
    return net.graph;
}

std::string readingOf(const Bytes& data, const DevicePtr& device) {
    return errorOf([&] { MPS::KeyedUnarchiver::unarchivedObjectOfClass<MPS::NNGraph>(data, device); });
}

/// The archive of the small graph, with ways to its parts.
class Contents {
public:
    explicit Contents(const std::shared_ptr<MPS::NNGraph>& graph)
        : json(contentsOf(MPS::KeyedArchiver::archivedData(graph))) {}
    Json& graph() { return object(json["values"]["root"]); }
    Json& step(std::size_t i) { return object(graph()["step" + std::to_string(i)]); }
    Json& object(const Json& reference) { return json["objects"][reference["object"].get<std::size_t>()][1]; }
    std::size_t stepCount() { return graph()["steps"].get<std::size_t>(); }
    /// The first step of a type.
    Json& stepOf(const std::string& type) {
        for (std::size_t i = 0; i < stepCount(); ++i)
            if (step(i)["type"] == type) return step(i);
        throw std::runtime_error("no step of type " + type);
    }
    Bytes bytes() const { return archiveOf(json); }
    Json json;
};

/// Runs what was read as far as it goes.
void attempt(MPS::NNGraph& graph) {
    graph.setFormat(Format::Float32);
    std::vector<MPS::ImageBatch> images;
    for (std::size_t i = 0; i < graph.sourceImageHandles().size(); ++i)
        images.push_back(drawImages(graph.device(), 1, 6, 6, 3, 1 + i));
    std::vector<MPS::StateBatch> labels;
    for (std::size_t i = 0; i < graph.sourceStateHandles().size(); ++i)
        labels.push_back(drawLabels(graph.device(), 1, 2, 1 + i));
    const auto commands = graph.device()->newCommandQueue()->commandBuffer();
    graph.encodeBatch(commands, images, labels);
    commands->commit();
    commands->waitUntilCompleted();
}

/// Reads and runs; either may end in MPS::Error, nothing else may happen. Whether it was read.
bool survives(const Bytes& data, const DevicePtr& device) {
    std::shared_ptr<MPS::NNGraph> graph;
    try {
        graph = MPS::KeyedUnarchiver::unarchivedObjectOfClass<MPS::NNGraph>(data, device);
    } catch (const MPS::Error&) {
        return false;
    }
    try {
        attempt(*graph);
    } catch (const MPS::Error&) {
    }
    return true;
}

/// Runs on every device.
class GraphArchiveErrors : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];
};

}  // namespace

TEST_P(GraphArchiveErrors, SlotsThatNoProgramHasAreNamedWithTheirStep) {
    const auto graph = smallGraph(device);
    const auto with = [&](const std::function<void(Contents&)>& change) {
        Contents contents(graph);
        change(contents);
        return readingOf(contents.bytes(), device);
    };
    EXPECT_EQ(with([](Contents&) {}), "");
    const std::string pool = "CNNPoolingMax 'pool': ";
    for (const std::int64_t slot : {std::int64_t{-1}, std::int64_t{1000}, std::int64_t{1} << 62})
        EXPECT_THAT(
            with([&](Contents& c) { c.stepOf("Unary")["images"] = integers({slot}); }),
            HasSubstr(pool +
                      "images: expected an image that an earlier step makes or that is an input, found"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["images"] = integers({-2}); }),
                HasSubstr("images: expected slots, or -1 for none, found -2"));
    EXPECT_THAT(with([](Contents& c) {
                    c.stepOf("Unary")["images"] = integers({0, 0});
                }),
                HasSubstr(pool + "images: expected 1 for a step of type Unary, found 2"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Loss")["states"] = integers({}); }),
                HasSubstr("states: expected 1 for a step of type Loss, found 0"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["result"] = c.step(0)["result"]; }),
                HasSubstr(pool + "result: expected an image that nothing else makes, found slot"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["result"] = integers({0}); }),
                HasSubstr("result: expected an image that nothing else makes, found slot 0"));
    EXPECT_THAT(with([](Contents& c) {
                    c.stepOf("Unary")["made"] = integers({7, 8, 9});
                }),
                HasSubstr(pool + "made: expected 0 to 1 for a step of type Unary, found 3"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["made"] = integers({-1}); }),
                HasSubstr("made: expected a list that ends with a state, found -1"));
    // The steps in another order.
    EXPECT_THAT(with([](Contents& c) { std::swap(c.graph()["step0"], c.graph()["step1"]); }),
                HasSubstr(pool + "images: expected an image that an earlier step makes"));
    EXPECT_THAT(with([](Contents& c) { c.graph()["step1"] = c.graph()["step0"]; }),
                HasSubstr("kernels: expected kernels of its own, found one that another step has"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("ConvolutionGradient")["forward"] = integers({99}); }),
                HasSubstr("forward: expected an earlier step, found step 99"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("ConvolutionGradient")["forward"] = integers({1}); }),
                HasSubstr("forward: expected the step that makes its state, found CNNPoolingMax 'pool'"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("ConvolutionGradient")["forward"] = integers({-1}); }),
                HasSubstr("forward: expected the step that a ConvolutionGradient belongs to"));
    EXPECT_THAT(
        with([](Contents& c) { c.stepOf("ConvolutionGradient")["trainingStyle"] = 2; }),
        HasSubstr("trainingStyle: expected no update of a data source that the archive does not hold"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("ConvolutionGradient")["resultDropped"] = true; }),
                HasSubstr("resultDropped: expected what the result's slot says"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["type"] = "Binary"; }),
                HasSubstr(pool + "type: expected a type of step that this library has, found \"Binary\""));
    EXPECT_THAT(
        with([](Contents& c) { c.stepOf("Unary")["type"] = "Dropout"; }),
        HasSubstr(pool + "kernel: expected one for a step of type Dropout, found one of another class"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["kernels"] = std::uint64_t{1} << 60; }),
                HasSubstr(pool + "archived NNGraphStep: kernel1: expected a value, found none"));
    EXPECT_THAT(with([](Contents& c) { c.stepOf("Unary")["kernels"] = 0; }),
                HasSubstr("kernels: expected as many as a step of type Unary has, found 0"));
}

TEST_P(GraphArchiveErrors, ListsOfTheGraphThatDoNotFitAreNamed) {
    const auto graph = smallGraph(device);
    const auto with = [&](const char* key, const Json& value) {
        Contents contents(graph);
        contents.graph()[key] = value;
        return readingOf(contents.bytes(), device);
    };
    EXPECT_EQ(with("version", 4),
              "archived NNGraph: version: expected 3, which this library reads, found 4.");
    EXPECT_EQ(with("format", 5), "archived NNGraph: format: expected a channel format, found 5.");
    EXPECT_EQ(with("imageBits", integers({0})),
              "archived NNGraph: imageFormats: expected 1, one an image, found 6.");
    EXPECT_THAT(with("imageBits", integers({16, 4, 4, 4, 4, 4})),
                HasSubstr("imageBits: expected 0 to 15, found 16"));
    EXPECT_THAT(with("imageFormats", integers({-1, 0, 0, 0, 0, 0})),
                HasSubstr("expected a channel format, found -1"));
    EXPECT_THAT(with("steps", 0), HasSubstr("archived NNGraph: steps: expected at least 1, found 0"));
    EXPECT_THAT(with("steps", std::uint64_t{1} << 62), HasSubstr("expected a value, found none"));
    EXPECT_THAT(with("results", integers({})), HasSubstr("results: expected at least 1, with a flag each"));
    EXPECT_THAT(with("results", integers({77})),
                HasSubstr("results[0]: expected an image that a step makes, found slot 77"));
    EXPECT_THAT(with("results", integers({0})),
                HasSubstr("results[0]: expected an image that a step makes, found slot 0"));
    EXPECT_THAT(with("results", integers({-1})),
                HasSubstr("results[0]: expected an image that a step makes, found none"));
    EXPECT_THAT(with("exportedImages", integers({1})),
                HasSubstr("exportedImages: expected images that steps make"));
    EXPECT_THAT(with("resultsAreNeeded", integers({2})),
                HasSubstr("resultsAreNeeded: expected 0 or 1, found 2"));
    EXPECT_THAT(with("destinationImageAllocator", nullptr),
                HasSubstr("destinationImageAllocator: expected an allocator"));
    EXPECT_THAT(with("recomputePolicy", 3), HasSubstr("recomputePolicy: expected 0 to 2, found 3"));
    EXPECT_THAT(with("step0", nullptr), HasSubstr("step0: expected a step, found null"));
    EXPECT_THAT(with("imageAllocator1", nullptr),
                HasSubstr("imageAllocator1: expected an allocator, found null"));
}

TEST_P(GraphArchiveErrors, NoByteThatIsCutOffOrChangedDoesMoreThanAnError) {
    const auto whole = MPS::KeyedArchiver::archivedData(smallGraph(device));
    ASSERT_TRUE(survives(whole, device));
    for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_FALSE(survives(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(i)), device))
            << i;
        for (int bit = 0; bit < 8; ++bit) {
            auto data = whole;
            data[i] = static_cast<std::uint8_t>(data[i] ^ (1 << bit));
            EXPECT_FALSE(survives(data, device)) << "byte " << i << ", bit " << bit;
        }
    }
}

TEST_P(GraphArchiveErrors, NorDoesAChangeBehindAChecksumThatFits) {
    const auto payload = payloadOf(MPS::KeyedArchiver::archivedData(smallGraph(device)));
    std::size_t refused = 0, read = 0;
    const auto count = [&](const std::vector<std::uint8_t>& changed) {
        ++(survives(sealed(changed), device) ? read : refused);
    };
    for (std::size_t i = 0; i < payload.size(); ++i) {
        count({payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(i)});
        for (const int flip : {0x01, 0x02, 0x80, 0xFF}) {
            auto changed = payload;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            count(changed);
        }
    }
    EXPECT_GT(refused, payload.size());
    EXPECT_GT(read, 50u) << "a changed number is still a number";
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchiveErrors,
                         testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
