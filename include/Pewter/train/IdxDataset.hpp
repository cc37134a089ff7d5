#pragma once

#include <Pewter/train/Dataset.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace pewter::train {

/// Where Debian's package dataset-fashion-mnist puts its files.
inline constexpr const char* kFashionMnistDirectory = "/usr/share/datasets/fashion-mnist";

/// What an IDX file of unsigned bytes holds: an array of 1 to 4 dimensions, the last one running fastest.
struct IdxArray {
    std::vector<std::size_t> extents;
    std::vector<std::uint8_t> values;
};

/// Reads an IDX file of unsigned bytes, plain or gzip (told apart by its first bytes, not by its name).
///
/// The form (http://yann.lecun.com/exdb/mnist): two zero bytes, the type code (0x08), the number of
/// dimensions, one big-endian 32-bit extent a dimension, then the values and nothing else. The file is not
/// trusted: extents are checked against its length before memory is taken (a gzip file can hold at most 1032
/// times its own length), and exactly the declared bytes are unpacked. Throws MPS::Error, naming the file,
/// what was expected and what was found, when it cannot be read, is too short, has another type or number of
/// dimensions, an extent of 0, fewer or more bytes than its extents say, or damaged gzip data.
PEWTER_API IdxArray readIdx(const std::filesystem::path& path);

/// The same from memory; `name` stands for the file in messages.
PEWTER_API IdxArray readIdx(std::span<const std::uint8_t> memory, const std::string& name);

/// Images (N x H x W, or N x H x W x C) from one IDX file and their labels (N) from another.
/// `name` defaults to the file name of the images. Throws as readIdx() does, and when the numbers of
/// dimensions are others, the two counts differ, or a label is not below `classCount` (1 to 65536; the labels of these files
/// are bytes).
PEWTER_API Dataset readIdxDataset(const std::filesystem::path& imagesPath,
                                  const std::filesystem::path& labelsPath, std::size_t classCount = 10,
                                  std::string name = {});

/// The four files of MNIST or Fashion-MNIST in `directory`: train-images-idx3-ubyte, train-labels-idx1-ubyte,
/// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or with .gz at the end of its name (plain
/// wins). The parts are called "<last part of directory> train" and "… test". Throws as readIdxDataset()
/// does, when a file is missing, and when training and test images differ in size.
PEWTER_API TrainTest readMnistDirectory(const std::filesystem::path& directory = kFashionMnistDirectory);

}  // namespace pewter::train
