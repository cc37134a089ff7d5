#include "Machine.h"

#include <fmt/format.h>

#include <MPS/CNNLoss.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MTL/MTL.hpp>

#include "backends/reference/Elements.h"
#include "mtl/CommandBuffer.h"

namespace pewter::fuzz {

Machine::Machine(const std::string& name) : device(MTL::copyDevice(name)), queue(device->newCommandQueue()) {}

std::shared_ptr<MPS::NNGraph> makeGraph(const Machine& machine, const Plan& plan, const std::vector<ImageNode>& results,
                                        const std::vector<bool>& needed, Format format) {
    auto options = format == Format::Float64 ? MPS::NNGraphOptions::none() : plan.options;
    // Random graphs do much that is legal but seldom meant.
    options.warningHandler = [](const std::string&) {};
    auto graph = MPS::NNGraph::graph(machine.device, results, needed, options);
    graph->setFormat(format);
    return graph;
}

ImageValues inputsOf(const Plan& plan) {
    ImageValues values;
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) values[i] = plan.inputValues[i];
    return values;
}

namespace {

constexpr auto kLayout = MPS::DataLayout::HeightxWidthxFeatureChannels;

std::shared_ptr<MPS::Image> imageOf(const Machine& machine, const Size& size, Format format, const double* values) {
    auto image = std::make_shared<MPS::Image>(
        machine.device, MPS::ImageDescriptor::imageDescriptor(format, size.width, size.height, size.channels));
    const std::size_t count = size.count();
    if (format == Format::Float64) {
        image->writeBytes(values, kLayout, 0);
    } else if (format == Format::Float32) {
        const std::vector<float> all(values, values + count);
        image->writeBytes(all.data(), kLayout, 0);
    } else {
        std::vector<std::uint16_t> all(count);
        for (std::size_t i = 0; i < count; ++i) all[i] = reference::toFloat16(values[i]);
        image->writeBytes(all.data(), kLayout, 0);
    }
    return image;
}

Batch batchOf(const Machine& machine, const Size& size, Format format, const std::vector<double>& values) {
    Batch batch;
    for (std::size_t i = 0; i * size.count() < values.size(); ++i)
        batch.push_back(imageOf(machine, size, format, values.data() + i * size.count()));
    return batch;
}

std::vector<double> valuesOf(const Batch& batch) {
    std::vector<double> all;
    for (const auto& image : batch) {
        const std::size_t count = image->width() * image->height() * image->featureChannels();
        const auto read = [&](auto zero, auto convert) {
            std::vector<decltype(zero)> raw(count);
            image->readBytes(raw.data(), kLayout, 0);
            for (const auto value : raw) all.push_back(convert(value));
        };
        if (image->featureChannelFormat() == Format::Float64)
            read(0.0, [](double v) { return v; });
        else if (image->featureChannelFormat() == Format::Float32)
            read(0.0F, [](float v) { return static_cast<double>(v); });
        else
            read(std::uint16_t{}, [](std::uint16_t v) { return reference::fromFloat16(v); });
    }
    return all;
}

MPS::StateBatch labelsOf(const Machine& machine, const Plan& plan, const Terminal& terminal, Format format) {
    const Size& size = plan.sizeOf(terminal.image);
    MPS::StateBatch labels;
    for (const auto& image : batchOf(machine, size, format, terminal.values)) {
        const bool whole = terminal.loss.reductionType == MPS::CNNReductionType::None;
        labels.push_back(std::make_shared<MPS::CNNLossLabels>(
            machine.device, whole ? MTL::Size{size.width, size.height, size.channels} : MTL::Size{1, 1, 1}, image,
            nullptr));
    }
    return labels;
}

std::vector<double> lossesOf(const MPS::StateBatch& labels) {
    Batch images;
    for (const auto& state : labels) images.push_back(dynamic_cast<MPS::CNNLossLabels&>(*state).lossImage());
    return valuesOf(images);
}

std::size_t terminalOf(const std::string& name) { return std::stoul(name.substr(name.find(' ') + 1)); }

/// The input of an image handle: an image of the plan, or the gradient that a backward pass starts with.
Batch sourceOf(const Machine& machine, const Plan& plan, const std::string& name, const ImageValues& inputs, Format format) {
    if (name[0] == '#') {
        const std::size_t index = std::stoul(name.substr(1));
        return batchOf(machine, plan.sizeOf(index), format, inputs.at(index));
    }
    const auto& terminal = plan.terminals[terminalOf(name)];
    return batchOf(machine, plan.sizeOf(terminal.image), format, terminal.values);
}

void run(const CommandBuffer& commandBuffer) {
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    if (const auto failure = commandBuffer->error()) throw Finding("the device failed: " + failure->localizedDescription);
}

/// Takes images that leave a graph: temporaries must have the reads that are due to the caller, and give them back.
void settle(const Batch& batch, std::size_t reads, const std::string& what) {
    for (const auto& image : batch)
        if (const auto temporary = std::dynamic_pointer_cast<MPS::TemporaryImage>(image)) {
            if (temporary->readCount() != reads)
                throw Finding(fmt::format("{} leaves the graph with read count {}, expected {}", what,
                                          temporary->readCount(), reads));
            if (reads > 0) temporary->setReadCount(0);
        }
}

bool isReadable(const Batch& batch) {
    return !batch.empty() && !std::dynamic_pointer_cast<MPS::TemporaryImage>(batch[0]);
}

}  // namespace

TrainingRun::TrainingRun(const Machine& machine, const Plan& plan, const TrainingNodes& nodes, Format format)
    : machine_(machine), plan_(plan), nodes_(nodes), format_(format) {
    std::vector<ImageNode> images;
    std::vector<bool> needed;
    for (const auto& result : nodes.results) {
        images.push_back(result.image);
        needed.push_back(result.isNeeded);
    }
    graph_ = makeGraph(machine, plan, images, needed, format);
    graph_->setOutputStateIsTemporary(plan.temporaryStates);
}

std::vector<Batch> TrainingRun::sources(const CommandBuffer& commandBuffer, const ImageValues& inputs) const {
    std::vector<Batch> all;
    for (const auto& handle : graph_->sourceImageHandles()) {
        auto batch = sourceOf(machine_, plan_, handle->label(), inputs, format_);
        if (plan_.temporarySources && commandBuffer) {
            MPS::CNNNeuron copy(machine_.device, MPS::NNNeuronDescriptor());
            batch = copy.encodeBatch(commandBuffer, batch);
        }
        all.push_back(std::move(batch));
    }
    return all;
}

std::vector<MPS::StateBatch> TrainingRun::states() const {
    std::vector<MPS::StateBatch> all;
    for (const auto& handle : graph_->sourceStateHandles())
        all.push_back(labelsOf(machine_, plan_, plan_.terminals[terminalOf(handle->label())], format_));
    return all;
}

MPS::NNGraphReport TrainingRun::report(const ImageValues& inputs) { return graph_->memoryReport(sources(nullptr, inputs), states()); }

Outcome TrainingRun::encode(const ImageValues& inputs, const Mistake& mistake) {
    Outcome outcome;
    for (const auto& source : plan_.parameters) source->forget();
    const auto commandBuffer = machine_.queue->commandBuffer();
    const auto images = sources(commandBuffer, inputs);
    const auto labels = states();
    if (mistake) {
        mistake(commandBuffer, images, labels);
        for (const auto& source : plan_.parameters) source->forget();
    }
    std::vector<Batch> further;
    std::vector<MPS::StateBatch> left;
    std::vector<std::pair<std::string, Batch>> readable;
    const auto first = graph_->encodeBatch(commandBuffer, images, labels, &further, &left);

    // Results and exports, each with the reads that are the caller's.
    const auto& exported = graph_->intermediateImageHandles();
    std::map<std::string, std::size_t> reads;
    for (const auto& handle : exported) ++reads[handle->label()];
    std::vector<const Result*> rest;
    for (std::size_t i = 0; i < nodes_.results.size(); ++i) {
        const auto& result = nodes_.results[i];
        if (!result.isNeeded) continue;
        if (result.name[0] == '#') ++reads[result.name];
        if (i > 0) rest.push_back(&result);
    }
    if (first.empty() == nodes_.results[0].isNeeded) throw Finding("result 0 is there although it is not needed, or missing");
    if (further.size() != exported.size() + rest.size())
        throw Finding(fmt::format("{} images came back, expected {} exported ones and {} results", further.size(),
                                  exported.size(), rest.size()));
    if (!first.empty()) readable.emplace_back(nodes_.results[0].name, first);
    for (std::size_t i = 0; i < further.size(); ++i)
        readable.emplace_back(i < exported.size() ? exported[i]->label() : rest[i - exported.size()]->name, further[i]);
    for (const auto& [name, batch] : readable) {
        const auto due = reads.find(name);
        const auto temporary = std::dynamic_pointer_cast<MPS::TemporaryImage>(batch.at(0));
        if (temporary && temporary->readCount() == 0 && due != reads.end() && due->second > 1) continue;  // seen already
        settle(batch, due == reads.end() ? 1 : due->second, name);
    }
    for (std::size_t i = 0; i < left.size(); ++i) {
        const std::size_t node = terminalOf(graph_->resultStateHandles()[i]->label());
        plan_.nodes[node].parameters->noteExported(commandBuffer, left[i]);
        for (const auto& state : left[i])
            if (state->isTemporary() && state->readCount() > 0) {
                if (state->readCount() != 1)
                    throw Finding(fmt::format("a state leaves the graph with read count {}, expected 1", state->readCount()));
                state->setReadCount(0);
            }
    }
    for (std::size_t i = 0; i < images.size(); ++i)
        settle(images[i], 1 - graph_->readCountForSourceImage(i), fmt::format("source image {}", i));
    if (const std::size_t live = mtl::rootOf(*commandBuffer).heap()->live(); live != 0)
        throw Finding(fmt::format("{} bytes of temporary memory are live after the encode", live));
    outcome.peak = commandBuffer->peakTemporaryMemory();
    outcome.livePeak = commandBuffer->liveTemporaryMemoryPeak();
    run(commandBuffer);

    for (std::size_t i = 0; i < labels.size(); ++i)
        outcome.values[fmt::format("loss of {}", graph_->sourceStateHandles()[i]->label())] = lossesOf(labels[i]);
    for (const auto& [name, batch] : readable)
        if (isReadable(batch)) outcome.values[name] = valuesOf(batch);
    for (const auto& source : plan_.parameters) {
        outcome.updates.push_back(source->updates);
        if (source->first.states() == 0) continue;
        outcome.values[source->name + ", first"] = source->first.gradient();
        outcome.values[source->name + ", second"] = source->second.gradient();
    }
    return outcome;
}

Objective::Objective(const Machine& machine, const Plan& plan, const std::vector<bool>& isTrained,
                     const std::set<std::size_t>& cutAt)
    : machine_(machine), plan_(plan), isTrained_(isTrained), cutAt_(cutAt) {
    build();
}

void Objective::build() {
    nodes_ = std::make_shared<ForwardNodes>(plan_, &isTrained_, cutAt_);
    std::vector<ImageNode> results;
    for (std::size_t t = 0; t < plan_.terminals.size(); ++t) {
        const auto& terminal = plan_.terminals[t];
        auto image = nodes_->images[terminal.image];
        if (terminal.kind == Terminal::Kind::Loss) {
            const auto loss = MPS::CNNLossNode::node(image, terminal.loss);
            loss->inputLabels()->setHandle(std::make_shared<Name>(terminalName(t)));
            image = loss->resultImage();
        }
        image->setImageAllocator(MPS::Image::defaultAllocator());
        results.push_back(image);
    }
    graph_ = makeGraph(machine_, plan_, results, std::vector<bool>(results.size(), true), Format::Float64);
}

double Objective::operator()(const ImageValues& inputs) {
    // A dropout draws the mask of its first encode again only in a new graph.
    if (plan_.isRandom())
        build();
    else
        graph_->reloadFromDataSources();
    std::vector<Batch> images;
    for (const auto& handle : graph_->sourceImageHandles())
        images.push_back(sourceOf(machine_, plan_, handle->label(), inputs, Format::Float64));
    std::vector<MPS::StateBatch> labels;
    for (const auto& handle : graph_->sourceStateHandles())
        labels.push_back(labelsOf(machine_, plan_, plan_.terminals[terminalOf(handle->label())], Format::Float64));
    const auto commandBuffer = machine_.queue->commandBuffer();
    std::vector<Batch> results;
    const auto first = graph_->encodeBatch(commandBuffer, images, labels, &results, nullptr);
    results.insert(results.begin(), first);
    run(commandBuffer);
    double sum = 0;
    for (const auto& batch : labels)
        for (const double loss : lossesOf(batch)) sum += loss;
    for (std::size_t t = 0; t < plan_.terminals.size(); ++t) {
        const auto& terminal = plan_.terminals[t];
        if (terminal.kind == Terminal::Kind::Loss) continue;
        const auto values = valuesOf(results[t]);
        for (std::size_t i = 0; i < values.size(); ++i)
            sum += values[i] * (terminal.kind == Terminal::Kind::Ones       ? 1
                                : terminal.kind == Terminal::Kind::Gradient ? terminal.values[i]
                                                                            : values[i] / 2);
    }
    return sum;
}

namespace {

/// One encode of forward filters for one image of theirs.
std::vector<double> encodeForward(const Machine& machine, const Plan& plan, const ImageNode& image, Format format) {
    const auto graph = makeGraph(machine, plan, {image}, {true}, format);
    const auto inputs = inputsOf(plan);
    std::vector<Batch> sources;
    for (const auto& handle : graph->sourceImageHandles())
        sources.push_back(sourceOf(machine, plan, handle->label(), inputs, format));
    const auto commandBuffer = machine.queue->commandBuffer();
    const auto batch = graph->encodeBatch(commandBuffer, sources);
    if (const std::size_t live = mtl::rootOf(*commandBuffer).heap()->live(); live != 0)
        throw Finding(fmt::format("{} bytes of temporary memory are live after an inference", live));
    run(commandBuffer);
    return valuesOf(batch);
}

}  // namespace

std::vector<double> valueOf(const Machine& machine, const Plan& plan, const ForwardNodes& nodes, std::size_t image) {
    return encodeForward(machine, plan, nodes.images[image], Format::Float64);
}

std::map<std::string, std::vector<double>> infer(const Machine& machine, const Plan& plan, const TrainingNodes& nodes,
                                                 Format format) {
    std::map<std::string, std::vector<double>> all;
    for (const auto& terminal : plan.terminals)
        all[fmt::format("inferred #{}", terminal.image)] =
            encodeForward(machine, plan, nodes.forward.images[terminal.image], format);
    return all;
}

}  // namespace pewter::fuzz
