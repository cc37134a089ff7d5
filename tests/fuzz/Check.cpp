#include "Check.h"

#include <fmt/format.h>

#include <MPS/NNRecomputePolicy.hpp>
#include <MTL/MTL.hpp>
#include <algorithm>
#include <cmath>

#include "OpTensors.h"

namespace pewter::fuzz {

namespace {

/// Half the distance of neighbours in float32; in plans with mixed formats in float16.
constexpr double kUnit = 0x1p-24, kHalfUnit = 0x1p-11;
constexpr double kStep = 0x1p-20;  ///< of the central differences

double sizeOf(const std::vector<double>& values) {
    double size = 0;
    for (const double value : values) size = std::isnan(value) ? HUGE_VAL : std::max(size, std::fabs(value));
    return size;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return HUGE_VAL;
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = a[i] == b[i] ? 0 : std::fabs(a[i] - b[i]);
        most = std::isnan(d) ? HUGE_VAL : std::max(most, d);
    }
    return most;
}

bool isGradient(const std::string& name) { return name[0] == 'g' || name.find(", ") != std::string::npos; }

std::string namesOf(const Outcome& outcome) {
    std::string names;
    for (const auto& [name, values] : outcome.values) names += (names.empty() ? "" : "; ") + name;
    return names;
}

void sameNames(const Outcome& a, const Outcome& b, const char* what) {
    const auto equal = [](const auto& x, const auto& y) { return x.first == y.first; };
    if (!std::equal(a.values.begin(), a.values.end(), b.values.begin(), b.values.end(), equal))
        throw Finding(fmt::format("{}: [{}] instead of [{}]", what, namesOf(b), namesOf(a)));
}

/// One number that the losses depend on, the derivative that the graph gave, and how far to go.
struct Coordinate {
    std::string name;
    double* input;
    float* parameter;
    double step;
    double gradient = 0;
};

/// The derivative of an objective along a direction: what a graph says, and central differences.
class Directional {
public:
    Directional(Objective& objective, ImageValues& inputs, std::vector<Coordinate> direction)
        : objective_(objective), inputs_(inputs), direction_(std::move(direction)) {
        for (const auto& coordinate : direction_) {
            derivative_ += coordinate.gradient * coordinate.step;
            magnitude_ += std::fabs(coordinate.gradient * coordinate.step);
        }
    }

    struct Verdict {
        double share = 0;
        bool isKink = false;
        std::string message;  ///< empty: equal, or at a kink
    };
    Verdict compare() {
        Verdict verdict;
        const auto wide = difference(kStep);
        verdict.share = wide.share;
        if (wide.share <= 1) return verdict;
        // Curvature goes away with the step; a kink has two slopes. Of many coordinates they must explain the difference;
        // for one it is enough that they are two: the curve bends by 10^-6 of its second derivative.
        const auto narrow = difference(kStep / 8);
        const double bend = std::max(wide.bend, narrow.bend), off = std::fabs(wide.slope - derivative_);
        const double explained =
            direction_.size() > 1 ? off / 2
                                  : std::min(off / 2, 1e-4 * (std::fabs(wide.slope) + std::fabs(derivative_)));
        verdict.isKink = narrow.share <= 1 || (bend >= explained && std::isfinite(off));
        if (!verdict.isKink)
            verdict.message = fmt::format("the derivative is {:.9g} by the graph and {:.9g} by central differences, {:.3g} "
                                          "times the allowance off (slopes differ by {:.3g})",
                                          derivative_, wide.slope, wide.share, wide.bend);
        return verdict;
    }

private:
    struct Difference {
        double slope = 0, share = 0, bend = 0;
    };
    Difference difference(double h) {
        const double above = at(h), below = at(-h), middle = at(0);
        Difference d;
        d.slope = (above - below) / (2 * h);
        d.bend = std::fabs(above - 2 * middle + below) / h;
        // Gradients of parameters are float32; then curvature; then the rounding of the two sums.
        const double allowance = 4e-7 * magnitude_ + 1e-9 * (1 + std::fabs(d.slope)) +
                                 64 * 0x1p-53 * (std::fabs(above) + std::fabs(below)) / h;
        d.share = std::fabs(d.slope - derivative_) / allowance;
        return d;
    }
    double at(double h) {
        // What was there is put back as it was.
        std::vector<double> before;
        for (const auto& c : direction_) {
            before.push_back(c.input ? *c.input : *c.parameter);
            if (c.input)
                *c.input += h * c.step;
            else
                *c.parameter += static_cast<float>(h * c.step);
        }
        const double value = objective_(inputs_);
        for (std::size_t i = 0; i < direction_.size(); ++i)
            if (direction_[i].input)
                *direction_[i].input = before[i];
            else
                *direction_[i].parameter = static_cast<float>(before[i]);
        return value;
    }

    Objective& objective_;
    ImageValues& inputs_;
    std::vector<Coordinate> direction_;
    double derivative_ = 0, magnitude_ = 0;
};

/// All inputs moved by up to `size`.
ImageValues moved(const ImageValues& inputs, test::Random& random, double size) {
    auto result = inputs;
    for (auto& [index, values] : result)
        for (auto& value : values) value += size * random.uniform(-1, 1);
    return result;
}

}  // namespace

Checker::Checker(std::size_t differencesEvery) : reference_("reference"), differencesEvery_(differencesEvery) {
    for (const auto& device : MTL::copyAllDevices())
        if (device->name() != "reference" && !device_) device_.emplace(device->name());
    MTL::setStrictTemporaries(true);
    MTL::setDiagnosticHandler([this](const std::string& message) { diagnostics_.push_back(message); });
}

Checker::~Checker() {
    MTL::setStrictTemporaries(false);
    MTL::setDiagnosticHandler({});
}

void Checker::checkDiagnostics() {
    if (diagnostics_.empty()) return;
    const auto message = diagnostics_.front();
    diagnostics_.clear();
    throw Finding("the library reports: " + message);
}

void Checker::checkUpdates(const Plan& plan, const TrainingNodes& nodes, const Outcome& outcome) const {
    for (std::size_t p = 0; p < plan.parameters.size(); ++p) {
        std::size_t expected = 0;
        bool isObserved = false;
        for (std::size_t i = 0; i < plan.nodes.size(); ++i)
            if (plan.nodes[i].parameters == plan.parameters[p]) {
                expected += nodes.updates[i];
                isObserved |= nodes.isObserved[i];
            }
        const auto& name = plan.parameters[p]->name;
        if (outcome.updates[p] != expected)
            throw Finding(fmt::format("{} was asked for {} updates, expected {}", name, outcome.updates[p], expected));
        if (outcome.values.contains(name + ", first") != isObserved)
            throw Finding(fmt::format("{} {} gradients", name, isObserved ? "got no" : "unexpectedly got"));
    }
}

void Checker::compareDevices(const Plan& plan, const TrainingNodes& nodes, const Outcome& base, const Outcome& rounded,
                             const Outcome& device) {
    sameNames(base, device, "results of the device");
    // Backward passes start with gradients of the order of 1, which a loss may have as the difference of larger numbers.
    double gradients = 1, others = 0;
    for (const auto& [name, values] : base.values)
        (isGradient(name) ? gradients : others) = std::max(isGradient(name) ? gradients : others, sizeOf(values));
    const bool isExact =
        plan.isExact && base.values == rounded.values && std::max(gradients, others) < 0x1p22;
    std::vector<Outcome> probes;
    for (const auto& [name, expected] : base.values) {
        const auto& actual = device.values.at(name);
        const double found = distance(actual, expected);
        if (found == 0) continue;
        if (isExact) throw Finding(fmt::format("{} differs by {:.3g} although everything is exact", name, found));
        const double spread = distance(rounded.values.at(name), expected);
        const double longest = static_cast<double>(plan.longestSum()) + 6;
        // Sums are float32 in any case: a float16 image adds one rounding each.
        const double unit = plan.isMixed ? kHalfUnit : kUnit,
                     terms = plan.isMixed ? 2.0 * static_cast<double>(plan.nodes.size()) : plan.roundings();
        // Gradients of parameters are products of gradients with what the filters read.
        double around = isGradient(name) ? gradients : others;
        for (const auto& node : plan.nodes)
            if (node.parameters && name.starts_with(node.parameters->name + ","))
                around = std::max(around, gradients * plan.magnitudeOf(node.sources[0]));
        const double allowance = terms * unit * sizeOf(expected) + longest * spread + 8 * unit * around;
        const double share = found / allowance;
        if (share <= 1) {
            if (share > tally.worstShare) tally.worstShare = share, tally.worstShareSeed = plan.seed;
            continue;
        }
        // More than rounding explains: unless a small change of the inputs does as much.
        if (probes.empty()) {
            test::Random random(plan.choices + 1);
            const double far = plan.isMixed ? 0x1p-8 : 0x1p-14;
            nodes.mixFormats(false);
            for (const double size : {0x1p-20, far, far, far}) {
                TrainingRun probe(reference_, plan, nodes, Format::Float64);
                probes.push_back(probe.encode(moved(inputsOf(plan), random, size)));
            }
        }
        double reach = 0;
        for (const auto& probe : probes) reach = std::max(reach, distance(probe.values.at(name), expected));
        if (!(found <= 2 * reach) || !std::isfinite(found))
            throw Finding(fmt::format("{} differs by {:.3g} where {:.3g} is allowed (size {:.3g}, rounding to float32 moves "
                                      "it by {:.3g}, moving the inputs a little by {:.3g})",
                                      name, found, allowance, sizeOf(expected), spread, reach));
        ++tally.kinksOfDevices;
    }
}

void Checker::checkRecomputation(const Plan& plan, const TrainingNodes& nodes, const Outcome& first) {
    TrainingRun run(*device_, plan, nodes, Format::Float32);
    const std::size_t budget = first.peak / 5 * 4;
    run.graph().setRecomputePolicy(MPS::NNRecomputePolicy::budget(budget));
    Outcome outcome;
    try {
        outcome = run.encode(inputsOf(plan));
    } catch (const MTL::Error&) {
        ++tally.notRecomputed;
        return;
    }
    ++tally.recomputed;
    for (const auto& [name, values] : first.values)
        if (outcome.values.at(name) != values)
            throw Finding(fmt::format("{} differs by {:.3g} when images are computed again", name,
                                      distance(outcome.values.at(name), values)));
    if (!plan.temporarySources && outcome.peak > budget)
        throw Finding(fmt::format("an encode took {} bytes of a budget of {}", outcome.peak, budget));
}

void Checker::compareDifferences(const Plan& plan, const TrainingNodes& nodes, const Outcome& base) {
    // Images that stop gradients are inputs of their own here, with the values that they had.
    std::set<std::size_t> cutAt;
    auto inputs = inputsOf(plan);
    for (const auto& [terminal, image] : nodes.made)
        if (image >= plan.inputs.size()) cutAt.insert(image);
    if (!cutAt.empty()) {
        std::vector<std::size_t> cuts(cutAt.begin(), cutAt.end());
        const ForwardNodes forward(plan, &nodes.isTrained, {});
        for (const std::size_t image : cuts) inputs[image] = valueOf(reference_, plan, forward, image);
    }
    Objective objective(reference_, plan, nodes.isTrained, cutAt);
    test::Random random(plan.choices + 2);

    // Which directions the graph gave the derivative of.
    auto unknown = plan.constants;
    for (const auto& key : nodes.made)
        if (!nodes.given.contains(key) || !base.values.contains(gradientName(key.first, key.second)))
            unknown.insert(key.second);
    std::set<const ParameterSource*> partly;
    for (std::size_t i = 0; i < plan.nodes.size(); ++i)
        if (plan.nodes[i].parameters && !(nodes.isObserved[i] && nodes.isWhole[i])) partly.insert(plan.nodes[i].parameters.get());

    for (const double density : {1.0, 0.05}) {
        // First every coordinate at once, then a few.
        std::vector<Coordinate> direction;
        const auto add = [&](const Coordinate& coordinate) {
            if (coordinate.step != 0) direction.push_back(coordinate);
        };
        for (auto& [image, values] : inputs) {
            if (unknown.contains(image)) continue;
            for (std::size_t i = 0; i < values.size(); ++i) {
                if (random.uniform(0, 1) >= density) continue;
                Coordinate coordinate{fmt::format("#{}[{}]", image, i), &values[i], nullptr,
                                      std::round(random.uniform(-4, 4)) / 4};
                for (std::size_t t = 0; t < plan.terminals.size(); ++t)
                    if (const auto gradient = base.values.find(gradientName(t, image)); gradient != base.values.end())
                        coordinate.gradient += gradient->second[i];
                add(coordinate);
            }
        }
        for (const auto& source : plan.parameters) {
            if (!base.values.contains(source->name + ", first") || partly.contains(source.get())) continue;
            for (const bool second : {false, true}) {
                auto& parameter = second ? source->second : source->first;
                const auto& gradient = base.values.at(source->name + (second ? ", second" : ", first"));
                for (std::size_t i = 0; i < gradient.size(); ++i)
                    if (random.uniform(0, 1) < density)
                        add({fmt::format("{}, {}[{}]", source->name, second ? "second" : "first", i), nullptr,
                             &parameter.values[i], static_cast<double>(random.integer(-1, 1)), gradient[i]});
            }
        }
        ++tally.differences;
        Directional along(objective, inputs, direction);
        const auto verdict = along.compare();
        if (verdict.isKink) ++tally.kinksOfDifferences;
        if (verdict.message.empty()) {
            if (verdict.share <= 1 && verdict.share > tally.worstDifference)
                tally.worstDifference = verdict.share, tally.worstDifferenceSeed = plan.seed;
            continue;
        }
        // Jumps of several kinks may cancel in the two slopes: each coordinate alone tells whether it is at one. A wrong
        // gradient shows in a coordinate alone, or in those that are at none together.
        std::string blame;
        double worst = 0;
        std::vector<Coordinate> smooth;
        for (const auto& coordinate : direction) {
            const auto one = Directional(objective, inputs, {coordinate}).compare();
            if (!one.isKink) smooth.push_back(coordinate);
            if (!one.message.empty() && one.share > worst) worst = one.share, blame = coordinate.name + ": " + one.message;
        }
        if (blame.empty() && smooth.size() < direction.size()) {
            const auto rest = Directional(objective, inputs, smooth).compare();
            ++tally.kinksOfDifferences;
            if (rest.message.empty()) continue;
        }
        throw Finding(fmt::format("along {} coordinates {}; alone, {}", direction.size(), verdict.message,
                                  blame.empty() ? "none of them is wrong" : blame));
    }
}

void Checker::checkOrThrow(const Plan& plan) {
    TrainingNodes nodes(plan);
    const auto inputs = inputsOf(plan);

    TrainingRun exactly(reference_, plan, nodes, Format::Float64);
    const auto base = exactly.encode(inputs);
    checkUpdates(plan, nodes, base);
    for (const auto& [name, values] : base.values)
        if (!std::isfinite(sizeOf(values))) throw Finding(name + " is not finite on reference");
    checkDiagnostics();

    if (device_) {
        nodes.mixFormats(true);
        TrainingRun single(reference_, plan, nodes, Format::Float32);
        auto rounded = single.encode(inputs);
        sameNames(base, rounded, "float32 on reference");
        for (const auto& [name, values] : rounded.values)
            if (plan.isMixed && !std::isfinite(sizeOf(values))) {
                // Beyond float16: without those images.
                nodes.mixFormats(false);
                nodes.halfImages.clear();
                rounded = TrainingRun(reference_, plan, nodes, Format::Float32).encode(inputs);
                break;
            }

        TrainingRun run(*device_, plan, nodes, Format::Float32);
        const auto report = run.report(inputs);
        const auto first = run.encode(inputs);
        checkUpdates(plan, nodes, first);
        compareDevices(plan, nodes, base, rounded, first);
        if (report.peakBytes < report.lowerBoundBytes)
            throw Finding(fmt::format("the report's peak of {} bytes is below its lower bound {}", report.peakBytes,
                                      report.lowerBoundBytes));
        if (first.peak < first.livePeak)
            throw Finding(fmt::format("the encode took {} bytes, of which {} were live", first.peak, first.livePeak));
        if (report.lowerBoundBytes > 0) {
            const double ratio = static_cast<double>(report.peakBytes) / static_cast<double>(report.lowerBoundBytes);
            tally.worstPeak = std::max(tally.worstPeak, ratio);
            tally.sumOfPeaks += static_cast<double>(report.peakBytes);
            tally.sumOfBounds += static_cast<double>(report.lowerBoundBytes);
        }
        nodes.mixFormats(true);
        // A dropout draws the masks of a first encode again in a new graph only.
        std::optional<TrainingRun> other;
        if (plan.isRandom()) other.emplace(*device_, plan, nodes, Format::Float32);
        auto& second = other ? *other : run;
        const auto again = second.encode(inputs, randomMistake(plan, nodes, second, plan.choices + 3));
        ++tally.mistakes;
        for (const auto& [name, values] : first.values)
            if (again.values.at(name) != values)
                throw Finding(fmt::format("{} differs by {:.3g} when encoded again", name,
                                          distance(again.values.at(name), values)));
        if (!plan.temporarySources && report.peakBytes != first.peak)
            throw Finding(fmt::format("the report says {} bytes, the encode took {}", report.peakBytes, first.peak));
        if (plan.choices % 3 == 0) checkRecomputation(plan, nodes, first);
        Outcome inferred, expected, coarse;
        inferred.values = infer(*device_, plan, nodes, Format::Float32);
        coarse.values = infer(reference_, plan, nodes, Format::Float32);
        nodes.mixFormats(false);
        expected.values = infer(reference_, plan, nodes, Format::Float64);
        for (const auto& [name, values] : expected.values) {
            const double found = distance(inferred.values.at(name), values);
            const double unit = plan.isMixed ? kHalfUnit : kUnit;
            const double allowance = plan.roundings() * unit * (1 + sizeOf(values)) +
                                     (static_cast<double>(plan.longestSum()) + 6) * distance(coarse.values.at(name), values);
            if (!(found <= allowance))
                throw Finding(fmt::format("{} differs by {:.3g} where {:.3g} is allowed", name, found, allowance));
        }
    }
    // Small integers lie on kinks.
    if (!plan.isExact && differencesEvery_ && tally.graphs % differencesEvery_ == 0) compareDifferences(plan, nodes, base);
    checkDiagnostics();
}

std::string Checker::check(const Plan& plan) {
    ++tally.graphs;
    tally.filters += plan.nodes.size();
    tally.exact += plan.isExact;
    tally.withSeveralLosses += plan.terminals.size() > 1;
    std::string message;
    try {
        checkOrThrow(plan);
    } catch (const std::exception& error) {
        message = error.what();
        ++tally.failures;
        diagnostics_.clear();
    }
    return message;
}

std::string Checker::check(std::uint64_t seed) {
    try {
        return check(drawPlan(seed));
    } catch (const std::exception& error) {
        return fmt::format("drawing failed: {}", error.what());
    }
}

}  // namespace pewter::fuzz
