#include "io/ByteSource.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <system_error>

namespace pewter::io {
namespace {

constexpr int kGzipWindow = 15 + 16;  // largest window; 16 asks zlib for the gzip wrapper
// Deflate spends at least two bits on a match, which gives at most 258 bytes.
constexpr std::uint64_t kMostDeflateRatio = 258 * 8 / 2;

}  // namespace

ByteSource::ByteSource(const std::filesystem::path& path) : name_(path.string()) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) {
        throw MPS::Error(
            name_, "file", "a file that can be read",
            error && error != std::errc::no_such_file_or_directory ? error.message() : "no such file");
    }
    if (!std::filesystem::is_regular_file(status)) {
        throw MPS::Error(name_, "file", "a regular file",
                         std::filesystem::is_directory(status) ? "a directory" : "something else");
    }
    storedBytes_ = std::filesystem::file_size(path, error);
    if (!error) file_.open(path, std::ios::binary);
    if (error || !file_) {
        throw MPS::Error(name_, "file", "a file that can be read",
                         error ? error.message() : std::strerror(errno));
    }
    open();
}

ByteSource::ByteSource(std::span<const std::uint8_t> memory, std::string name)
    : name_(std::move(name)), memory_(memory), storedBytes_(memory.size()), fromMemory_(true) {
    open();
}

ByteSource::~ByteSource() {
    if (isGzip_) inflateEnd(&inflate_);
}

void ByteSource::open() {
    refill();
    if (pending_.size() < 2 || pending_[0] != 0x1F || pending_[1] != 0x8B) return;
    if (inflateInit2(&inflate_, kGzipWindow) != Z_OK) throw std::bad_alloc();
    isGzip_ = true;
}

std::uint64_t ByteSource::mostBytes() const noexcept {
    if (!isGzip_) return storedBytes_;
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    return storedBytes_ > kMost / kMostDeflateRatio ? kMost : storedBytes_ * kMostDeflateRatio;
}

bool ByteSource::refill() {
    if (fromMemory_) {
        pending_ = memory_.first(std::min(memory_.size(), buffer_.size()));
        memory_ = memory_.subspan(pending_.size());
    } else {
        file_.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(buffer_.size()));
        if (file_.bad()) throw MPS::Error(name_, "file", "a file that can be read", "a read error");
        pending_ = std::span(buffer_).first(static_cast<std::size_t>(file_.gcount()));
    }
    storedRead_ += pending_.size();
    return !pending_.empty();
}

std::size_t ByteSource::read(std::span<std::uint8_t> out) { return isGzip_ ? readGzip(out) : readPlain(out); }

std::size_t ByteSource::readPlain(std::span<std::uint8_t> out) {
    std::size_t done = 0;
    while (done < out.size() && (!pending_.empty() || refill())) {
        const std::size_t some = std::min(out.size() - done, pending_.size());
        std::copy_n(pending_.begin(), some, out.begin() + static_cast<std::ptrdiff_t>(done));
        pending_ = pending_.subspan(some);
        done += some;
    }
    return done;
}

std::size_t ByteSource::readGzip(std::span<std::uint8_t> out) {
    std::size_t done = 0;
    while (done < out.size() && !atEnd_) {
        if (pending_.empty() && !refill()) {
            throw MPS::Error(name_, "gzip data", "a complete stream",
                             fmt::format("the end of the file after {} bytes", storedRead_));
        }
        const std::size_t room = std::min<std::size_t>(out.size() - done, std::numeric_limits<uInt>::max());
        inflate_.next_in = const_cast<Bytef*>(pending_.data());  // zlib does not write there
        inflate_.avail_in = static_cast<uInt>(pending_.size());
        inflate_.next_out = out.data() + done;
        inflate_.avail_out = static_cast<uInt>(room);
        const int result = inflate(&inflate_, Z_NO_FLUSH);
        pending_ = pending_.last(inflate_.avail_in);
        done += room - inflate_.avail_out;
        if (result == Z_STREAM_END) {
            // A gzip file may be several streams one after the other.
            if (pending_.empty() && !refill()) {
                atEnd_ = true;
            } else {
                inflateReset(&inflate_);
            }
        } else if (result == Z_MEM_ERROR) {
            throw std::bad_alloc();
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            throw MPS::Error(name_, "gzip data", "an undamaged stream",
                             fmt::format("'{}' near byte {}", inflate_.msg ? inflate_.msg : "damage",
                                         storedRead_ - pending_.size()));
        }
    }
    return done;
}

}  // namespace pewter::io
