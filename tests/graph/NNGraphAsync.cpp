#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "GraphNets.h"

/// Encodes without a command buffer: the graph's own queue and a handler.
using namespace pewter::test;
using testing::HasSubstr;

namespace {

struct Neuron : Net {
    Neuron() {
        const auto conv = layer(input, "conv", 3, 3, 4)->resultImage();
        forward = MPS::NNGraph::graph(device, MPS::CNNNeuronAbsoluteNode::node(conv)->resultImage());
        forward->setFormat(Format::Float32);
    }
    std::shared_ptr<MPS::NNGraph> forward;
};

/// Waits for the handler of an asynchronous run.
struct Outcome {
    MPS::NNGraph::CompletionHandler handler() {
        return [this](const ImagePtr& image, const MPS::Error* error) {
            std::lock_guard lock(mutex);
            result = image;
            if (error) message = error->what();
            ++calls;
            changed.notify_all();
        };
    }
    void wait() {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return calls > 0; }));
    }
    std::mutex mutex;
    std::condition_variable changed;
    ImagePtr result;
    std::string message;
    int calls = 0;
};

}  // namespace

TEST(NNGraphAsync, AnAsynchronousRunReturnsAtOnceAndTheHandlerGetsTheSameImage) {
    Neuron net;
    const auto image = net.images(1)[0];
    Outcome outcome;
    const auto returned = net.forward->executeAsync({image}, outcome.handler());
    net.forward.reset();  // the run does not need the graph any more
    outcome.wait();
    EXPECT_EQ(outcome.message, "");
    EXPECT_EQ(outcome.result, returned);
    EXPECT_EQ(outcome.calls, 1);
    EXPECT_EQ(returned->width(), 6u);
    Neuron same;
    const auto commands = same.queue->commandBuffer();
    const auto expected = same.forward->encode(commands, {image});
    run(commands);
    EXPECT_EQ(valuesOf(*returned), valuesOf(*expected));
}

TEST(NNGraphAsync, MistakesOfAnAsynchronousRunReachTheHandler) {
    Net net;
    buildChain(net);
    net.train(nullptr, true);
    const auto failing = [&](MPS::NNGraph& graph, const std::vector<ImagePtr>& sources) {
        Outcome outcome;
        EXPECT_EQ(graph.executeAsync(sources, outcome.handler()), nullptr);
        EXPECT_EQ(outcome.calls, 1);
        EXPECT_EQ(outcome.result, nullptr);
        return outcome.message;
    };
    EXPECT_THAT(failing(*net.graph, net.images(1)), HasSubstr("without source states"));
    MPS::NNGraph unneeded(net.device, Net::relu(net.input), false);
    EXPECT_THAT(failing(unneeded, net.images(1)), HasSubstr("result image is needed"));
    MPS::NNGraph fine(net.device, Net::relu(net.input));
    EXPECT_THAT(failing(fine, {}), HasSubstr("sourceImages"));
    EXPECT_THAT(failing(fine, {nullptr}), HasSubstr("null"));
    EXPECT_THROW(fine.executeAsync(net.images(1), nullptr), MPS::Error);
    Outcome outcome;
    fine.executeAsync(net.images(1), outcome.handler());
    outcome.wait();
    EXPECT_EQ(outcome.message, "");
}

TEST(NNGraphAsync, ACommandThatFailsReachesTheHandlerOfAnAsynchronousRunAndTheNextRunWorks) {
    Neuron net;
    class Failing : public MPS::ImageAllocator {
    public:
        ImagePtr image(const BufferPtr& commandBuffer, const MPS::ImageDescriptor& descriptor,
                       const MPS::Kernel* kernel) override {
            if (fail)
                commandBuffer->encodeHostFunction("breakdown",
                                                  [] { throw std::runtime_error("out of luck"); });
            return MPS::Image::defaultAllocator()->image(commandBuffer, descriptor, kernel);
        }
        bool fail = true;
    };
    const auto allocator = std::make_shared<Failing>();
    net.forward->setDestinationImageAllocator(allocator);
    Outcome broken;
    net.forward->executeAsync(net.images(1), broken.handler());
    broken.wait();
    EXPECT_THAT(broken.message, testing::AllOf(HasSubstr("breakdown"), HasSubstr("out of luck")));
    EXPECT_EQ(broken.result, nullptr);
    allocator->fail = false;
    Outcome fine;
    net.forward->executeAsync(net.images(1), fine.handler());
    fine.wait();
    EXPECT_EQ(fine.message, "");
    EXPECT_NE(fine.result, nullptr);
}
