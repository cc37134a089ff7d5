#include <gmock/gmock.h>

#include <MPS/ImageScale.hpp>
#include <MPS/NNForwardLossNode.hpp>
#include <MPS/NNScaleNode.hpp>
#include <filesystem>
#include <fstream>

#include "GraphKernels.h"
#include "GraphRuns.h"

/// What graphs do not write, and files that cannot be used.
using namespace pewter::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

std::string writingOf(const std::shared_ptr<MPS::NNGraph>& graph) {
    return errorOf([&] { MPS::KeyedArchiver::archivedData(graph); });
}

/// Without secure coding.
class PlainPadding final : public MPS::NNPadding {
public:
    MPS::NNPaddingMethod paddingMethod() const override { return MPS::NNPaddingMethodSizeSame; }
};
class PlainAllocator final : public MPS::ImageAllocator {
public:
    std::shared_ptr<MPS::Image> image(const BufferPtr& buffer, const MPS::ImageDescriptor& d,
                                      const MPS::Kernel* kernel) override {
        return MPS::Image::defaultAllocator()->image(buffer, d, kernel);
    }
};
class PlainProvider final : public MPS::ImageTransformProvider {
public:
    MPS::ScaleTransform transform(const std::shared_ptr<MPS::Image>&,
                                  const std::shared_ptr<MPS::Handle>&) override {
        return {};
    }
};
class PlainCallback final : public MPS::NNLossCallback {
public:
    float scalarWeight(const std::shared_ptr<MPS::Image>&, const std::shared_ptr<MPS::Image>&) override {
        return 1;
    }
};

/// Runs on every device.
class GraphArchiveRefusals : public testing::TestWithParam<std::size_t> {
protected:
    DevicePtr device = MTL::copyAllDevices()[GetParam()];
    Node input = MPS::NNImageNode::node(nullptr);

    std::shared_ptr<MPS::NNGraph> graphOf(const Node& result) const {
        return MPS::NNGraph::graph(device, result);
    }
    std::shared_ptr<MPS::NNGraph> small() const { return graphOf(Net::relu(input)); }
};

}  // namespace

TEST_P(GraphArchiveRefusals, AnUpdateThatTheArchiveWouldLoseIsRefusedByLabel) {
    Net net(device);
    net.input = input;
    buildChain(net);
    net.train();
    EXPECT_EQ(writingOf(net.graph),
              "CNNFullyConnectedGradient 'dense': dataSource: expected one with secure coding (derived from "
              "MPS::SecureCoding), since it updates the weights, found one without.");
    EXPECT_EQ(writingOf(graphOf(net.logits)), "") << "without updates the weights are all there is";
}

TEST_P(GraphArchiveRefusals, ObjectsOfTheApplicationWithoutCodingAreNamedWithTheirFilter) {
    const auto relu = [&] {
        const auto node = MPS::CNNNeuronReLUNode::node(input);
        node->setLabel("mine");
        return node;
    };
    auto node = relu();
    node->setPaddingPolicy(std::make_shared<PlainPadding>());
    EXPECT_THAT(writingOf(graphOf(node->resultImage())),
                AllOf(HasSubstr("'mine'"), HasSubstr("padding: expected an object "
                                                     "with secure coding")));
    node = relu();
    const auto inner = node->resultImage();
    inner->setImageAllocator(std::make_shared<PlainAllocator>());
    EXPECT_THAT(writingOf(graphOf(inner)), AllOf(HasSubstr("'mine'"), HasSubstr("imageAllocator")));
    node = relu();
    node->resultImage()->setHandle(tag("out"));
    EXPECT_THAT(writingOf(graphOf(node->resultImage())),
                AllOf(HasSubstr("'mine'"), HasSubstr("handle 'out'")));
    const auto scale =
        MPS::NNBilinearScaleNode::node(input, std::make_shared<PlainProvider>(), MTL::Size{3, 3, 0});
    scale->setLabel("scaled");
    EXPECT_THAT(writingOf(graphOf(scale->resultImage())),
                AllOf(HasSubstr("'scaled'"), HasSubstr("transformProvider")));
    const auto loss =
        MPS::NNForwardLossNode::node(input, MPS::NNImageNode::node(nullptr),
                                     MPS::CNNLossDescriptor::cnnLossDescriptor(
                                         MPS::CNNLossType::MeanSquaredError, MPS::CNNReductionType::Sum));
    loss->setLabel("loss");
    loss->setPropertyCallBack(std::make_shared<PlainCallback>());
    EXPECT_THAT(writingOf(graphOf(loss->resultImage())),
                AllOf(HasSubstr("'loss'"), HasSubstr("propertyCallBack")));
    const auto own = halfSquare(input);
    own->setLabel("half");
    EXPECT_THAT(writingOf(graphOf(own->resultImage())),
                AllOf(HasSubstr("'half'"), HasSubstr("a class that archives can hold")));
    const auto graph = graphOf(relu()->resultImage());
    graph->setLabel("whole");
    graph->setDestinationImageAllocator(std::make_shared<PlainAllocator>());
    EXPECT_THAT(writingOf(graph),
                AllOf(HasSubstr("NNGraph 'whole'"), HasSubstr("destinationImageAllocator")));
}

TEST_P(GraphArchiveRefusals, FilesThatCannotBeReadOrWrittenAreNamed) {
    const auto folder = std::filesystem::temp_directory_path() / ("GraphArchiveRefusals" + device->name());
    std::filesystem::create_directories(folder);
    const auto reading = [&](const std::string& path) {
        return errorOf([&] { MPS::KeyedUnarchiver::unarchivedObjectOfFile<MPS::NNGraph>(path, device); });
    };
    EXPECT_EQ(reading(folder / "none"),
              "KeyedUnarchiver: path: expected a file, found \"" + (folder / "none").string() + "\".");
    EXPECT_THAT(reading(folder), HasSubstr("expected a file, found"));
    const auto empty = folder / "empty";
    std::ofstream(empty).close();
    EXPECT_EQ(reading(empty), "archive: data: expected what a KeyedArchiver wrote, found no bytes.");
    const auto writing = [&](const std::string& path) {
        return errorOf([&] { MPS::KeyedArchiver::archiveRootObject(small(), path); });
    };
    EXPECT_THAT(writing(folder / "no" / "folder"),
                HasSubstr("KeyedArchiver: path: expected a file that can be written"));
    EXPECT_THAT(writing(folder), HasSubstr("KeyedArchiver: path: expected a file that can be replaced"));
    EXPECT_THAT(errorOf([&] { MPS::KeyedArchiver::archiveRootObject(nullptr, empty); }),
                HasSubstr("found null"));
    // A failure leaves the archive that was there.
    EXPECT_EQ(writing(empty), "");
    Net net(device);
    buildChain(net);
    EXPECT_NE(errorOf([&] { MPS::KeyedArchiver::archiveRootObject(graphOf(net.logits), empty); }), "");
    EXPECT_EQ(reading(empty), "");
    std::filesystem::remove_all(folder);
}

TEST_P(GraphArchiveRefusals, AGraphIsMadeOnTheDeviceOfItsCoderAlone) {
    /// The graph as an application decodes it: by the constructor.
    class Direct final : public MPS::SecureCoding {
    public:
        explicit Direct(std::shared_ptr<MPS::NNGraph> from) : graph(std::move(from)) {}
        Direct(MPS::Coder& coder, const DevicePtr& on) : graph(std::make_shared<MPS::NNGraph>(coder, on)) {}
        const char* className() const override { return "GraphArchiveRefusals.Direct"; }
        void encodeWithCoder(MPS::Coder& coder) const override { graph->encodeWithCoder(coder); }
        std::shared_ptr<MPS::NNGraph> graph;
    };
    static DevicePtr asked;
    MPS::RegisterArchivedClass("GraphArchiveRefusals.Direct", typeid(Direct),
                               [](MPS::Coder& coder) { return std::make_shared<Direct>(coder, asked); });
    const auto bytes = MPS::KeyedArchiver::archivedData(std::make_shared<Direct>(small()));
    const auto read = [&] {
        return MPS::KeyedUnarchiver::unarchivedObjectOfClass<Direct>(bytes, device)->graph;
    };
    asked = nullptr;
    EXPECT_EQ(read()->device(), device);
    for (const auto& other : MTL::copyAllDevices()) {
        asked = other;
        if (other == device)
            EXPECT_EQ(read()->device(), device);
        else
            EXPECT_THAT(errorOf([&] { read(); }), HasSubstr("device: expected " + other->name() +
                                                            ", the graph's, found " + device->name()));
    }
    EXPECT_TRUE(MPS::NNGraph::supportsSecureCoding());
}

INSTANTIATE_TEST_SUITE_P(Devices, GraphArchiveRefusals,
                         testing::Range(std::size_t{0}, MTL::copyAllDevices().size()),
                         [](const auto& info) { return testNameOf(MTL::copyAllDevices()[info.param]->name()); });
