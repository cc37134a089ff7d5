// The op table: every row exactly on integers, by central differences, on every device, with its errors and its page.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MTL/MTL.hpp>
#include <Pewter/check/Checks.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "table/Table.h"

namespace pewter::check {
namespace {

using Format = MPS::ImageFeatureChannelFormat;

const char* nameOf(Format format) {
    switch (format) {
        case Format::Float16: return "float16";
        case Format::BFloat16: return "bfloat16";
        case Format::Unorm8: return "unorm8";
        default: return "float32";
    }
}

std::vector<std::string> families() {
    std::vector<std::string> names;
    for (const auto& row : optable::opTable().rows()) names.push_back(row.family);
    return names;
}

class OpTableRow : public testing::TestWithParam<std::string> {
protected:
    const OpRow& row() const { return optable::opTable().row(GetParam()); }
    std::shared_ptr<MTL::Device> reference = MTL::copyDevice("reference");
};

// Sums of small integers are exact in float32 in any order.
TEST_P(OpTableRow, IsExactOnIntegers) {
    for (const auto& op : row().cases) {
        if (!op.exactOnIntegers) continue;
        for (const auto& device : MTL::copyAllDevices()) {
            const auto report = compareExactly(op, device, reference);
            EXPECT_TRUE(report.passed) << op.name << " on " << device->name() << ": " << report.problem;
        }
    }
}

TEST_P(OpTableRow, GradientsAreTheDerivatives) {
    for (const auto& op : row().cases) {
        if (!op.isDifferentiable()) continue;
        const auto report = checkGradient(op, reference);
        EXPECT_TRUE(report.passed) << op.name << ": " << report.problem;
    }
}

TEST_P(OpTableRow, EveryDeviceAgreesWithTheReference) {
    std::size_t values = 0, comparisons = 0;
    double worst = 0;
    std::string where = "none";
    for (const auto& device : MTL::copyAllDevices()) {
        if (device->name() == reference->name()) continue;
        for (const auto& op : row().cases)
            for (const Format format : op.formats) {
                const auto report = compareDevices(op, device, reference, format);
                const std::string what = op.name + " in " + nameOf(format) + " on " + device->name();
                EXPECT_TRUE(report.passed) << what << ": " << report.problem;
                values += report.values;
                ++comparisons;
                if (report.worst > worst) worst = report.worst, where = what + ", " + report.where;
            }
    }
    std::printf("%s: %zu values in %zu comparisons, worst error %.3f of its allowance (%s)\n", GetParam().c_str(),
                values, comparisons, worst, where.c_str());
}

TEST_P(OpTableRow, SaysWhatIsWrong) {
    ASSERT_FALSE(row().errors.empty());
    for (const auto& device : MTL::copyAllDevices())
        for (const auto& error : row().errors) {
            std::string sentence;
            try {
                error.misuse(device);
            } catch (const MTL::Error& e) {
                sentence = e.what();
            }
            EXPECT_THAT(sentence, testing::HasSubstr(error.says)) << error.name << " on " << device->name();
        }
}

TEST_P(OpTableRow, HasAPageWithEveryHeading) {
    std::ifstream file(std::string(PEWTER_DOCS) + "/ops/" + GetParam() + ".md");
    ASSERT_TRUE(file) << "docs/ops/" << GetParam() << ".md";
    std::stringstream text;
    text << file.rdbuf();
    for (const char* heading :
         {"## Forward", "## Backward", "## Arguments", "## Types", "## Limits", "## Example", "## PyTorch"})
        EXPECT_THAT(text.str(), testing::HasSubstr(std::string("\n") + heading + "\n"));
    for (const auto& name : row().classes)
        EXPECT_THAT(text.str(), testing::HasSubstr(name.substr(3))) << "the page names its classes";
}

TEST_P(OpTableRow, NamesItsClassesAndHasCasesToRunAndToMeasure) {
    EXPECT_FALSE(row().classes.empty());
    EXPECT_FALSE(row().cases.empty());
    EXPECT_FALSE(row().large.empty());
    for (const auto& name : row().classes) EXPECT_THAT(name, testing::StartsWith("MPS"));
}

INSTANTIATE_TEST_SUITE_P(Families, OpTableRow, testing::ValuesIn(families()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace pewter::check
