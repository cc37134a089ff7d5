#include <Pewter/Inspect.hpp>
#include <nlohmann/json.hpp>

#include "inspect/Roles.h"

namespace pewter::inspect {

using MPS::NNGraphReport;
using Json = nlohmann::json;

namespace {

Json index(std::size_t value) { return value == NNGraphReport::npos ? Json(nullptr) : Json(value); }

Json stepsOf(const NNGraphReport& report) {
    Json steps = Json::array();
    for (const auto& step : report.steps)
        steps.push_back({{"label", step.label},
                         {"class", step.className},
                         {"source_images", step.sourceImages},
                         {"source_states", step.sourceStates},
                         {"result_image", index(step.resultImage)},
                         {"result_state", index(step.resultState)},
                         {"updates_weights", step.updatesWeights},
                         {"recomputes", index(step.recomputes)},
                         {"live_bytes", step.liveBytes},
                         {"peak_bytes", step.peakBytes}});
    return steps;
}

Json imagesOf(const NNGraphReport& report) {
    Json images = Json::array();
    const auto owners = memoryOwners(report);
    for (const auto& image : report.images)
        images.push_back({{"label", image.label},
                          {"format", image.format},
                          {"width", image.width},
                          {"height", image.height},
                          {"feature_channels", image.featureChannels},
                          {"count", image.count},
                          {"bytes", image.bytes},
                          {"offset", index(image.offset)},
                          {"in_place_of", index(owners[images.size()])},
                          {"first_writer", index(image.firstWriter)},
                          {"last_reader", index(image.lastReader)},
                          {"read_count", image.readCount},
                          {"temporary", image.temporary},
                          {"source", image.source},
                          {"result", image.result},
                          {"exported", image.exported},
                          {"in_blocks", image.inBlocks}});
    return images;
}

Json statesOf(const NNGraphReport& report) {
    Json states = Json::array();
    for (const auto& state : report.states)
        states.push_back({{"label", state.label},
                          {"class", state.className},
                          {"forward_kernel", state.forwardKernel},
                          {"gradient_kernels", state.consumers},
                          {"count", state.count},
                          {"bytes", state.bytes},
                          {"offset", index(state.offset)},
                          {"read_count", state.readCount},
                          {"first_writer", index(state.firstWriter)},
                          {"last_reader", index(state.lastReader)},
                          {"temporary", state.temporary},
                          {"source", state.source},
                          {"exported", state.exported},
                          {"description", state.description}});
    return states;
}

Json rangesIn(const NNGraphReport& report) {
    Json ranges = Json::array();
    for (const auto& range : rangesOf(report))
        ranges.push_back({{"offset", range.offset},
                          {"bytes", range.bytes},
                          {"first_step", range.firstStep},
                          {"last_step", range.lastStep},
                          {"image", index(range.image)},
                          {"state", index(range.state)}});
    return ranges;
}

}  // namespace

std::string json(const NNGraphReport& report, const Subject& subject) {
    const Json document{{"network", subject.network},
                                  {"device", subject.device},
                                  {"batch", subject.batch},
                                  {"steps", stepsOf(report)},
                                  {"images", imagesOf(report)},
                                  {"states", statesOf(report)},
                                  {"ranges", rangesIn(report)},
                                  {"temporary_bytes", temporaryBytes(report)},
                                  {"peak_bytes", report.peakBytes},
                                  {"lower_bound_bytes", report.lowerBoundBytes},
                                  {"images_in_blocks", report.imagesInBlocks},
                                  {"milliseconds_by_layouts", report.millisecondsByLayouts}};
    return document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace pewter::inspect
