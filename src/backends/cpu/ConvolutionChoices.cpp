#include "backends/cpu/ConvolutionChoices.h"

#include <fmt/format.h>
#include <unistd.h>

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
constexpr int kFileVersion = 3;
/// Below it, a tenth of a millisecond, no choice is worth its measurement.
constexpr double kWorthMeasuring = 2e7;
constexpr int kRuns = 3;
/// Another algorithm than the direct one has to be this much faster, so that noise does not choose.
constexpr double kMargin = 0.95;
/// What takes so many times as long as another is not run again.
constexpr double kHopeless = 1.5;

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
        "PEWTER_CONVOLUTION: expected measured, direct, blocked, winograd, columns, winograd5, winograd2 or products, found \"{}\"", name));
}

bool layoutsAreMeasured() {
    const char* const value = std::getenv("PEWTER_LAYOUTS");
    const std::string name = value ? value : "";
    if (name.empty() || name == "measured") return true;
    if (name == "plain") return false;
    throw std::invalid_argument(fmt::format("PEWTER_LAYOUTS: expected measured or plain, found \"{}\"", name));
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

/// The problem in words, the same in every process.
std::string problemName(const ConvolutionTask& task, ops::Exactness exactness) {
    const Problem& p = task.problem;
    const auto layout = [](ops::ImageLayout one) {
        return one == ops::ImageLayout::ChannelBlocks ? "blocks" : "plain";
    };
    const std::string layouts =
        task.hasBlocks() ? fmt::format(" {} to {}", layout(task.srcLayout), layout(task.dstLayout)) : "";
    return fmt::format("{}{}{}{} n{} {}x{}x{} to {}x{}x{} groups{} window{}x{} stride{}x{} dilation{}x{} pad{}x{} threads{}",
                       nameOf(task.direction), exactness == ops::Exactness::Products ? " exact" : "",
                       task.bfloat16 ? " bfloat16" : "", layouts, p.n,
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

/// By the algorithm where there is such a kernel, else directly.
Prepared prepareBy(Algorithm algorithm, const ConvolutionTask& task, ops::Exactness exactness) {
    auto prepared = applies(algorithm, task.problem, exactness) ? prepare(task, algorithm) : std::nullopt;
    return prepared ? std::move(*prepared) : prepare(task, Algorithm::Direct).value();
}

std::int64_t countOf(const dnnl::memory::dims& extents) {
    std::int64_t count = 1;
    for (const std::int64_t extent : extents) count *= extent;
    return count;
}

/// Milliseconds of the best of some runs.
template <class Run>
double timeOf(Run run, int runs = kRuns) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < runs; ++i) {
        const auto start = std::chrono::steady_clock::now();
        run();
        const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
        best = std::min(best, time.count());
    }
    return best;
}

/// Of the task on the operands. What it adds to goes to memory of its own.
double timeOf(const Prepared& prepared, const ConvolutionTask& task, ConvolutionOperands operands, Scratch& scratch,
              int runs) {
    Scratch::Frame frame(scratch);
    const Problem& p = task.problem;
    const auto resultLike = [&](const dnnl::memory::dims& extents) { return frame.floats(countOf(extents)); };
    if (task.accumulate && task.direction == Direction::DataGradient) operands.src = resultLike(p.srcExtents());
    if (task.accumulate && task.direction == Direction::WeightsGradient) {
        operands.weights = resultLike(p.weightExtents());
        if (operands.bias) operands.bias = frame.floats(p.outputs);
    }
    return timeOf(
        [&] {
            Scratch::Frame inner(scratch);
            execute(prepared, task.direction, operands, inner);
        },
        runs);
}

/// What the file holds. One that cannot be read, is damaged or of another version holds nothing, and the next choice writes
/// it anew.
json contentOf(const std::string& file) {
    std::ifstream stream(file);
    json whole = stream ? json::parse(stream, nullptr, false) : json();
    if (!whole.is_object() || !whole.contains("version") || whole["version"] != kFileVersion ||
        !whole.contains("machines") || !whole["machines"].is_object())
        whole = {{"version", kFileVersion}, {"machines", json::object()}};
    return whole;
}

/// Those of one machine, without damaged ones.
std::map<std::string, ConvolutionChoices::Choice> choicesOf(const json& whole, const std::string& machine) {
    std::map<std::string, ConvolutionChoices::Choice> choices;
    const auto own = whole["machines"].find(machine);
    if (own == whole["machines"].end() || !own->is_object()) return choices;
    for (const auto& [problem, entry] : own->items()) {
        try {
            const auto algorithm = algorithmNamed(entry.at("algorithm"));
            if (algorithm) choices[problem] = {*algorithm, entry.at("milliseconds").get<ConvolutionChoices::Times>(), true};
        } catch (const json::exception&) {
        }
    }
    return choices;
}

}  // namespace

std::string nameOf(Direction direction) {
    if (direction == Direction::Forward) return "forward";
    return direction == Direction::DataGradient ? "data gradient" : "weights gradient";
}

ConvolutionChoices::ConvolutionChoices(std::string machine)
    : machine_(std::move(machine)), file_(cacheFile()), pinned_(pinnedAlgorithm()),
      layouts_(layoutsAreMeasured()) {
    read();
}

Prepared ConvolutionChoices::choose(const ConvolutionTask& task, ops::Exactness exactness,
                                    const ConvolutionOperands& operands, Scratch* scratch) {
    const auto by = [&](Algorithm algorithm) { return prepareBy(algorithm, task, exactness); };
    if (pinned_) return by(*pinned_);
    if (task.problem.flops() < kWorthMeasuring) return by(Algorithm::Direct);
    const std::string problem = problemName(task, exactness);
    if (const auto choice = remembered(problem)) return by(choice->algorithm);

    ConvolutionTask measured = task;
    measured.accumulate = false;
    Choice choice;
    Scratch own;
    Scratch::Frame outer(scratch ? *scratch : own);
    (void)outer.floats(1);  // What the runs take stays between them.
    struct Candidate {
        Algorithm algorithm;
        Prepared prepared;
        double milliseconds = 0;
    };
    std::vector<Candidate> candidates;
    const auto time = [&](const Candidate& one, int runs) {
        return timeOf(one.prepared, task, operands, outer.scratch(), runs);
    };
    double best = std::numeric_limits<double>::infinity();
    for (const Algorithm algorithm : kAlgorithms) {
        if (!applies(algorithm, task.problem, exactness)) continue;
        auto prepared = prepare(measured, algorithm);
        if (!prepared) continue;
        auto& candidate = candidates.emplace_back(Candidate{algorithm, std::move(*prepared)});
        (void)time(candidate, 1);  // It touches the memory, which may take longer than the work.
        candidate.milliseconds = time(candidate, 1);
        best = std::min(best, candidate.milliseconds);
    }
    const double hopeless = kHopeless * best;
    best = std::numeric_limits<double>::infinity();
    for (Candidate& one : candidates) {
        if (one.milliseconds <= hopeless) one.milliseconds = std::min(one.milliseconds, time(one, kRuns - 1));
        choice.times[nameOf(one.algorithm)] = one.milliseconds;
        if (one.milliseconds >= best * kMargin) continue;
        choice.algorithm = one.algorithm;
        best = one.milliseconds;
    }
    remember(problem, choice);
    return by(choice.algorithm);
}

ops::ConvolutionChoice ConvolutionChoices::describe(const ConvolutionTask& task, ops::Exactness exactness,
                                                    const ConvolutionTask& free) {
    using Origin = ops::ConvolutionChoice::Origin;
    ops::ConvolutionChoice out{nameOf(task.direction), problemName(task, exactness)};
    const bool isWorth = task.problem.flops() >= kWorthMeasuring;
    if (const auto known = remembered(out.problem)) {
        out.algorithm = nameOf(prepareBy(known->algorithm, task, exactness).algorithm);
        out.origin = known->isFromFile ? Origin::File : Origin::Measured;
        out.milliseconds = known->times;
    } else {
        out.origin = Origin::NotMeasured;
    }
    if (pinned_) {
        out.algorithm = nameOf(prepareBy(*pinned_, task, exactness).algorithm);
        out.origin = Origin::Pinned;
        if (out.algorithm != nameOf(*pinned_)) out.reason = "no " + nameOf(*pinned_) + " for this problem";
    } else if (!isWorth) {
        out.algorithm = nameOf(Algorithm::Direct);
        out.origin = Origin::OnlyOne;
        out.reason = "too small to be worth a measurement";
    }
    for (const Algorithm algorithm : kAlgorithms)
        if (isWorth && !applies(algorithm, task.problem, exactness) &&
            applies(algorithm, task.problem, ops::Exactness::Transformed) && prepare(free, algorithm))
            out.forbidden.push_back(nameOf(algorithm));
    if (free.bfloat16 && !task.bfloat16) out.forbidden.push_back("products in bfloat16");
    return out;
}

std::optional<ConvolutionChoices::Choice> ConvolutionChoices::measured(const ConvolutionTask& task,
                                                                       ops::Exactness exactness) {
    if (!measuresLayouts() || task.problem.flops() < kWorthMeasuring) return std::nullopt;
    const std::string problem = problemName(task, exactness);
    if (!remembered(problem)) {
        const Problem& p = task.problem;
        Scratch scratch;
        Scratch::Frame frame(scratch);
        const auto filled = [&](std::int64_t count) {
            float* const memory = frame.floats(count);
            std::fill_n(memory, count, 0.5F);
            return memory;
        };
        const ConvolutionOperands operands{filled(countOf(p.srcExtents())), filled(countOf(p.weightExtents())),
                                           filled(countOf(p.dstExtents())), task.bias ? filled(p.outputs) : nullptr};
        (void)choose(task, exactness, operands, &scratch);
    }
    auto choice = remembered(problem);
    return choice->times.contains(nameOf(choice->algorithm)) ? choice : std::nullopt;
}

double ConvolutionChoices::reorderMilliseconds(std::int64_t n, std::int64_t pixels, std::int64_t c) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = reorders_.find({n, pixels, c}); found != reorders_.end()) return found->second;
    }
    Scratch scratch;
    Scratch::Frame frame(scratch);
    const std::int64_t count = n * pixels * c;
    float* const plain = frame.floats(count);
    float* const blocked = frame.floats(count);
    std::fill_n(plain, count, 0.5F);
    const auto run = [&] { toBlocks({true, n, pixels, c}, plain, blocked); };
    run();
    const double time = timeOf(run);
    const std::lock_guard lock(mutex_);
    return reorders_[{n, pixels, c}] = time;
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
    if (!file_.empty()) choices_ = choicesOf(contentOf(file_), machine_);
}

void ConvolutionChoices::write() {
    if (file_.empty()) return;
    namespace fs = std::filesystem;
    // Other processes and other machines of the same home write here too.
    json whole = contentOf(file_), own = json::object();
    auto choices = choicesOf(whole, machine_);
    for (const auto& [problem, choice] : choices_) choices[problem] = choice;
    for (const auto& [problem, choice] : choices)
        own[problem] = {{"algorithm", nameOf(choice.algorithm)}, {"milliseconds", choice.times}};
    whole["machines"][machine_] = std::move(own);

    std::error_code failed;
    const fs::path target(file_), temporary(file_ + fmt::format(".{}.{}", getpid(), static_cast<const void*>(this)));
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
