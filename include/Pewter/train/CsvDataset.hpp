#pragma once

#include <Pewter/train/Dataset.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace pewter::train {

/// What the rows of a CSV dataset mean.
struct CsvFormat {
    /// Columns and rows of an image; a line has width x height pixels and a label. Both at least 1.
    std::size_t width = 0;
    std::size_t height = 0;
    /// Pixels are 0 to maxValue; 1 to 65535.
    std::uint32_t maxValue = 255;
    /// Labels are 0 to classCount - 1; 1 to 65536.
    std::size_t classCount = 10;
    /// Refuse files with more images than this, so that a small gzip file cannot fill the memory.
    std::size_t maxImages = 4'000'000;
};

/// Reads a dataset of one channel from lines of unsigned integers apart by commas: the pixels in row order,
/// then the label. Plain or gzip, told apart by the first bytes. Lines end with LF or CR LF, the last one may
/// lack it; there is no header, no empty line, no space.
///
/// A pixel v becomes v x 255 / maxValue rounded to the nearest whole number, halves upwards: 0 to 0, maxValue
/// to 255. `name` defaults to the file name. Throws MPS::Error, naming file, line, column (both from 1), what
/// was expected and what was found, for any other character, a wrong number of columns, a value or label out
/// of range, a file that is empty, cannot be read, has too many images, or has damaged gzip data; and for a
/// format with an extent out of range.
PEWTER_API Dataset readCsvDataset(const std::filesystem::path& path, const CsvFormat& format,
                                  std::string name = {});

/// The same from memory; `name` stands for the file in messages and names the dataset.
PEWTER_API Dataset readCsvDataset(std::span<const std::uint8_t> memory, const CsvFormat& format,
                                  std::string name);

}  // namespace pewter::train
