#include <fmt/format.h>

#include <Pewter/train/CsvDataset.hpp>
#include <array>
#include <limits>

#include "io/ByteSource.h"

namespace pewter::train {
namespace {

constexpr std::uint32_t kMostMaxValue = 65535;
constexpr std::size_t kMostClasses = 65536;
constexpr std::size_t kMostPixels = std::size_t{1} << 24;  // of one image; 4096 x 4096

/// Takes the characters of a file one by one and collects pixels and labels.
class CsvParser {
public:
    CsvParser(const std::string& name, const CsvFormat& format)
        : name_(name), format_(format), pixels_(format.width * format.height) {}

    void take(std::uint8_t character) {
        if (sawReturn_ && character != '\n') failReturn(shown(character));
        if (character >= '0' && character <= '9') {
            digit(character - std::uint32_t{'0'});
        } else if (character == ',') {
            endField(false);
        } else if (character == '\n') {
            if (!sawReturn_) endField(true);
            sawReturn_ = false;
            ++line_;
            column_ = 1;
        } else if (character == '\r') {
            endField(true);
            sawReturn_ = true;
        } else {
            fail("digits, a comma or the end of the line", shown(character));
        }
    }

    void finish() {
        if (sawReturn_) failReturn("the end of the file");
        if (column_ != 1 || hasDigits_) endField(true);  // the last line may lack its end
        if (labels.empty()) throw MPS::Error(name_, "file", "at least one line", "an empty file");
    }

    std::vector<std::uint8_t> bytes;
    std::vector<std::uint16_t> labels;

private:
    std::uint32_t most() const {
        return column_ <= pixels_ ? format_.maxValue : static_cast<std::uint32_t>(format_.classCount - 1);
    }

    void digit(std::uint32_t digit) {
        hasDigits_ = true;
        value_ = 10 * value_ + digit;  // cannot overflow: refused beyond 65535
        if (value_ > most()) {
            fail(fmt::format("{} of 0 to {}", column_ <= pixels_ ? "a pixel" : "a label", most()),
                 fmt::format("a number that begins with {}", value_));
        }
    }

    void endField(bool endsLine) {
        if (endsLine && column_ == 1 && !hasDigits_) fail("a number", "an empty line");
        if (!hasDigits_) fail("a number", endsLine ? "the end of the line" : "a comma");
        if (endsLine && column_ != pixels_ + 1) failColumns(fmt::format("{}", column_));
        if (!endsLine && column_ == pixels_ + 1) failColumns("more");
        if (column_ == 1 && labels.size() >= format_.maxImages) {
            fail(fmt::format("at most {} images", format_.maxImages), "one more");
        }
        if (column_ <= pixels_) {
            const std::uint32_t scaled = (value_ * 255 + format_.maxValue / 2) / format_.maxValue;
            bytes.push_back(static_cast<std::uint8_t>(scaled));
        } else {
            labels.push_back(static_cast<std::uint16_t>(value_));
        }
        ++column_;
        value_ = 0;
        hasDigits_ = false;
    }

    static std::string shown(std::uint8_t character) {
        return character > ' ' && character < 0x7F ? fmt::format("'{}'", static_cast<char>(character))
                                                   : fmt::format("the byte 0x{:02X}", character);
    }

    [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
        throw MPS::Error(name_, fmt::format("line {}, column {}", line_, column_), expected, found);
    }

    [[noreturn]] void failReturn(const std::string& found) const {
        throw MPS::Error(name_, fmt::format("end of line {}", line_), "a line feed after a carriage return",
                         found);
    }

    [[noreturn]] void failColumns(const std::string& found) const {
        throw MPS::Error(name_, fmt::format("columns of line {}", line_),
                         fmt::format("{} ({} pixels and a label)", pixels_ + 1, pixels_), found);
    }

    const std::string& name_;
    const CsvFormat& format_;
    const std::size_t pixels_;
    std::size_t line_ = 1, column_ = 1;
    std::uint32_t value_ = 0;
    bool hasDigits_ = false, sawReturn_ = false;
};

void checkFormat(const std::string& name, const CsvFormat& format) {
    if (format.width == 0 || format.height == 0 || format.width > kMostPixels / format.height) {
        throw MPS::Error(name, "CsvFormat width and height", fmt::format("1 x 1 to {} pixels", kMostPixels),
                         fmt::format("{} x {}", format.width, format.height));
    }
    if (format.maxValue == 0 || format.maxValue > kMostMaxValue) {
        throw MPS::Error(name, "CsvFormat maxValue", fmt::format("1 to {}", kMostMaxValue),
                         fmt::format("{}", format.maxValue));
    }
    if (format.classCount == 0 || format.classCount > kMostClasses) {
        throw MPS::Error(name, "CsvFormat classCount", fmt::format("1 to {}", kMostClasses), fmt::format("{}", format.classCount));
    }
}

Dataset readCsvDataset(io::ByteSource& source, const CsvFormat& format, std::string name) {
    CsvParser parser(source.name(), format);
    std::array<std::uint8_t, 1 << 14> block{};
    while (const std::size_t got = source.read(block)) {
        for (std::size_t i = 0; i < got; ++i) parser.take(block[i]);
    }
    parser.finish();
    return Dataset(std::move(name), format.width, format.height, 1, format.classCount,
                   std::move(parser.bytes), std::move(parser.labels));
}

}  // namespace

Dataset readCsvDataset(const std::filesystem::path& path, const CsvFormat& format, std::string name) {
    checkFormat(path.string(), format);
    io::ByteSource source(path);
    return readCsvDataset(source, format, name.empty() ? path.filename().string() : std::move(name));
}

Dataset readCsvDataset(std::span<const std::uint8_t> memory, const CsvFormat& format, std::string name) {
    checkFormat(name, format);
    io::ByteSource source(memory, name);
    return readCsvDataset(source, format, std::move(name));
}

}  // namespace pewter::train
