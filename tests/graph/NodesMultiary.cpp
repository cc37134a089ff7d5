#include <MPS/CNNMultiaryKernel.hpp>
#include <MPS/NNGradientState.hpp>

#include "NodesRun.h"
#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/graph/Step.h"

// No filter of the library makes an NNMultiaryGradientState; one of the application that sums three images
// does.

using namespace pewter::test;
using namespace MPS;
namespace mps = pewter::mps;
namespace ops = pewter::ops;

namespace {

/// The sum of any number of images.
class Total final : public CNNMultiaryKernel {
public:
    Total(std::shared_ptr<MTL::Device> device, std::size_t sources)
        : CNNMultiaryKernel(std::move(device), sources) {}
    const char* className() const override { return "Total"; }

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner,
                                          const std::vector<std::shared_ptr<MPS::Image>>&, const StateBatch&,
                                          const std::shared_ptr<MPS::Image>&) override {
        return std::make_shared<NNMultiaryGradientState>(owner);
    }
    void record(mps::MultiaryEncoding& encoding) override {
        for (std::size_t i = 0; i < encoding.sources.size(); ++i) {
            const auto source = encoding.sources[i].tensor;
            if (i == 0)
                encoding.encoder->run([source, to = encoding.destination] {
                    ops::Copy op;
                    op.src = source.tensor();
                    op.dst = to.tensor();
                    return op;
                });
            else
                encoding.encoder->run([source, to = encoding.destination] {
                    ops::Arithmetic op;
                    op.primary = to.tensor();
                    op.secondary = source.tensor();
                    op.dst = to.tensor();
                    return op;
                });
        }
    }
};

class TotalStep final : public mps::Step {
public:
    explicit TotalStep(std::shared_ptr<Total> kernel) : kernel_(std::move(kernel)) {}
    Kernel& kernel() override { return *kernel_; }
    ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                             const StateBatch& states) override {
        return kernel_->destinationImageDescriptor(images, states);
    }
    StateBatch makeStates(const StateOwner& owner, const mps::StepArguments& arguments) override {
        if (owner.commandBuffer)
            return kernel_->temporaryResultStateBatch(owner.commandBuffer, arguments.images, {},
                                                      arguments.destinations);
        return kernel_->resultStateBatch(arguments.images, {}, arguments.destinations);
    }
    void encode(const mps::StepArguments& arguments) override {
        kernel_->encodeBatch(arguments.commandBuffer, arguments.images, arguments.destinations);
    }

private:
    std::shared_ptr<Total> kernel_;
};

class TotalNode final : public NNFilterNode {
public:
    TotalNode(const ImageNode& a, const ImageNode& b, const ImageNode& c)
        : NNFilterNode("TotalNode", {{"a", a}, {"b", b}, {"c", c}}) {}

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override {
        return oneState<NNMultiaryGradientStateNode>();
    }
    std::unique_ptr<mps::Step> compile(mps::Compilation& compilation) const override {
        return std::make_unique<TotalStep>(std::make_shared<Total>(compilation.device(), sources().size()));
    }
};

}  // namespace

TEST(NodesMultiary, TheStateOfAFilterOfThreeImagesLeavesTheGraphWithARecordOfEach) {
    for (const auto& device : graphDevices()) {
        const auto node = std::make_shared<TotalNode>(inputNamed("a"), inputNamed("b"), inputNamed("c"));
        const auto state = node->resultState();
        EXPECT_STREQ(state->className(), "NNMultiaryGradientStateNode");
        EXPECT_EQ(std::dynamic_pointer_cast<NNGradientStateNode>(state), nullptr) << "as in the original";
        EXPECT_EQ(state->producer(), node.get());
        state->setHandle(name("sum"));
        state->setExportFromGraph(true);
        NNGraph graph(device, node->resultImage());
        graph.setFormat(PixelFormat::Float32);
        ASSERT_EQ(graph.resultStateHandles().size(), 1u);
        EXPECT_EQ(graph.resultStateHandles()[0]->label(), "sum");
        const Pictures x{2, 1, 1, {1, 2, /**/ 3, 4}};
        const auto batch = batchAs<float>(device, PixelFormat::Float32, x);
        const auto commands = device->newCommandQueue()->commandBuffer();
        std::vector<StateBatch> states;
        const auto result = graph.encodeBatch(commands, {batch, batch, batch}, {}, nullptr, &states);
        commands->commit();
        commands->waitUntilCompleted();
        EXPECT_EQ(picturesAs<float>(result), (Pictures{2, 1, 1, {3, 6, 9, 12}})) << device->name();
        ASSERT_EQ(states.size(), 1u);
        ASSERT_EQ(states[0].size(), 2u);
        for (const auto& one : states[0]) {
            const auto multiary = std::dynamic_pointer_cast<NNMultiaryGradientState>(one);
            ASSERT_NE(multiary, nullptr);
            ASSERT_EQ(multiary->records().size(), 3u);
            for (const auto& record : multiary->records()) EXPECT_EQ(record->sourceWidth, 2u);
        }
    }
}
