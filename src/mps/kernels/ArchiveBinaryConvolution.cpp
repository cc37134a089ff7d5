#include <fmt/format.h>

#include <MPS/CNNBinaryConvolution.hpp>
#include <MTL/Device.hpp>
#include <cstring>

#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/BinaryConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

using namespace MPS;

namespace {

/// Weights that an archive held in place of their data source. They do not change.
class StoredBits final : public CNNConvolutionDataSource {
public:
    StoredBits(std::shared_ptr<CNNConvolutionDescriptor> descriptor, std::vector<std::uint8_t> bytes)
        : descriptor_(std::move(descriptor)), words_(bytes.size() / sizeof(std::uint32_t)) {
        std::memcpy(words_.data(), bytes.data(), words_.size() * sizeof(std::uint32_t));
    }
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    DataType dataType() const override { return DataType::UInt32; }
    const void* weights() const override { return words_.data(); }
    const float* biasTerms() const override { return nullptr; }
    std::string label() const override { return {}; }
    std::optional<std::size_t> weightsLength() const override { return words_.size(); }

private:
    std::shared_ptr<CNNConvolutionDescriptor> descriptor_;
    std::vector<std::uint32_t> words_;
};

std::size_t bytesOf(const ArrayRef& array) {
    return static_cast<std::size_t>(array.size) * ops::sizeOf(array.type);
}

void encodeTerms(Coder& coder, const ArrayRef& array, const char* key) {
    if (!array) return;
    coder.encodeFloats(mtl::valuesOf<float>(*array.buffer, static_cast<std::size_t>(array.size)), key);
}

ArrayRef decodeTerms(Coder& coder, const Device& device, const char* key, std::size_t count) {
    const auto values = coder.decodeFloats(key);
    if (values.size() != count)
        coder.refuse(key, fmt::format("{} values, one a channel", count), fmt::format("{}", values.size()));
    return {device->newBuffer(values.data(), count * sizeof(float), MTL::ResourceStorageModeManaged), 0,
            ops::Type::Float32, static_cast<std::int64_t>(count)};
}

void encodeBinary(const CNNBinaryConvolution& kernel, Coder& coder) {
    const auto& p = BinaryConvolutionAccess::parameters(kernel);
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.type()), "type");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.flags()), "flags");
    if (auto coded = std::dynamic_pointer_cast<const SecureCoding>(kernel.dataSource())) {
        coder.encodeObject(std::move(coded), "dataSource");
    } else {
        coder.encodeObject(kernel.descriptor().copy(), "descriptor");
        coder.encodeBytes(mtl::valuesOf<std::uint8_t>(*p.weights.buffer, bytesOf(p.weights)), "weights");
    }
    encodeTerms(coder, p.outputBias, "outputBiasTerms");
    encodeTerms(coder, p.outputScale, "outputScaleTerms");
    encodeTerms(coder, p.inputBias, "inputBiasTerms");
    encodeTerms(coder, p.inputScale, "inputScaleTerms");
}

std::shared_ptr<CNNConvolutionDataSource> decodeSource(Coder& coder) {
    if (coder.containsValue("dataSource")) {
        auto source = coder.decodeObjectOfClass<CNNConvolutionDataSource>("dataSource");
        if (!source) coder.refuse("dataSource", "a data source", "null");
        return source;
    }
    auto d = coder.decodeObjectOfClass<CNNConvolutionDescriptor>("descriptor");
    if (!d) coder.refuse("descriptor", "a convolution descriptor", "null");
    auto bytes = coder.decodeBytes("weights");
    // One bit a weight, 32 of them in a word; the extents in an archive may claim any number.
    std::size_t words = d->inputFeatureChannels() / 32 + (d->inputFeatureChannels() % 32 != 0), count = 0;
    for (const std::size_t extent :
         {d->kernelWidth(), d->kernelHeight(), d->outputFeatureChannels(), sizeof(std::uint32_t)})
        if (__builtin_mul_overflow(words, extent, &words))
            coder.refuse("weights", "fewer of them", "too many to count");
    count = words;
    if (bytes.size() != count || count == 0)
        coder.refuse("weights", fmt::format("{} bytes, as the descriptor says", count),
                     fmt::format("{}", bytes.size()));
    return std::make_shared<StoredBits>(std::move(d), std::move(bytes));
}

template <class K>
std::shared_ptr<K> makeBinary(Coder& coder, const Device& device) {
    const auto type = coder.decodeEnum("type", CNNBinaryConvolutionType::AND);
    const auto flags = coder.decodeEnum("flags", CNNBinaryConvolutionFlags::UseBetaScaling);
    auto kernel =
        std::make_shared<K>(device, decodeSource(coder), nullptr, nullptr, nullptr, nullptr, type, flags);
    // The terms as they were computed with: a normalisation must not be folded in twice.
    auto p = BinaryConvolutionAccess::parameters(*kernel);
    const auto inputs = kernel->inputFeatureChannels(), outputs = kernel->outputFeatureChannels();
    p.outputBias = decodeTerms(coder, device, "outputBiasTerms", outputs);
    p.outputScale = decodeTerms(coder, device, "outputScaleTerms", outputs);
    if (coder.containsValue("inputBiasTerms"))
        p.inputBias = decodeTerms(coder, device, "inputBiasTerms", inputs);
    if (coder.containsValue("inputScaleTerms"))
        p.inputScale = decodeTerms(coder, device, "inputScaleTerms", inputs);
    BinaryConvolutionAccess::setParameters(*kernel, std::move(p));
    return kernel;
}

}  // namespace

void archiveBinaryConvolution(ArchivedClasses& classes) {
    classes.addKernel<CNNBinaryConvolution>("CNNBinaryConvolution", encodeBinary,
                                            makeBinary<CNNBinaryConvolution>);
    classes.addKernel<CNNBinaryFullyConnected>("CNNBinaryFullyConnected", encodeBinary,
                                               makeBinary<CNNBinaryFullyConnected>);
}

}  // namespace pewter::mps
