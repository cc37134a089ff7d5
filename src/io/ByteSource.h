#pragma once

#include <zlib.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace pewter::io {

/// The bytes of a file or of memory, front to back, unpacked when they begin as gzip does.
///
/// Trusts nothing: every failure is an MPS::Error that names the source. Memory use is constant.
class ByteSource {
public:
    explicit ByteSource(const std::filesystem::path& path);
    /// `memory` must outlive the source.
    ByteSource(std::span<const std::uint8_t> memory, std::string name);
    ~ByteSource();
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    const std::string& name() const noexcept { return name_; }
    bool isGzip() const noexcept { return isGzip_; }
    /// Bytes of the file or memory as it is stored.
    std::uint64_t storedBytes() const noexcept { return storedBytes_; }
    /// No more bytes than this can come out, whatever the content: a bound to check declared sizes against.
    std::uint64_t mostBytes() const noexcept;

    /// Fills `out`; returns how many bytes there were, fewer than asked only at the end.
    std::size_t read(std::span<std::uint8_t> out);

private:
    void open();
    bool refill();
    std::size_t readPlain(std::span<std::uint8_t> out);
    std::size_t readGzip(std::span<std::uint8_t> out);

    std::string name_;
    std::ifstream file_;
    std::span<const std::uint8_t> memory_;  // what is left of it
    std::uint64_t storedBytes_ = 0, storedRead_ = 0;
    std::array<std::uint8_t, 1 << 16> buffer_{};
    std::span<const std::uint8_t> pending_;  // stored bytes not yet used
    bool fromMemory_ = false;
    bool isGzip_ = false;
    bool atEnd_ = false;
    z_stream inflate_{};
};

}  // namespace pewter::io
