#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace MPS {

void KeyedArchiver::archiveRootObject(const std::shared_ptr<const SecureCoding>& rootObject,
                                      const std::string& path) {
    if (!rootObject) throw Error("KeyedArchiver", "rootObject", "an object", "null");
    KeyedArchiver archiver;
    archiver.encodeObject(rootObject, KeyedUnarchiver::kRootObjectKey);
    archiver.writeToFile(path);
}

void KeyedArchiver::writeToFile(const std::string& path) const {
    const auto data = encodedData();
    // Beside it first: an archive that was there stays whole if the disk is full.
    const std::string part = path + ".part";
    std::error_code failure;
    {
        std::ofstream file(part, std::ios::binary);
        file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
        file.close();
        if (!file) {
            std::filesystem::remove(part, failure);
            throw Error("KeyedArchiver", "path", "a file that can be written", fmt::format("\"{}\"", path));
        }
    }
    std::filesystem::rename(part, path, failure);
    if (!failure) return;
    const auto reason = failure.message();
    std::filesystem::remove(part, failure);
    throw Error("KeyedArchiver", "path", "a file that can be replaced",
                fmt::format("\"{}\" ({})", path, reason));
}

ArchiveData KeyedUnarchiver::dataOfFile(const std::string& path) {
    const auto refuse = [&](const char* expected) {
        throw Error("KeyedUnarchiver", "path", expected, fmt::format("\"{}\"", path));
    };
    std::error_code failure;
    if (!std::filesystem::is_regular_file(path, failure)) refuse("a file");
    const auto size = std::filesystem::file_size(path, failure);
    std::ifstream file(path, std::ios::binary);
    if (failure || !file) refuse("a file that can be read");
    ArchiveData data;
    try {
        data.resize(static_cast<std::size_t>(size));
    } catch (const std::exception&) {
        refuse("a file that fits into memory");
    }
    file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()));
    if (static_cast<std::size_t>(file.gcount()) != data.size()) refuse("a file that can be read to its end");
    return data;
}

}  // namespace MPS
