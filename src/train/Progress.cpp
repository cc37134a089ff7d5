#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <Pewter/train/Progress.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace pewter::train {
namespace {

constexpr double kSecondsBetweenDrawings = 0.1;
constexpr double kRateMemory = 3.0;  // seconds after which work counts 1/e in the rate shown
constexpr std::size_t kUsualColumns = 80;
constexpr std::size_t kWidestBar = 30, kNarrowestBar = 8;
constexpr std::string_view kToLineStart = "\r", kEraseToLineEnd = "\x1b[K";

Console withDefaults(Console console) {
    if (!console.write) console.isTerminal = false;
    if (!console.seconds) {
        console.seconds = [] {
            return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
        };
    }
    return console;
}

/// 7:05, 1:02:03.
std::string clockTime(double seconds) {
    if (!std::isfinite(seconds) || seconds >= 1e9) return "--:--";
    const auto whole = static_cast<long long>(std::round(std::max(0.0, seconds)));
    if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string rateText(double imagesPerSecond) {
    return fmt::format("{:.{}f} images/s", imagesPerSecond, imagesPerSecond < 10 ? 2 : 0);
}

bool continuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80u; }

/// Characters of UTF-8 text, which is what a terminal shows one cell for in the languages of our labels.
std::size_t cells(std::string_view text) {
    return text.size() -
           static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continuesCharacter));
}

/// The first `most` characters of UTF-8 text.
std::string_view firstCells(std::string_view text, std::size_t most) {
    std::size_t seen = 0, bytes = 0;
    while (bytes < text.size()) {
        if (!continuesCharacter(text[bytes]) && seen++ == most) break;
        ++bytes;
    }
    return text.substr(0, bytes);
}

}  // namespace

Console Console::standardError() {
    Console console;
    const char* term = std::getenv("TERM");
    console.isTerminal = isatty(STDERR_FILENO) == 1 && term && std::string_view(term) != "dumb";
    console.columns = [] {
        winsize size{};
        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? std::size_t{size.ws_col} : 0;
    };
    console.write = [](std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stderr);
        std::fflush(stderr);
    };
    return console;
}

Progress::Progress(std::uint64_t totalSteps, std::string label, Console console)
    : totalSteps_(totalSteps),
      label_(std::move(label)),
      console_(withDefaults(std::move(console))),
      start_(now()),
      lastStep_(start_) {}

Progress::~Progress() {
    if (!lineIsOpen_) return;
    try {
        console_.write("\n");
    } catch (...) {  // nowhere left to say so
    }
}

void Progress::advance(std::uint64_t images, std::optional<double> loss) {
    const std::lock_guard lock(mutex_);
    const double time = now();
    const double fade = std::exp((lastStep_ - time) / kRateMemory);
    recentImages_ = recentImages_ * fade + static_cast<double>(images);
    recentSteps_ = recentSteps_ * fade + 1;
    recentSeconds_ = recentSeconds_ * fade + (time - lastStep_);
    lastStep_ = time;
    ++steps_;
    images_ += images;
    if (loss) loss_ = loss;
    if (!console_.isTerminal || finished_) return;
    if (lastDrawn_ && time - *lastDrawn_ < kSecondsBetweenDrawings) return;
    lastDrawn_ = time;
    draw(runningLine());
}

void Progress::clear() {
    const std::lock_guard lock(mutex_);
    if (!lineIsOpen_) return;
    console_.write(std::string(kToLineStart).append(kEraseToLineEnd));
    lineIsOpen_ = false;
}

void Progress::finish() {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = now();
    if (!console_.isTerminal) return;
    draw(finalLine());
    console_.write("\n");
    lineIsOpen_ = false;
}

std::uint64_t Progress::steps() const {
    const std::lock_guard lock(mutex_);
    return steps_;
}

std::uint64_t Progress::images() const {
    const std::lock_guard lock(mutex_);
    return images_;
}

double Progress::seconds() const {
    const std::lock_guard lock(mutex_);
    return elapsed();
}

double Progress::imagesPerSecond() const {
    const std::lock_guard lock(mutex_);
    const double time = elapsed();
    return time > 0 ? static_cast<double>(images_) / time : 0;
}

double Progress::elapsed() const { return finished_.value_or(now()) - start_; }

std::size_t Progress::columns() const {
    const std::size_t columns = console_.columns ? console_.columns() : 0;
    return columns == 0 ? kUsualColumns : columns;
}

std::string Progress::runningLine() const {
    const double done =
        totalSteps_ == 0 ? 1 : std::min(1.0, static_cast<double>(steps_) / static_cast<double>(totalSteps_));
    std::string counts = fmt::format("{:3.0f}%  {}/{}", std::floor(done * 100), steps_, totalSteps_);
    std::string rest;
    if (recentSeconds_ > 0) rest += "  " + rateText(recentImages_ / recentSeconds_);
    if (loss_) rest += fmt::format("  loss {:.4f}", *loss_);
    if (recentSeconds_ > 0 && steps_ < totalSteps_) {
        rest += fmt::format("  {} left", clockTime(static_cast<double>(totalSteps_ - steps_) *
                                                   recentSeconds_ / recentSteps_));
    }
    const std::string label = label_.empty() ? "" : label_ + "  ";
    const std::size_t text = cells(label) + counts.size() + rest.size();
    const std::size_t room = columns() - 1;  // the last cell would wrap on some terminals
    const std::size_t frame = 3;             // brackets and a space
    if (text + frame + kNarrowestBar <= room) {
        const std::size_t width = std::min(kWidestBar, room - text - frame);
        const auto full = static_cast<std::size_t>(done * static_cast<double>(width));
        return fmt::format("{}[{}{}] {}{}", label, std::string(full, '#'), std::string(width - full, '-'),
                           counts, rest);
    }
    if (text <= room) return label + counts + rest;
    if (counts.size() + rest.size() <= room) return counts + rest;
    return counts;
}

std::string Progress::finalLine() const {
    const double time = elapsed();
    std::string line = label_.empty() ? "" : label_ + "  ";
    line += fmt::format("{} images in {:.1f} s", images_, time);
    if (time > 0) line += "  " + rateText(static_cast<double>(images_) / time);
    if (loss_) line += fmt::format("  loss {:.4f}", *loss_);
    return line;
}

void Progress::draw(const std::string& line) {
    std::string text(kToLineStart);
    text.append(firstCells(line, columns() - 1)).append(kEraseToLineEnd);
    console_.write(text);
    lineIsOpen_ = true;
}

}  // namespace pewter::train
