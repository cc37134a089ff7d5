#include <gmock/gmock.h>

#include "GraphNets.h"

/// Code of the application that runs while a graph is encoded.
using namespace pewter::test;
using testing::HasSubstr;

namespace {

/// A policy of its own: valid size, counted.
class Policy : public MPS::NNPadding {
public:
    MPS::NNPaddingMethod paddingMethod() const override {
        return MPS::NNPaddingMethodCustom | MPS::NNPaddingMethodSizeSame;
    }
    MPS::ImageDescriptor destinationImageDescriptor(const std::vector<ImagePtr>& sources,
                                                    const MPS::StateBatch&, MPS::Kernel& kernel,
                                                    const MPS::ImageDescriptor& suggested) override {
        ++calls;
        if (action) action();
        auto descriptor = suggested;
        descriptor.width = sources[0]->width() - 2;
        descriptor.height = sources[0]->height() - 2;
        dynamic_cast<MPS::CNNKernel&>(kernel).setOffset({1, 1, 0});
        return descriptor;
    }
    std::size_t calls = 0;
    std::function<void()> action;
};

class Allocator : public MPS::ImageAllocator {
public:
    ImagePtr image(const BufferPtr& commandBuffer, const MPS::ImageDescriptor& descriptor,
                   const MPS::Kernel* kernel) override {
        ++calls;
        if (action) action();
        return MPS::TemporaryImage::defaultAllocator()->image(commandBuffer, descriptor, kernel);
    }
    MPS::ImageBatch imageBatch(const BufferPtr& commandBuffer, const MPS::ImageDescriptor& descriptor,
                               const MPS::Kernel* kernel, std::size_t count) override {
        ++batches;
        counts.push_back(count);
        if (action) action();
        return MPS::TemporaryImage::defaultAllocator()->imageBatch(commandBuffer, descriptor, kernel, count);
    }
    std::size_t calls = 0, batches = 0;
    std::vector<std::size_t> counts;
    std::function<void()> action;
};

struct Cropped : Net {
    Cropped() {
        const auto conv = layer(input, "conv", 3, 3, 4);
        conv->setPaddingPolicy(policy);
        conv->resultImage()->setImageAllocator(allocator);
        const auto absolute = MPS::CNNNeuronAbsoluteNode::node(conv->resultImage())->resultImage();
        forward = MPS::NNGraph::graph(device, absolute);
        forward->setFormat(Format::Float32);
        forward->setLabel("cropped");
    }
    std::shared_ptr<Policy> policy = std::make_shared<Policy>();
    std::shared_ptr<Allocator> allocator = std::make_shared<Allocator>();
    std::shared_ptr<MPS::NNGraph> forward;
};

}  // namespace

TEST(NNGraphCallbacks, PaddingAndAllocatorOfANodeAreAskedOnceAFilterAndEncodeWhateverTheBatch) {
    Cropped net;
    for (const std::size_t count : {1u, 3u}) {
        const auto commands = net.queue->commandBuffer();
        const auto results = net.forward->encodeBatch(commands, {net.images(count)});
        EXPECT_EQ(results[0]->width(), 4u);
        EXPECT_EQ(results[0]->height(), 4u);
        run(commands);
    }
    EXPECT_EQ(net.policy->calls, 2u);
    EXPECT_EQ(net.allocator->calls, 1u);
    EXPECT_EQ(net.allocator->counts, std::vector<std::size_t>{3});
}

TEST(NNGraphCallbacks, WhatThePolicySetsIsWhatTheKernelComputes) {
    Cropped net;
    const auto image = net.images(1)[0];
    const auto commands = net.queue->commandBuffer();
    const auto result = net.forward->encode(commands, {image});
    // Offset 1 and no border: the same as the ready-made valid policy.
    const auto conv = MPS::CNNConvolutionNode::node(MPS::NNImageNode::node(), net.layers[0]);
    conv->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
    MPS::NNGraph valid(net.device, MPS::CNNNeuronAbsoluteNode::node(conv->resultImage())->resultImage());
    valid.setFormat(Format::Float32);
    const auto expected = valid.encode(commands, {image});
    run(commands);
    EXPECT_EQ(valuesOf(*result), valuesOf(*expected));
}

TEST(NNGraphCallbacks, AnEncodeOfTheSameGraphFromInsideIsRefusedAndTheOuterOneGoesOn) {
    Cropped net;
    const auto image = net.images(1)[0];
    const auto commands = net.queue->commandBuffer();
    std::vector<std::string> sentences;
    const auto inner = [&] { sentences.push_back(errorOf([&] { net.forward->encode(commands, {image}); })); };
    net.policy->action = inner;
    net.allocator->action = inner;
    const auto result = net.forward->encode(commands, {image});
    ASSERT_EQ(sentences.size(), 2u);
    for (const auto& sentence : sentences) {
        EXPECT_THAT(sentence, HasSubstr("NNGraph 'cropped'"));
        EXPECT_THAT(sentence, HasSubstr("from inside a callback"));
    }
    net.policy->action = net.allocator->action = nullptr;
    const auto again = net.forward->encode(commands, {image});
    run(commands);
    EXPECT_EQ(valuesOf(*result), valuesOf(*again));
}

TEST(NNGraphCallbacks, ACallbackMayEncodeOtherKernelsOnTheCommandBuffer) {
    Cropped net;
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto from = makeImage(2, 2, 1, 7), to = makeImage(2, 2, 1);
    net.policy->action = [&] { copy.encode(commands, from, to); };
    net.forward->encode(commands, {net.images(1)[0]});
    run(commands);
    EXPECT_EQ(readFloats(*to), counting(4, 7));
}

TEST(NNGraphCallbacks, ACallbackMayHandTheCommandBufferOverAndTheEncodeGoesOn) {
    Cropped net;
    const auto image = net.images(1)[0];
    const auto commands = MPS::CommandBuffer::commandBufferFromCommandQueue(net.queue);
    net.allocator->action = [&] { commands->commitAndContinue(); };
    const auto result = net.forward->encode(commands, {image});
    net.allocator->action = nullptr;
    const auto expected = net.forward->encode(commands, {image});
    run(commands);
    EXPECT_EQ(valuesOf(*result), valuesOf(*expected));
    // And when it then fails, the buffer that goes on is empty.
    const auto more = MPS::CommandBuffer::commandBufferFromCommandQueue(net.queue);
    CopyKernel copy;
    const auto source = copy.encode(more, image);
    net.allocator->action = [&] {
        more->commitAndContinue();
        throw std::runtime_error("not today");
    };
    EXPECT_THROW(net.forward->encode(more, {source}), std::runtime_error);
    EXPECT_EQ(Recorded(more).commands, 0u);
    EXPECT_EQ(temporary(source).readCount(), 1u);
    net.allocator->action = nullptr;
    const auto again = net.forward->encode(more, {source});
    EXPECT_EQ(Recorded(more).liveBytes, 0u);
    Diagnostics diagnostics;
    run(more);
    EXPECT_TRUE(diagnostics.messages.empty());
    EXPECT_EQ(valuesOf(*again), valuesOf(*expected));
}

TEST(NNGraphCallbacks, ACallbackThatThrowsLeavesCommandBufferTemporariesAndGraphAsTheyWere) {
    Cropped net;
    const auto commands = net.queue->commandBuffer();
    CopyKernel copy;
    const auto sources = copy.encodeBatch(commands, net.images(2));
    const Recorded before(commands);
    for (const bool inPolicy : {true, false}) {
        (inPolicy ? net.policy->action : net.allocator->action) = [] {
            throw std::runtime_error("not today");
        };
        EXPECT_THROW(net.forward->encodeBatch(commands, {sources}), std::runtime_error);
        EXPECT_EQ(Recorded(commands), before);
        EXPECT_EQ(temporary(sources[0]).readCount(), 1u);
        net.policy->action = net.allocator->action = nullptr;
    }
    const auto results = net.forward->encodeBatch(commands, {sources});
    run(commands);
    const auto more = net.queue->commandBuffer();
    const auto expected = net.forward->encodeBatch(more, {net.images(2)});
    run(more);
    EXPECT_EQ(valuesOf(*results[1]), valuesOf(*expected[1]));
}

TEST(NNGraphCallbacks, AnAllocatorThatReturnsNothingIsNamed) {
    class Empty : public MPS::ImageAllocator {
    public:
        ImagePtr image(const BufferPtr&, const MPS::ImageDescriptor&, const MPS::Kernel*) override {
            return nullptr;
        }
    };
    Cropped net;
    net.forward->setDestinationImageAllocator(std::make_shared<Empty>());
    const auto commands = net.queue->commandBuffer();
    const Recorded before(commands);
    EXPECT_THAT(
        errorOf([&] { net.forward->encodeBatch(commands, {net.images(2)}); }),
        testing::AllOf(HasSubstr("CNNNeuron"), HasSubstr("destinationImageAllocator"), HasSubstr("null")));
    EXPECT_EQ(Recorded(commands), before);
}

TEST(NNGraphCallbacks, AnAllocatorThatReturnsAnotherSizeIsRefused) {
    class Small : public MPS::ImageAllocator {
    public:
        ImagePtr image(const BufferPtr& commandBuffer, const MPS::ImageDescriptor& descriptor,
                       const MPS::Kernel* kernel) override {
            auto smaller = descriptor;
            smaller.width -= 1;
            return MPS::TemporaryImage::defaultAllocator()->image(commandBuffer, smaller, kernel);
        }
    };
    Cropped net;
    net.forward->setDestinationImageAllocator(std::make_shared<Small>());
    const auto commands = net.queue->commandBuffer();
    EXPECT_THAT(errorOf([&] { net.forward->encodeBatch(commands, {net.images(2)}); }),
                testing::AllOf(HasSubstr("CNNNeuron"), HasSubstr("imageAllocator"), HasSubstr("4 x 4 x 4"),
                               HasSubstr("3 x 4 x 4")));
    EXPECT_EQ(Recorded(commands).commands, 0u);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    net.forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    net.forward->encodeBatch(commands, {net.images(2)});
    Diagnostics diagnostics;
    run(commands);
    EXPECT_TRUE(diagnostics.messages.empty());
}
