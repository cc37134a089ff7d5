#pragma once

#include <MPS/NNPadding.hpp>
#include <optional>

#include "OpTensors.h"
#include "Plan.h"

namespace pewter::fuzz {

/// A plan in the making. Families of filters add their nodes to it.
class Drawer {
public:
    explicit Drawer(std::uint64_t seed) : random(seed) { plan.seed = seed; }

    test::Random random;
    Plan plan;

    bool chance(double probability) { return random.uniform(0, 1) < probability; }
    std::size_t between(std::size_t low, std::size_t high) {
        return static_cast<std::size_t>(random.integer(static_cast<std::int64_t>(low), static_cast<std::int64_t>(high)));
    }
    template <class T>
    T oneOf(std::initializer_list<T> choices) {
        return choices.begin()[between(0, choices.size() - 1)];
    }
    /// A float32 with few digits, or a small integer in exact plans.
    float number(double low, double high);

    std::size_t imageCount() const { return plan.inputs.size() + plan.nodes.size(); }
    const Size& sizeOf(std::size_t image) const { return plan.sizeOf(image); }
    /// An image to read; those that nothing reads yet come up more often.
    std::size_t pick();
    /// One that `fits`, if there is any.
    std::optional<std::size_t> pickWhere(const std::function<bool(const Size&)>& fits);
    /// The same image with its values brought into a range that steep functions can take.
    std::size_t pickTame(double magnitude);

    /// Returns the number of the node's result image.
    std::size_t add(PlanNode node);
    std::size_t addInput(const Size& size);
    /// What a filter does to equal values, see PlanNode.
    enum class Ties { Keeps, Copies, Sums, Interpolates };
    /// Whether it is clear which of the values is a maximum.
    bool isFitForMaximum(std::size_t image) const;
    /// A filter of one source without further settings.
    std::size_t addUnary(std::size_t source, const Size& size, std::string text,
                         std::function<FilterNode(const ImageNode&)> build, double magnitude, std::size_t terms = 1,
                         Ties ties = Ties::Keeps);

    /// Random values of a parameter: multiples of 2^-10 in [-limit, limit], or in exact plans of {-1, 0, 1}.
    std::vector<float> parameters(std::size_t count, double limit);
    std::vector<double> values(std::size_t count, double limit);

    /// A fully connected filter: any image to 1 x 1 x channels.
    std::size_t addFullyConnected(std::size_t source, std::size_t channels);

    /// A window's policy and the size that it gives, per axis {window, stride, dilation}.
    struct Axis {
        std::size_t window = 1, stride = 1, dilation = 1;
        std::size_t effective() const { return (window - 1) * dilation + 1; }
    };
    struct Windowed {
        MPS::NNPaddingMethod method = MPS::NNPaddingMethodSizeSame;
        std::size_t width = 0, height = 0;
    };
    std::optional<Windowed> window(const Size& source, const Axis& x, const Axis& y);
    static std::string textOf(const Axis& x, const Axis& y, const Windowed& window);

    const std::vector<std::size_t>& readers() const { return readers_; }

private:
    std::vector<std::size_t> readers_;  ///< of each image
};

/// Adds a node, or declines: no image fits.
struct Family {
    const char* text;  ///< what the lines of its nodes contain
    double weight;
    bool (*draw)(Drawer&);
    bool isExact;
};
std::vector<Family> allFamilies();
/// By source file.
std::vector<Family> weightedFamilies();
std::vector<Family> pointwiseFamilies();
std::vector<Family> windowFamilies();
std::vector<Family> shapeFamilies();
std::vector<Family> lossFamilies();

}  // namespace pewter::fuzz
