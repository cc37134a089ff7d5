#include <fmt/format.h>

#include <MPS/CNNSampleNormalizationGradient.hpp>
#include <MTL/Error.hpp>
#include <unordered_set>

#include "mps/core/ForwardRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/GroupNormalizationAccess.h"
#include "mps/kernels/Pointwise.h"

namespace pewter::mps {

using Access = GroupNormalizationAccess;
using State = MPS::CNNNormalizationGradientState;
using MTL::Error;

namespace {

/// Images that one operation serves: all of them where the states lie back to back, else those of one state.
struct Piece {
    std::int64_t first = 0, count = 0;
    ArrayRef gamma, mean, inverseDeviation, diffGamma, diffBeta;
};

std::vector<Piece> piecesOf(const MPS::StateBatch& states, std::size_t images, bool gradients) {
    const auto all = static_cast<std::int64_t>(images);
    if (states.empty()) return {{0, all, {}, {}, {}, {}, {}}};
    StateAccess::allocateTogether(states, gradients ? Access::GradientForGamma : Access::Mean);
    StateAccess::allocateTogether(states, gradients ? Access::GradientForBeta : Access::InverseDeviation);
    const auto pieceOf = [&](const MPS::StateBatch& some, std::int64_t first, std::int64_t count) {
        const auto& state = static_cast<const State&>(*some[0]);
        const auto runOf = [&](std::size_t slot, ops::Type type, std::size_t one) -> ArrayRef {
            const auto size = static_cast<std::int64_t>(one);
            const auto run = StateAccess::together(some, slot, type, 1, 1, size);
            return {run.buffer, run.byteOffset, type, size * static_cast<std::int64_t>(some.size())};
        };
        Piece piece{first, count, Access::gamma(state), {}, {}, {}, {}};
        const auto statistics = Access::images(state) * Access::groups(state);
        piece.mean = runOf(Access::Mean, ops::Type::Float64, statistics);
        piece.inverseDeviation = runOf(Access::InverseDeviation, ops::Type::Float64, statistics);
        if (!gradients) return piece;
        const auto type = Access::gradientType(state);
        piece.diffGamma = runOf(Access::GradientForGamma, type, Access::parameters(state).channels);
        piece.diffBeta = runOf(Access::GradientForBeta, type, Access::parameters(state).channels);
        return piece;
    };
    const auto whole = pieceOf(states, 0, all);
    bool together = whole.mean && whole.inverseDeviation;
    if (gradients) together = together && whole.diffGamma && whole.diffBeta;
    for (const auto& state : states)
        together = together && Access::gamma(static_cast<const State&>(*state)).buffer == whole.gamma.buffer;
    if (together) return {whole};
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < states.size(); ++i)
        pieces.push_back(pieceOf({states[i]}, static_cast<std::int64_t>(i), 1));
    return pieces;
}

std::string placeOf(std::int64_t x, std::int64_t y) { return fmt::format("({}, {})", x, y); }

}  // namespace

void checkGroups(const MPS::Kernel& kernel, std::size_t channels, std::size_t groups) {
    if (channels == 0) throw Error(kernel.name(), "dataSource.numberOfFeatureChannels", "at least 1", "0");
    if (groups == 0 || channels % groups != 0)
        throw Error(kernel.name(), "dataSource.numberOfGroups",
                    fmt::format("a divisor of {} feature channels", channels), fmt::format("{}", groups));
}

void validateNormalization(const MPS::CNNKernel& kernel, const UnaryEncoding& encoding,
                           const GroupNormalizationParameters& parameters, const char* stateClass) {
    if (encoding.sourceChannels.count != parameters.channels)
        throw Error(kernel.name(), "sourceImage", fmt::format("{} feature channels", parameters.channels),
                    fmt::format("{}", encoding.sourceChannels.count));
    if (kernel.offset().x != 0 || kernel.offset().y != 0)
        throw Error(kernel.name(), "offset", "(0, 0), since the statistics are those of the whole image",
                    placeOf(kernel.offset().x, kernel.offset().y));
    const auto& to = *encoding.destinations[0];
    if (to.width() != encoding.sourceWidth || to.height() != encoding.sourceHeight)
        throw Error(
            kernel.name(), "destinationImage",
            fmt::format("{} x {} pixels, as in the source", encoding.sourceWidth, encoding.sourceHeight),
            fmt::format("{} x {}", to.width(), to.height()));
    const auto& clip = encoding.clip;
    if (clip.x != 0 || clip.y != 0 || clip.width != static_cast<std::int64_t>(to.width()) ||
        clip.height != static_cast<std::int64_t>(to.height()))
        throw Error(
            kernel.name(), "clipRect",
            "the whole destination, since the statistics are those of the whole image",
            fmt::format("{} x {} pixels from {} on", clip.width, clip.height, placeOf(clip.x, clip.y)));
    std::unordered_set<const MPS::State*> seen;
    for (const auto& state : encoding.destinationStates) {
        const auto* own = dynamic_cast<const State*>(state.get());
        if (!own || std::string(state->className()) != stateClass)
            throw Error(kernel.name(), "destinationState", fmt::format("a {}", stateClass),
                        fmt::format("a {}", state->className()));
        if (&Access::parameters(*own) != &parameters)
            throw Error(kernel.name(), "destinationState", "a state that this kernel made",
                        fmt::format("one made for '{}'", Access::parameters(*own).label));
        if (Access::groups(*own) != parameters.groups)
            throw Error(kernel.name(), "destinationState",
                        fmt::format("one made for {} groups", parameters.groups),
                        fmt::format("{}", Access::groups(*own)));
        const auto images = encoding.images / encoding.destinationStates.size();
        if (Access::images(*own) != images)
            throw Error(kernel.name(), "destinationState", fmt::format("one made for {} images", images),
                        fmt::format("{}", Access::images(*own)));
        if (!seen.insert(own).second)
            throw Error(kernel.name(), "destinationStates", "a state of its own for every image",
                        "one state twice");
    }
}

void recordNormalization(UnaryEncoding& encoding, const GroupNormalizationParameters& parameters) {
    const auto channels = static_cast<std::int64_t>(parameters.channels);
    for (const auto& state : encoding.destinationStates) Access::fill(static_cast<State&>(*state));
    for (const auto& piece : piecesOf(encoding.destinationStates, encoding.images, false))
        encoding.encoder->run([source = encoding.source.images(piece.first, piece.count),
                               destination = encoding.destination.images(piece.first, piece.count),
                               gamma = ArrayRef{parameters.gamma, 0, ops::Type::Float32, channels},
                               beta = ArrayRef{parameters.beta, 0, ops::Type::Float32, channels},
                               mean = piece.mean, inverseDeviation = piece.inverseDeviation,
                               groups = static_cast<std::int64_t>(parameters.groups),
                               epsilon = parameters.epsilon] {
            ops::GroupNormalizationForward op;
            op.src = source.tensor();
            op.dst = destination.tensor();
            op.gamma = gamma.array();
            op.beta = beta.array();
            op.mean = mean.array();
            op.inverseDeviation = inverseDeviation.array();
            op.groups = groups;
            op.epsilon = epsilon;
            return op;
        });
}

}  // namespace pewter::mps

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNSampleNormalizationGradient::CNNSampleNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                               const char* forwardClass)
    : CNNGradientKernel(std::move(device)),
      forwardClass_(forwardClass),
      stateClass_(std::string(forwardClass) + "GradientState") {}

bool CNNSampleNormalizationGradient::accepts(const MPS::State& state) const {
    return state.className() == stateClass_;
}

void CNNSampleNormalizationGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

ImageDescriptor CNNSampleNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNSampleNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    const auto& record = requireRecord(*this, encoding.sourceStates, {forwardClass_});
    const auto& first = static_cast<const CNNNormalizationGradientState&>(*encoding.sourceStates[0]);
    const auto images = encoding.images / encoding.sourceStates.size();
    std::unordered_set<const State*> seen;
    for (const auto& state : encoding.sourceStates) {
        const auto& own = static_cast<const CNNNormalizationGradientState&>(*state);
        if (!Access::isFilled(own))
            throw Error(name(), "gradientState", "one that a forward encode has filled", "one that none has");
        if (Access::groups(own) != Access::groups(first) ||
            Access::parameters(own).channels != Access::parameters(first).channels)
            throw Error(name(), "gradientState", "states of one layer in a batch",
                        fmt::format("{} groups and {}", Access::groups(first), Access::groups(own)));
        if (Access::images(own) != images)
            throw Error(name(), "gradientState", fmt::format("one made for {} images", images),
                        fmt::format("{}", Access::images(own)));
        if (!seen.insert(&own).second)
            throw Error(name(), "gradientStates", "a state of its own for every image", "one state twice");
    }
    requireForwardImages(*this, encoding, record);
    if (secondaryOffset().x != 0 || secondaryOffset().y != 0)
        throw Error(name(), "secondaryOffset", "(0, 0), since the statistics are those of the whole image",
                    placeOf(secondaryOffset().x, secondaryOffset().y));
    if (primaryOffset().x != 0 || primaryOffset().y != 0)
        throw Error(name(), "primaryOffset", "(0, 0), since the statistics are those of the whole image",
                    placeOf(primaryOffset().x, primaryOffset().y));
}

void CNNSampleNormalizationGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto& shape = encoding.secondary.shape;
    const bool hasResult = !encoding.destinations.empty();
    const auto target = hasResult ? encoder.wholeGradient(encoding.destination, encoding.clip, shape.w, shape.h)
                                  : encoding.secondary;
    const auto gradient = encoding.primary.region(0, 0, shape.w, shape.h);
    const auto groups =
        Access::groups(static_cast<const CNNNormalizationGradientState&>(*encoding.sourceStates[0]));
    for (const auto& piece : piecesOf(encoding.sourceStates, encoding.images, true))
        encoder.run([source = encoding.secondary.images(piece.first, piece.count),
                     incoming = gradient.images(piece.first, piece.count),
                     result = target.images(piece.first, piece.count), piece, hasResult,
                     groups = static_cast<std::int64_t>(groups)] {
            ops::GroupNormalizationGradient op;
            op.src = source.tensor();
            op.diffDst = incoming.tensor();
            if (hasResult) op.diffSrc = result.tensor();
            op.gamma = piece.gamma.array();
            op.mean = piece.mean.array();
            op.inverseDeviation = piece.inverseDeviation.array();
            op.diffGamma = piece.diffGamma.array();
            op.diffBeta = piece.diffBeta.array();
            op.groups = groups;
            return op;
        });
    for (const auto& state : encoding.sourceStates)
        Access::differentiate(static_cast<CNNNormalizationGradientState&>(*state));
}

}  // namespace MPS
