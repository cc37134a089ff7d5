#include <fmt/format.h>

#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNFilterNode.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "mps/graph/NodeAccess.h"

namespace pewter::mps {
namespace {

/// Makes the backward filters of everything that leads to one forward filter.
class TrainingGraph {
public:
    TrainingGraph(const MPS::NNFilterNode& last, const MPS::GradientNodeBlock& handler)
        : last_(last), handler_(handler) {}

    MPS::NNFilterNodes build(const std::shared_ptr<MPS::NNImageNode>& lastResult,
                             const std::shared_ptr<MPS::NNImageNode>& gradient) {
        const bool ownGradient = NodeAccess::isOwnGradient(last_);
        const auto& start = ownGradient ? NodeAccess::sources(last_)[0] : lastResult;
        if (!start->stopGradient()) walk(start->producer());
        put(start, gradient);
        // Every consumer of a filter's result comes before the filter itself.
        for (auto filter = order_.rbegin(); filter != order_.rend(); ++filter) visit(**filter);
        for (std::size_t i = 0; i < leaves_.size(); ++i)
            accumulate(leaves_[i], leafGradients_[leaves_[i].get()]);
        return termini();
    }

private:
    using Image = std::shared_ptr<MPS::NNImageNode>;

    /// Filters that lead to `root` through image links, producers first, sources in argument order. Without
    /// recursion: networks may be thousands of filters deep.
    void walk(MPS::NNFilterNode* root) {
        if (!root) return;
        std::vector<std::pair<MPS::NNFilterNode*, std::size_t>> path{{root, 0}};
        inOrder_.insert(root);
        while (!path.empty()) {
            auto& [filter, next] = path.back();
            const auto& sources = NodeAccess::sources(*filter);
            if (next == sources.size()) {
                order_.push_back(filter);
                path.pop_back();
                continue;
            }
            const auto& source = sources[next++];
            MPS::NNFilterNode* const producer = source->producer();
            if (producer && !source->stopGradient() && inOrder_.insert(producer).second)
                path.emplace_back(producer, 0);
        }
    }

    void visit(MPS::NNFilterNode& filter) {
        const auto found = pending_.find(&NodeAccess::result(filter));
        if (found == pending_.end()) return;  // not on a gradient path
        if (NodeAccess::isOwnGradient(filter))
            throw MPS::Error(
                filter.name(), "trainingGraph",
                "losses only at the end of the forward filters; set stopGradient on its result image",
                "a loss whose result feeds other filters");
        const auto gradients = std::move(found->second);
        const auto gradient = accumulate(filter.resultImage(), gradients);
        const auto made = filter.gradientFilters(gradient);
        const auto& sources = NodeAccess::sources(filter);
        for (std::size_t i = 0; i < made.size(); ++i) {
            created(made[i], filter.shared_from_this(), sources[i], gradient);
            put(sources[i], made[i]->resultImage());
        }
    }

    void put(const Image& image, const Image& gradient) {
        // The handler may just have set stopGradient.
        const bool inside = image->producer() && inOrder_.count(image->producer()) && !image->stopGradient();
        if (inside) {
            pending_[image.get()].push_back(gradient);
        } else {
            auto& gradients = leafGradients_[image.get()];
            if (gradients.empty()) leaves_.push_back(image);
            gradients.push_back(gradient);
        }
    }

    Image accumulate(const Image& image, const std::vector<Image>& gradients) {
        Image sum = gradients[0];
        for (std::size_t i = 1; i < gradients.size(); ++i) {
            const auto addition = MPS::NNAdditionNode::node(sum, gradients[i]);
            created(addition, nullptr, image, sum);
            sum = addition->resultImage();
        }
        return sum;
    }

    void created(const std::shared_ptr<MPS::NNFilterNode>& filter,
                 const std::shared_ptr<MPS::NNFilterNode>& forward, const Image& source,
                 const Image& gradient) {
        created_.push_back(filter);
        if (handler_)
            handler_(filter, forward, source, gradient);
        else
            filter->resultImage()->setHandle(source->handle());
    }

    MPS::NNFilterNodes termini() const {
        std::unordered_set<const MPS::NNImageNode*> read;
        for (const auto& filter : created_)
            for (const auto& source : filter->sources()) read.insert(source.get());
        MPS::NNFilterNodes result;
        std::copy_if(created_.begin(), created_.end(), std::back_inserter(result),
                     [&](const auto& filter) { return !read.count(&NodeAccess::result(*filter)); });
        return result;
    }

    const MPS::NNFilterNode& last_;
    const MPS::GradientNodeBlock& handler_;
    std::vector<MPS::NNFilterNode*> order_;
    std::unordered_set<const MPS::NNFilterNode*> inOrder_;
    /// Gradients of an image so far, in the order they were made.
    std::unordered_map<const MPS::NNImageNode*, std::vector<Image>> pending_, leafGradients_;
    std::vector<Image> leaves_;
    MPS::NNFilterNodes created_;
};

}  // namespace
}  // namespace pewter::mps

namespace MPS {

NNFilterNodes NNFilterNode::trainingGraph(const std::shared_ptr<NNImageNode>& sourceGradient,
                                          const GradientNodeBlock& nodeHandler) {
    const auto result = resultImage();
    return pewter::mps::TrainingGraph(*this, nodeHandler)
        .build(result, sourceGradient ? sourceGradient : result);
}

}  // namespace MPS
