#include <Pewter/train/Random.hpp>
#include <Pewter/train/Synthetic.hpp>

namespace pewter::train {

namespace {

constexpr std::size_t kCells = 4;

/// Colours of 4 x 4 fields.
class Mosaic {
public:
    Mosaic(std::size_t channels, Random& random) : channels_(channels), colours_(kCells * kCells * channels) {
        for (auto& colour : colours_) colour = static_cast<std::uint8_t>(64 + random.below(128));
    }

    std::uint8_t at(std::size_t x, std::size_t y, std::size_t width, std::size_t height, std::size_t channel) const {
        const std::size_t column = x * kCells / width, row = y * kCells / height;
        return colours_[(row * kCells + column) * channels_ + channel % channels_];
    }

private:
    std::size_t channels_;
    std::vector<std::uint8_t> colours_;
};

template <class Value>
void appendImage(std::vector<std::uint8_t>& bytes, std::size_t width, std::size_t height, std::size_t channels,
                 Value value) {
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t c = 0; c < channels; ++c) bytes.push_back(value(x, y, c));
}

Dataset synthetic(const NetworkDescription& network, std::size_t count, std::uint64_t seed, const std::string& part) {
    // The mosaics of the classes are those of the seed, the pictures those of the part as well.
    Random classRandom(seed, 1), random(seed, part == "train" ? 2 : 3);
    const auto& target = network.target;
    std::vector<Mosaic> classes;
    if (target.isClasses())
        for (std::size_t i = 0; i < target.channels; ++i) classes.emplace_back(network.channels, classRandom);
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint16_t> labels;
    bytes.reserve(count * network.width * network.height * network.channels);
    TargetImages targets{target.width, target.height, target.channels, {}};
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t label = target.isClasses() ? random.below(target.channels) : 0;
        const Mosaic mosaic = target.isClasses() ? classes[label] : Mosaic(network.channels, random);
        appendImage(bytes, network.width, network.height, network.channels, [&](auto x, auto y, auto c) {
            const std::size_t noise = random.next() >> 57;  // 0 to 127
            return static_cast<std::uint8_t>(mosaic.at(x, y, network.width, network.height, c) + noise - 64);
        });
        if (target.isClasses())
            labels.push_back(static_cast<std::uint16_t>(label));
        else
            appendImage(targets.bytes, target.width, target.height, target.channels, [&](auto x, auto y, auto c) {
                return static_cast<std::uint8_t>(255 - mosaic.at(x, y, target.width, target.height, c));
            });
    }
    const auto name = "synthetic " + network.name + " " + part;
    if (target.isClasses())
        return {name, network.width, network.height, network.channels, target.channels, std::move(bytes),
                std::move(labels)};
    return {name, network.width, network.height, network.channels, std::move(bytes), std::move(targets)};
}

}  // namespace

TrainTest syntheticSplit(const NetworkDescription& network, std::size_t trainCount, std::size_t testCount,
                         std::uint64_t seed) {
    return {synthetic(network, trainCount, seed, "train"), synthetic(network, testCount, seed, "test")};
}

}  // namespace pewter::train
