#include <fmt/format.h>
#include <fmt/ranges.h>

#include <Pewter/train/IdxDataset.hpp>
#include <algorithm>
#include <array>
#include <limits>

#include "io/ByteSource.h"

namespace pewter::train {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::size_t kMostDimensions = 4;
constexpr std::size_t kFirstStep = std::size_t{1} << 20;

std::string typeName(std::uint8_t code) {
    switch (code) {
        case 0x09:
            return "0x09 (signed byte)";
        case 0x0B:
            return "0x0B (16-bit integer)";
        case 0x0C:
            return "0x0C (32-bit integer)";
        case 0x0D:
            return "0x0D (32-bit float)";
        case 0x0E:
            return "0x0E (64-bit float)";
        default:
            return fmt::format("0x{:02X}", code);
    }
}

void readHeaderPart(io::ByteSource& source, std::span<std::uint8_t> out, const char* part) {
    const std::size_t got = source.read(out);
    if (got != out.size()) {
        throw MPS::Error(source.name(), part, fmt::format("{} bytes", out.size()),
                         fmt::format("the end of the file after {}", got));
    }
}

std::vector<std::size_t> readExtents(io::ByteSource& source) {
    std::array<std::uint8_t, 4> magic{};
    readHeaderPart(source, magic, "IDX magic number");
    if (magic[0] != 0 || magic[1] != 0) {
        throw MPS::Error(source.name(), "IDX magic number", "two zero bytes first",
                         fmt::format("0x{:02X} 0x{:02X}", magic[0], magic[1]));
    }
    if (magic[2] != kUnsignedByte) {
        throw MPS::Error(source.name(), "IDX type code", "0x08 (unsigned byte)", typeName(magic[2]));
    }
    if (magic[3] == 0 || magic[3] > kMostDimensions) {
        throw MPS::Error(source.name(), "number of IDX dimensions", fmt::format("1 to {}", kMostDimensions),
                         fmt::format("{}", magic[3]));
    }
    std::array<std::uint8_t, 4 * kMostDimensions> bytes{};
    readHeaderPart(source, std::span(bytes).first(4 * std::size_t{magic[3]}), "IDX extents");
    std::vector<std::size_t> extents(magic[3]);
    for (std::size_t i = 0; i < extents.size(); ++i) {
        for (std::size_t byte = 0; byte < 4; ++byte) extents[i] = extents[i] << 8 | bytes[4 * i + byte];
        if (extents[i] == 0) {
            throw MPS::Error(source.name(), fmt::format("IDX extent {}", i), "at least 1", "0");
        }
    }
    return extents;
}

/// The product of the extents, once the source can hold so many bytes after its header.
std::size_t checkedSize(const io::ByteSource& source, const std::vector<std::size_t>& extents) {
    const std::uint64_t header = 4 + 4 * extents.size();
    const std::uint64_t most = source.mostBytes() > header ? source.mostBytes() - header : 0;
    std::uint64_t total = 1;
    for (const std::size_t extent : extents) {
        if (extent > most / total) {
            const std::string stored = fmt::format("{} bytes", source.storedBytes());
            throw MPS::Error(source.name(), "number of values",
                             fmt::format("{} bytes, as its header declares", fmt::join(extents, " x ")),
                             source.isGzip()
                                 ? fmt::format("a gzip file of {}, which cannot hold them", stored)
                                 : fmt::format("a file of {}, header included", stored));
        }
        total *= extent;
    }
    if (total > std::numeric_limits<std::size_t>::max()) {
        throw MPS::Error(source.name(), "number of values", "what fits into memory",
                         fmt::format("{}", total));
    }
    return static_cast<std::size_t>(total);
}

std::string declared(const std::vector<std::size_t>& extents, std::size_t total) {
    return fmt::format("{} = {} bytes, as its header declares", fmt::join(extents, " x "), total);
}

IdxArray readIdx(io::ByteSource& source) {
    IdxArray array;
    array.extents = readExtents(source);
    const std::size_t total = checkedSize(source, array.extents);
    // A gzip file may still lie by a factor of 1032: memory grows only as fast as values really come.
    for (std::size_t have = 0; have < total;) {
        const std::size_t want = source.isGzip() ? std::min(total, std::max(kFirstStep, 2 * have)) : total;
        array.values.resize(want);
        const std::size_t got = source.read(std::span(array.values).subspan(have));
        have += got;
        if (have < want) {
            throw MPS::Error(source.name(), "number of values", declared(array.extents, total),
                             fmt::format("{}", have));
        }
    }
    std::array<std::uint8_t, 1> extra{};
    if (source.read(extra) != 0) {
        const std::uint64_t header = 4 + 4 * array.extents.size();
        throw MPS::Error(source.name(), "number of values", declared(array.extents, total),
                         source.isGzip() ? "more" : fmt::format("{}", source.storedBytes() - header));
    }
    return array;
}

std::filesystem::path findPlainOrGzip(const std::filesystem::path& directory, const std::string& file) {
    for (const std::string& name : {file, file + ".gz"}) {
        std::error_code ignored;
        if (std::filesystem::exists(directory / name, ignored)) return directory / name;
    }
    throw MPS::Error(directory.string(), "files", fmt::format("{0} or {0}.gz", file), "neither");
}

}  // namespace

IdxArray readIdx(const std::filesystem::path& path) {
    io::ByteSource source(path);
    return readIdx(source);
}

IdxArray readIdx(std::span<const std::uint8_t> memory, const std::string& name) {
    io::ByteSource source(memory, name);
    return readIdx(source);
}

Dataset readIdxDataset(const std::filesystem::path& imagesPath, const std::filesystem::path& labelsPath,
                       std::size_t classCount, std::string name) {
    IdxArray images = readIdx(imagesPath);
    IdxArray labels = readIdx(labelsPath);
    if (images.extents.size() < 3) {
        throw MPS::Error(imagesPath.string(), "number of IDX dimensions", "3 or 4 for images",
                         fmt::format("{}", images.extents.size()));
    }
    if (labels.extents.size() != 1) {
        throw MPS::Error(labelsPath.string(), "number of IDX dimensions", "1 for labels",
                         fmt::format("{}", labels.extents.size()));
    }
    if (images.extents[0] != labels.extents[0]) {
        throw MPS::Error(labelsPath.string(), "number of labels",
                         fmt::format("{}, as many as {} has images", images.extents[0], imagesPath.string()),
                         fmt::format("{}", labels.extents[0]));
    }
    // Dataset checks this too, but does not know the file.
    const auto wrong = std::find_if(labels.values.begin(), labels.values.end(),
                                    [&](std::uint8_t label) { return label >= classCount; });
    if (classCount != 0 && wrong != labels.values.end()) {
        throw MPS::Error(labelsPath.string(), fmt::format("label {}", wrong - labels.values.begin()),
                         fmt::format("0 to {}", classCount - 1), fmt::format("{}", *wrong));
    }
    if (name.empty()) name = imagesPath.filename().string();
    const std::size_t channels = images.extents.size() == 4 ? images.extents[3] : 1;
    return Dataset(std::move(name), images.extents[2], images.extents[1], channels, classCount,
                   std::move(images.values), std::move(labels.values));
}

TrainTest readMnistDirectory(const std::filesystem::path& directory) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) {
        throw MPS::Error(directory.string(), "data directory",
                         directory == kFashionMnistDirectory
                             ? "the files of Debian's package dataset-fashion-mnist"
                             : "a directory with the four IDX files of MNIST",
                         "no such directory");
    }
    const auto trailingSlash = !directory.has_filename();
    const std::string name = (trailingSlash ? directory.parent_path() : directory).filename().string();
    const auto find = [&](const char* file) { return findPlainOrGzip(directory, file); };
    const auto trainImages = find("train-images-idx3-ubyte"), trainLabels = find("train-labels-idx1-ubyte");
    const auto testImages = find("t10k-images-idx3-ubyte"), testLabels = find("t10k-labels-idx1-ubyte");
    TrainTest both{readIdxDataset(trainImages, trainLabels, 10, name + " train"),
                   readIdxDataset(testImages, testLabels, 10, name + " test")};
    if (both.train.width() != both.test.width() || both.train.height() != both.test.height() ||
        both.train.channels() != both.test.channels()) {
        const auto size = [](const Dataset& set) {
            return fmt::format("{} x {} x {}", set.height(), set.width(), set.channels());
        };
        throw MPS::Error(testImages.string(), "image size",
                         fmt::format("{}, that of the training images", size(both.train)), size(both.test));
    }
    return both;
}

}  // namespace pewter::train
