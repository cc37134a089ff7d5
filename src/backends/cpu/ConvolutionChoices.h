#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "backends/cpu/ConvolutionPrimitive.h"
#include "ops/ConvolutionChoice.h"

namespace pewter::cpu {

/// "forward", "data gradient", "weights gradient".
std::string nameOf(Direction direction);

/// Which algorithm each convolution takes, found by measurement at its first use and remembered, in memory and in a
/// file by processor and version of the library. Safe to use from several streams at once.
///
/// Environment:
/// - PEWTER_CONVOLUTION: "measured" (default), or the name of an algorithm, which every convolution that has it takes;
///   the others are computed directly.
/// - PEWTER_ALGORITHM_CACHE: the file; "off": none. Default: pewter/algorithms.json in $XDG_CACHE_HOME or
///   $HOME/.cache. A file that cannot be read is ignored and written anew; one that cannot be written is a warning.
class ConvolutionChoices {
public:
    using Times = std::map<std::string, double>;  ///< Milliseconds by algorithm.
    struct Choice {
        Algorithm algorithm = Algorithm::Direct;
        Times times;
        bool isFromFile = false;
    };

    /// Throws std::invalid_argument for an unknown name in PEWTER_CONVOLUTION. `machine`: processor and library, in one line.
    explicit ConvolutionChoices(std::string machine);

    /// The task's primitive, by the algorithm that `exactness` allows and that is fastest on these operands. The one that
    /// the task overwrites is written; one that it adds to is only read. scratch: memory for the measurement, the
    /// operation's own, so that it takes none beside; null: it takes some.
    Prepared choose(const ConvolutionTask& task, ops::Exactness exactness, const ConvolutionOperands& operands,
                    Scratch* scratch = nullptr);

    /// What choose() would do, without measuring. `free`: the task as it were if no option forbade anything.
    ops::ConvolutionChoice describe(const ConvolutionTask& task, ops::Exactness exactness, const ConvolutionTask& free);

    /// Empty: choices are not kept.
    const std::string& file() const { return file_; }

private:
    std::optional<Choice> remembered(const std::string& problem);
    void remember(const std::string& problem, const Choice& choice);
    void read();
    void write();

    std::string machine_, file_;
    std::optional<Algorithm> pinned_;
    std::mutex mutex_;
    std::map<std::string, Choice> choices_;
    bool warned_ = false;
};

}  // namespace pewter::cpu
