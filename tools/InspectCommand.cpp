#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "Commands.h"
#include "Options.h"

namespace {

using namespace pewter::train;
using MPS::NNGraphReport;

struct InspectOptions {
    std::string network, device, json;
    std::optional<std::size_t> batch;
};

/// Inputs of a training step that take no memory: images are allocated with their first use.
NNGraphReport reportOf(TrainingNetwork& network) {
    const auto& description = network.description();
    const auto& target = description.target;
    const auto& device = network.device();
    const auto pictures = [&](MPS::ImageFeatureChannelFormat format, std::size_t width, std::size_t height,
                              std::size_t channels) {
        auto d = MPS::ImageDescriptor::imageDescriptor(format, width, height, channels);
        d.numberOfImages = network.settings().batchSize;
        return std::make_shared<MPS::Image>(device, d)->batchRepresentation();
    };
    const auto images = pictures(MPS::ImageFeatureChannelFormat::Unorm8, description.width, description.height,
                                 description.channels);
    const auto wanted =
        pictures(MPS::ImageFeatureChannelFormat::Float32, target.width, target.height, target.channels);
    const auto labels = MPS::CNNLossLabels::batch(device, {1, 1, 1}, wanted);
    return network.trainingGraph().report({images}, {MPS::StateBatch(labels.begin(), labels.end())});
}

std::string stepName(const NNGraphReport& report, std::size_t step) {
    return step == NNGraphReport::npos ? "-" : fmt::format("{} {}", step, report.steps[step].label);
}

void print(const NNGraphReport& report, const std::string& network, std::size_t batch) {
    fmt::print("{}, batch {}: {} steps\n\n{:>4}  {:<46} {:<20} {:>12} {:>12}\n", network, batch, report.steps.size(),
               "step", "kernel", "result", "bytes", "live");
    for (std::size_t i = 0; i < report.steps.size(); ++i) {
        const auto& step = report.steps[i];
        std::string shape = "-";
        std::size_t bytes = 0;
        if (step.resultImage != NNGraphReport::npos) {
            const auto& image = report.images[step.resultImage];
            shape = fmt::format("{}x{}x{} {}", image.width, image.height, image.featureChannels, image.format);
            bytes = image.bytes;
        }
        fmt::print("{:>4}  {:<46} {:<20} {:>12} {:>12}{}\n", i, step.label, shape, bytes, step.liveBytes,
                   step.updatesWeights ? "  updates weights" : "");
    }
    fmt::print("\nGradient states\n");
    for (const auto& state : report.states) {
        if (state.source) continue;
        fmt::print("  {}: {}{}\n    made by      {}\n", state.label, state.className,
                   state.temporary ? "" : " (not temporary)", stepName(report, state.firstWriter));
        for (const auto& consumer : state.consumers) fmt::print("    consumed by  {}\n", consumer);
        fmt::print("    holds        {} bytes in {} state{}, read count {}\n", state.bytes, state.count,
                   state.count == 1 ? "" : "s", state.readCount);
    }
    fmt::print("\npeak of temporary memory  {:>12} bytes\nlower bound               {:>12} bytes\n",
               report.peakBytes, report.lowerBoundBytes);
}

nlohmann::json toJson(const NNGraphReport& report, const std::string& network, std::size_t batch) {
    using nlohmann::json;
    const auto index = [](std::size_t i) { return i == NNGraphReport::npos ? json(nullptr) : json(i); };
    json steps = json::array(), images = json::array(), states = json::array();
    for (const auto& step : report.steps)
        steps.push_back({{"label", step.label},
                         {"class", step.className},
                         {"source_images", step.sourceImages},
                         {"source_states", step.sourceStates},
                         {"result_image", index(step.resultImage)},
                         {"result_state", index(step.resultState)},
                         {"updates_weights", step.updatesWeights},
                         {"live_bytes", step.liveBytes}});
    for (const auto& image : report.images)
        images.push_back({{"label", image.label},
                          {"format", image.format},
                          {"width", image.width},
                          {"height", image.height},
                          {"feature_channels", image.featureChannels},
                          {"count", image.count},
                          {"bytes", image.bytes},
                          {"first_writer", index(image.firstWriter)},
                          {"last_reader", index(image.lastReader)},
                          {"read_count", image.readCount},
                          {"temporary", image.temporary},
                          {"source", image.source},
                          {"result", image.result},
                          {"exported", image.exported}});
    for (const auto& state : report.states)
        states.push_back({{"label", state.label},
                          {"class", state.className},
                          {"forward_kernel", state.forwardKernel},
                          {"gradient_kernels", state.consumers},
                          {"count", state.count},
                          {"bytes", state.bytes},
                          {"read_count", state.readCount},
                          {"first_writer", index(state.firstWriter)},
                          {"last_reader", index(state.lastReader)},
                          {"temporary", state.temporary},
                          {"source", state.source},
                          {"exported", state.exported},
                          {"description", state.description}});
    return {{"network", network},          {"batch", batch},
            {"steps", steps},              {"images", images},
            {"states", states},            {"peak_bytes", report.peakBytes},
            {"lower_bound_bytes", report.lowerBoundBytes}};
}

void inspect(const InspectOptions& options) {
    const auto& description = network(options.network);
    const auto device = deviceNamed(options.device);
    TrainingSettings settings;
    settings.batchSize = options.batch.value_or(description.batchSize);
    settings.optimizer.descriptor.learningRate = description.learningRate;
    TrainingNetwork network(description, device, settings);
    const auto report = reportOf(network);
    if (options.json != "-") print(report, description.name, settings.batchSize);
    if (!options.json.empty())
        writeText(options.json, toJson(report, description.name, settings.batchSize).dump(1) + "\n");
}

}  // namespace

void addInspectCommand(CLI::App& app) {
    const auto options = std::make_shared<InspectOptions>();
    auto* command = app.add_subcommand("inspect", "Prints a network's compiled training graph, step by step.");
    command->add_option("network", options->network, networkNames())->required()->type_name("NETWORK");
    command->add_option("--batch", options->batch, "Pictures a batch (default: the network's)")
        ->check(CLI::PositiveNumber);
    command->add_option("--device", options->device, "Device by name (default: the best)")->type_name("NAME");
    command->add_option("--json", options->json, "Writes the same as JSON; - for standard output alone")
        ->type_name("FILE");
    command->callback([options] { inspect(*options); });
}
