/// The command `pewter`, run as a user runs it.
#ifdef PEWTER_COMMAND

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "DatasetSupport.h"
#include "RunCommand.h"
#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using test::contentOf;
using Outcome = test::CommandOutcome;

class Command : public testing::Test {
protected:
    Outcome run(const std::string& arguments) const {
        return test::runCommand(arguments, folder_.path());
    }
    std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
    json jsonOf(const std::string& name) const { return json::parse(contentOf(folder_.path() / name)); }

    Folder folder_;
};

TEST_F(Command, TrainWritesWhatTheRunWas) {
    const auto outcome = run("train digits --steps 20 --seed 7 --json \"" + file("run.json") + "\"");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("test accuracy"));
    const auto document = jsonOf("run.json");
    EXPECT_EQ(document.at("network"), "digits");
    EXPECT_EQ(document.at("device"), MTL::createSystemDefaultDevice()->name());
    EXPECT_EQ(document.at("precision"), "fp32");
    EXPECT_EQ(document.at("steps"), 20);
    EXPECT_EQ(document.at("seed"), 7);
    EXPECT_GT(document.at("seconds").get<double>(), 0);
    EXPECT_GT(document.at("images_per_second").get<double>(), 0);
    ASSERT_EQ(document.at("train_loss").size(), 20u);
    EXPECT_GT(document.at("train_loss")[0].get<double>(), document.at("train_loss")[19].get<double>());
    EXPECT_GT(document.at("test_accuracy").get<double>(), 0.2);
    EXPECT_LE(document.at("test_accuracy").get<double>(), 1);
    EXPECT_GT(document.at("peak_temporary_bytes").get<std::size_t>(), 0u);
}

TEST_F(Command, TrainRepeatsARunBitForBit) {
    for (const char* name : {"first", "second"})
        ASSERT_EQ(run("train digits --steps 8 --seed 3 --json \"" + file(name) + "\"").status, 0);
    ASSERT_EQ(run("train digits --steps 8 --seed 4 --json \"" + file("other") + "\"").status, 0);
    EXPECT_EQ(jsonOf("first").at("train_loss"), jsonOf("second").at("train_loss"));
    EXPECT_EQ(jsonOf("first").at("test_accuracy"), jsonOf("second").at("test_accuracy"));
    EXPECT_NE(jsonOf("first").at("train_loss"), jsonOf("other").at("train_loss"));
}

TEST_F(Command, TrainIsQuietWhereThereIsNoTerminal) {
    const auto outcome = run("train digits --steps 3");
    ASSERT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, Not(HasSubstr("\r")));
    EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
}

TEST_F(Command, TrainTakesEveryPrecisionAndLearningRate) {
    for (const char* precision : {"fp32", "fp16", "bf16"}) {
        const auto name = file(precision);
        const auto outcome =
            run(std::string("train digits --steps 2 --batch 8 --learning-rate 0.5e-3 --precision ") +
                precision + " --json \"" + name + "\"");
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        EXPECT_EQ(jsonOf(precision).at("precision"), precision);
        EXPECT_EQ(jsonOf(precision).at("batch"), 8);
        EXPECT_FLOAT_EQ(jsonOf(precision).at("learning_rate").get<float>(), 0.5e-3f);
    }
    EXPECT_LT(jsonOf("fp16").at("peak_temporary_bytes").get<std::size_t>(),
              jsonOf("fp32").at("peak_temporary_bytes").get<std::size_t>());
}

TEST_F(Command, TrainReadsIdxFilesFromAFolder) {
    const auto write = [&](const std::string& part, std::uint32_t count) {
        Bytes pictures = idxHeader({count, 28, 28}), labels = idxHeader({count});
        for (std::uint32_t i = 0; i < count; ++i) {
            pictures.resize(pictures.size() + 28 * 28, static_cast<std::uint8_t>(20 * i));
            labels.push_back(static_cast<std::uint8_t>(i % 10));
        }
        folder_.write(part + "-images-idx3-ubyte", pictures);
        folder_.write(part + "-labels-idx1-ubyte", labels);
    };
    write("train", 12);
    write("t10k", 5);
    const auto good = run("train mnist --steps 2 --batch 4 --data \"" + folder_.path().string() +
                          "\" --json \"" + file("run.json") + "\"");
    ASSERT_EQ(good.status, 0) << good.err;
    EXPECT_EQ(jsonOf("run.json").at("parameters"), 3'274'634);

    std::filesystem::resize_file(folder_.path() / "train-images-idx3-ubyte", 1000);
    const auto truncated = run("train mnist --steps 2 --batch 4 --data \"" + folder_.path().string() + "\"");
    EXPECT_EQ(truncated.status, 1);
    EXPECT_THAT(truncated.err, HasSubstr("train-images-idx3-ubyte"));
    const auto missing = run("train mnist --steps 2 --data \"" + file("nowhere") + "\"");
    EXPECT_EQ(missing.status, 1);
    EXPECT_THAT(missing.err, HasSubstr("nowhere"));
}

TEST_F(Command, MistakesAreOneSentenceAndAStatus) {
    const auto fails = [&](const std::string& arguments, const std::string& message) {
        const auto outcome = run(arguments);
        EXPECT_EQ(outcome.status, 1) << arguments;
        EXPECT_EQ(outcome.err, "pewter: " + message + "\n");
        EXPECT_EQ(outcome.out, "");
    };
    fails("fly", "pewter: command: expected one of devices, train, inspect, coverage, gradcheck, ops, bench, found \"fly\".");
    fails("train lenet", "network: name: expected one of digits, mnist, resnet18, resnet50, style, yolo, found \"lenet\".");
    fails("inspect lenet", "network: name: expected one of digits, mnist, resnet18, resnet50, style, yolo, found \"lenet\".");
    std::string names;
    for (const auto& device : MTL::copyAllDevices()) names += (names.empty() ? "" : ", ") + device->name();
    fails("train digits --device tpu",
          "device registry: name: expected one of " + names + ", found \"tpu\".");
    fails("inspect digits --device tpu",
          "device registry: name: expected one of " + names + ", found \"tpu\".");
    fails("train digits --data /tmp",
          "train digits: --data: expected nothing: its pictures are built in, found \"/tmp\".");
    // Told before the training, not after it.
    fails("train digits --json \"" + file("no/such/folder/run.json") + "\"",
          "--json: FILE: expected a file that can be written, found \"" + file("no/such/folder/run.json") +
              "\".");
}

TEST_F(Command, OptionsAreChecked) {
    const auto fails = [&](const std::string& arguments, const std::string& part) {
        const auto outcome = run(arguments);
        EXPECT_NE(outcome.status, 0) << arguments;
        EXPECT_THAT(outcome.err, HasSubstr(part)) << arguments;
    };
    fails("train digits --precision fp8", "{fp32,tf32,fp16,bf16}");
    fails("train digits --steps 5 --epochs 1", "--epochs");
    fails("train digits --steps 0", "--steps");
    fails("train digits --batch -1", "--batch");
    fails("train digits --seed x", "--seed");
    fails("train digits --no-such-option", "--no-such-option");
    fails("train", "network");
    fails("", "subcommand");
    fails("train digits --batch 5000", "batch");
}

TEST_F(Command, InspectWritesEveryStepAndGradientState) {
    ASSERT_EQ(run("inspect mnist --batch 40 --json \"" + file("inspect.json") + "\"").status, 0);
    const auto document = jsonOf("inspect.json");
    EXPECT_EQ(document.at("network"), "mnist");
    EXPECT_EQ(document.at("batch"), 40);
    EXPECT_FALSE(document.at("steps").empty());
    std::size_t live = 0, updates = 0;
    for (const auto& step : document.at("steps")) {
        EXPECT_FALSE(step.at("label").get<std::string>().empty());
        live = std::max(live, step.at("live_bytes").get<std::size_t>());
        updates += step.at("updates_weights").get<bool>();
    }
    EXPECT_EQ(updates, 4u);  // two convolutions, two fully connected layers
    EXPECT_LE(live, document.at("lower_bound_bytes").get<std::size_t>());
    EXPECT_LE(document.at("lower_bound_bytes").get<std::size_t>(),
              document.at("peak_bytes").get<std::size_t>());
    std::size_t gradientStates = 0;
    for (const auto& state : document.at("states")) {
        if (state.at("source").get<bool>()) continue;
        ++gradientStates;
        EXPECT_THAT(state.at("class").get<std::string>(), HasSubstr("GradientState"));
        EXPECT_FALSE(state.at("forward_kernel").get<std::string>().empty());
        ASSERT_EQ(state.at("gradient_kernels").size(), 1u);
        EXPECT_THAT(state.at("gradient_kernels")[0].get<std::string>(), HasSubstr("Gradient"));
        EXPECT_TRUE(state.at("bytes").is_number_unsigned());
        EXPECT_TRUE(state.at("read_count").is_number_unsigned());
    }
    // 2 convolutions, 2 poolings, 2 fully connected, dropout; the neurons' gradients are part of the layers' before them.
    EXPECT_EQ(gradientStates, 7u);
}

TEST_F(Command, InspectPredictsThePeakThatTrainMeasures) {
    for (const std::size_t batch : {1, 7, 32}) {
        const auto size = std::to_string(batch);
        ASSERT_EQ(run("inspect digits --batch " + size + " --json \"" + file("inspect.json") + "\"").status,
                  0);
        ASSERT_EQ(
            run("train digits --steps 2 --batch " + size + " --json \"" + file("train.json") + "\"").status,
            0);
        EXPECT_EQ(jsonOf("inspect.json").at("peak_bytes"), jsonOf("train.json").at("peak_temporary_bytes"));
    }
}

TEST_F(Command, InspectPrintsATableAndJsonAlone) {
    const auto table = run("inspect digits");
    ASSERT_EQ(table.status, 0);
    EXPECT_THAT(table.out, StartsWith("digits, batch 32: "));
    for (const char* part : {"CNNConvolution 'conv1'", "Gradient states", "made by", "consumed by",
                             "read count", "peak of temporary memory", "lower bound"})
        EXPECT_THAT(table.out, HasSubstr(part));
    const auto document = run("inspect digits --json -");
    ASSERT_EQ(document.status, 0);
    EXPECT_EQ(json::parse(document.out).at("network"), "digits");
}

TEST_F(Command, DevicesListsEveryDevice) {
    const auto outcome = run("devices");
    EXPECT_EQ(outcome.status, 0);
    for (const auto& device : MTL::copyAllDevices()) EXPECT_THAT(outcome.out, HasSubstr(device->name()));
    EXPECT_THAT(outcome.out, HasSubstr("reference"));
}

TEST_F(Command, TellsItsVersion) {
    const auto outcome = run("--version");
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.out, testing::MatchesRegex("pewter [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(Command, HelpNamesTheSubcommands) {
    const auto outcome = run("--help");
    EXPECT_EQ(outcome.status, 0);
    for (const char* name : {"devices", "train", "inspect", "coverage", "gradcheck", "ops", "bench"}) EXPECT_THAT(outcome.out, HasSubstr(name));
}

}  // namespace
}  // namespace pewter::train::tests

#endif
