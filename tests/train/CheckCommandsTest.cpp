/// The commands `pewter gradcheck` and `pewter ops`.
#ifdef PEWTER_COMMAND

#include <gmock/gmock.h>

#include <MTL/Device.hpp>

#include "DatasetSupport.h"
#include "RunCommand.h"
#include "table/Table.h"

namespace pewter::train::tests {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CheckCommands : public testing::Test {
protected:
    test::CommandOutcome run(const std::string& arguments) const {
        return test::runCommand(arguments, folder_.path());
    }
    Folder folder_;
};

TEST_F(CheckCommands, GradcheckOfAFamilyNamesItsCasesAndClosesWithTheCounts) {
    const auto& row = optable::opTable().row("softmax");
    const auto outcome = run("gradcheck --op softmax");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    for (const auto& op : row.cases) EXPECT_THAT(outcome.out, HasSubstr(op.name));
    EXPECT_THAT(outcome.out, EndsWith(std::to_string(row.cases.size()) + " passed, 0 failed\n"));
}

TEST_F(CheckCommands, GradcheckCanBeQuiet) {
    const auto outcome = run("gradcheck --op softmax --quiet");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, std::to_string(optable::opTable().row("softmax").cases.size()) + " passed, 0 failed\n");
}

TEST_F(CheckCommands, GradcheckChecksDevicesInFloat32) {
    for (const auto& device : MTL::copyAllDevices()) {
        const auto outcome = run("gradcheck --op softmax --quiet --device " + device->name());
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        EXPECT_EQ(outcome.out, std::to_string(optable::opTable().row("softmax").cases.size()) + " passed, 0 failed\n");
    }
}

TEST_F(CheckCommands, GradcheckRefusesWhatItCannotCheck) {
    const auto unknown = run("gradcheck --op swish");
    EXPECT_NE(unknown.status, 0);
    EXPECT_THAT(unknown.err, AllOf(StartsWith("pewter: op table: family: expected one of "), HasSubstr("softmax"),
                                   EndsWith("found \"swish\".\n")));
    EXPECT_THAT(run("gradcheck").err, HasSubstr("what to check: expected --op NAME or --all, found neither."));
    EXPECT_THAT(run("gradcheck --all --op softmax").err, HasSubstr("found both."));
    EXPECT_THAT(run("gradcheck --all --device abacus").err, HasSubstr("abacus"));
}

TEST_F(CheckCommands, OpsListsClassesFormatsAndTheTwinOfAFamily) {
    const auto outcome = run("ops --op softmax");
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(StartsWith("softmax: "), HasSubstr("MPSCNNLogSoftMaxGradient"),
                                   HasSubstr("torch.softmax"), HasSubstr("float16"), HasSubstr("float64")));
    const auto one = run("ops --op softmax --device reference");
    EXPECT_THAT(one.out, AllOf(HasSubstr("reference"), Not(HasSubstr("\n  cpu "))));
    EXPECT_THAT(run("ops --op swish").err, HasSubstr("found \"swish\"."));
}

}  // namespace
}  // namespace pewter::train::tests

#endif
