#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace pewter::mps {

/// Costs of two labels for each of many things, alone and in pairs, and the labels of least cost: a minimum cut, which is
/// exact where no pair is dearer alike than apart. Pairs that are (measured times are not exact) count as if they were not.
class BinaryLabels {
public:
    /// By the labels of the first and the second.
    using Pair = std::array<std::array<double, 2>, 2>;

    explicit BinaryLabels(std::size_t things) : edges_(things + 2), unary_(things, {0, 0}) {}

    void add(std::size_t thing, double unlabelled, double labelled);
    void add(std::size_t first, std::size_t second, const Pair& cost);
    /// Both have one label.
    void tie(std::size_t first, std::size_t second);

    /// Who is labelled; of several sets that cost the same the smallest.
    std::vector<bool> solve();

private:
    struct Edge {
        std::size_t to, back;  ///< `back`: its place in the list of `to`
        double room;
    };

    void connect(std::size_t from, std::size_t to, double room, double roomBack);
    bool augment();
    std::size_t source() const { return unary_.size(); }
    std::size_t sink() const { return unary_.size() + 1; }

    std::vector<std::vector<Edge>> edges_;
    std::vector<std::array<double, 2>> unary_;
};

}  // namespace pewter::mps
