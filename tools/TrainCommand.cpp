#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/Digits.hpp>
#include <Pewter/train/IdxDataset.hpp>
#include <Pewter/train/Progress.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <Pewter/train/Trainer.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "Commands.h"
#include "Options.h"

namespace {

using namespace pewter::train;

struct TrainOptions {
    std::string network, data, device, precision = "fp32", schedule = "linear", json, save, load;
    std::optional<std::size_t> epochs, steps, batch, memoryBudget;
    std::uint64_t seed = 1;
    std::optional<float> learningRate;
    float lossScale = 0;
};

constexpr const char* kSynthetic = "synthetic";

/// Networks without data of their own take pictures from the seed: sixteen batches, and four to test on.
TrainTest loadData(const NetworkDescription& network, const TrainOptions& options, std::size_t batchSize) {
    const bool real = network.name == "digits" || network.name == "mnist";
    if (options.data == kSynthetic || (options.data.empty() && !real))
        return syntheticSplit(network, 16 * batchSize, 4 * batchSize, options.seed);
    if (network.name == "mnist") return readMnistDirectory(options.data.empty() ? kFashionMnistDirectory : options.data);
    if (options.data.empty()) return digitsSplit();
    throw MPS::Error("train " + network.name, "--data",
                     network.name == "digits" ? "nothing: its pictures are built in"
                                              : "nothing or synthetic: it has no pictures but synthetic ones",
                     fmt::format("\"{}\"", options.data));
}

/// What held-out pictures say.
struct Result {
    const char* name;  ///< as in JSON
    double value;
    std::string text;
};

Result test(TrainingNetwork& network, const Dataset& data) {
    if (!data.hasTargets()) {
        const double accuracy = evaluate(network, data);
        return {"test_accuracy", accuracy, fmt::format("test accuracy {:.2f} %", 100 * accuracy)};
    }
    const double loss = meanSquaredError(network, data);
    return {"test_loss", loss, fmt::format("test loss {:.4f}", loss)};
}

void train(const TrainOptions& options) {
    const auto& description = network(options.network);
    // Told now, not after hours of training.
    checkWritable(options.json);
    checkWritable(options.save, "--save");
    const auto device = deviceNamed(options.device);
    TrainingSettings settings;
    settings.batchSize = options.batch.value_or(description.batchSize);
    settings.seed = options.seed;
    settings.format = formatOf(options.precision);
    settings.options = optionsOf(options.precision);
    settings.lossScale = options.lossScale;
    settings.optimizer.descriptor.learningRate = options.learningRate.value_or(description.learningRate);
    settings.memoryBudget = options.memoryBudget;
    TrainingNetwork network(description, device, settings);
    if (!options.load.empty()) network.load(options.load);
    const auto data = loadData(description, options, settings.batchSize);
    Trainer trainer(network, data.train);

    const std::size_t steps =
        options.steps.value_or(options.epochs.value_or(description.epochs) * trainer.stepsPerEpoch());
    fmt::print("{}: {} parameters, {} training and {} test pictures ({}), batch {}, {} steps on {}, {}\n",
               description.name, network.parameterCount(), data.train.count(), data.test.count(), data.train.name(),
               settings.batchSize, steps, device->name(), options.precision);
    std::fflush(stdout);
    Progress progress(steps, description.name);
    const auto& log = trainer.train(steps, &progress,
                                    options.schedule == "linear" ? Schedule::Linear : Schedule::Constant);
    progress.finish();
    const auto result = test(network, data.test);
    fmt::print("{}: {:.1f} s, {:.0f} images/s, last loss {:.4f}\n", description.name, log.seconds,
               log.imagesPerSecond, log.losses.empty() ? 0.0 : log.losses.back());
    fmt::print("{}: {}, peak of temporary memory {:.2f} MiB\n", description.name, result.text,
               static_cast<double>(log.peakTemporaryBytes) / (1024 * 1024));

    if (!options.save.empty()) network.save(options.save);
    if (options.json.empty()) return;
    const nlohmann::json json = {
        {"network", description.name},
        {"device", device->name()},
        {"precision", options.precision},
        {"data", data.train.name()},
        {"batch", settings.batchSize},
        {"learning_rate", settings.optimizer.descriptor.learningRate},
        {"schedule", options.schedule},
        {"loss_scale", network.lossScale()},
        {"parameters", network.parameterCount()},
        {"steps", log.steps},
        {"seconds", log.seconds},
        {"images_per_second", log.imagesPerSecond},
        {"train_loss", log.losses},
        {result.name, result.value},
        {"peak_temporary_bytes", log.peakTemporaryBytes},
        {"seed", options.seed},
    };
    writeText(options.json, json.dump(1) + "\n");
}

}  // namespace

void addTrainCommand(CLI::App& app) {
    const auto options = std::make_shared<TrainOptions>();
    auto* command = app.add_subcommand("train", "Trains a network and prints what held-out pictures say of it.");
    command->add_option("network", options->network, networkNames())->required()->type_name("NETWORK");
    command
        ->add_option("--data", options->data,
                     "Folder of IDX files (mnist; default: Fashion-MNIST of Debian), or synthetic: pictures from the seed, "
                     "which networks without data of their own always take")
        ->type_name("DIR");
    command->add_option("--device", options->device, "Device by name (default: the best)")->type_name("NAME");
    addPrecision(*command, options->precision);
    addLossScale(*command, options->lossScale);
    auto* epochs = command->add_option("--epochs", options->epochs, "Passes over the data (default: the network's)")
                       ->check(CLI::PositiveNumber);
    command->add_option("--steps", options->steps, "Batches instead of epochs")
        ->check(CLI::PositiveNumber)
        ->excludes(epochs);
    command->add_option("--batch", options->batch, "Pictures a batch (default: the network's)")
        ->check(CLI::PositiveNumber);
    addMemoryBudget(*command, options->memoryBudget);
    command->add_option("--seed", options->seed, "Of weights, order of pictures, and dropout")->capture_default_str();
    command->add_option("--learning-rate", options->learningRate, "Step size of Adam (default: the network's)");
    command->add_option("--schedule", options->schedule, "Learning rate over the run: constant, or linear down to 0")
        ->check(CLI::IsMember({"constant", "linear"}))
        ->capture_default_str();
    command->add_option("--load", options->load, "Goes on with weights and optimizer of this file")->type_name("FILE");
    command->add_option("--save", options->save, "Writes graphs, weights and optimizer to this file at the end")
        ->type_name("FILE");
    command->add_option("--json", options->json, "Writes the run as JSON")->type_name("FILE");
    command->callback([options] { train(*options); });
}
