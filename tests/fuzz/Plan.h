#pragma once

#include <MPS/CNNLoss.hpp>
#include <MPS/NNFilterNode.hpp>
#include <MPS/NNGraphOptions.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "Parameters.h"

/// A random graph before it becomes nodes: drawn from one number, printable, built as often as need be.
namespace pewter::fuzz {

using ImageNode = std::shared_ptr<MPS::NNImageNode>;
using FilterNode = std::shared_ptr<MPS::NNFilterNode>;

struct Size {
    std::size_t width = 1, height = 1, channels = 1;
    std::size_t count() const { return width * height * channels; }
    friend bool operator==(const Size&, const Size&) = default;
};
std::string textOf(const Size& size);

/// What the makers of nodes are told.
struct Building {
    /// Forward filters alone.
    bool forwardOnly = false;
    /// Then: what normalises with statistics of the batch in the training graph must be told to.
    bool usesStatistics = false;
    /// The filters of the nodes before.
    const std::vector<FilterNode>* filters = nullptr;
};

/// One filter. Images are numbered: the inputs, then the results of the nodes in their order.
struct PlanNode {
    std::vector<std::size_t> sources;
    Size size;  ///< of the result
    std::string text;
    /// Makes the node for its source images.
    std::function<FilterNode(const std::vector<ImageNode>&, const Building&)> build;

    std::size_t terms = 1;    ///< longest sum, forward or backward
    double magnitude = 1;     ///< what its values are expected to stay below
    bool hasGradient = true;  ///< false: the result image must stop gradients
    bool isExact = true;      ///< small integers stay exact in float32
    bool isRandom = false;    ///< another encode gives other results (dropout)
    /// Normalises with statistics of the batch if its gradient filter is in the graph, else with stored ones.
    bool isAutomatic = false;
    /// Gives equal values in several places, and sums that would be equal but for their rounding: which of them is the
    /// maximum is nobody's to say. Both pass on to the filters that read the result.
    bool replicates = false, blurs = false, nearlyTies = false;
    /// Its state is good for one gradient filter.
    bool ownsState = false;

    std::shared_ptr<ParameterSource> parameters;
    MPS::NNTrainingStyle style = MPS::NNTrainingStyle::UpdateDeviceGPU;
    bool exportsState = false;
};

/// Where a backward pass starts.
struct Terminal {
    enum class Kind {
        Loss,      ///< a CNNLossNode
        Ones,      ///< an NNInitialGradientNode: the sum of all elements
        Gradient,  ///< an incoming gradient that is an input: a sum with given factors
        Own,       ///< the image as its own gradient: half the sum of the squares
    };
    Kind kind = Kind::Loss;
    std::size_t image = 0;
    MPS::CNNLossDescriptor loss;
    /// Labels, or the incoming gradient; the whole batch.
    std::vector<double> values;
};

struct PlanImage {
    bool stopsGradient = false, isExported = false;
    /// Of exported images: made by the allocator of persistent images, so that the host can read it.
    bool isPersistent = true;
};

struct Plan {
    std::uint64_t seed = 0;
    std::size_t batch = 1;
    /// Everything is a small integer: devices must agree bit for bit.
    bool isExact = false;

    std::vector<Size> inputs;
    std::vector<std::vector<double>> inputValues;  ///< the whole batch
    /// Inputs that matter to the losses and yet have no gradient (weights of a loss).
    std::set<std::size_t> constants;
    std::vector<PlanNode> nodes;
    std::vector<PlanImage> images;
    std::vector<std::shared_ptr<ParameterSource>> parameters;
    std::vector<Terminal> terminals;

    /// Choices around the graph; numbers are drawn per decision from this seed.
    std::uint64_t choices = 0;
    /// Some images are float16, of results and gradients alike.
    bool isMixed = false;
    bool usesHandler = false;       ///< a node handler of our own instead of the default one
    bool dropsTermini = false;      ///< some ends of the backward pass are left out or not needed
    bool temporarySources = false;  ///< inputs are temporaries of the command buffer
    bool temporaryStates = false;
    /// Of the graph on the device under test; on `reference` in double nothing is rewritten.
    MPS::NNGraphOptions options;

    const Size& sizeOf(std::size_t image) const {
        return image < inputs.size() ? inputs[image] : nodes[image - inputs.size()].size;
    }
    double magnitudeOf(std::size_t image) const {
        return image < inputs.size() ? 2 : nodes[image - inputs.size()].magnitude;
    }
    bool isRandom() const;
    /// Terms of all sums, with room for a few more roundings each, forward and backward.
    double roundings() const;
    std::size_t longestSum() const;
    /// One line a filter.
    std::string text() const;
};

/// The graph of a seed: always the same one.
Plan drawPlan(std::uint64_t seed);
/// What the lines of each family of filters contain.
std::vector<const char*> familyTexts();

}  // namespace pewter::fuzz
