/// The command `pewter bench`, and the timer it is made of.
#include "RunCommand.h"
#include "train/StepTimer.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "DatasetSupport.h"
#include "TrainSupport.h"
#include "mtl/Device.h"
#include "profile/ProfilingBackend.h"

namespace pewter::train::tests {
namespace {

using testing::HasSubstr;

TEST(Times, QuantilesAreOfTheSortedValues) {
    Times times;
    EXPECT_EQ(times.median(), 0);
    for (const double seconds : {5.0, 1.0, 4.0, 2.0, 3.0}) times.add(seconds * 1e-3);
    EXPECT_DOUBLE_EQ(times.median(), 3);
    EXPECT_DOUBLE_EQ(times.least(), 1);
    EXPECT_DOUBLE_EQ(times.most(), 5);
    EXPECT_DOUBLE_EQ(times.quantile(0.25), 2);
}

TEST(StepTimer, GivesATimeForEveryStepAfterTheFirstOnes) {
    const auto& tiny = tinyNetwork();
    StepTimer timer(tiny, MTL::createSystemDefaultDevice(), settingsFor(tiny));
    timer.together(6, 2);
    EXPECT_EQ(timer.step().count(), 6u);
    EXPECT_EQ(timer.encode().count(), 6u);
    EXPECT_GT(timer.step().least(), 0);
    EXPECT_GT(timer.peakTemporaryBytes(), 0u);
}

TEST(StepTimer, WorkIsCountedWithoutBeingDone) {
    const auto& tiny = tinyNetwork();
    const auto reference = MTL::copyDevice("reference");
    const auto inner = std::shared_ptr<ops::Backend>(&mtl::deviceOf(*reference).backend(), [](auto*) {});
    const auto counted = [&](profile::ProfilingBackend::Clock clock) {
        const auto backend = std::make_shared<profile::ProfilingBackend>(inner, clock);
        StepTimer timer(tiny, std::make_shared<mtl::Device>(backend, 77), settingsFor(tiny));
        backend->clear();
        timer.apart(2);
        profile::Work sum;
        double seconds = 0;
        for (const auto& row : backend->rows()) {
            sum.flops += row.work.flops;
            sum.bytes += row.work.bytes;
            seconds += row.seconds;
        }
        EXPECT_EQ(seconds > 0, clock != nullptr);
        return sum;
    };
    const auto computed = counted([] { static double now = 0; return now += 1e-3; }), only = counted(nullptr);
    EXPECT_EQ(computed.flops, only.flops);
    EXPECT_EQ(computed.bytes, only.bytes);
    // Of a batch of 4: the convolution, 6 x 4 pixels, 3 x 3 x 2 to 4, forward and weights gradient (pictures need none);
    // the fully connected layer, 3 x 2 x 4 to 3, with its data gradient.
    const double conv = 2.0 * 4 * 24 * 18 * 4, dense = 2.0 * 4 * 24 * 3;
    EXPECT_EQ(only.flops, 2 * (2 * conv + 3 * dense));
}

#ifdef PEWTER_COMMAND

using nlohmann::json;

class BenchCommand : public testing::Test {
protected:
    test::CommandOutcome run(const std::string& arguments) const { return test::runCommand(arguments, folder_.path()); }
    std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

    Folder folder_;
};

TEST_F(BenchCommand, WritesAnObjectANetwork) {
    const auto outcome = run("bench --net digits,mnist --device cpu --batch 4 --threads 1 --steps 3 --json \"" +
                             file("bench.json") + "\"");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    for (const char* part : {"digits, batch 4, fp32, 1 thread, 3 steps on cpu", "median", "images", "GFLOP/s", "temporary"})
        EXPECT_THAT(outcome.out, HasSubstr(part));
    const auto list = json::parse(test::contentOf(file("bench.json")));
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0].at("network"), "digits");
    EXPECT_EQ(list[1].at("network"), "mnist");
    for (const auto& net : list) {
        EXPECT_EQ(net.at("device"), "cpu");
        EXPECT_EQ(net.at("precision"), "fp32");
        EXPECT_EQ(net.at("batch"), 4);
        EXPECT_EQ(net.at("threads"), 1);
        EXPECT_EQ(net.at("steps"), 3);
        EXPECT_LE(net.at("min_ms").get<double>(), net.at("median_ms").get<double>());
        EXPECT_LE(net.at("median_ms").get<double>(), net.at("max_ms").get<double>());
        EXPECT_GT(net.at("min_ms").get<double>(), 0);
        EXPECT_NEAR(net.at("images_per_second").get<double>() * net.at("median_ms").get<double>(), 4e3, 1e-6);
        EXPECT_NEAR(net.at("gflops").get<double>() * net.at("median_ms").get<double>(),
                    net.at("gflop_per_step").get<double>() * 1e3, 1e-6);
        EXPECT_GT(net.at("gflops_share").get<double>(), 0);
        EXPECT_GT(net.at("bandwidth_share").get<double>(), 0);
    }
    // What inspect plans is what the steps took.
    ASSERT_EQ(run("inspect mnist --device cpu --batch 4 --json \"" + file("inspect.json") + "\"").status, 0);
    EXPECT_EQ(list[1].at("peak_bytes"), json::parse(test::contentOf(file("inspect.json"))).at("peak_bytes"));
}

TEST_F(BenchCommand, HasABreakdownAndHalfWidth) {
    const auto outcome = run("bench --net digits --batch 2 --threads 2 --steps 2 --precision bf16 --breakdown");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    for (const char* part : {"bf16", "| operation |", "| ConvolutionForward |", "| all |"})
        EXPECT_THAT(outcome.out, HasSubstr(part));
    const auto document = run("bench --net digits --batch 2 --steps 2 --json -");
    ASSERT_EQ(document.status, 0) << document.err;
    EXPECT_EQ(json::parse(document.out).at(0).at("network"), "digits");
}

TEST_F(BenchCommand, MistakesAreNamed) {
    const auto fails = [&](const std::string& arguments, const std::string& part) {
        const auto outcome = run("bench " + arguments);
        EXPECT_EQ(outcome.status, 1) << arguments;
        EXPECT_THAT(outcome.err, HasSubstr(part)) << arguments;
        EXPECT_EQ(outcome.out, "") << arguments;
    };
    fails("--net lenet", "network: name: expected one of digits, mnist, resnet18, resnet50, style, yolo, found \"lenet\".");
    fails("--net digits,lenet", "found \"lenet\"");
    fails("--net digits --device tpu", "device registry: name: expected one of");
    fails("--net digits --precision fp8", "--precision");
    fails("--net digits --steps 0", "--steps");
    fails("--net digits --threads 0", "--threads");
    fails("--net digits --batch x", "--batch");
    fails("--net digits --quick", "--quick");
    fails("", "--net");
    fails("--net digits --json \"" + file("no/such/folder/bench.json") + "\"", "expected a file that can be written");
}

#endif

}  // namespace
}  // namespace pewter::train::tests
