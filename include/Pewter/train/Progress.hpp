#pragma once

#include <MTL/Export.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace pewter::train {

/// Where a progress line goes, and what it needs to know about that place.
struct Console {
    /// False: nothing is ever written.
    bool isTerminal = false;
    /// Characters in a line of the terminal, asked anew for every drawing; 0 or no function: 80.
    std::function<std::size_t()> columns;
    /// Takes the text, all of a drawing at once.
    std::function<void(std::string_view)> write;
    /// Seconds on a clock that never goes back; no function: the steady clock.
    std::function<double()> seconds;

    /// The process's standard error; a terminal when the system says so and TERM is not "dumb".
    PEWTER_API static Console standardError();
};

/// One line on the terminal that says how far a training run is: share done, steps, images a second, loss,
/// time left.
///
/// The line is drawn over itself, at most ten times a second, and never wider than the terminal: what does
/// not fit is left out, the bar first. Where the output is no terminal nothing is written; the rates can
/// still be asked for. The rate shown is that of the last few seconds; time left follows from it. Any thread
/// may call any method at any time.
class PEWTER_API Progress {
public:
    /// For `totalSteps` steps; `label` stands in front of the line. The clock starts here.
    Progress(std::uint64_t totalSteps, std::string label, Console console = Console::standardError());

    /// Ends a line that finish() has not ended, so that what is printed next starts on its own line.
    ~Progress();

    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// One more step is done, of `images` images; `loss` is shown until another one comes.
    void advance(std::uint64_t images, std::optional<double> loss = std::nullopt);

    /// Wipes the line, so that something else can be printed; the next advance() may draw it again.
    void clear();

    /// Draws the totals (images, seconds, images a second, last loss) and ends the line. Nothing is drawn
    /// after it.
    void finish();

    /// Steps done.
    std::uint64_t steps() const;
    /// Images seen.
    std::uint64_t images() const;
    /// Seconds from construction to finish(), or to now.
    double seconds() const;
    /// images() / seconds(); 0 when no time has passed.
    double imagesPerSecond() const;

private:
    double now() const { return console_.seconds(); }
    double elapsed() const;
    std::size_t columns() const;
    std::string runningLine() const;
    std::string finalLine() const;
    void draw(const std::string& line);

    mutable std::mutex mutex_;
    const std::uint64_t totalSteps_;
    const std::string label_;
    const Console console_;
    const double start_;
    double lastStep_;
    std::optional<double> lastDrawn_;
    double recentImages_ = 0, recentSteps_ = 0, recentSeconds_ = 0;  // older work counts less
    std::uint64_t steps_ = 0, images_ = 0;
    std::optional<double> loss_;
    std::optional<double> finished_;
    bool lineIsOpen_ = false;
};

}  // namespace pewter::train
