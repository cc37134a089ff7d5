#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <vector>

#include "mps/graph/BinaryLabels.h"
#include "mtl/CommandBuffer.h"
#include "ops/Backend.h"

namespace pewter::mps {

/// Finds the layouts of images with which a recorded program takes the least time: each image N,H,W,C or in blocks of
/// channels. An operation costs what the backend says it takes with its images in these layouts, reorders included; the
/// least sum over the whole program is a minimum cut.
class LayoutSearch {
public:
    explicit LayoutSearch(ops::Backend& backend) : backend_(backend) {}

    /// An image that may be in blocks: where it lies while commands are shown. Returns its number.
    std::size_t add(const ops::Tensor& image);
    /// It stays N,H,W,C.
    void keep(std::size_t image) { kept_[image] = true; }
    /// The two lie in one place, or are otherwise to be alike.
    void tie(std::size_t one, std::size_t other) { ties_.emplace_back(one, other); }
    /// The next command, which lives until solve() is done. around: all images that it can touch; what the backend has no
    /// answer for keeps them.
    void add(const mtl::Command& command, const std::vector<std::size_t>& around);

    struct Found {
        std::vector<bool> inBlocks;  ///< by number; empty: nothing is gained
        double saved = 0;            ///< milliseconds
    };
    /// Asks about operations that are measured, which takes time, when all others have said which images they keep.
    Found solve();

private:
    class Probe;
    struct Pair {
        std::optional<std::size_t> first, second;
        BinaryLabels::Pair cost;
    };

    struct Later {
        const mtl::Command* command;
        std::vector<std::size_t> around;
    };

    void ask(const Later& command, bool measured);
    /// What is tied to an image that is kept is kept.
    void spread();
    void note(const ops::LayoutCost& cost);
    void keep(std::initializer_list<const ops::Tensor*> operands);
    /// The image that an operand is; nothing for other memory. What is not the whole image keeps it.
    std::optional<std::size_t> find(const ops::Tensor& operand);
    double costOf(const std::vector<bool>& inBlocks) const;

    ops::Backend& backend_;
    std::vector<ops::Tensor> images_;
    std::map<const void*, std::size_t> places_;
    std::vector<bool> kept_;
    std::vector<std::pair<std::size_t, std::size_t>> ties_;
    std::vector<Pair> pairs_;
    std::vector<Later> later_;
};

}  // namespace pewter::mps
