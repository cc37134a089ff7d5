#include <fmt/format.h>

#include <MPS/Archive.hpp>

#include "mps/core/ArchiveClasses.h"
#include "mps/kernels/ArchiveConvolution.h"
#include "mtl/Buffer.h"
#include "train/OptimizerDriver.h"

namespace pewter::train {

using MPS::Coder;

void archiveFloats(Coder& coder, const std::shared_ptr<MTL::Buffer>& values, std::size_t count,
                   const std::string& key) {
    coder.encodeFloats(mtl::valuesOf<float>(*values, count), key);
}

void restoreFloats(Coder& coder, const std::shared_ptr<MTL::Buffer>& values, std::size_t count,
                   const std::string& key) {
    const auto floats = coder.decodeFloats(key);
    if (floats.size() != count)
        coder.refuse(key, fmt::format("{} values", count), fmt::format("{}", floats.size()));
    mtl::writeBytes(*values, 0, floats.data(), count * sizeof(float));
}

// --- optimizers ---

namespace {

std::string momentKey(std::size_t moment, std::size_t vector) {
    return fmt::format("moment{}.{}", moment, vector);
}

/// The optimizer under a key, if it is a K.
template <class K>
std::shared_ptr<K> optimizerAs(const std::shared_ptr<MPS::NNOptimizer>& optimizer) {
    return std::dynamic_pointer_cast<K>(optimizer);
}

}  // namespace

OptimizerDriver::OptimizerDriver(Coder& coder, std::size_t first, std::size_t second) {
    const auto optimizer = coder.decodeObjectOfClass<MPS::NNOptimizer>("optimizer");
    sgd_ = optimizerAs<MPS::NNOptimizerStochasticGradientDescent>(optimizer);
    rms_ = optimizerAs<MPS::NNOptimizerRMSProp>(optimizer);
    adam_ = optimizerAs<MPS::NNOptimizerAdam>(optimizer);
    if (!sgd_ && !rms_ && !adam_)
        coder.refuse("optimizer", "an optimizer",
                     optimizer ? fmt::format("a {}", optimizer->className()) : "null");
    updates_ = coder.decodeUnsigned("updates");
    for (std::size_t i = 0; i < momentCount(); ++i) {
        auto& vectors = moments_.emplace_back();
        for (const std::size_t length : {first, second}) {
            if (length == 0) continue;
            const auto values = coder.decodeFloats(momentKey(i, vectors.size()));
            if (values.size() != length)
                coder.refuse(momentKey(i, vectors.size()), fmt::format("{} values", length),
                             fmt::format("{}", values.size()));
            vectors.push_back(std::make_shared<MPS::Vector>(
                coder.device()->newBuffer(values.data(), length * sizeof(float),
                                          MTL::ResourceStorageModeManaged),
                MPS::VectorDescriptor::vectorDescriptor(length, MPS::DataType::Float32)));
        }
    }
}

void OptimizerDriver::archive(Coder& coder) const {
    coder.encodeObject(optimizer(), "optimizer");
    coder.encodeUnsigned(updates_, "updates");
    for (std::size_t i = 0; i < moments_.size(); ++i)
        for (std::size_t j = 0; j < moments_[i].size(); ++j)
            archiveFloats(coder, moments_[i][j]->data(), moments_[i][j]->length(), momentKey(i, j));
}

// --- convolution ---

ConvolutionDataSource::ConvolutionDataSource(Coder& coder)
    : label_(coder.decodeString("label")),
      descriptor_(coder.decodeObjectOfClass<MPS::CNNConvolutionDescriptor>("descriptor")),
      device_(coder.device()) {
    if (!descriptor_) coder.refuse("descriptor", "a convolution descriptor", "null");
    const auto& d = *descriptor_;
    const auto weights = coder.decodeFloats("weights");
    mps::checkStoredWeights(coder, d, weights);
    mps::checkDescriptor(d, coder.name());
    shape_ = {.kernelWidth = d.kernelWidth(),
              .kernelHeight = d.kernelHeight(),
              .inputs = d.inputFeatureChannels(),
              .outputs = d.outputFeatureChannels(),
              .strideX = d.strideInPixelsX(),
              .strideY = d.strideInPixelsY(),
              .groups = d.groups(),
              .bias = coder.containsValue("biases")};
    allocate();
    mtl::writeBytes(*weights_, 0, weights.data(), weights.size() * sizeof(float));
    if (biases_) restoreFloats(coder, biases_, shape_.outputs, "biases");
    optimizer_ = std::make_unique<OptimizerDriver>(coder, weights.size(), biases_ ? shape_.outputs : 0);
}

void ConvolutionDataSource::encodeWithCoder(Coder& coder) const {
    coder.encodeString(label_, "label");
    coder.encodeObject(descriptor_, "descriptor");
    archiveFloats(coder, weights_, descriptor_->weightCount(), "weights");
    if (biases_) archiveFloats(coder, biases_, shape_.outputs, "biases");
    optimizer_->archive(coder);
}

// --- batch normalisation ---

BatchNormalizationDataSource::BatchNormalizationDataSource(Coder& coder)
    : label_(coder.decodeString("label")),
      channels_(coder.decodeFloats("gamma").size()),
      epsilon_(coder.decodeFloat("epsilon")),
      device_(coder.device()) {
    if (channels_ == 0) coder.refuse("gamma", "at least 1 value", "0");
    allocate();
    restoreFloats(coder, gamma_, channels_, "gamma");
    restoreFloats(coder, beta_, channels_, "beta");
    restoreFloats(coder, mean_, channels_, "mean");
    restoreFloats(coder, variance_, channels_, "variance");
    optimizer_ = std::make_unique<OptimizerDriver>(coder, channels_, channels_);
    average_ = coder.decodeObjectOfClass<MPS::NNOptimizerStochasticGradientDescent>("average");
    if (!average_ || average_->momentumScale() != 0)
        coder.refuse("average", "descent without momentum", "another optimizer");
}

void BatchNormalizationDataSource::encodeWithCoder(Coder& coder) const {
    coder.encodeString(label_, "label");
    coder.encodeDouble(epsilon_, "epsilon");
    archiveFloats(coder, gamma_, channels_, "gamma");
    archiveFloats(coder, beta_, channels_, "beta");
    archiveFloats(coder, mean_, channels_, "mean");
    archiveFloats(coder, variance_, channels_, "variance");
    optimizer_->archive(coder);
    coder.encodeObject(average_, "average");
}

}  // namespace pewter::train

namespace pewter::mps {

namespace {

template <class Source>
void addSource(ArchivedClasses& classes, const char* name) {
    classes.add(name, typeid(Source), [](MPS::Coder& coder) { return std::make_shared<Source>(coder); });
}

}  // namespace

void archiveTraining(ArchivedClasses& classes) {
    addSource<train::ConvolutionDataSource>(classes, "train.ConvolutionDataSource");
    addSource<train::BatchNormalizationDataSource>(classes, "train.BatchNormalizationDataSource");
    addSource<train::InstanceNormalizationDataSource>(classes, "train.InstanceNormalizationDataSource");
    addSource<train::GroupNormalizationDataSource>(classes, "train.GroupNormalizationDataSource");
}

}  // namespace pewter::mps
