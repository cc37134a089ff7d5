#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MTL/Error.hpp>

#include "Machine.h"
#include "OpTensors.h"
#include "mtl/CommandBuffer.h"

namespace pewter::fuzz {

namespace {

using Labels = std::vector<MPS::StateBatch>;

std::shared_ptr<MPS::Image> likeness(const std::shared_ptr<MTL::Device>& device, const MPS::Image& image,
                                     std::size_t moreChannels = 0) {
    return std::make_shared<MPS::Image>(
        device, MPS::ImageDescriptor::imageDescriptor(image.featureChannelFormat(), image.width(), image.height(),
                                                      image.featureChannels() + moreChannels));
}

/// What a refused encode must leave as it was.
struct Recorded {
    std::size_t commands = 0, bytes = 0;
    std::vector<std::size_t> reads;
    Recorded(const CommandBuffer& commandBuffer, const std::vector<Batch>& images) {
        auto& root = mtl::rootOf(*commandBuffer);
        commands = root.commandCount();
        bytes = root.heap()->live();
        for (const auto& batch : images)
            for (const auto& image : batch)
                if (const auto temporary = std::dynamic_pointer_cast<MPS::TemporaryImage>(image))
                    reads.push_back(temporary->readCount());
    }
    friend bool operator==(const Recorded&, const Recorded&) = default;
};

/// Changes the inputs so that an encode must refuse them. Returns what was done; empty: nothing that applies.
std::string spoil(const Plan& plan, const TrainingNodes& nodes, const MPS::NNGraph& graph, test::Random& random,
                  std::vector<Batch>& images, Labels& labels) {
    const auto below = [&](std::size_t n) {
        return static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(n) - 1));
    };
    const std::size_t i = below(images.size()), j = below(plan.batch), k = labels.empty() ? 0 : below(labels.size());
    switch (below(11)) {
        case 0:
            images.pop_back();
            return "an input missing";
        case 1:
            images.push_back(images[i]);
            return "a surplus input";
        case 2:
            if (plan.batch == 1 || images.size() + labels.size() == 1) return "";
            images[i].pop_back();
            return "a shorter batch";
        case 3:
            images[i][j] = nullptr;
            return "a null image";
        case 4:
            images[i][j] = likeness(MTL::copyDevice("reference"), *images[i][j]);
            return "an image of another device";
        case 5:
            for (auto& batch : images) batch.clear();
            for (auto& batch : labels) batch.clear();
            return "empty batches";
        case 6:
            if (labels.empty()) return "";
            labels.pop_back();
            return "labels missing";
        case 7:
            if (labels.empty()) return "";
            labels[k][j] = nullptr;
            return "null labels";
        case 8: {
            if (labels.empty()) return "";
            auto& state = labels[k][j];
            const auto image = likeness(images[0][0]->device(),
                                        *dynamic_cast<MPS::CNNLossLabels&>(*state).labelsImage(), 1);
            state = std::make_shared<MPS::CNNLossLabels>(image->device(), MTL::Size{1, 1, 1}, image, nullptr);
            return "labels of another size";
        }
        case 9:
            if (plan.batch == 1) return "";
            images[i][j] = likeness(images[i][j]->device(), *images[i][j], 1);
            return "a batch of different sizes";
        default: {
            // Found out by the layer that reads the input, after others may have been encoded.
            const auto name = graph.sourceImageHandles()[i]->label();
            for (std::size_t n = 0; n < plan.nodes.size(); ++n)
                if (nodes.updates[n] > 0 && imageName(plan.nodes[n].sources[0]) == name) {
                    for (auto& image : images[i]) image = likeness(image->device(), *image, 1);
                    return "a channel too many";
                }
            return "";
        }
    }
}

}  // namespace

TrainingRun::Mistake randomMistake(const Plan& plan, const TrainingNodes& nodes, TrainingRun& run, std::uint64_t seed) {
    return [&plan, &nodes, &run, seed](const CommandBuffer& commandBuffer, std::vector<Batch> images, Labels labels) {
        test::Random random(seed);
        const auto good = images;
        const Recorded before(commandBuffer, good);
        ParameterSource* failing = nullptr;
        std::string what;
        for (std::size_t p = 0; p < plan.nodes.size() && !failing && random.uniform(0, 1) < 0.3; ++p)
            if (nodes.updates[p] > 0 && plan.nodes[p].style == MPS::NNTrainingStyle::UpdateDeviceGPU) {
                failing = plan.nodes[p].parameters.get();
                what = "an update that fails";
            }
        while (what.empty()) what = spoil(plan, nodes, run.graph(), random, images, labels);
        if (failing) failing->fails = true;
        std::string message;
        std::vector<Batch> further;
        std::vector<MPS::StateBatch> states;
        try {
            run.graph().encodeBatch(commandBuffer, images, labels, &further, &states);
        } catch (const std::exception& error) {
            message = error.what();
        }
        if (failing) failing->fails = false;
        if (message.empty()) throw Finding(fmt::format("an encode accepts {}", what));
        if (!further.empty() || !states.empty()) throw Finding(fmt::format("{}: results of a refused encode", what));
        if (const Recorded after(commandBuffer, good); !(before == after))
            throw Finding(fmt::format("{}, refused with \"{}\", leaves {} commands and {} bytes, before it were {} and {}{}",
                                      what, message, after.commands, after.bytes, before.commands, before.bytes,
                                      after.reads == before.reads ? "" : "; read counts of inputs changed"));
    };
}

}  // namespace pewter::fuzz
