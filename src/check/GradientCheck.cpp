#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <cmath>
#include <limits>

#include "check/Incoming.h"
#include "mtl/Device.h"

namespace pewter::check {

namespace {

/// The scalar whose derivatives the gradients are.
double product(const std::vector<Array>& outputs, const Incoming& incoming) {
    double sum = 0;
    for (std::size_t o = 0; o < outputs.size(); ++o) {
        const auto weights = incoming(o, outputs[o].shape);
        for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * outputs[o].values[i];
    }
    return sum;
}

/// (f(x + h) - f(x - h)) / 2h for the element `at` of operand `which`.
double quotient(const OpCase& op, const Setting& setting, std::vector<Array>& operands, std::size_t which,
                std::size_t at, const Incoming& incoming) {
    const double step = op.operands[which].kind == Kind::Image ? kImageStep : kParameterStep;
    double& value = operands[which].values[at];
    const double start = value;
    value = start + step;
    const double above = product(op.run(setting, operands, nullptr).outputs, incoming), up = value;
    value = start - step;
    const double below = product(op.run(setting, operands, nullptr).outputs, incoming), down = value;
    value = start;
    if (op.operands[which].kind == Kind::Image) return (above - below) / (up - down);
    return (above - below) / (static_cast<double>(static_cast<float>(up)) - static_cast<float>(down));
}

bool computesInDouble(const std::shared_ptr<MTL::Device>& device) {
    return mtl::deviceOf(*device).backend().supports(ops::Type::Float64);
}

/// What a derivative may be off by: the error of the quotient and, on a device that computes in float32, of a sum of as
/// many terms there, with a unit in the last place of the result.
double toleranceOf(const OpCase& op, bool isDouble, double expected) {
    const double quotient = kGradientTolerance * std::max(1.0, std::fabs(expected));
    if (isDouble) return quotient;
    constexpr double kUnit = std::numeric_limits<float>::epsilon();
    return quotient + kUnit * ((op.gradientLength + 4) * op.gradientMagnitude + std::fabs(expected));
}

void compare(const OpCase& op, const std::shared_ptr<MTL::Device>& device, std::uint64_t seed, GradientReport& report) {
    const bool isDouble = computesInDouble(device);
    const Setting setting{isDouble ? device : MTL::copyDevice("reference"), MPS::ImageFeatureChannelFormat::Float64};
    auto operands = draw(op, seed);
    const Incoming incoming = drawnIncoming(seed, false);
    const auto gradients =
        op.run(isDouble ? setting : Setting{device, MPS::ImageFeatureChannelFormat::Float32}, operands, &incoming).gradients;
    for (std::size_t which = 0; which < operands.size(); ++which) {
        if (!op.operands[which].differentiable) continue;
        const std::string& name = op.operands[which].name;
        if (which >= gradients.size() || gradients[which].values.size() != operands[which].values.size()) {
            report.problem = fmt::format("{}: expected {} derivatives, found {}", name, operands[which].values.size(),
                                         which < gradients.size() ? gradients[which].values.size() : 0);
            return;
        }
        for (std::size_t at = 0; at < operands[which].values.size(); ++at) {
            const double expected = quotient(op, setting, operands, which, at, incoming);
            const double found = gradients[which].values[at];
            double share = std::fabs(found - expected) / toleranceOf(op, isDouble, expected);
            if (!std::isfinite(found) || !std::isfinite(expected)) share = HUGE_VAL;
            ++report.values;
            if (share > report.worst || report.where.empty()) {
                report.worst = std::max(report.worst, share);
                report.where = fmt::format("{}[{}]", name, at);
                if (share > 1)
                    report.problem = fmt::format("{}[{}]: expected {:.10g}, found {:.10g}", name, at, expected, found);
            }
        }
    }
    report.passed = report.problem.empty() && report.values > 0;
    if (report.values == 0) report.problem = "nothing to differentiate";
}

}  // namespace

GradientReport checkGradient(const OpCase& op, const std::shared_ptr<MTL::Device>& device, std::uint64_t seed) {
    GradientReport report;
    try {
        compare(op, device, seed, report);
    } catch (const std::exception& error) {
        report.passed = false;
        report.problem = error.what();
    }
    return report;
}

GradientCheckSummary checkGradients(const OpTable& table, const std::shared_ptr<MTL::Device>& device,
                                    const GradientCheckOptions& options,
                                    const std::function<void(const std::string&)>& out) {
    if (!device) throw MTL::Error("gradient check", "device", "a device", "null");
    if (!options.family.empty()) table.row(options.family);
    GradientCheckSummary summary;
    for (const auto& row : table.rows()) {
        if (!options.family.empty() && row.family != options.family) continue;
        for (const auto& op : row.cases) {
            if (!op.isDifferentiable()) continue;
            const auto report = checkGradient(op, device);
            ++(report.passed ? summary.passed : summary.failed);
            if (!report.passed)
                out(fmt::format("FAILED {:<28} {}: {}", row.family, op.name, report.problem));
            else if (!options.quiet)
                out(fmt::format("passed {:<28} {:<44} {:>5} derivatives, worst {:.2e} of the tolerance", row.family,
                                op.name, report.values, report.worst));
        }
    }
    out(fmt::format("{} passed, {} failed", summary.passed, summary.failed));
    return summary;
}

}  // namespace pewter::check
