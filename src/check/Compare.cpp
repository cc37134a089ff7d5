#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <cmath>
#include <limits>

#include "check/HostFormat.h"
#include "check/Incoming.h"

namespace pewter::check {

namespace {

using Format = MPS::ImageFeatureChannelFormat;

/// One unit in the last place of the format at a value of that size.
double lastPlace(Format format, double value) {
    constexpr double kSmallestHalf = 0x1p-24;  // the distance between subnormal float16 numbers
    const double size = std::fabs(value);
    switch (format) {
        case Format::Float16: return std::max(size * 0x1p-10, kSmallestHalf);
        case Format::BFloat16: return size * 0x1p-7;
        case Format::Unorm8: return 1.0 / 255;
        case Format::Unorm16: return 1.0 / 65535;
        default: return size * std::numeric_limits<float>::epsilon();
    }
}

/// Compares one array; `allowance(expected)` may be 0.
template <class Allowance>
void compareArrays(const Array& found, const Array& expected, const std::string& what, const Allowance& allowance,
                   CompareReport& report) {
    if (!(found.shape == expected.shape) || found.values.size() != expected.values.size()) {
        report.problem = fmt::format("{}: expected {} values, found {}", what, expected.values.size(), found.values.size());
        return;
    }
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
        ++report.values;
        const double a = found.values[i], e = expected.values[i];
        if (a == e || (std::isnan(a) && std::isnan(e))) continue;
        const double allowed = allowance(e);
        double share = allowed > 0 ? std::fabs(a - e) / allowed : HUGE_VAL;
        if (std::isnan(share)) share = HUGE_VAL;
        if (share > report.worst) {
            report.worst = share;
            report.where = fmt::format("{}[{}]", what, i);
            if (share > 1) report.problem = fmt::format("{}[{}]: expected {:.9g}, found {:.9g}", what, i, e, a);
        }
    }
}

template <class Body>
CompareReport reported(const Body& body) {
    CompareReport report;
    try {
        body(report);
    } catch (const std::exception& error) {
        report.problem = error.what();
    }
    if (report.problem.empty() && report.values == 0) report.problem = "nothing to compare";
    report.passed = report.problem.empty();
    return report;
}

}  // namespace

CompareReport compareDevices(const OpCase& op, const std::shared_ptr<MTL::Device>& device,
                             const std::shared_ptr<MTL::Device>& oracle, Format format, std::uint64_t seed) {
    return reported([&](CompareReport& report) {
        auto operands = draw(op, seed);
        // A device may round the weights of images in 16 bits to their type: these are such weights already.
        const bool narrow = format == Format::BFloat16 || format == Format::Float16;
        for (std::size_t i = 0; narrow && i < operands.size(); ++i)
            if (op.operands[i].kind == Kind::Parameter)
                operands[i].values = fromHost(toHost(operands[i].values, format), format);
        const Incoming incoming = drawnIncoming(seed, false);
        const Incoming* backward = op.isDifferentiable() ? &incoming : nullptr;
        const auto found = op.run({device, format}, operands, backward);
        const auto expected = op.run({oracle, format}, operands, backward);
        // Both may be off by the error of a float32 sum (Higham, Accuracy and Stability of Numerical Algorithms, 4.2).
        const auto allowance = [format](double length, double magnitude) {
            const double sum = (length + 4) * std::numeric_limits<float>::epsilon() * magnitude;
            return [format, sum](double value) { return sum + lastPlace(format, std::fabs(value) + sum); };
        };
        if (found.outputs.size() != expected.outputs.size())
            throw MTL::Error(op.name, "outputs", fmt::format("{}", expected.outputs.size()),
                             fmt::format("{}", found.outputs.size()));
        for (std::size_t o = 0; o < expected.outputs.size(); ++o)
            compareArrays(found.outputs[o], expected.outputs[o], fmt::format("output {}", o),
                          allowance(op.sumLength, op.magnitude), report);
        for (std::size_t i = 0; backward && i < op.operands.size(); ++i)
            if (op.operands[i].differentiable)
                compareArrays(found.gradients.at(i), expected.gradients.at(i), "gradient of " + op.operands[i].name,
                              allowance(op.gradientLength, op.gradientMagnitude), report);
    });
}

CompareReport compareExactly(const OpCase& op, const std::shared_ptr<MTL::Device>& device,
                             const std::shared_ptr<MTL::Device>& oracle, std::uint64_t seed) {
    return reported([&](CompareReport& report) {
        const auto operands = draw(op, seed, true);
        const Incoming incoming = drawnIncoming(seed, true);
        const Incoming* backward = op.isDifferentiable() ? &incoming : nullptr;
        const auto none = [](double) { return 0.0; };
        const auto found = op.run({device, Format::Float32, true}, operands, backward);
        const auto expected = op.run({oracle, Format::Float32, true}, operands, backward);
        for (std::size_t o = 0; o < expected.outputs.size(); ++o)
            compareArrays(found.outputs.at(o), expected.outputs[o], fmt::format("output {}", o), none, report);
        for (std::size_t i = 0; backward && i < op.operands.size(); ++i)
            if (op.operands[i].differentiable)
                compareArrays(found.gradients.at(i), expected.gradients.at(i), "gradient of " + op.operands[i].name,
                              none, report);
        if (!op.closedForm) return;
        const auto formula = op.closedForm(operands);
        for (std::size_t o = 0; o < formula.size(); ++o)
            compareArrays(found.outputs.at(o), formula[o], fmt::format("closed form {}", o), none, report);
    });
}

}  // namespace pewter::check
