#pragma once

#include <MPS/Image.hpp>
#include <MPS/State.hpp>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "mps/core/ImageStorage.h"
#include "mtl/Buffer.h"

namespace pewter::mps {

/// Memory whose address is said anew before each run.
class RunMemory final : public mtl::Memory {
public:
    explicit RunMemory(std::size_t size) : size_(size) {}
    std::byte* address() const override { return address_; }
    std::size_t size() const override { return size_; }
    void bind(std::byte* address) { address_ = address; }

private:
    std::byte* address_ = nullptr;
    std::size_t size_;
};

/// What an encode was given, up to addresses: extents, types, strides, and which images lie on one storage. Encodes with
/// equal keys can run the same commands.
class SourceShape {
public:
    SourceShape(const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states);

    const std::vector<std::uint64_t>& key() const { return key_; }
    /// What else the encode depends on.
    void add(std::initializer_list<std::uint64_t> parts) { key_.insert(key_.end(), parts); }
    /// False when a state is no set of loss labels, for only those can be stood in for.
    bool canStandIn() const { return canStandIn_; }
    /// The storages, in the order of their first appearance.
    const std::vector<std::shared_ptr<ImageStorage>>& storages() const { return storages_; }

    /// The same batches on memory that is bound later, one a storage.
    struct StandIns {
        std::vector<MPS::ImageBatch> images;
        std::vector<MPS::StateBatch> states;
        std::vector<std::shared_ptr<RunMemory>> memory;
    };
    StandIns standIns(const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states) const;

private:
    void note(const MPS::Image& image);
    std::size_t indexOf(const std::shared_ptr<ImageStorage>& storage);

    std::vector<std::uint64_t> key_;
    std::vector<std::shared_ptr<ImageStorage>> storages_;
    bool canStandIn_ = true;
};

}  // namespace pewter::mps
