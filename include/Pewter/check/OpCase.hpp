#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <MPS/Types.hpp>

namespace MTL {
class Device;
}

namespace pewter::check {

/// Extents of a batch of images; a plain run of `count` numbers is {1, 1, 1, count}.
struct Shape {
    std::size_t n = 1, h = 1, w = 1, c = 1;
    std::size_t count() const { return n * h * w * c; }
    friend bool operator==(const Shape&, const Shape&) = default;
};

/// Numbers in the order image, row, column, channel.
struct Array {
    Shape shape;
    std::vector<double> values;
};

/// How the numbers of an operand are drawn.
enum class Domain {
    Signed,       ///< -1 to 1
    Positive,     ///< 0.25 to 1
    Distinct,     ///< between -2 and 2; no two closer than 2^-12, none within 2^-9 of 0: away from kinks and ties
    Integers,     ///< -4 to 4
    Probability,  ///< 0.05 to 0.95
    OneHot,       ///< one 1 in the channels of each pixel, zeros else
};

/// Where the numbers of an operand live.
enum class Kind {
    Image,      ///< in images of the format under test; float64 in gradient checks
    Parameter,  ///< in float32: weights, biases, scales
};

struct Operand {
    std::string name;
    Shape shape;
    Domain domain = Domain::Signed;
    Kind kind = Kind::Image;
    bool differentiable = true;
};

/// Where a case runs, and in which format its images are.
struct Setting {
    std::shared_ptr<MTL::Device> device;
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float32;
    /// Whether results must be the same bits on every device (OpCase::exactOnIntegers): a kernel that might transform its
    /// operands, as Winograd's convolutions do, is told not to (MPS::KernelOptionsDirectConvolution).
    bool isExact = false;
};

/// The incoming gradient for an output of that shape.
using Incoming = std::function<std::vector<double>(std::size_t output, const Shape& shape)>;

struct Outcome {
    std::vector<Array> outputs;
    /// One an operand; empty values where the operand is not differentiable or no gradient was asked for.
    std::vector<Array> gradients;
};

/// One operation with all its settings fixed, to be run on numbers: forward, and backward when `incoming` is given.
///
/// Tolerances: an output is a sum of at most `sumLength` products whose magnitudes add up to at most `magnitude` for
/// operands as drawn; `gradientLength` and `gradientMagnitude` say the same of the gradients. What a device may differ from the
/// reference follows from these and from the format (compareDevices()).
struct OpCase {
    std::string name;
    std::vector<Operand> operands;
    std::function<Outcome(const Setting&, const std::vector<Array>& operands, const Incoming* incoming)> run;
    /// The outputs by formula, in double; may be empty.
    std::function<std::vector<Array>(const std::vector<Array>& operands)> closedForm;
    /// Results are integers for integer operands, so that every device must give the same bits.
    bool exactOnIntegers = false;
    double sumLength = 1, magnitude = 1, gradientLength = 1, gradientMagnitude = 1;
    /// Formats of images that the operation computes in besides float32; all by default.
    std::vector<MPS::ImageFeatureChannelFormat> formats = {MPS::ImageFeatureChannelFormat::Float32,
                                                           MPS::ImageFeatureChannelFormat::Float16,
                                                           MPS::ImageFeatureChannelFormat::BFloat16};

    bool isDifferentiable() const {
        for (const auto& operand : operands)
            if (operand.differentiable) return true;
        return false;
    }
};

/// The numbers of a case's operands: the same for the same seed on every machine. With `integers` every operand that is
/// not OneHot is drawn from Domain::Integers.
PEWTER_API std::vector<Array> draw(const OpCase& op, std::uint64_t seed, bool integers = false);

}  // namespace pewter::check
