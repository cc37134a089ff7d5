#include "mps/graph/LayoutSearch.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace pewter::mps {

namespace {

/// Less of the time of all convolutions is not worth it: measured times differ by as much, and of many choices the best ones
/// are those that were measured too short.
constexpr double kWorth = 0.01;

/// Operations that touch no image.
template <class Op>
constexpr bool kArraysOnly = std::is_same_v<Op, ops::ArrayCopy> || std::is_same_v<Op, ops::OptimizerStep>;

/// Those that gather loose images and weights, which seldom are images of the graph's own.
template <class Op>
constexpr bool kCopies = std::is_same_v<Op, ops::Copy> || std::is_same_v<Op, ops::CopyGradient>;

/// Those whose cost may have to be measured.
template <class Op>
constexpr bool kMeasured = std::is_same_v<Op, ops::ConvolutionForward> || std::is_same_v<Op, ops::ConvolutionDataGradient> ||
                           std::is_same_v<Op, ops::ConvolutionWeightsGradient>;

}  // namespace

class LayoutSearch::Probe final : public ops::OperationVisitor {
public:
    Probe(LayoutSearch& search, const Later& command, bool measured)
        : search_(search), command_(command), measured_(measured) {}

#define PEWTER_DECLARE(Op) \
    void visit(const ops::Op& op) override { see(op); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

private:
    template <class Op>
    void see(const Op& op) {
        if (kMeasured<Op> && !measured_) {
            search_.later_.push_back(command_);
        } else if constexpr (!kArraysOnly<Op>) {
            if (const auto cost = search_.backend_.layoutCost(op); !cost.images.empty())
                search_.note(cost);
            else if constexpr (kCopies<Op>)
                search_.keep({&op.src, &op.dst});
            else if constexpr (std::is_same_v<Op, ops::Fill>)
                search_.keep({&op.dst});
            else
                for (const std::size_t image : command_.around) search_.keep(image);
        }
    }

    LayoutSearch& search_;
    const Later& command_;
    bool measured_;
};

std::size_t LayoutSearch::add(const ops::Tensor& image) {
    images_.push_back(image);
    kept_.push_back(false);
    return places_[image.data] = images_.size() - 1;
}

void LayoutSearch::add(const mtl::Command& command, const std::vector<std::size_t>& around) {
    ask({&command, around}, false);
}

void LayoutSearch::ask(const Later& command, bool measured) {
    const auto& around = command.around;
    if (std::all_of(around.begin(), around.end(), [&](std::size_t image) { return kept_[image]; })) return;
    if (command.command->show) {
        Probe probe(*this, command, measured);
        command.command->show(probe);
    } else {
        for (const std::size_t image : around) keep(image);
    }
}

void LayoutSearch::spread() {
    for (bool changed = true; changed;) {
        changed = false;
        for (const auto& [one, other] : ties_) {
            if (kept_[one] == kept_[other]) continue;
            kept_[one] = kept_[other] = changed = true;
        }
    }
}

std::optional<std::size_t> LayoutSearch::find(const ops::Tensor& operand) {
    const auto after = places_.upper_bound(operand.data);
    if (after == places_.begin()) return std::nullopt;
    const std::size_t image = std::prev(after)->second;
    const ops::Tensor& whole = images_[image];
    const auto begin = static_cast<const std::byte*>(whole.data), at = static_cast<const std::byte*>(operand.data);
    if (at - begin >= whole.count() * static_cast<std::int64_t>(ops::sizeOf(whole.type))) return std::nullopt;
    if (at == begin && operand.sameExtents(whole) && operand.isDense() && operand.type == whole.type) return image;
    keep(image);
    return std::nullopt;
}

void LayoutSearch::note(const ops::LayoutCost& cost) {
    std::vector<std::optional<std::size_t>> found;
    for (const ops::Tensor* operand : cost.images) found.push_back(find(*operand));
    if (cost.milliseconds) {
        if (found.size() == 2 && found[0] != found[1])
            return pairs_.push_back({found[0], found[1], *cost.milliseconds});
        for (const auto& image : found)
            if (image) keep(*image);
        return;
    }
    const auto other = std::find(found.begin(), found.end(), std::nullopt);
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (!found[i]) continue;
        if (other != found.end())
            keep(*found[i]);
        else if (i > 0)
            tie(*found[i - 1], *found[i]);
    }
}

void LayoutSearch::keep(std::initializer_list<const ops::Tensor*> operands) {
    for (const ops::Tensor* operand : operands)
        if (const auto image = find(*operand)) keep(*image);
}

double LayoutSearch::costOf(const std::vector<bool>& inBlocks) const {
    const auto is = [&](const std::optional<std::size_t>& image) { return image && inBlocks[*image] ? 1U : 0U; };
    double sum = 0;
    for (const Pair& pair : pairs_) sum += pair.cost[is(pair.first)][is(pair.second)];
    return sum;
}

LayoutSearch::Found LayoutSearch::solve() {
    for (const Later& command : std::exchange(later_, {})) {
        spread();
        ask(command, true);
    }
    BinaryLabels labels(images_.size());
    const double before = costOf(std::vector<bool>(images_.size()));
    for (std::size_t image = 0; image < images_.size(); ++image)
        if (kept_[image]) labels.add(image, 0, 1e3 * (1 + before));
    for (const auto& [one, other] : ties_) labels.tie(one, other);
    for (const auto& [first, second, cost] : pairs_) {
        if (first && second)
            labels.add(*first, *second, cost);
        else if (first)
            labels.add(*first, cost[0][0], cost[1][0]);
        else if (second)
            labels.add(*second, cost[0][0], cost[0][1]);
    }
    Found found{labels.solve(), 0};
    found.saved = before - costOf(found.inBlocks);
    return found.saved > kWorth * before ? found : Found{};
}

}  // namespace pewter::mps
