#pragma once

#include <MPS/SecureCoding.hpp>
#include <MTL/Device.hpp>
#include <map>
#include <memory>

namespace pewter::mps {

/// Data sources of several kernels that are copied or archived together. While one of these lives, the kernels of this
/// thread that had one data source get one copy of it, or one stand-in in the archive.
class SharedSources {
public:
    SharedSources() : before_(current_) { current_ = this; }
    ~SharedSources() { current_ = before_; }
    SharedSources(const SharedSources&) = delete;
    SharedSources& operator=(const SharedSources&) = delete;

    /// The innermost of this thread; null: every kernel is on its own.
    static SharedSources* current() { return current_; }

    /// What was made for the data source (or for whatever else is shared), which must outlive this; `make` is asked once.
    template <class T, class Make>
    std::shared_ptr<T> of(const void* source, Make make) {
        const auto known = made_.find(source);
        if (known != made_.end()) return std::static_pointer_cast<T>(known->second);
        std::shared_ptr<T> one = make();
        made_.emplace(source, one);
        return one;
    }

private:
    inline static thread_local SharedSources* current_ = nullptr;
    SharedSources* before_;
    std::map<const void*, std::shared_ptr<void>> made_;
};

/// The data source's copy for another kernel; null: both kernels have the same one.
template <class Source>
std::shared_ptr<Source> copyOfSource(const std::shared_ptr<Source>& source,
                                     const std::shared_ptr<MTL::Device>& device) {
    auto* shared = SharedSources::current();
    if (!shared) return source->copy(device);
    return shared->of<Source>(source.get(), [&] { return source->copy(device); });
}

/// Parameters that an archive held in place of a data source. They do not change, so that no update can be kept in them.
class StoredSource : public MPS::SecureCoding {};

/// The data source's face for archives; null for one that has none, and for a stand-in, which is made anew.
template <class Source>
std::shared_ptr<const MPS::SecureCoding> codedSource(const std::shared_ptr<Source>& source) {
    auto coded = std::dynamic_pointer_cast<const MPS::SecureCoding>(source);
    return dynamic_cast<const StoredSource*>(coded.get()) ? nullptr : coded;
}

}  // namespace pewter::mps
