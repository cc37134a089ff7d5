#include "Plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace pewter::fuzz {

std::string textOf(const Size& size) { return fmt::format("{}x{}x{}", size.width, size.height, size.channels); }

bool Plan::isRandom() const {
    return std::any_of(nodes.begin(), nodes.end(), [](const PlanNode& node) { return node.isRandom; });
}

double Plan::roundings() const {
    double sum = 0;
    for (const auto& node : nodes) sum += 2 * (static_cast<double>(node.terms) + 6);
    return sum + 32;
}

std::size_t Plan::longestSum() const {
    std::size_t longest = 1;
    for (const auto& node : nodes) longest = std::max(longest, node.terms);
    return longest;
}

namespace {

const char* nameOf(Terminal::Kind kind) {
    switch (kind) {
        case Terminal::Kind::Loss:
            return "loss node";
        case Terminal::Kind::Ones:
            return "initial gradient";
        case Terminal::Kind::Gradient:
            return "incoming gradient";
        case Terminal::Kind::Own:
            return "itself as gradient";
    }
    return "";
}

const char* nameOf(MPS::NNTrainingStyle style) {
    if (style == MPS::NNTrainingStyle::UpdateDeviceNone) return "none";
    return style == MPS::NNTrainingStyle::UpdateDeviceCPU ? "CPU" : "GPU";
}

}  // namespace

std::string Plan::text() const {
    std::string out = fmt::format("seed {}, batch {}{}\n", seed, batch, isExact ? ", exact" : "");
    const auto image = [&](std::size_t index) {
        std::string text = fmt::format("#{} {}", index, textOf(sizeOf(index)));
        if (images[index].stopsGradient) text += " stop";
        if (images[index].isExported) text += images[index].isPersistent ? " exported" : " exported temporary";
        return text;
    };
    for (std::size_t i = 0; i < inputs.size(); ++i) out += fmt::format("  {} = input\n", image(i));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto& node = nodes[i];
        out += fmt::format("  {} = {}(", image(inputs.size() + i), node.text);
        for (std::size_t j = 0; j < node.sources.size(); ++j) out += fmt::format("{}#{}", j ? ", " : "", node.sources[j]);
        out += ")";
        if (node.parameters)
            out += fmt::format(", {}, style {}{}", node.parameters->name, nameOf(node.style),
                               node.exportsState ? ", state exported" : "");
        out += "\n";
    }
    for (std::size_t i = 0; i < terminals.size(); ++i) {
        const auto& terminal = terminals[i];
        out += fmt::format("  gradient {} from #{}: {}", i, terminal.image, nameOf(terminal.kind));
        if (terminal.kind == Terminal::Kind::Loss)
            out += fmt::format(", type {}, reduction {}{}, weight {}", static_cast<int>(terminal.loss.lossType),
                               static_cast<int>(terminal.loss.reductionType),
                               terminal.loss.reduceAcrossBatch ? " across the batch" : "", terminal.loss.weight);
        out += "\n";
    }
    for (const auto& [set, what] : {std::pair{usesHandler, "node handler"}, {isMixed, "some images float16"}, {dropsTermini, "some termini"},
                                    {temporarySources, "temporary sources"}, {temporaryStates, "temporary states"},
                                    {!options.fuseNeurons, "no fused neurons"},
                                    {!options.foldBatchNormalization, "no folded normalisation"},
                                    {!options.fuseNeuronGradients, "no fused neuron gradients"},
                                    {!options.fuseSums, "no fused sums"},
                                    {!options.accumulateGradients, "no accumulated gradients"},
                                    {!options.inPlace, "nothing in place"},
                                    {!options.concatenateInPlace, "concatenations copied"},
                                    {!options.chooseLayouts, "all images N,H,W,C"},
                                    {!options.joinUpdates, "every update after its gradients"},
                                    {!options.deadCode, "dead code"}})
        if (set) out += fmt::format("  {}\n", what);
    return out;
}

}  // namespace pewter::fuzz
