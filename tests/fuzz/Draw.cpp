#include "Draw.h"

#include <fmt/format.h>

#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNSoftMaxNode.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <algorithm>
#include <cmath>

namespace pewter::fuzz {

namespace {

/// Larger images make the sums longer, not the graphs more interesting.
constexpr std::size_t kMostElements = 240;
constexpr double kTooLarge = 30;
constexpr double kLargestExact = 500;

}  // namespace

float Drawer::number(double low, double high) {
    if (plan.isExact)
        return static_cast<float>(random.integer(static_cast<std::int64_t>(std::ceil(low)),
                                                 static_cast<std::int64_t>(std::floor(high))));
    return static_cast<float>(std::round(random.uniform(low, high) * 64) / 64);
}

std::size_t Drawer::pick() {
    std::vector<std::size_t> fresh;
    for (std::size_t i = 0; i < imageCount(); ++i)
        if (readers_[i] == 0) fresh.push_back(i);
    if (!fresh.empty() && chance(0.7)) return fresh[between(0, fresh.size() - 1)];
    return between(0, imageCount() - 1);
}

std::optional<std::size_t> Drawer::pickWhere(const std::function<bool(const Size&)>& fits) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < imageCount(); ++i)
        if (fits(sizeOf(i)))
            for (int n = readers_[i] == 0 ? 3 : 1; n > 0; --n) found.push_back(i);
    if (found.empty()) return std::nullopt;
    return found[between(0, found.size() - 1)];
}

std::size_t Drawer::pickTame(double magnitude) {
    const std::size_t image = pick();
    if (plan.magnitudeOf(image) <= magnitude) return image;
    return addUnary(image, sizeOf(image), "tanh", [](const ImageNode& x) { return MPS::CNNNeuronTanHNode::node(x); }, 1);
}

std::size_t Drawer::add(PlanNode node) {
    for (const std::size_t source : node.sources) {
        ++readers_[source];
        if (source < plan.inputs.size() || node.size.width * node.size.height == 1) continue;
        const auto& before = plan.nodes[source - plan.inputs.size()];
        node.replicates |= before.replicates;
        node.nearlyTies |= before.nearlyTies;
    }
    node.nearlyTies |= node.replicates && node.blurs;
    if (node.parameters) ++node.parameters->users;
    const double magnitude = node.magnitude;
    const Size size = node.size;
    PlanImage image;
    image.stopsGradient = !node.hasGradient;
    plan.nodes.push_back(std::move(node));
    plan.images.push_back(image);
    readers_.push_back(0);
    const std::size_t result = imageCount() - 1;
    if (magnitude <= kTooLarge || plan.isExact) return result;
    // Keeps later functions in a range where float32 has something to say.
    const float scale = static_cast<float>(std::exp2(-std::floor(std::log2(magnitude / 2))));
    return addUnary(
        result, size, fmt::format("linear a={}", scale),
        [scale](const ImageNode& x) { return MPS::CNNNeuronLinearNode::node(x, scale, 0); }, magnitude * scale);
}

bool Drawer::isFitForMaximum(std::size_t image) const {
    return image < plan.inputs.size() || !plan.nodes[image - plan.inputs.size()].nearlyTies;
}

std::size_t Drawer::addInput(const Size& size) {
    plan.inputs.push_back(size);
    plan.inputValues.push_back(values(plan.batch * size.count(), 2));
    plan.images.emplace_back();
    readers_.push_back(0);
    return plan.inputs.size() - 1;
}

std::size_t Drawer::addUnary(std::size_t source, const Size& size, std::string text,
                             std::function<FilterNode(const ImageNode&)> build, double magnitude, std::size_t terms,
                             Ties ties) {
    PlanNode node;
    node.sources = {source};
    node.size = size;
    node.text = std::move(text);
    node.build = [build = std::move(build)](const std::vector<ImageNode>& x, const Building&) { return build(x[0]); };
    node.magnitude = magnitude;
    node.terms = terms;
    node.replicates = ties == Ties::Copies;
    node.blurs = ties == Ties::Sums;
    node.nearlyTies = ties == Ties::Interpolates;
    return add(std::move(node));
}

std::vector<float> Drawer::parameters(std::size_t count, double limit) {
    std::vector<float> all(count);
    const auto most = static_cast<std::int64_t>(limit * 1024);
    for (auto& value : all)
        value = plan.isExact ? (chance(0.5) ? 0 : static_cast<float>(random.integer(-1, 1)))
                             : static_cast<float>(random.integer(-most, most)) / 1024;
    return all;
}

std::vector<double> Drawer::values(std::size_t count, double limit) {
    std::vector<double> all(count);
    const auto most = static_cast<std::int64_t>(limit * 0x1p20);
    for (auto& value : all)
        value = plan.isExact ? static_cast<double>(random.integer(-2, 2))
                             : static_cast<double>(random.integer(-most, most)) * 0x1p-20;
    return all;
}

std::optional<Drawer::Windowed> Drawer::window(const Size& source, const Axis& x, const Axis& y) {
    Windowed out;
    out.method = chance(0.5)   ? MPS::NNPaddingMethodSizeSame
                 : chance(0.7) ? MPS::NNPaddingMethodSizeValidOnly
                               : MPS::NNPaddingMethodSizeFull;
    const std::int64_t style = out.method == MPS::NNPaddingMethodSizeSame ? 0
                               : out.method == MPS::NNPaddingMethodSizeFull ? 1
                                                                            : -1;
    const auto extent = [&](std::size_t size, const Axis& axis) {
        const auto s = static_cast<std::int64_t>(size), kd = static_cast<std::int64_t>(axis.effective()),
                   stride = static_cast<std::int64_t>(axis.stride);
        if (style < 0 && s < kd) return std::int64_t{0};
        return (s + style * (kd - 1) + stride - 1) / stride;
    };
    const auto width = extent(source.width, x), height = extent(source.height, y);
    if (width < 1 || height < 1) return std::nullopt;
    out.width = static_cast<std::size_t>(width);
    out.height = static_cast<std::size_t>(height);
    if (out.width * out.height * source.channels > kMostElements) return std::nullopt;
    if (chance(0.5))
        out.method |= oneOf({MPS::NNPaddingMethodAddRemainderToTopLeft, MPS::NNPaddingMethodAddRemainderToTopRight,
                             MPS::NNPaddingMethodAddRemainderToBottomLeft,
                             MPS::NNPaddingMethodAddRemainderToBottomRight});
    if (chance(0.1)) out.method |= oneOf({MPS::NNPaddingMethodAlignTopLeft, MPS::NNPaddingMethodAlignBottomRight});
    return out;
}

std::string Drawer::textOf(const Axis& x, const Axis& y, const Windowed& window) {
    std::string text = fmt::format("{}x{}", x.window, y.window);
    if (x.stride > 1 || y.stride > 1) text += fmt::format(" stride {},{}", x.stride, y.stride);
    if (x.dilation > 1 || y.dilation > 1) text += fmt::format(" dilation {},{}", x.dilation, y.dilation);
    return text + fmt::format(" padding {:#x}", window.method);
}

namespace {

using LossType = MPS::CNNLossType;

/// A loss that accepts any prediction, with labels that suit it.
void drawLoss(Drawer& d, Terminal& terminal) {
    const Size& size = d.sizeOf(terminal.image);
    const auto type = d.oneOf({LossType::MeanSquaredError, LossType::SoftMaxCrossEntropy, LossType::SigmoidCrossEntropy,
                               LossType::MeanAbsoluteError, LossType::Hinge, LossType::Huber});
    // The gradient is that of the sum, whatever the reduction: with a mean the loss is another number.
    const bool sums = d.chance(0.7);
    terminal.loss =
        MPS::CNNLossDescriptor::cnnLossDescriptor(type, sums ? MPS::CNNReductionType::Sum : MPS::CNNReductionType::None);
    terminal.loss.reduceAcrossBatch = sums && d.chance(0.2);
    terminal.loss.weight = d.oneOf({1.0F, 0.5F, 0.25F});
    const std::size_t pixels = d.plan.batch * size.width * size.height;
    terminal.values.assign(pixels * size.channels, 0);
    if (type == LossType::SoftMaxCrossEntropy)
        for (std::size_t i = 0; i < pixels; ++i) terminal.values[i * size.channels + d.between(0, size.channels - 1)] = 1;
    else if (type == LossType::SigmoidCrossEntropy || type == LossType::Hinge)
        for (auto& value : terminal.values) value = d.chance(0.5) ? 1 : 0;
    else
        terminal.values = d.values(terminal.values.size(), 1);
    if ((type == LossType::SoftMaxCrossEntropy || type == LossType::SigmoidCrossEntropy) && d.chance(0.2)) {
        terminal.loss.labelSmoothing = 0.125F;
        terminal.loss.numberOfClasses = size.channels;
    }
}

/// Sums what nothing reads, through fully connected filters of one size.
std::size_t join(Drawer& d, const std::vector<std::size_t>& loose) {
    const std::size_t channels = d.between(1, 6);
    std::optional<std::size_t> sum;
    for (const std::size_t image : loose) {
        const std::size_t next =
            d.sizeOf(image) == Size{1, 1, channels} ? image : d.addFullyConnected(image, channels);
        if (!sum) {
            sum = next;
            continue;
        }
        PlanNode node;
        node.sources = {*sum, next};
        node.size = {1, 1, channels};
        node.text = "add";
        node.magnitude = d.plan.magnitudeOf(*sum) + d.plan.magnitudeOf(next);
        node.build = [](const std::vector<ImageNode>& x, const Building&) {
            return MPS::NNAdditionNode::node(x[0], x[1]);
        };
        sum = d.add(std::move(node));
    }
    return *sum;
}

/// Whether backward passes from several ends would share a state that is good for one of them.
bool sharesStates(const Plan& plan, const std::vector<std::size_t>& ends) {
    std::vector<bool> reached(plan.images.size());
    for (const std::size_t end : ends) {
        std::vector<std::size_t> open{end};
        std::vector<bool> seen(plan.images.size());
        while (!open.empty()) {
            const std::size_t image = open.back();
            open.pop_back();
            if (image < plan.inputs.size() || seen[image] || plan.images[image].stopsGradient) continue;
            seen[image] = true;
            const auto& node = plan.nodes[image - plan.inputs.size()];
            if (node.ownsState && reached[image]) return true;
            reached[image] = true;
            open.insert(open.end(), node.sources.begin(), node.sources.end());
        }
    }
    return false;
}

/// The ends of the graph, and where the backward passes start.
void drawTerminals(Drawer& d) {
    std::vector<std::size_t> loose;
    for (std::size_t i = 0; i < d.imageCount(); ++i)
        if (d.readers()[i] == 0 && !d.plan.images[i].stopsGradient) loose.push_back(i);
    // Sometimes an end stays loose: nothing of it runs. An image that stops gradients is no start for any.
    if (loose.size() > 1 && d.chance(0.1)) loose.erase(loose.begin());
    if (loose.empty()) loose = {0};
    std::vector<std::size_t> ends;
    if (loose.size() > 1 && loose.size() < 4 && d.chance(0.3) && !sharesStates(d.plan, loose))
        ends = loose;
    else
        ends = {join(d, loose)};
    for (std::size_t end : ends) {
        if (end < d.plan.inputs.size()) end = d.addFullyConnected(end, d.between(1, 6));
        Terminal terminal;
        terminal.image = end;
        terminal.kind = d.oneOf({Terminal::Kind::Loss, Terminal::Kind::Loss, Terminal::Kind::Ones,
                                 Terminal::Kind::Gradient, Terminal::Kind::Own});
        if (d.plan.isExact && terminal.kind == Terminal::Kind::Loss) terminal.kind = Terminal::Kind::Gradient;
        if (terminal.kind == Terminal::Kind::Loss) drawLoss(d, terminal);
        if (terminal.kind == Terminal::Kind::Gradient)
            terminal.values = d.values(d.plan.batch * d.sizeOf(end).count(), 1);
        d.plan.terminals.push_back(std::move(terminal));
    }
}

}  // namespace

std::vector<Family> allFamilies() {
    std::vector<Family> all;
    for (const auto& list : {weightedFamilies(), pointwiseFamilies(), windowFamilies(), shapeFamilies(), lossFamilies()})
        all.insert(all.end(), list.begin(), list.end());
    return all;
}

std::vector<const char*> familyTexts() {
    std::vector<const char*> texts;
    for (const auto& family : allFamilies()) texts.push_back(family.text);
    return texts;
}

Plan drawPlan(std::uint64_t seed) {
    // Neighbouring seeds give unrelated graphs.
    Drawer d(seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL);
    d.plan.seed = seed;
    d.plan.isExact = d.chance(0.25);
    d.plan.batch = d.between(1, 3);
    for (std::size_t i = d.oneOf<std::size_t>({1, 1, 1, 2, 2, 3}); i > 0; --i)
        d.addInput({d.between(1, 6), d.between(1, 6), d.oneOf<std::size_t>({1, 2, 3, 4, 4, 5, 8})});

    std::vector<Family> families;
    for (const auto& family : allFamilies())
        if (family.isExact || !d.plan.isExact) families.push_back(family);
    double total = 0;
    for (const auto& family : families) total += family.weight;
    const std::size_t wanted = d.between(1, 9);
    for (std::size_t attempts = 0; d.plan.nodes.size() < wanted && attempts < 60; ++attempts) {
        double at = d.random.uniform(0, total);
        std::size_t which = 0;
        while (which + 1 < families.size() && at >= families[which].weight) at -= families[which++].weight;
        families[which].draw(d);
        // Small integers only as long as they are small.
        if (d.plan.isExact && d.plan.magnitudeOf(d.imageCount() - 1) > kLargestExact) break;
    }
    // Before the ends are drawn: those must pass gradients on.
    for (auto& image : d.plan.images)
        if (d.chance(0.03)) image.stopsGradient = true;
    drawTerminals(d);

    auto& plan = d.plan;
    for (std::size_t i = plan.inputs.size(); i < plan.images.size(); ++i)
        if (d.chance(0.08)) plan.images[i].isExported = true, plan.images[i].isPersistent = d.chance(0.7);
    plan.choices = static_cast<std::uint64_t>(d.random.integer(0, 1LL << 60));
    plan.usesHandler = d.chance(0.5);
    plan.dropsTermini = d.chance(0.25);
    plan.temporarySources = d.chance(0.1);
    plan.temporaryStates = d.chance(0.3);
    plan.isMixed = d.chance(0.1);
    if (d.chance(0.4)) {
        const bool none = d.chance(0.4);
        auto& o = plan.options;
        for (bool* const option : {&o.fuseNeurons, &o.foldBatchNormalization, &o.fuseNeuronGradients,
                                   &o.accumulateGradients, &o.inPlace, &o.deadCode,
                                   &o.concatenateInPlace, &o.chooseLayouts, &o.fuseSums, &o.joinUpdates})
            *option = !none && d.chance(0.5);
    }
    return plan;
}

}  // namespace pewter::fuzz
