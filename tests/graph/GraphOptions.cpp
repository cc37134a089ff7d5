#include <gmock/gmock.h>

#include "PassesRun.h"
#include "mtl/Device.h"

// Options of a graph are options of its kernels.

namespace pewter::test {
namespace {

using ops::Exactness;

/// The reference, noting how exact convolutions are asked to be.
class Listener final : public ops::Backend {
public:
    explicit Listener(ops::Backend& inner) : inner_(inner) {}

    std::string name() const override { return inner_.name(); }
    std::string description() const override { return inner_.description(); }
    int threads() const override { return inner_.threads(); }
    void* allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
    void deallocate(void* memory, std::size_t bytes) noexcept override { inner_.deallocate(memory, bytes); }
    std::unique_ptr<ops::Stream> newStream() override { return inner_.newStream(); }
    bool supports(ops::Type type) const override { return inner_.supports(type); }

#define PEWTER_DECLARE(Op)                                      \
    void run(const ops::Op& op, ops::Stream& stream) override { \
        note(op);                                               \
        inner_.run(op, stream);                                 \
    }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    std::vector<Exactness> asked;

private:
    template <class Op>
    void note(const Op& op) {
        if constexpr (requires { op.exactness; }) asked.push_back(op.exactness);
    }

    ops::Backend& inner_;
};

TEST(GraphOptions, OptionsOfAGraphReachItsKernelsAtTheNextEncode) {
    const auto reference = MTL::copyDevice("reference");
    const auto listener = std::make_shared<Listener>(mtl::deviceOf(*reference).backend());
    const std::shared_ptr<MTL::Device> device = std::make_shared<mtl::Device>(listener, 1001);
    const auto source = inputNamed("x");
    const auto layer = MPS::CNNConvolutionNode::node(source, integerWeights(3, 4, 4));
    const auto graph = compile(device, {layer->resultImage()}, {});
    const auto askedWith = [&](MPS::KernelOptions options) {
        listener->asked.clear();
        graph->setOptions(options);
        run(device, *graph, {{"x", integers(5, 5, 4)}});
        return listener->asked;
    };
    using testing::ElementsAre;
    EXPECT_THAT(askedWith(MPS::KernelOptionsNone), ElementsAre(Exactness::Transformed));
    EXPECT_THAT(askedWith(MPS::KernelOptionsDirectConvolution), ElementsAre(Exactness::Products));
    EXPECT_THAT(askedWith(MPS::KernelOptionsAllowReducedPrecision), ElementsAre(Exactness::Reduced));
    EXPECT_THAT(askedWith(MPS::KernelOptionsNone), ElementsAre(Exactness::Transformed));
    const auto copy = [&] {
        graph->setOptions(MPS::KernelOptionsDirectConvolution);
        return std::static_pointer_cast<MPS::NNGraph>(graph->copy(device));
    }();
    listener->asked.clear();
    run(device, *copy, {{"x", integers(5, 5, 4)}});
    EXPECT_THAT(listener->asked, ElementsAre(Exactness::Products));
}

}  // namespace
}  // namespace pewter::test
