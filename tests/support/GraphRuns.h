#pragma once

#include <MPS/Archive.hpp>

#include "DeviceName.h"
#include "GraphNets.h"
#include "TestKernel.h"

/// Graphs run for their numbers, copied or archived in between.
namespace pewter::test {

/// One training step of three pictures; the loss.
inline double trainStep(const Net& net, MPS::NNGraph& graph, std::uint64_t seed) {
    const auto labels = drawLabels(graph.device(), 3, net.classes, seed);
    const auto images = drawImages(graph.device(), 3, net.width, net.height, net.channels, seed);
    const auto commands = graph.device()->newCommandQueue()->commandBuffer();
    graph.encodeBatch(commands, {images}, {labels});
    run(commands);
    return lossOf(labels);
}

/// The losses of steps with these seeds.
inline std::vector<double> trainSteps(const Net& net, MPS::NNGraph& graph, std::uint64_t first,
                                      std::uint64_t last) {
    std::vector<double> losses;
    for (std::uint64_t seed = first; seed <= last; ++seed) losses.push_back(trainStep(net, graph, seed));
    return losses;
}

/// All results for two pictures of 6 x 6, one after the other.
inline std::vector<double> infer(MPS::NNGraph& graph, std::size_t channels = 3) {
    std::vector<MPS::ImageBatch> sources;
    for (std::size_t i = 0; i < graph.sourceImageHandles().size(); ++i)
        sources.push_back(drawImages(graph.device(), 2, 6, 6, channels, 4 + i));
    const auto commands = graph.device()->newCommandQueue()->commandBuffer();
    std::vector<MPS::ImageBatch> further;
    auto results = graph.encodeBatch(commands, sources, {}, &further, nullptr);
    for (const auto& batch : further) results.insert(results.end(), batch.begin(), batch.end());
    run(commands);
    std::vector<double> all;
    for (const auto& result : results)
        for (const double value : valuesOf(*result)) all.push_back(value);
    return all;
}

/// Written to an archive and read again, on another device if there is one. What is read writes the same
/// bytes, so that everything in the archive has come back.
inline std::shared_ptr<MPS::NNGraph> archivedAndRead(const std::shared_ptr<MPS::NNGraph>& graph,
                                                     const DevicePtr& device = nullptr) {
    const auto bytes = MPS::KeyedArchiver::archivedData(graph);
    const auto target = device ? device : graph->device();
    auto again = MPS::KeyedUnarchiver::unarchivedObjectOfClass<MPS::NNGraph>(bytes, target);
    EXPECT_NE(again, graph);
    EXPECT_EQ(again->device(), target);
    EXPECT_EQ(MPS::KeyedArchiver::archivedData(again), bytes);
    return again;
}

/// A handle that archives can hold.
class CodedTag final : public MPS::Handle, public MPS::SecureCoding {
public:
    explicit CodedTag(std::string text) : text_(std::move(text)) {}
    explicit CodedTag(MPS::Coder& coder) : text_(coder.decodeString("text")) {}
    std::string label() const override { return text_; }
    const char* className() const override { return "test.CodedTag"; }
    void encodeWithCoder(MPS::Coder& coder) const override { coder.encodeString(text_, "text"); }

private:
    std::string text_;
};
inline std::shared_ptr<MPS::Handle> codedTag(const std::string& text) {
    MPS::RegisterArchivedClass<CodedTag>("test.CodedTag");
    return std::make_shared<CodedTag>(text);
}
inline std::vector<std::string> labelsOf(const std::vector<std::shared_ptr<MPS::Handle>>& handles) {
    std::vector<std::string> labels;
    for (const auto& handle : handles) labels.push_back(handle ? handle->label() : "");
    return labels;
}

}  // namespace pewter::test
