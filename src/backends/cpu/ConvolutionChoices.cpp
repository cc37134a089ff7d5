#include "backends/cpu/ConvolutionChoices.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace pewter::cpu {

namespace {

using nlohmann::json;

/// Goes up with every new algorithm: choices of before know nothing of it.
constexpr int kFileVersion = 2;
/// Below it, a tenth of a millisecond, no choice is worth its measurement.
constexpr double kWorthMeasuring = 2e7;
constexpr int kRuns = 3;
/// Another algorithm than the direct one has to be this much faster, so that noise does not choose.
constexpr double kMargin = 0.95;

std::optional<Algorithm> algorithmNamed(const std::string& name) {
    for (const Algorithm algorithm : kAlgorithms)
        if (nameOf(algorithm) == name) return algorithm;
    return std::nullopt;
}

std::optional<Algorithm> pinnedAlgorithm() {
    const char* const value = std::getenv("PEWTER_CONVOLUTION");
    const std::string name = value ? value : "";
    if (name.empty() || name == "measured") return std::nullopt;
    if (const auto algorithm = algorithmNamed(name)) return algorithm;
    throw std::invalid_argument(fmt::format(
        "PEWTER_CONVOLUTION: expected measured, direct, blocked, winograd, columns, winograd5 or winograd2, found \"{}\"", name));
}

std::string cacheFile() {
    if (const char* const file = std::getenv("PEWTER_ALGORITHM_CACHE"))
        return std::string(file) == "off" ? "" : file;
    const std::filesystem::path name = "pewter/algorithms.json";
    if (const char* const folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) return folder / name;
    if (const char* const home = std::getenv("HOME"); home && *home)
        return std::filesystem::path(home) / ".cache" / name;
    return "";
}

std::string nameOf(Direction direction) {
    if (direction == Direction::Forward) return "forward";
    return direction == Direction::DataGradient ? "data gradient" : "weights gradient";
}

/// The problem in words, the same in every process.
std::string problemName(const ConvolutionTask& task, ops::Exactness exactness) {
    const Problem& p = task.problem;
    return fmt::format("{}{}{} n{} {}x{}x{} to {}x{}x{} groups{} window{}x{} stride{}x{} dilation{}x{} pad{}x{} threads{}",
                       nameOf(task.direction), exactness == ops::Exactness::Products ? " exact" : "",
                       task.bfloat16 ? " bfloat16" : "", p.n,
                       p.y.source, p.x.source, p.inputs, p.y.outputs, p.x.outputs, p.outputs, p.groups, p.y.taps,
                       p.x.taps, p.y.stride, p.x.stride, p.y.dilation, p.x.dilation, p.y.before, p.x.before,
                       maxThreads());
}

/// Whether the algorithm is one for this problem at all, as far as that is known without asking the library.
bool applies(Algorithm algorithm, const Problem& p, ops::Exactness exactness) {
    if (algorithm == Algorithm::Winograd5 || algorithm == Algorithm::Winograd2)
        return exactness != ops::Exactness::Products;
    if (algorithm != Algorithm::Winograd) return true;
    const auto usual = [](const Axis& a) { return a.taps == 3 && a.stride == 1 && a.dilation == 1; };
    return exactness != ops::Exactness::Products && p.groups == 1 && usual(p.y) && usual(p.x);
}

std::int64_t countOf(const dnnl::memory::dims& extents) {
    std::int64_t count = 1;
    for (const std::int64_t extent : extents) count *= extent;
    return count;
}

/// Milliseconds of one run on the operands, the best of some. What the task adds to goes to memory of its own.
double timeOf(const Prepared& prepared, const ConvolutionTask& task, ConvolutionOperands operands, Scratch& scratch) {
    Scratch::Frame frame(scratch);
    const Problem& p = task.problem;
    const auto resultLike = [&](const dnnl::memory::dims& extents) { return frame.floats(countOf(extents)); };
    if (task.accumulate && task.direction == Direction::DataGradient) operands.src = resultLike(p.srcExtents());
    if (task.accumulate && task.direction == Direction::WeightsGradient) {
        operands.weights = resultLike(p.weightExtents());
        if (operands.bias) operands.bias = frame.floats(p.outputs);
    }
    double best = std::numeric_limits<double>::infinity();
    for (int run = 0; run <= kRuns; ++run) {
        const auto start = std::chrono::steady_clock::now();
        Scratch::Frame inner(scratch);
        execute(prepared, task.direction, operands, inner);
        const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
        if (run > 0) best = std::min(best, time.count());  // The first one touches the memory.
    }
    return best;
}

}  // namespace

ConvolutionChoices::ConvolutionChoices(std::string machine)
    : machine_(std::move(machine)), file_(cacheFile()), pinned_(pinnedAlgorithm()) {
    read();
}

Prepared ConvolutionChoices::choose(const ConvolutionTask& task, ops::Exactness exactness,
                                    const ConvolutionOperands& operands, Scratch* scratch) {
    const auto directly = [&] { return prepare(task, Algorithm::Direct).value(); };
    const auto by = [&](Algorithm algorithm) {
        auto prepared = applies(algorithm, task.problem, exactness) ? prepare(task, algorithm) : std::nullopt;
        return prepared ? std::move(*prepared) : directly();
    };
    if (pinned_) return by(*pinned_);
    if (task.problem.flops() < kWorthMeasuring) return directly();
    const std::string problem = problemName(task, exactness);
    if (const auto choice = remembered(problem)) return by(choice->algorithm);

    ConvolutionTask measured = task;
    measured.accumulate = false;
    Choice choice;
    Scratch own;
    double best = std::numeric_limits<double>::infinity();
    for (const Algorithm algorithm : kAlgorithms) {
        if (!applies(algorithm, task.problem, exactness)) continue;
        const auto prepared = prepare(measured, algorithm);
        if (!prepared) continue;
        const double time = timeOf(*prepared, task, operands, scratch ? *scratch : own);
        choice.times[nameOf(algorithm)] = time;
        if (time >= best * kMargin) continue;
        choice.algorithm = algorithm;
        best = time;
    }
    remember(problem, choice);
    return by(choice.algorithm);
}

std::optional<ConvolutionChoices::Choice> ConvolutionChoices::remembered(const std::string& problem) {
    const std::lock_guard lock(mutex_);
    const auto found = choices_.find(problem);
    return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

void ConvolutionChoices::remember(const std::string& problem, const Choice& choice) {
    const std::lock_guard lock(mutex_);
    choices_[problem] = choice;
    write();
}

void ConvolutionChoices::read() {
    std::ifstream file(file_);
    if (file_.empty() || !file) return;
    try {
        const json whole = json::parse(file);
        if (whole.at("version") != kFileVersion) return;
        const json& machines = whole.at("machines");
        if (!machines.contains(machine_)) return;
        std::map<std::string, Choice> choices;
        for (const auto& [problem, entry] : machines.at(machine_).items()) {
            const auto algorithm = algorithmNamed(entry.at("algorithm"));
            if (!algorithm) return;
            choices[problem] = {*algorithm, entry.at("milliseconds").get<Times>()};
        }
        choices_ = std::move(choices);
    } catch (const json::exception&) {
        // A damaged file holds nothing; the next choice writes it anew.
    }
}

void ConvolutionChoices::write() {
    if (file_.empty()) return;
    namespace fs = std::filesystem;
    json whole;
    {
        // Other processes and other machines of the same home write here too.
        std::ifstream file(file_);
        if (file) whole = json::parse(file, nullptr, false);
    }
    if (!whole.is_object() || whole.value("version", 0) != kFileVersion || !whole["machines"].is_object())
        whole = {{"version", kFileVersion}, {"machines", json::object()}};
    json& own = whole["machines"][machine_];
    for (const auto& [problem, choice] : choices_)
        own[problem] = {{"algorithm", nameOf(choice.algorithm)}, {"milliseconds", choice.times}};

    std::error_code failed;
    const fs::path target(file_), temporary(file_ + fmt::format(".{}", static_cast<const void*>(this)));
    if (target.has_parent_path()) fs::create_directories(target.parent_path(), failed);
    std::ofstream file(temporary);
    file << whole.dump(1) << '\n';
    file.close();
    if (file) fs::rename(temporary, target, failed);
    if ((!file || failed) && !warned_) {
        warned_ = true;
        fs::remove(temporary, failed);
        fmt::print(stderr,
                   "pewter: warning: cannot write the file of measured algorithms, {}: they are measured again by the "
                   "next process (PEWTER_ALGORITHM_CACHE names another file, or \"off\")\n",
                   file_);
    }
}

}  // namespace pewter::cpu
