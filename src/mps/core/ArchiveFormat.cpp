#include "mps/core/ArchiveFormat.h"

#include <fmt/format.h>
#include <zlib.h>

#include <MTL/Error.hpp>
#include <cstring>
#include <limits>

namespace pewter::mps {

using MTL::Error;
using Bytes = std::span<const std::uint8_t>;

namespace {

constexpr char kMagic[] = {'P', 'E', 'W', 'T', 'E', 'R', 'A', 'R'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeader = sizeof(kMagic) + 4 + 4 + 8;
/// An archive, its objects, one object, its values, a value with a type of its own.
constexpr int kDepth = 5;

void append(std::vector<std::uint8_t>& to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

std::uint64_t little(Bytes data, std::size_t at, int bytes) {
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | data[at + static_cast<std::size_t>(i)];
    return value;
}

std::uint32_t checksum(Bytes payload) {
    return static_cast<std::uint32_t>(crc32_z(crc32_z(0, nullptr, 0), payload.data(), payload.size()));
}

/// Walks the payload without making anything. The parser behind recurses into whatever it is given and
/// believes every length; after this walk there is nothing left that it could trip over.
class Walk {
public:
    explicit Walk(Bytes bytes) : bytes_(bytes) {}

    void run() {
        item(0);
        if (left() > 0) refuse("the end of the payload", fmt::format("{} more bytes", left()));
    }

private:
    [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
        throw Error("archive", fmt::format("payload byte {}", at_), expected, found);
    }
    std::size_t left() const { return bytes_.size() - at_; }
    std::uint8_t byte() {
        if (left() == 0) refuse("another value", "the end");
        return bytes_[at_++];
    }
    std::uint64_t big(int bytes) {
        std::uint64_t value = 0;
        for (int i = 0; i < bytes; ++i) value = value << 8 | byte();
        return value;
    }

    void item(int depth) {
        const std::uint8_t first = byte();
        const int major = first >> 5, info = first & 31;
        if (info > 27)
            refuse("a value whose length is known in advance", fmt::format("initial byte {:#04x}", first));
        const std::uint64_t n = info < 24 ? static_cast<std::uint64_t>(info) : big(1 << (info - 24));
        switch (major) {
            case 0:
                return;
            case 1:
                if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
                    refuse("integers of 64 bits", "a smaller one");
                return;
            case 2:
            case 3:
                room(n, n);
                at_ += static_cast<std::size_t>(n);
                return;
            case 4:
                enter(depth, n, n);
                for (std::uint64_t i = 0; i < n; ++i) item(depth + 1);
                return;
            case 5:
                enter(depth, n, n > left() ? n : 2 * n);
                for (std::uint64_t i = 0; i < n; ++i) {
                    if (left() > 0 && bytes_[at_] >> 5 != 3)
                        refuse("a text as key", fmt::format("initial byte {:#04x}", bytes_[at_]));
                    item(depth + 1);
                    item(depth + 1);
                }
                return;
            case 7:
                if (info >= 20 && info <= 27 && info != 23 && info != 24) return;
                [[fallthrough]];
            default:
                refuse("a number, text, bytes, list, map, true, false or null",
                       fmt::format("initial byte {:#04x}", first));
        }
    }
    /// At least `least` bytes must follow for `n` things.
    void room(std::uint64_t n, std::uint64_t least) const {
        if (least > left())
            refuse(fmt::format("at most {} bytes, which are left", left()), fmt::format("a length of {}", n));
    }
    void enter(int depth, std::uint64_t n, std::uint64_t least) const {
        if (depth >= kDepth) refuse(fmt::format("at most {} levels", kDepth), "a deeper one");
        room(n, least);
    }

    Bytes bytes_;
    std::size_t at_ = 0;
};

}  // namespace

std::vector<std::uint8_t> packArchive(const nlohmann::json& contents) {
    const auto payload = nlohmann::json::to_cbor(contents);
    std::vector<std::uint8_t> data(std::begin(kMagic), std::end(kMagic));
    data.reserve(kHeader + payload.size());
    append(data, kVersion, 4);
    append(data, checksum(payload), 4);
    append(data, payload.size(), 8);
    data.insert(data.end(), payload.begin(), payload.end());
    return data;
}

nlohmann::json unpackArchive(Bytes data) {
    if (data.size() < sizeof(kMagic) || std::memcmp(data.data(), kMagic, sizeof(kMagic)) != 0)
        throw Error("archive", "data", "what a KeyedArchiver wrote",
                    data.empty() ? "no bytes" : fmt::format("{} bytes that begin otherwise", data.size()));
    if (data.size() < kHeader)
        throw Error("archive", "data", fmt::format("a header of {} bytes", kHeader),
                    fmt::format("{}", data.size()));
    if (const auto version = little(data, sizeof(kMagic), 4); version != kVersion)
        throw Error("archive", "version", fmt::format("{}, which this library reads", kVersion),
                    fmt::format("{}", version));
    const auto payload = data.subspan(kHeader);
    if (const auto length = little(data, sizeof(kMagic) + 8, 8); length != payload.size())
        throw Error("archive", "data", fmt::format("{} bytes after the header, as it says", length),
                    fmt::format("{}", payload.size()));
    if (const auto sum = little(data, sizeof(kMagic) + 4, 4); sum != checksum(payload))
        throw Error("archive", "checksum", fmt::format("{:#010x}, as the header says", sum),
                    fmt::format("{:#010x}: the data is damaged", checksum(payload)));
    Walk(payload).run();
    auto contents = nlohmann::json::from_cbor(payload.begin(), payload.end(), true, false);
    if (contents.is_discarded()) throw Error("archive", "payload", "CBOR", "something else");
    return contents;
}

}  // namespace pewter::mps
