/// Networks saved in the middle of their training.
#include <gmock/gmock.h>

#include <MPS/Archive.hpp>
#include <fstream>

#include "ArchiveBytes.h"
#include "DatasetSupport.h"
#include "RunCommand.h"
#include "TrainSupport.h"

namespace pewter::train::tests {
namespace {

using testing::HasSubstr;

class NetworkArchive : public testing::Test {
protected:
    std::string file(const std::string& name = "network") const { return (folder_.path() / name).string(); }
    template <class Body>
    static std::string messageOf(Body body) {
        try {
            body();
        } catch (const MPS::Error& error) {
            return error.what();
        }
        return "";
    }

    DevicePtr device_ = MTL::createSystemDefaultDevice();
    Folder folder_;
};

TEST_F(NetworkArchive, TrainingGoesOnInAnotherNetworkObjectWithTheSameBits) {
    const auto& tiny = tinyNetwork();
    const auto data = noiseFor(tiny, 32);
    TrainingNetwork first(tiny, device_, settingsFor(tiny));
    Trainer(first, data).train(5);
    first.save(file());
    // The seed also decides about the order of the pictures.
    TrainingNetwork second(tiny, device_, settingsFor(tiny));
    ASSERT_NE(parametersOf(second), parametersOf(first));
    second.load(file());
    EXPECT_EQ(parametersOf(second), parametersOf(first));
    EXPECT_EQ(second.dataSources().size(), first.dataSources().size());
    EXPECT_EQ(second.dataSources()[0]->updateCount(), 5u);
    EXPECT_EQ(evaluate(second, data), evaluate(first, data));
    const auto expected = Trainer(first, data).train(6).losses;
    EXPECT_EQ(Trainer(second, data).train(6).losses, expected);
    EXPECT_EQ(parametersOf(second), parametersOf(first));
    EXPECT_EQ(evaluate(second, data), evaluate(first, data));
}

TEST_F(NetworkArchive, AnotherNetworkBatchOrFormatIsRefusedAndNothingChanges) {
    const auto& tiny = tinyNetwork();
    TrainingNetwork saved(tiny, device_, settingsFor(tiny));
    saved.save(file());
    auto other = tiny;
    other.name = "other";
    TrainingNetwork renamed(other, device_, settingsFor(tiny, 2));
    const auto before = parametersOf(renamed);
    EXPECT_EQ(messageOf([&] { renamed.load(file()); }),
              "network other: file: expected one of this network, found one of tiny.");
    EXPECT_EQ(parametersOf(renamed), before);
    TrainingNetwork larger(tiny, device_, settingsFor(tiny, 1, 8));
    EXPECT_EQ(messageOf([&] { larger.load(file()); }),
              "network tiny: batchSize: expected 4, as in the file, found 8.");
    TrainingNetwork half(tiny, device_, settingsFor(tiny, 1, 0, MPS::ImageFeatureChannelFormat::Float16));
    EXPECT_THAT(messageOf([&] { half.load(file()); }),
                HasSubstr("format: expected the one of the graphs in the file"));
    EXPECT_THAT(messageOf([&] { saved.load(file("none")); }), HasSubstr("path: expected a file"));
    std::ofstream(file("text")) << "text";
    EXPECT_THAT(messageOf([&] { saved.load(file("text")); }), HasSubstr("what a KeyedArchiver wrote"));
}

TEST_F(NetworkArchive, DataSourcesWhoseListsDoNotFitAreRefused) {
    using nlohmann::json;
    const auto floats = [](std::size_t count) {
        return json{{"f32", json::binary(std::vector<std::uint8_t>(count * sizeof(float)))}};
    };
    const auto reading = [&](const std::shared_ptr<MPS::SecureCoding>& source, const char* key,
                             const json& value) {
        auto contents = test::contentsOf(MPS::KeyedArchiver::archivedData(source));
        contents["objects"][0][1][key] = value;
        const auto bytes = test::archiveOf(contents);
        return messageOf([&] { MPS::KeyedUnarchiver::unarchivedObjectOfClass<DataSource>(bytes, device_); });
    };
    OptimizerSettings adam;
    const auto layer = std::make_shared<ConvolutionDataSource>(device_, "layer", ConvolutionShape{3, 3, 2, 4},
                                                               Initializer::xavier(), 0.0f, adam, 1, 1);
    EXPECT_EQ(reading(layer, "label", "other"), "");
    const std::string who = "archived train.ConvolutionDataSource: ";
    EXPECT_EQ(reading(layer, "weights", floats(71)),
              who + "weights: expected 72 values, as the descriptor says, found 71.");
    EXPECT_EQ(reading(layer, "biases", floats(5)), who + "biases: expected 4 values, found 5.");
    EXPECT_EQ(reading(layer, "moment0.0", floats(3)), who + "moment0.0: expected 72 values, found 3.");
    EXPECT_EQ(reading(layer, "moment1.1", floats(3)), who + "moment1.1: expected 4 values, found 3.");
    EXPECT_EQ(reading(layer, "optimizer", nullptr), who + "optimizer: expected an optimizer, found null.");
    EXPECT_EQ(reading(layer, "descriptor", nullptr),
              who + "descriptor: expected a convolution descriptor, found null.");
    const auto norm = std::make_shared<BatchNormalizationDataSource>(device_, "norm", 3, adam);
    EXPECT_THAT(reading(norm, "gamma", floats(0)), HasSubstr("gamma: expected at least 1 value, found 0"));
    EXPECT_THAT(reading(norm, "variance", floats(2)), HasSubstr("variance: expected 3 values, found 2"));
    EXPECT_THAT(reading(norm, "average", nullptr), HasSubstr("average: expected descent without momentum"));
    const auto group = std::make_shared<GroupNormalizationDataSource>(device_, "group", 4, 2, adam);
    EXPECT_THAT(reading(group, "beta", floats(3)), HasSubstr("beta: expected 4 values, found 3"));
}

#ifdef PEWTER_COMMAND
TEST_F(NetworkArchive, TheCommandSavesAndGoesOn) {
    const auto run = [&](const std::string& options) {
        return test::runCommand("train digits --steps 4 " + options, folder_.path());
    };
    ASSERT_EQ(run("--save \"" + file() + "\"").status, 0);
    for (const char* name : {"a", "b"})
        ASSERT_EQ(run("--seed 9 --load \"" + file() + "\" --json \"" + file(name) + "\"").status, 0);
    ASSERT_EQ(run("--seed 9 --json \"" + file("fresh") + "\"").status, 0);
    const auto lossesOf = [&](const char* name) {
        const auto text = test::contentOf(folder_.path() / name);
        const auto from = text.find("train_loss");
        return text.substr(from, text.find(']', from) - from);
    };
    EXPECT_EQ(lossesOf("a"), lossesOf("b"));
    EXPECT_NE(lossesOf("a"), lossesOf("fresh"));
    const auto missing = run("--load \"" + file("none") + "\"");
    EXPECT_NE(missing.status, 0);
    EXPECT_THAT(missing.err, HasSubstr("KeyedUnarchiver: path: expected a file"));
}
#endif

}  // namespace
}  // namespace pewter::train::tests
