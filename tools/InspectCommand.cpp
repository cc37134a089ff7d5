#include <MPS/CNNLoss.hpp>
#include <MPS/Image.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/Inspect.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <array>
#include <iostream>
#include <memory>
#include <optional>

#include "Commands.h"
#include "Convolutions.h"
#include "Options.h"
#include "Replays.h"

namespace {

using namespace pewter::train;
using MPS::NNGraphReport;

struct InspectOptions {
    std::string network, device, precision = "fp32", json, html, dot;
    std::optional<std::size_t> batch, threads, memoryBudget;
    bool measure = false, exact = false;
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
    return network.trainingGraph().memoryReport({images}, {MPS::StateBatch(labels.begin(), labels.end())});
}

/// A form of the report and the file that the user wants it in.
struct Output {
    const char* option;
    const std::string& file;
    std::string (*write)(const NNGraphReport&, const pewter::inspect::Subject&);
};

/// Before anything is computed: every file can be written, and each belongs to one output.
void checkOutputs(const std::array<Output, 3>& outputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto& file = outputs[i].file;
        for (std::size_t j = 0; j < i; ++j)
            if (!file.empty() && file == outputs[j].file)
                throw MTL::Error(outputs[i].option, "FILE", "a file of its own",
                                 '"' + file + "\", which " + outputs[j].option + " has");
        checkWritable(file, outputs[i].option);
    }
}

/// What the device makes of the steps.
struct OnDevice {
    std::optional<Convolutions> convolutions;
    std::vector<std::string> replays;

    std::string text() const {
        std::string lines = convolutions ? convolutions->text() : "";
        for (const auto& line : replays) lines += "replayed: " + line + "\n";
        return lines;
    }
    /// The report with it: convolutions are null where the device does not choose among algorithms.
    std::string with(const std::string& report) const {
        auto document = nlohmann::json::parse(report);
        document["convolutions"] = convolutions ? convolutions->json() : nlohmann::json();
        document["replays"] = replays;
        return document.dump(1) + '\n';
    }
};

void inspect(const InspectOptions& options) {
    // The run time of OpenMP reads it when it is loaded.
    if (options.threads) restartWith("OMP_NUM_THREADS", std::to_string(*options.threads));
    const auto& description = network(options.network);
    const auto device = deviceNamed(options.device);
    const std::array<Output, 3> outputs{{{"--json", options.json, pewter::inspect::json},
                                         {"--html", options.html, pewter::inspect::html},
                                         {"--dot", options.dot, pewter::inspect::dot}}};
    checkOutputs(outputs);
    TrainingSettings settings;
    settings.batchSize = options.batch.value_or(description.batchSize);
    settings.format = formatOf(options.precision);
    settings.options = optionsOf(options.precision) | (options.exact ? MPS::KernelOptionsDirectConvolution : MPS::KernelOptionsNone);
    settings.optimizer.descriptor.learningRate = description.learningRate;
    settings.memoryBudget = options.memoryBudget;
    TrainingNetwork network(description, device, settings);
    const auto report = reportOf(network);
    const pewter::inspect::Subject subject{description.name, device->name(), settings.batchSize};
    bool isAlone = false;
    for (const auto& output : outputs) isAlone = isAlone || output.file == "-";
    OnDevice onDevice;
    if (!isAlone || !options.json.empty())
        onDevice = {convolutionsOf(description, device, settings, options.measure), replaysOf(description, device, settings)};
    if (!isAlone) std::cout << pewter::inspect::text(report, subject) << onDevice.text();
    for (const auto& output : outputs) {
        if (output.file.empty()) continue;
        const auto text = output.write(report, subject);
        writeText(output.file, &output == &outputs.front() ? onDevice.with(text) : text, output.option);
    }
}

}  // namespace

void addInspectCommand(CLI::App& app) {
    const auto options = std::make_shared<InspectOptions>();
    auto* command =
        app.add_subcommand("inspect", "Shows a network's compiled training graph, step by step, and its memory.");
    command->add_option("network", options->network, networkNames())->required()->type_name("NETWORK");
    command->add_option("--batch", options->batch, "Pictures a batch (default: the network's)")
        ->check(CLI::PositiveNumber);
    addMemoryBudget(*command, options->memoryBudget);
    command->add_option("--device", options->device, "Device by name (default: the best)")->type_name("NAME");
    command->add_option("--threads", options->threads, "Of the device (default: OMP_NUM_THREADS, or one a core)")
        ->check(CLI::PositiveNumber);
    addPrecision(*command, options->precision);
    command->add_flag("--exact", options->exact, "With KernelOptionsDirectConvolution: no convolution transforms its operands");
    command->add_flag("--measure", options->measure,
                      "Computes a step first, so that the algorithm of every convolution is measured");
    const auto output = [&](const char* name, std::string& file, const std::string& what) {
        command->add_option(name, file, what + "; - for standard output alone")->type_name("FILE");
    };
    output("--json", options->json, "Writes the same as JSON");
    output("--html", options->html, "Draws the graph and its memory, as one page");
    output("--dot", options->dot, "Writes the graph for Graphviz");
    command->callback([options] { inspect(*options); });
}
