#include <Pewter/check/OpCase.hpp>
#include <Pewter/train/Random.hpp>
#include <span>

namespace pewter::check {

namespace {

using train::Random;

/// i + 1/2 in units that keep all of them within 2, in a random order and with random signs.
std::vector<double> distinct(Random& random, std::size_t count) {
    std::vector<double> values(count);
    const double unit = 2.0 / static_cast<double>(std::max<std::size_t>(count, 256));
    for (std::size_t i = 0; i < count; ++i) values[i] = (static_cast<double>(i) + 0.5) * unit;
    random.shuffle(std::span<double>(values));
    for (double& value : values)
        if (random.below(2)) value = -value;
    return values;
}

std::vector<double> oneHot(Random& random, const Shape& shape) {
    std::vector<double> values(shape.count(), 0.0);
    for (std::size_t pixel = 0; pixel < shape.n * shape.h * shape.w; ++pixel)
        values[pixel * shape.c + random.below(shape.c)] = 1;
    return values;
}

std::vector<double> valuesOf(Random& random, const Operand& operand, Domain domain) {
    if (domain == Domain::Distinct) return distinct(random, operand.shape.count());
    if (domain == Domain::OneHot) return oneHot(random, operand.shape);
    std::vector<double> values(operand.shape.count());
    for (double& value : values) {
        const double u = random.uniform();
        switch (domain) {
            case Domain::Signed: value = 2 * u - 1; break;
            case Domain::Positive: value = 0.25 + 0.75 * u; break;
            case Domain::Integers: value = static_cast<double>(random.below(9)) - 4; break;
            case Domain::Probability: value = 0.05 + 0.9 * u; break;
            case Domain::Distinct:
            case Domain::OneHot: break;
        }
        // Exact in float32, so that every device starts from the same number.
        value = static_cast<float>(value);
    }
    return values;
}

}  // namespace

std::vector<Array> draw(const OpCase& op, std::uint64_t seed, bool integers) {
    std::vector<Array> arrays;
    std::uint64_t stream = 0;
    for (const auto& operand : op.operands) {
        Random random(seed, ++stream);
        const bool drawIntegers = integers && operand.domain != Domain::OneHot;
        arrays.push_back(
            {operand.shape, valuesOf(random, operand, drawIntegers ? Domain::Integers : operand.domain)});
    }
    return arrays;
}

}  // namespace pewter::check
