#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

#include "ops/Neuron.h"

// oneDNN 2.6 describes an operation in two steps, 3.x in one. The functions of this header hide the
// difference.

namespace pewter::cpu {

/// The processor as oneDNN sees it; made once.
const dnnl::engine& engine();
/// The calling thread's stream. CPU streams run at once and hold nothing.
dnnl::stream& threadStream();
/// "oneDNN 2.6.3".
std::string libraryVersion();
/// Whether processor and library multiply bfloat16 in instructions of their own. Emulated products are slower than
/// those of float32.
bool multipliesBFloat16();

/// Extents of one convolution in oneDNN's axis order.
struct ConvolutionDescriptors {
    dnnl::memory::desc src, weights, bias, dst;
    bool hasBias = false;
    dnnl::algorithm algorithm = dnnl::algorithm::convolution_direct;
    dnnl::memory::dims strides, dilations, padBefore, padAfter;
};

dnnl::convolution_forward::primitive_desc forwardDescriptor(const ConvolutionDescriptors& d,
                                                            dnnl::prop_kind kind,
                                                            const dnnl::primitive_attr& attributes);
dnnl::convolution_backward_data::primitive_desc dataGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes);
dnnl::convolution_backward_weights::primitive_desc weightsGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes);

/// Appends the neuron as post-operations where oneDNN computes the same function; false (nothing appended)
/// where not.
bool appendNeuron(dnnl::post_ops& operations, const ops::Neuron& neuron);

/// What makes two problems the same, as plain numbers; unused places are 0.
using ProblemKey = std::array<std::int64_t, 23>;

struct Prepared;

/// Primitives by problem. Creating one takes milliseconds (code is generated), so that each is made once, and
/// the least recently used go when there are more than kCapacity.
class PrimitiveCache {
public:
    static constexpr std::size_t kCapacity = 1024;

    /// The primitive of `key`, made by `make` the first time.
    std::shared_ptr<const Prepared> get(const ProblemKey& key, const std::function<Prepared()>& make);

private:
    struct Hash {
        std::size_t operator()(const ProblemKey& key) const noexcept;
    };
    struct Entry {
        std::shared_ptr<const Prepared> prepared;
        std::list<ProblemKey>::iterator place;
    };
    std::mutex mutex_;
    std::list<ProblemKey> order_;  // most recent first
    std::unordered_map<ProblemKey, Entry, Hash> entries_;
};

}  // namespace pewter::cpu
