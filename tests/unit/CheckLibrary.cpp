// What finds mistakes must find them: the checks themselves.

#include <gmock/gmock.h>

#include <MTL/MTL.hpp>
#include <Pewter/Check.hpp>
#include <Pewter/HostKernel.hpp>
#include <cmath>
#include <set>

namespace pewter::check {
namespace {

using Format = MPS::ImageFeatureChannelFormat;
using testing::HasSubstr;

/// y = x^2 with a gradient of choice: 2 x g when `factor` is 2.
OpCase square(double factor, double shift = 0) {
    OpCase op;
    op.name = "square";
    op.operands = {{"source", {1, 2, 1, 3}}};
    op.run = [factor, shift](const Setting& setting, const std::vector<Array>& operands, const Incoming* incoming) {
        Outcome outcome{{operands[0]}, std::vector<Array>(1)};
        const bool moved = setting.device->name() != "reference";
        for (double& value : outcome.outputs[0].values) value = value * value + (moved ? shift : 0);
        if (incoming) {
            outcome.gradients[0] = operands[0];
            const auto g = (*incoming)(0, operands[0].shape);
            for (std::size_t i = 0; i < g.size(); ++i) outcome.gradients[0].values[i] *= factor * g[i];
        }
        return outcome;
    };
    op.closedForm = [](const std::vector<Array>& operands) {
        std::vector<Array> result{operands[0]};
        for (double& value : result[0].values) value *= value;
        return result;
    };
    return op;
}

const auto reference = [] { return MTL::copyDevice("reference"); };

template <class Body>
std::string sentenceOf(Body body) {
    try {
        body();
    } catch (const MTL::Error& error) {
        return error.what();
    }
    return {};
}

TEST(CheckLibrary, ARightGradientPassesAndAWrongOneIsNamedByElement) {
    const auto right = checkGradient(square(2), reference());
    EXPECT_TRUE(right.passed) << right.problem;
    EXPECT_EQ(right.values, 6u);
    EXPECT_LT(right.worst, 1);
    const auto wrong = checkGradient(square(2.00001), reference());
    EXPECT_FALSE(wrong.passed);
    EXPECT_THAT(wrong.problem, HasSubstr("source["));
    EXPECT_GT(wrong.worst, 1);
}

TEST(CheckLibrary, GradientsOfADeviceInFloat32AreComparedWithDifferencesOnReference) {
    for (const auto& device : MTL::copyAllDevices()) {
        if (device->name() == "reference") continue;
        SCOPED_TRACE(device->name());
        std::set<std::string> devices;
        const auto noted = [&](double factor) {
            auto op = square(factor);
            op.run = [&devices, run = op.run](const auto& setting, const auto& operands, const auto* incoming) {
                const bool isDouble = setting.format == Format::Float64;
                devices.insert(setting.device->name() + (isDouble ? " in double" : " in float"));
                return run(setting, operands, incoming);
            };
            return op;
        };
        const auto right = checkGradient(noted(2), device);
        EXPECT_TRUE(right.passed) << right.problem;
        EXPECT_EQ(devices, (std::set<std::string>{device->name() + " in float", "reference in double"}));
        // Five units in the last place of 1 are allowed, and one of the derivative.
        EXPECT_TRUE(checkGradient(noted(2 * (1 + 1e-7)), device).passed);
        EXPECT_FALSE(checkGradient(noted(2 * (1 + 1e-5)), device).passed);
    }
}

TEST(CheckLibrary, AGradientThatIsMissingOrNotANumberFails) {
    auto missing = square(2);
    missing.run = [run = missing.run](const auto& setting, const auto& operands, const auto* incoming) {
        auto outcome = run(setting, operands, incoming);
        outcome.gradients.clear();
        return outcome;
    };
    EXPECT_EQ(checkGradient(missing, reference()).problem, "source: expected 6 derivatives, found 0");
    EXPECT_FALSE(checkGradient(square(NAN), reference()).passed);
}

TEST(CheckLibrary, ACaseThatThrowsFailsWithItsSentence) {
    auto throwing = square(2);
    throwing.run = [](const auto&, const auto&, const auto*) -> Outcome { throw MTL::Error("out of order"); };
    EXPECT_EQ(checkGradient(throwing, reference()).problem, "out of order");
    EXPECT_EQ(compareDevices(throwing, reference(), reference(), Format::Float32).problem, "out of order");
}

TEST(CheckLibrary, DevicesThatDifferByMoreThanTheAllowanceAreFound) {
    const auto other = MTL::createSystemDefaultDevice();
    if (other->name() == "reference") GTEST_SKIP() << "one device";
    EXPECT_TRUE(compareDevices(square(2), other, reference(), Format::Float32).passed);
    const auto report = compareDevices(square(2, 1e-5), other, reference(), Format::Float32);
    EXPECT_FALSE(report.passed);
    EXPECT_THAT(report.problem, HasSubstr("output 0["));
    // A unit in the last place of bfloat16 at 1 is 2^-7.
    EXPECT_TRUE(compareDevices(square(2, 1e-7), other, reference(), Format::BFloat16).passed);
}

TEST(CheckLibrary, ExactComparisonSeesOneBitAndTheClosedForm) {
    const auto other = MTL::createSystemDefaultDevice();
    EXPECT_TRUE(compareExactly(square(2), other, reference()).passed);
    auto wrong = square(2);
    wrong.closedForm = [](const std::vector<Array>& operands) { return operands; };
    EXPECT_THAT(compareExactly(wrong, other, reference()).problem, HasSubstr("closed form 0["));
    if (other->name() != "reference") {
        EXPECT_FALSE(compareExactly(square(2, 0x1p-40), other, reference()).passed);
    }
}

TEST(CheckLibrary, DrawsWhatTheDomainsPromise) {
    OpCase op;
    for (const auto domain : {Domain::Signed, Domain::Positive, Domain::Distinct, Domain::Integers, Domain::Probability,
                              Domain::OneHot})
        op.operands.push_back({"", {2, 3, 4, 5}, domain});
    const auto drawn = draw(op, 7);
    EXPECT_EQ(drawn[0].values, draw(op, 7)[0].values);
    EXPECT_NE(drawn[0].values, draw(op, 8)[0].values);
    for (double v : drawn[0].values) EXPECT_TRUE(std::fabs(v) <= 1 && v == static_cast<float>(v));
    for (double v : drawn[1].values) EXPECT_TRUE(v >= 0.25 && v <= 1);
    const std::set<double> sorted(drawn[2].values.begin(), drawn[2].values.end());
    EXPECT_EQ(sorted.size(), drawn[2].values.size());
    double last = -4;
    for (double v : sorted) {
        EXPECT_GE(v - last, 0x1p-12);
        EXPECT_GE(std::fabs(v), 0x1p-9);
        last = v;
    }
    for (double v : drawn[3].values) EXPECT_TRUE(std::fabs(v) <= 4 && v == std::round(v));
    for (double v : drawn[4].values) EXPECT_TRUE(v >= 0.05 && v <= 0.95);
    for (std::size_t pixel = 0; pixel < 24; ++pixel) {
        double sum = 0;
        for (std::size_t c = 0; c < 5; ++c) sum += drawn[5].values[pixel * 5 + c];
        EXPECT_EQ(sum, 1);
    }
    const auto integers = draw(op, 7, true);
    for (double v : integers[0].values) EXPECT_EQ(v, std::round(v));
}

TEST(CheckLibrary, TheTableRefusesWhatItCouldNotRun) {
    OpTable table;
    OpRow row;
    EXPECT_EQ(sentenceOf([&] { table.add(row); }), "op table: family: expected a name, found none.");
    row.family = "square";
    row.cases = {square(2), square(2)};
    EXPECT_EQ(sentenceOf([&] { table.add(row); }),
              "op table: square: cases: expected a name of its own for each, found \"square\".");
    row.cases = {square(2)};
    table.add(row);
    EXPECT_EQ(sentenceOf([&] { table.add(row); }),
              "op table: family: expected one that the table does not have, found square.");
    row.family = "empty";
    row.cases[0].run = {};
    EXPECT_EQ(sentenceOf([&] { table.add(row); }),
              "op table: empty: square: case: expected operands and a function that runs it, found no function.");
    EXPECT_EQ(sentenceOf([&] { table.row("cube"); }), "op table: family: expected one of square, found \"cube\".");
}

TEST(CheckLibrary, ChecksOfATableCloseWithTheCounts) {
    OpTable table;
    OpRow right, wrong;
    right.family = "right", wrong.family = "wrong";
    right.cases = {square(2)};
    wrong.cases = {square(3)};
    table.add(right);
    table.add(wrong);
    std::vector<std::string> lines;
    const auto summary = checkGradients(table, reference(), {}, [&](const auto& line) { lines.push_back(line); });
    EXPECT_EQ(summary.passed, 1u);
    EXPECT_EQ(summary.failed, 1u);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_THAT(lines[0], HasSubstr("passed right"));
    EXPECT_THAT(lines[1], HasSubstr("FAILED wrong"));
    EXPECT_EQ(lines[2], "1 passed, 1 failed");
    EXPECT_EQ(sentenceOf([&] { checkGradients(table, nullptr, {}, [](const auto&) {}); }),
              "gradient check: device: expected a device, found null.");
}

/// y = x + channel number + 10 * row inside the clip rectangle.
class Marker final : public HostKernel {
public:
    using HostKernel::HostKernel;
    const char* className() const override { return "Marker"; }
    double bias = 0;
    bool grows = false, breaks = false;

protected:
    Computation computation() const override {
        return [*this](const HostTensor& x, const HostGeometry& geometry, HostTensor& y) {
            if (breaks) throw std::runtime_error("the marker broke");
            for (std::size_t n = 0; n < y.n; ++n)
                for (std::size_t r = 0; r < y.h; ++r)
                    for (std::size_t q = 0; q < y.w; ++q)
                        for (std::size_t c = 0; c < y.c; ++c) {
                            const auto row = r + geometry.clip.origin.y, column = q + geometry.clip.origin.x;
                            y.at(n, r, q, c) = x.at(n, row, column, c) + static_cast<double>(c + 10 * row) + bias;
                        }
            if (grows) y.values.push_back(0);
        };
    }
};

TEST(HostKernel, ComputesBatchesAndClipRectanglesOnEveryDeviceAsItWasWhenEncoded) {
    for (const auto& device : MTL::copyAllDevices()) {
        const Setting setting{device};
        Array x{{2, 2, 3, 2}, std::vector<double>(24)};
        for (std::size_t i = 0; i < 24; ++i) x.values[i] = static_cast<double>(i);
        const auto sources = imagesOf(setting, x), results = imagesOf(setting, {x.shape, std::vector<double>(24, -1)});
        Marker kernel(device);
        kernel.setClipRect({{1, 1, 0}, {2, 1, 1}});
        kernel.bias = 100;
        const auto commandBuffer = device->newCommandQueue()->commandBuffer();
        kernel.encodeBatch(commandBuffer, sources, results);
        kernel.bias = 0;  // too late for the encode
        finish(commandBuffer);
        const auto y = arrayOf(results).values;
        for (std::size_t n = 0; n < 2; ++n)
            for (std::size_t r = 0; r < 2; ++r)
                for (std::size_t q = 0; q < 3; ++q)
                    for (std::size_t c = 0; c < 2; ++c) {
                        const std::size_t i = ((n * 2 + r) * 3 + q) * 2 + c;
                        const bool inside = r == 1 && q >= 1;
                        EXPECT_EQ(y[i], inside ? static_cast<double>(i + c + 10 * r + 100) : -1) << device->name();
                    }
    }
}

TEST(HostKernel, AFailureEndsTheCommandBufferAndNamesTheKernel) {
    const auto device = MTL::createSystemDefaultDevice();
    const auto sources = imagesOf({device}, {{1, 1, 1, 4}, {1, 2, 3, 4}});
    Marker kernel(device);
    kernel.setLabel("chalk");
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    for (const bool breaks : {true, false}) {
        kernel.breaks = breaks;
        kernel.grows = !breaks;
        const auto commandBuffer = device->newCommandQueue()->commandBuffer();
        kernel.encodeBatch(commandBuffer, sources);
        const auto sentence = sentenceOf([&] { finish(commandBuffer); });
        EXPECT_THAT(sentence, HasSubstr("chalk"));
        EXPECT_THAT(sentence, HasSubstr(breaks ? "the marker broke" : "4 values in destination"));
    }
}

}  // namespace
}  // namespace pewter::check
