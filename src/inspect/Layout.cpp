#include "inspect/Layout.h"

#include <algorithm>
#include <string_view>

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;
using Box = Layout::Box;
using Edge = Layout::Edge;

/// Both columns from top to bottom: boxes, not yet in rows.
struct Columns {
    std::vector<Box> left, right;
};

/// Inputs stand before their first reader in the direction of the column; labels of a loss beside it, at the foot of the
/// other column, so that they do not come between it and what it reads.
Columns columnsOf(const NNGraphReport& report, const Roles& roles, const Readers& readers) {
    std::vector<std::vector<Box>> inputs(report.steps.size() + 1);
    std::vector<Box> labels;
    const bool hasBackward = roles.turn < report.steps.size();
    const auto add = [&](const auto& slots, const auto& readersOf, Box::What what) {
        for (std::size_t i = 0; i < slots.size(); ++i) {
            if (slots[i].firstWriter != npos) continue;
            const std::size_t reader = readersOf[i].empty() ? 0 : readersOf[i].front();
            const bool label = hasBackward && what == Box::What::State && !roles.backward[reader] &&
                               report.steps[reader].className.find("Loss") != std::string::npos;
            (label ? labels : inputs[reader]).push_back({what, i, 0, 0});
        }
    };
    add(report.images, readers.images, Box::What::Image);
    add(report.states, readers.states, Box::What::State);
    Columns columns;
    columns.right = labels;
    for (std::size_t i = 0; i < report.steps.size(); ++i) {
        auto& column = roles.backward[i] ? columns.right : columns.left;
        column.insert(column.end(), inputs[i].begin(), inputs[i].end());
        column.push_back({Box::What::Step, i, 0, 0});
    }
    if (report.steps.empty()) columns.left = inputs[0];
    std::reverse(columns.right.begin(), columns.right.end());
    for (auto& box : columns.right) box.column = 1;
    return columns;
}

/// The forward step whose state a backward step reads; npos: none.
std::size_t partnerOf(const NNGraphReport& report, const Roles& roles, std::size_t step) {
    if (report.steps[step].recomputes != npos) return npos;
    std::size_t partner = npos;
    for (const std::size_t state : report.steps[step].sourceStates) {
        if (state >= report.states.size()) continue;
        std::size_t writer = report.states[state].firstWriter;
        if (writer < report.steps.size() && report.steps[writer].recomputes != npos)
            writer = report.steps[writer].recomputes;
        if (writer >= report.steps.size() || roles.backward[writer]) continue;
        // A kernel may read other states than that of its own forward kernel.
        const bool own = report.steps[step].className.starts_with(report.steps[writer].className);
        if (partner == npos || own) partner = writer;
        if (own) break;
    }
    return partner;
}

/// Pairs (left, right) that can share rows: the longest chain that rises on both sides.
std::vector<std::pair<std::size_t, std::size_t>> anchorsOf(const NNGraphReport& report, const Roles& roles,
                                                           const Columns& columns) {
    std::vector<std::size_t> positionOf(report.steps.size(), npos);
    for (std::size_t i = 0; i < columns.left.size(); ++i)
        if (columns.left[i].what == Box::What::Step) positionOf[columns.left[i].index] = i;
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    for (std::size_t i = 0; i < columns.right.size(); ++i) {
        if (columns.right[i].what != Box::What::Step) continue;
        const std::size_t partner = partnerOf(report, roles, columns.right[i].index);
        if (partner != npos) pairs.emplace_back(positionOf[partner], i);
    }
    std::vector<std::size_t> tails, before(pairs.size(), npos);  // of chains by length
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto at = std::lower_bound(tails.begin(), tails.end(), pairs[i].first, [&](std::size_t tail, std::size_t p) {
            return pairs[tail].first < p;
        });
        if (at != tails.begin()) before[i] = *(at - 1);
        if (at == tails.end())
            tails.push_back(i);
        else
            *at = i;
    }
    std::vector<std::pair<std::size_t, std::size_t>> chain;
    for (std::size_t i = tails.empty() ? npos : tails.back(); i != npos; i = before[i]) chain.push_back(pairs[i]);
    std::reverse(chain.begin(), chain.end());
    return chain;
}

/// Gives rows to both columns; returns their number.
std::size_t placeRows(Columns& columns, std::vector<std::pair<std::size_t, std::size_t>> anchors) {
    anchors.emplace_back(columns.left.size(), columns.right.size());
    std::size_t row = 0, left = 0, right = 0;
    for (const auto& [anchorLeft, anchorRight] : anchors) {
        const std::size_t end = row + std::max(anchorLeft - left, anchorRight - right);
        // Both end right above the pair that follows.
        row = end - (anchorLeft - left);
        while (left < anchorLeft) columns.left[left++].row = row++;
        row = end - (anchorRight - right);
        while (right < anchorRight) columns.right[right++].row = row++;
        row = end;
        if (anchorLeft == columns.left.size()) break;
        columns.left[left++].row = row;
        columns.right[right++].row = row++;
    }
    return row;
}

/// Intervals of rows that edges in lanes take, one for each column, box and slot; short ones next to the boxes.
void placeLanes(Layout& layout) {
    struct Trunk {
        std::size_t column, from, first, last;
        std::vector<std::size_t> edges;
    };
    std::vector<Trunk> trunks;
    for (std::size_t i = 0; i < layout.edges.size(); ++i) {
        const auto& edge = layout.edges[i];
        if (edge.route != Edge::Route::Lane) continue;
        const auto& from = layout.boxes[edge.from];
        const auto [first, last] = std::minmax(from.row, layout.boxes[edge.to].row);
        const auto same = std::find_if(trunks.begin(), trunks.end(), [&](const Trunk& trunk) {
            const auto& other = layout.edges[trunk.edges.front()];
            return trunk.from == edge.from && other.kind == edge.kind && other.slot == edge.slot;
        });
        if (same == trunks.end()) {
            trunks.push_back({from.column, edge.from, first, last, {i}});
        } else {
            same->first = std::min(same->first, first);
            same->last = std::max(same->last, last);
            same->edges.push_back(i);
        }
    }
    std::stable_sort(trunks.begin(), trunks.end(),
                     [](const Trunk& a, const Trunk& b) { return a.last - a.first < b.last - b.first; });
    std::vector<std::vector<const Trunk*>> lanes[2];
    for (const auto& trunk : trunks) {
        auto& mine = lanes[trunk.column];
        const auto free = [&](const std::vector<const Trunk*>& lane) {
            return std::none_of(lane.begin(), lane.end(), [&](const Trunk* other) {
                return other->first <= trunk.last && trunk.first <= other->last;
            });
        };
        const auto lane = std::find_if(mine.begin(), mine.end(), free);
        const auto index = static_cast<std::size_t>(lane - mine.begin());
        if (lane == mine.end()) mine.emplace_back();
        mine[index].push_back(&trunk);
        for (const std::size_t edge : trunk.edges) layout.edges[edge].lane = index;
    }
    for (std::size_t column : {0u, 1u}) layout.lanes[column] = lanes[column].size();
}

}  // namespace

Layout::Layout(const NNGraphReport& report, const Roles& roles) {
    const Readers readers(report);
    auto columns = columnsOf(report, roles, readers);
    hasBackward = !columns.right.empty();
    rows = placeRows(columns, anchorsOf(report, roles, columns));

    std::vector<std::size_t> ofStep(report.steps.size(), npos), ofImage(report.images.size(), npos),
        ofState(report.states.size(), npos), place;
    for (const auto* column : {&columns.left, &columns.right})
        for (std::size_t i = 0; i < column->size(); ++i) {
            const auto& box = (*column)[i];
            (box.what == Box::What::Step    ? ofStep
             : box.what == Box::What::Image ? ofImage
                                            : ofState)[box.index] = boxes.size();
            boxes.push_back(box);
            place.push_back(i);
        }
    const auto connect = [&](std::size_t from, std::size_t step, Kind kind, std::size_t slot) {
        const std::size_t to = ofStep[step];
        if (from == npos || from == to) return;
        Edge edge{from, to, kind, slot, Edge::Route::Across, 0};
        if (boxes[from].column == boxes[to].column)
            edge.route = std::max(place[from], place[to]) - std::min(place[from], place[to]) == 1 ? Edge::Route::Next
                                                                                                  : Edge::Route::Lane;
        edges.push_back(edge);
    };
    for (std::size_t i = 0; i < report.images.size(); ++i) {
        const std::size_t writer = report.images[i].firstWriter;
        const auto kind = roles.gradientImage[i] ? Kind::Gradient : Kind::Image;
        for (const std::size_t reader : readers.images[i])
            connect(writer < ofStep.size() ? ofStep[writer] : ofImage[i], reader, kind, i);
    }
    for (std::size_t i = 0; i < report.states.size(); ++i) {
        const std::size_t writer = report.states[i].firstWriter;
        for (const std::size_t reader : readers.states[i])
            connect(writer < ofStep.size() ? ofStep[writer] : ofState[i], reader, Kind::State, i);
    }
    placeLanes(*this);
}

}  // namespace pewter::inspect
