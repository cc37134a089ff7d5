#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/Digits.hpp>
#include <Pewter/train/IdxDataset.hpp>
#include <Pewter/train/Network.hpp>
#include <Pewter/train/Progress.hpp>
#include <Pewter/train/Trainer.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "Commands.h"

namespace {

using namespace pewter::train;

struct TrainOptions {
    std::string network, data, device, precision = "fp32", schedule = "linear", json;
    std::optional<std::size_t> epochs, steps, batch;
    std::uint64_t seed = 1;
    std::optional<float> learningRate;
};

MPS::ImageFeatureChannelFormat formatOf(const std::string& precision) {
    if (precision == "fp16") return MPS::ImageFeatureChannelFormat::Float16;
    if (precision == "bf16") return MPS::ImageFeatureChannelFormat::BFloat16;
    return MPS::ImageFeatureChannelFormat::Float32;
}

TrainTest loadData(const NetworkDescription& network, const std::string& directory) {
    if (network.name == "digits") {
        if (!directory.empty())
            throw MPS::Error("train digits", "--data", "nothing: its pictures are built in",
                             fmt::format("\"{}\"", directory));
        return digitsSplit();
    }
    return readMnistDirectory(directory.empty() ? kFashionMnistDirectory : directory);
}

void train(const TrainOptions& options) {
    const auto& description = network(options.network);
    // Told now, not after hours of training.
    checkWritable(options.json);
    const auto device = options.device.empty() ? MTL::createSystemDefaultDevice() : MTL::copyDevice(options.device);
    ClassifierSettings settings;
    settings.batchSize = options.batch.value_or(description.batchSize);
    settings.seed = options.seed;
    settings.format = formatOf(options.precision);
    settings.optimizer.descriptor.learningRate = options.learningRate.value_or(description.learningRate);
    Classifier classifier(description, device, settings);
    const auto data = loadData(description, options.data);
    Trainer trainer(classifier, data.train);

    const std::size_t steps =
        options.steps.value_or(options.epochs.value_or(description.epochs) * trainer.stepsPerEpoch());
    fmt::print("{}: {} parameters, {} training and {} test pictures, batch {}, {} steps on {}, {}\n",
               description.name, classifier.parameterCount(), data.train.count(), data.test.count(),
               settings.batchSize, steps, device->name(), options.precision);
    std::fflush(stdout);
    Progress progress(steps, description.name);
    const auto& log = trainer.train(steps, &progress,
                                    options.schedule == "linear" ? Schedule::Linear : Schedule::Constant);
    progress.finish();
    const double accuracy = evaluate(classifier, data.test);
    fmt::print("{}: {:.1f} s, {:.0f} images/s, last loss {:.4f}\n", description.name, log.seconds,
               log.imagesPerSecond, log.losses.empty() ? 0.0 : log.losses.back());
    fmt::print("{}: test accuracy {:.2f} %, peak of temporary memory {:.2f} MiB\n", description.name, 100 * accuracy,
               static_cast<double>(log.peakTemporaryBytes) / (1024 * 1024));

    if (options.json.empty()) return;
    const nlohmann::json json = {
        {"network", description.name},
        {"device", device->name()},
        {"precision", options.precision},
        {"batch", settings.batchSize},
        {"learning_rate", settings.optimizer.descriptor.learningRate},
        {"schedule", options.schedule},
        {"parameters", classifier.parameterCount()},
        {"steps", log.steps},
        {"seconds", log.seconds},
        {"images_per_second", log.imagesPerSecond},
        {"train_loss", log.losses},
        {"test_accuracy", accuracy},
        {"peak_temporary_bytes", log.peakTemporaryBytes},
        {"seed", options.seed},
    };
    writeText(options.json, json.dump(1) + "\n");
}

}  // namespace

void addTrainCommand(CLI::App& app) {
    const auto options = std::make_shared<TrainOptions>();
    auto* command = app.add_subcommand("train", "Trains a network and prints its accuracy on held-out pictures.");
    command->add_option("network", options->network, "digits or mnist")->required()->type_name("NETWORK");
    command->add_option("--data", options->data, "Folder of IDX files (mnist; default: Fashion-MNIST of Debian)")
        ->type_name("DIR");
    command->add_option("--device", options->device, "Device by name (default: the best)")->type_name("NAME");
    command->add_option("--precision", options->precision, "Of the images inside the graph")
        ->check(CLI::IsMember({"fp32", "fp16", "bf16"}))
        ->capture_default_str();
    auto* epochs = command->add_option("--epochs", options->epochs, "Passes over the data (default: the network's)")
                       ->check(CLI::PositiveNumber);
    command->add_option("--steps", options->steps, "Batches instead of epochs")
        ->check(CLI::PositiveNumber)
        ->excludes(epochs);
    command->add_option("--batch", options->batch, "Pictures a batch (default: the network's)")
        ->check(CLI::PositiveNumber);
    command->add_option("--seed", options->seed, "Of weights, order of pictures, and dropout")->capture_default_str();
    command->add_option("--learning-rate", options->learningRate, "Step size of Adam (default: the network's)");
    command->add_option("--schedule", options->schedule, "Learning rate over the run: constant, or linear down to 0")
        ->check(CLI::IsMember({"constant", "linear"}))
        ->capture_default_str();
    command->add_option("--json", options->json, "Writes the run as JSON")->type_name("FILE");
    command->callback([options] { train(*options); });
}
