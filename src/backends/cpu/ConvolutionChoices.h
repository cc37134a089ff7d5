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
/// - PEWTER_LAYOUTS: "measured" (default): graphs lay out their images by these measurements; "plain": all images lie
///   N,H,W,C. So they do where PEWTER_CONVOLUTION names an algorithm, for then nothing is measured.
/// - PEWTER_ALGORITHM_CACHE: the file; "off": none. Default: pewter/algorithms.json in $XDG_CACHE_HOME or
///   $HOME/.cache. A file that cannot be read is ignored and written anew; one that cannot be written is a warning.
class ConvolutionChoices {
public:
    using Times = std::map<std::string, double>;  ///< Milliseconds by algorithm.
    struct Choice {
        Algorithm algorithm = Algorithm::Direct;
        Times times;
        bool isFromFile = false;

        /// Of the algorithm.
        double milliseconds() const { return times.at(nameOf(algorithm)); }
    };

    /// Throws std::invalid_argument for an unknown name in PEWTER_CONVOLUTION or PEWTER_LAYOUTS. `machine`: processor and
    /// library, in one line.
    explicit ConvolutionChoices(std::string machine);

    /// The task's primitive, by the algorithm that `exactness` allows and that is fastest on these operands. The one that
    /// the task overwrites is written; one that it adds to is only read. scratch: memory for the measurement, the
    /// operation's own, so that it takes none beside; null: it takes some.
    Prepared choose(const ConvolutionTask& task, ops::Exactness exactness, const ConvolutionOperands& operands,
                    Scratch* scratch = nullptr);

    /// What choose() would do, without measuring. `free`: the task as it were if no option forbade anything.
    ops::ConvolutionChoice describe(const ConvolutionTask& task, ops::Exactness exactness, const ConvolutionTask& free);

    /// What choose() does with a task on float32 images, and its time with the reorders that it needs; measured on memory of
    /// its own where it is not remembered. Nothing for tasks that are not measured.
    std::optional<Choice> measured(const ConvolutionTask& task, ops::Exactness exactness);
    /// Milliseconds of a reorder of such an image, n pictures of c channels, between N,H,W,C and blocks of channels.
    double reorderMilliseconds(std::int64_t n, std::int64_t pixels, std::int64_t c);
    /// Whether operations may be asked about layouts at all.
    bool measuresLayouts() const { return layouts_ && !pinned_; }

    /// Empty: choices are not kept.
    const std::string& file() const { return file_; }

private:
    std::optional<Choice> remembered(const std::string& problem);
    void remember(const std::string& problem, const Choice& choice);
    void read();
    void write();

    std::string machine_, file_;
    std::optional<Algorithm> pinned_;
    bool layouts_;
    std::mutex mutex_;
    std::map<std::string, Choice> choices_;
    std::map<std::array<std::int64_t, 3>, double> reorders_;
    bool warned_ = false;
};

}  // namespace pewter::cpu
