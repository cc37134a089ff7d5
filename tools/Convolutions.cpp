#include "Convolutions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "mtl/Device.h"
#include "train/StepTimer.h"

namespace {

namespace ops = pewter::ops;
namespace profile = pewter::profile;
using Origin = ops::ConvolutionChoice::Origin;

/// As the tables and the JSON name it.
std::string nameOf(Origin origin) {
    switch (origin) {
        case Origin::OnlyOne:
            return "only one";
        case Origin::Pinned:
            return "pinned";
        case Origin::File:
            return "file";
        case Origin::Measured:
            return "measured now";
        case Origin::NotMeasured:
            return "not measured";
    }
    return "";
}

/// The candidates that were not taken, fastest first.
std::string othersOf(const ops::ConvolutionChoice& choice) {
    std::vector<std::pair<double, std::string>> others;
    for (const auto& [algorithm, time] : choice.milliseconds)
        if (algorithm != choice.algorithm) others.emplace_back(time, algorithm);
    std::sort(others.begin(), others.end());
    std::vector<std::string> words;
    for (const auto& [time, algorithm] : others) words.push_back(fmt::format("{} {:.3f}", algorithm, time));
    return fmt::to_string(fmt::join(words, ", "));
}

std::string timeOf(const ops::ConvolutionChoice& choice) {
    const auto found = choice.milliseconds.find(choice.algorithm);
    return found == choice.milliseconds.end() ? "-" : fmt::format("{:.3f}", found->second);
}

}  // namespace

std::string Convolutions::text() const {
    std::size_t kernels = 6, others = 16;
    for (const auto& [kernel, choice] : list) {
        kernels = std::max(kernels, kernel.size());
        others = std::max(others, othersOf(choice).size());
    }
    std::string out;
    const auto print = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    };
    print("\nConvolutions, {} thread{}; choices are kept in {}\n", threads, threads == 1 ? "" : "s",
          file.empty() ? "no file" : file);
    print("{:<{}}  {:<10} {:>9}  {:<12}  {:<{}}  {}\n", "kernel", kernels, "algorithm", "ms", "found", "other candidates",
          others, "problem");
    for (const auto& [kernel, choice] : list) {
        print("{:<{}}  {:<10} {:>9}  {:<12}  {:<{}}  {}", kernel, kernels, choice.algorithm.empty() ? "-" : choice.algorithm,
              timeOf(choice), nameOf(choice.origin), othersOf(choice), others, choice.problem);
        if (!choice.reason.empty()) print("  ({})", choice.reason);
        if (!choice.forbidden.empty()) print("  forbidden: {}", fmt::to_string(fmt::join(choice.forbidden, ", ")));
        print("\n");
    }
    return out;
}

nlohmann::json Convolutions::json() const {
    auto out = nlohmann::json::array();
    for (const auto& [kernel, choice] : list)
        out.push_back({{"kernel", kernel},
                       {"direction", choice.direction},
                       {"problem", choice.problem},
                       {"algorithm", choice.algorithm.empty() ? nlohmann::json() : nlohmann::json(choice.algorithm)},
                       {"found", nameOf(choice.origin)},
                       {"milliseconds", choice.milliseconds},
                       {"reason", choice.reason},
                       {"forbidden", choice.forbidden}});
    return {{"threads", threads}, {"file", file}, {"list", out}};
}

std::optional<Convolutions> convolutionsOf(const pewter::train::NetworkDescription& network,
                                           const std::shared_ptr<MTL::Device>& device,
                                           const pewter::train::TrainingSettings& settings, bool measure) {
    auto& backend = pewter::mtl::deviceOf(*device).backend();
    auto* const chooser = dynamic_cast<ops::ConvolutionChooser*>(&backend);
    if (!chooser) return std::nullopt;
    if (measure) pewter::train::StepTimer(network, device, settings).apart(1);
    // The registry keeps the backend alive.
    const auto listing = std::make_shared<profile::ConvolutionListing>(
        std::shared_ptr<ops::Backend>(&backend, [](auto*) {}), *chooser);
    pewter::train::StepTimer(network, std::make_shared<pewter::mtl::Device>(listing, device->registryID()), settings).apart(1);
    return Convolutions{listing->convolutions(), chooser->fileOfChoices(), backend.threads()};
}
