#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/Convolution.h"

namespace pewter::ops {

/// How a backend computes a convolution.
struct ConvolutionChoice {
    /// Why this algorithm.
    enum class Origin {
        OnlyOne,      ///< There is nothing to choose; `reason` says why.
        Pinned,       ///< The user named it.
        File,         ///< Measured by a process before.
        Measured,     ///< Measured by this process.
        NotMeasured,  ///< The first use will measure.
    };

    std::string direction;  ///< "forward", "data gradient", "weights gradient"
    std::string problem;    ///< direction, extents and threads, as in the file of choices
    std::string algorithm;  ///< empty where that is not known yet
    Origin origin = Origin::OnlyOne;
    std::map<std::string, double> milliseconds = {};  ///< by algorithm, where they were measured
    std::string reason = {};
    /// What the kernel's options rule out and would exist.
    std::vector<std::string> forbidden = {};
};

/// A backend that chooses among algorithms may be one of these too. Nothing is computed, and no operand is read.
class ConvolutionChooser {
public:
    virtual ~ConvolutionChooser() = default;
    virtual ConvolutionChoice choiceOf(const ConvolutionForward& op) = 0;
    virtual ConvolutionChoice choiceOf(const ConvolutionDataGradient& op) = 0;
    virtual ConvolutionChoice choiceOf(const ConvolutionWeightsGradient& op) = 0;
    /// Where choices are kept between processes; empty: nowhere.
    virtual std::string fileOfChoices() const = 0;
};

}  // namespace pewter::ops
