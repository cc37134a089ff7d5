#include "mps/graph/BinaryLabels.h"

#include <algorithm>
#include <limits>

namespace pewter::mps {

namespace {

/// Room below this is rounding.
constexpr double kNothing = 1e-9;
constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

}  // namespace

void BinaryLabels::connect(std::size_t from, std::size_t to, double room, double roomBack) {
    edges_[from].push_back({to, edges_[to].size(), room});
    edges_[to].push_back({from, edges_[from].size() - 1, roomBack});
}

void BinaryLabels::add(std::size_t thing, double unlabelled, double labelled) {
    unary_[thing][0] += unlabelled;
    unary_[thing][1] += labelled;
}

void BinaryLabels::add(std::size_t first, std::size_t second, const Pair& cost) {
    // cost[0][0] + [first] a + [second] b + [not first, and second] c
    add(first, 0, cost[1][0] - cost[0][0]);
    add(second, 0, cost[1][1] - cost[1][0]);
    connect(first, second, std::max(0.0, cost[0][1] + cost[1][0] - cost[0][0] - cost[1][1]), 0);
}

void BinaryLabels::tie(std::size_t first, std::size_t second) {
    constexpr double endless = std::numeric_limits<double>::infinity();
    connect(first, second, endless, endless);
}

/// More flow along a shortest path; false when there is none.
bool BinaryLabels::augment() {
    std::vector<std::pair<std::size_t, std::size_t>> way(edges_.size(), {kNobody, 0});  // from, edge
    std::vector<std::size_t> open{source()};
    way[source()].first = source();
    for (std::size_t next = 0; next < open.size() && way[sink()].first == kNobody; ++next) {
        const std::size_t at = open[next];
        for (std::size_t i = 0; i < edges_[at].size(); ++i) {
            const Edge& edge = edges_[at][i];
            if (edge.room <= kNothing || way[edge.to].first != kNobody) continue;
            way[edge.to] = {at, i};
            open.push_back(edge.to);
        }
    }
    if (way[sink()].first == kNobody) return false;
    double room = std::numeric_limits<double>::infinity();
    for (std::size_t at = sink(); at != source(); at = way[at].first)
        room = std::min(room, edges_[way[at].first][way[at].second].room);
    for (std::size_t at = sink(); at != source(); at = way[at].first) {
        Edge& edge = edges_[way[at].first][way[at].second];
        edge.room -= room;
        edges_[at][edge.back].room += room;
    }
    return true;
}

std::vector<bool> BinaryLabels::solve() {
    // The cut separates the unlabelled, on the side of the source, from the labelled.
    for (std::size_t thing = 0; thing < unary_.size(); ++thing) {
        const double difference = unary_[thing][1] - unary_[thing][0];
        if (difference > 0)
            connect(source(), thing, difference, 0);
        else
            connect(thing, sink(), -difference, 0);
    }
    while (augment()) {
    }
    std::vector<bool> labelled(edges_.size());
    std::vector<std::size_t> open{sink()};
    labelled[sink()] = true;
    for (std::size_t next = 0; next < open.size(); ++next) {
        const std::size_t at = open[next];
        for (const Edge& edge : edges_[at]) {
            if (labelled[edge.to] || edges_[edge.to][edge.back].room <= kNothing) continue;
            labelled[edge.to] = true;
            open.push_back(edge.to);
        }
    }
    labelled.resize(unary_.size());
    return labelled;
}

}  // namespace pewter::mps
