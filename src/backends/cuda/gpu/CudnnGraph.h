#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/gpu/CudnnApi.h"

namespace pewter::cuda {

/// What cuDNN cannot do with an operation, which is no error: another way is found.
struct CudnnRefusal : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A descriptor of cuDNN's backend interface and its attributes.
class CudnnDescriptor {
public:
    CudnnDescriptor(const dnn::Api& api, int kind) : api_(&api) {
        require(api.BackendCreateDescriptor(kind, &descriptor_), "BackendCreateDescriptor");
    }
    ~CudnnDescriptor() {
        if (descriptor_) api_->BackendDestroyDescriptor(descriptor_);
    }
    CudnnDescriptor(CudnnDescriptor&& other) noexcept
        : api_(other.api_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
    CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }

    CudnnDescriptor& set(int attribute, int type, std::int64_t count, const void* values) {
        require(api_->BackendSetAttribute(descriptor_, attribute, type, count, values), "BackendSetAttribute");
        return *this;
    }
    CudnnDescriptor& set(int attribute, int type, int value) { return set(attribute, type, 1, &value); }
    CudnnDescriptor& set(int attribute, const CudnnDescriptor& value) {
        return set(attribute, dnn::kDescriptorType, 1, &value.descriptor_);
    }
    CudnnDescriptor& set(int attribute, float value) { return set(attribute, dnn::kFloatType, 1, &value); }
    CudnnDescriptor& set(int attribute, std::int64_t value) { return set(attribute, dnn::kInt64Type, 1, &value); }
    template <std::size_t N>
    CudnnDescriptor& set(int attribute, const std::array<std::int64_t, N>& values) {
        return set(attribute, dnn::kInt64Type, N, values.data());
    }
    CudnnDescriptor& finalize() {
        require(api_->BackendFinalize(descriptor_), "BackendFinalize");
        return *this;
    }

    std::int64_t getInt64(int attribute) const {
        std::int64_t value = 0, found = 0;
        require(api_->BackendGetAttribute(descriptor_, attribute, dnn::kInt64Type, 1, &found, &value), "BackendGetAttribute");
        return value;
    }
    /// Whatever the attribute holds, at most as many as `values` has room for.
    std::int64_t get(int attribute, int type, std::int64_t room, void* values) const {
        std::int64_t found = 0;
        require(api_->BackendGetAttribute(descriptor_, attribute, type, room, &found, values), "BackendGetAttribute");
        return found;
    }
    dnn::Descriptor raw() const { return descriptor_; }

private:
    void require(dnn::Status status, const char* call) const {
        if (status != 0) throw CudnnRefusal(std::string("cudnn") + call + ": " + api_->GetErrorString(status));
    }

    const dnn::Api* api_;
    dnn::Descriptor descriptor_ = nullptr;
};

}  // namespace pewter::cuda
