#include "mps/graph/Report.h"

#include <fmt/format.h>

#include <MPS/Handle.hpp>

#include "mps/core/ImageStorage.h"

namespace pewter::mps {

using MPS::NNGraphReport;

namespace {

std::string imageName(const GraphProgram& program, std::size_t slot) {
    const auto& image = program.images[slot];
    if (image.handle && !image.handle->label().empty()) return image.handle->label();
    if (image.producer == kNone) return fmt::format("input {}", slot);
    return fmt::format("result of {}", program.steps[image.producer].step->kernel().name());
}

std::string stateName(const GraphProgram& program, std::size_t slot) {
    const auto& state = program.states[slot];
    if (state.handle && !state.handle->label().empty()) return state.handle->label();
    if (state.producer == kNone) return fmt::format("input state {}", slot);
    return fmt::format("state of {}", program.steps[state.producer].step->kernel().name());
}

}  // namespace

std::size_t packedBytes(const MPS::Image& image) {
    return image.width() * image.height() * image.featureChannels() * image.numberOfImages() *
           ops::sizeOf(typeOf(image.featureChannelFormat(), "Image"));
}

NNGraphReport outlineReport(GraphProgram& program) {
    NNGraphReport report;
    for (std::size_t slot = 0; slot < program.images.size(); ++slot) {
        const auto& image = program.images[slot];
        NNGraphReport::Image out;
        out.label = imageName(program, slot);
        out.firstWriter = image.producer;
        out.lastReader = image.lastReader;
        out.source = image.source;
        out.result = image.results > 0;
        out.exported = image.exported;
        report.images.push_back(std::move(out));
    }
    for (std::size_t slot = 0; slot < program.states.size(); ++slot) {
        const auto& state = program.states[slot];
        NNGraphReport::State out;
        out.label = stateName(program, slot);
        out.firstWriter = state.producer;
        out.lastReader = state.lastReader;
        out.source = state.source;
        out.exported = state.exported;
        if (state.producer != kNone) out.forwardKernel = program.steps[state.producer].step->kernel().name();
        report.states.push_back(std::move(out));
    }
    for (auto& step : program.steps) {
        NNGraphReport::Step out;
        out.label = step.step->kernel().name();
        out.className = step.step->kernel().className();
        out.sourceImages = step.images;
        out.sourceStates = step.states;
        out.resultImage = program.images[step.result].isMade ? step.result : NNGraphReport::npos;
        out.resultState = step.firstMade();
        out.recomputes = step.recomputes;
        out.updatesWeights = step.step->updates() && step.recomputes == kNone;
        for (const std::size_t slot : step.states) report.states[slot].consumers.push_back(out.label);
        report.steps.push_back(std::move(out));
    }
    return report;
}

void noteSources(NNGraphReport& report, const GraphProgram& program,
                 const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states) {
    for (std::size_t i = 0; i < images.size(); ++i) {
        auto& out = report.images[program.sourceImages[i]];
        const auto& first = *images[i].front();
        out.width = first.width();
        out.height = first.height();
        out.featureChannels = first.featureChannels();
        out.format = nameOf(first.featureChannelFormat());
        out.count = images[i].size();
        out.bytes = packedBytes(first) * images[i].size();
        out.temporary = first.isTemporary();
    }
    for (std::size_t i = 0; i < states.size(); ++i) {
        auto& out = report.states[program.sourceStates[i]];
        out.className = states[i].front()->className();
        out.description = states[i].front()->description();
        out.count = states[i].size();
        out.bytes = MPS::StateBatchResourceSize(states[i]);
        out.temporary = states[i].front()->isTemporary();
    }
}

std::string describeProgram(const GraphProgram& program, const std::string& name) {
    std::string text = fmt::format("{}: {} steps, {} images, {} states\n", name, program.steps.size(),
                                   program.images.size(), program.states.size());
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
        const auto& step = program.steps[i];
        text += fmt::format("  {:3} {}", i, step.step->kernel().name());
        for (const auto& kernel : step.absorbed) text += ", with " + kernel;
        for (const std::size_t slot : step.images)
            text += fmt::format(", reads {}", imageName(program, slot));
        for (const std::size_t slot : step.states)
            text += fmt::format(", consumes {}", stateName(program, slot));
        if (!step.made.empty()) text += ", makes a state";
        if (step.step->updates()) text += ", updates weights";
        text += '\n';
    }
    return text;
}

}  // namespace pewter::mps
