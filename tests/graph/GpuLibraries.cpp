/// Devices cuda:N without cuDNN or cuBLASLt. Each test in a process of its own, which looks for them once.
#include "Apart.h"
#include "EnvironmentVariable.h"
#include "NodesRun.h"

using namespace pewter::test;
using namespace MPS;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// A library, and one filter that it computes.
struct Library {
    const char *variable, *title;
    bool fullyConnected;
};
std::ostream& operator<<(std::ostream& out, const Library& library) { return out << library.title; }

/// Small whole numbers, so that the order of a sum does not matter.
ImageNode filter(const ImageNode& source, bool fullyConnected) {
    const auto weights = std::make_shared<Weights>(3, 4, 8);
    for (std::size_t i = 0; i < weights->values.size(); ++i) weights->values[i] = static_cast<float>(i * 7 % 5) - 2;
    for (std::size_t i = 0; i < weights->biases.size(); ++i) weights->biases[i] = static_cast<float>(i) - 3;
    if (fullyConnected) return CNNFullyConnectedNode::node(source, weights)->resultImage();
    return CNNConvolutionNode::node(source, weights)->resultImage();
}
Pictures filtered(const std::shared_ptr<MTL::Device>& device, const Library& library) {
    return resultOf(device, filter(inputNamed("x"), library.fullyConnected), {{"x", counted(3, 3, 4, 2)}});
}
std::string failureOf(const std::shared_ptr<MTL::Device>& device, const Library& library) {
    try {
        filtered(device, library);
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no failure";
}
Pictures pooled(const std::shared_ptr<MTL::Device>& device) {
    return resultOf(device, CNNPoolingMaxNode::node(inputNamed("x"), 2, 2)->resultImage(), {{"x", counted(4, 4, 3)}});
}

class GpuLibraries : public testing::TestWithParam<Library> {
protected:
    void SetUp() override {
        if (!deviceNamed("cuda:0")) GTEST_SKIP() << "no device cuda:0";
    }
    /// The device is listed and says what it lacks, the filter fails with the sentence each time, all else is computed.
    static void expectNamed(const std::string& value, const std::string& sentence) {
        const Library library = GetParam();
        const EnvironmentVariable wanted(library.variable, value);
        const auto device = MTL::copyDevice("cuda:0");
        EXPECT_THAT(device->description(), HasSubstr(std::string("no ") + library.title));
        for (int i = 0; i < 2; ++i)
            EXPECT_THAT(failureOf(device, library), AllOf(HasSubstr(" failed: " + std::string(library.title)),
                                                          HasSubstr(sentence)));
        EXPECT_EQ(pooled(device), pooled(MTL::copyDevice("reference")));
    }
};

INSTANTIATE_TEST_SUITE_P(Each, GpuLibraries,
                         testing::Values(Library{"PEWTER_CUDNN", "cuDNN", false},
                                         Library{"PEWTER_CUBLASLT", "cuBLASLt", true}),
                         [](const auto& info) { return info.param.title; });

}  // namespace

TEST_P(GpuLibraries, ThatAreMissingAreErrorsOfTheirOperationsAlone) {
    expectFineApart([] {
        expectNamed("/nowhere/lib.so", std::string("was not found (tried /nowhere/lib.so: cannot open shared object file: No "
                                                   "such file or directory); ") +
                                           GetParam().variable + " names its file, or \"off\" to do without");
    });
}

TEST_P(GpuLibraries, ThatAreOthersAreErrorsThatNameWhatTheyLack) {
    expectFineApart([] {
        expectNamed("libm.so.6", std::string("lacks ") + (GetParam().fullyConnected ? "cublasLtCreate" : "cudnnCreate"));
    });
}

TEST_P(GpuLibraries, ThatAreOffAreReplacedByOwnKernels) {
    expectFineApart([] {
        const Library library = GetParam();
        const EnvironmentVariable off(library.variable, "off");
        const auto device = MTL::copyDevice("cuda:0");
        EXPECT_THAT(device->description(), HasSubstr(std::string(library.title) + " off"));
        EXPECT_EQ(filtered(device, library), filtered(MTL::copyDevice("reference"), library));
    });
}
