#include "backends/cpu/Engine.h"

#include <limits>

#include "backends/cpu/ConvolutionPrimitive.h"
#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

using dnnl::algorithm;

const dnnl::engine& engine() {
    static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
    return instance;
}

dnnl::stream& threadStream() {
    static thread_local dnnl::stream instance(engine());
    return instance;
}

std::string libraryVersion() {
    const dnnl_version_t* v = dnnl_version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
}

bool multipliesBFloat16() {
#if defined(__x86_64__)
    static const bool does = [] {
        // The values of the instruction sets are nested bits.
        const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
        return isa() == Isa::Avx512 && __builtin_cpu_supports("avx512bf16") &&
               (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
    }();
    return does;
#else
    return false;
#endif
}

namespace {

#if DNNL_VERSION_MAJOR < 3
void appendEltwise(dnnl::post_ops& operations, algorithm kind, float alpha, float beta) {
    operations.append_eltwise(1.0f, kind, alpha, beta);
}
#else
void appendEltwise(dnnl::post_ops& operations, algorithm kind, float alpha, float beta) {
    operations.append_eltwise(kind, alpha, beta);
}
#endif

}  // namespace

#if DNNL_VERSION_MAJOR < 3

dnnl::convolution_forward::primitive_desc forwardDescriptor(const ConvolutionDescriptors& d,
                                                            dnnl::prop_kind kind,
                                                            const dnnl::primitive_attr& attributes) {
    using Desc = dnnl::convolution_forward::desc;
    const Desc desc = d.hasBias ? Desc(kind, d.algorithm, d.src, d.weights, d.bias, d.dst, d.strides, d.dilations,
                                       d.padBefore, d.padAfter)
                                : Desc(kind, d.algorithm, d.src, d.weights, d.dst, d.strides, d.dilations,
                                       d.padBefore, d.padAfter);
    return {desc, attributes, engine()};
}

dnnl::convolution_backward_data::primitive_desc dataGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes) {
    const dnnl::convolution_backward_data::desc desc(d.algorithm, d.src, d.weights, d.dst, d.strides, d.dilations,
                                                     d.padBefore, d.padAfter);
    return {desc, attributes, engine(), hint};
}

dnnl::convolution_backward_weights::primitive_desc weightsGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes) {
    using Desc = dnnl::convolution_backward_weights::desc;
    const Desc desc =
        d.hasBias
            ? Desc(d.algorithm, d.src, d.weights, d.bias, d.dst, d.strides, d.dilations, d.padBefore, d.padAfter)
            : Desc(d.algorithm, d.src, d.weights, d.dst, d.strides, d.dilations, d.padBefore, d.padAfter);
    return {desc, attributes, engine(), hint};
}

#else

dnnl::convolution_forward::primitive_desc forwardDescriptor(const ConvolutionDescriptors& d,
                                                            dnnl::prop_kind kind,
                                                            const dnnl::primitive_attr& attributes) {
    if (d.hasBias)
        return {engine(), kind,      d.algorithm,     d.src,       d.weights,  d.bias,
                d.dst,    d.strides, d.dilations, d.padBefore, d.padAfter, attributes};
    return {engine(),  kind,        d.algorithm,     d.src,      d.weights, d.dst,
            d.strides, d.dilations, d.padBefore, d.padAfter, attributes};
}

dnnl::convolution_backward_data::primitive_desc dataGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes) {
    return {engine(),    d.algorithm,     d.src,      d.weights, d.dst,     d.strides,
            d.dilations, d.padBefore, d.padAfter, hint,      attributes};
}

dnnl::convolution_backward_weights::primitive_desc weightsGradientDescriptor(
    const ConvolutionDescriptors& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attributes) {
    if (d.hasBias)
        return {engine(),  d.algorithm,     d.src,       d.weights,  d.bias, d.dst,
                d.strides, d.dilations, d.padBefore, d.padAfter, hint,   attributes};
    return {engine(),    d.algorithm,     d.src,      d.weights, d.dst,     d.strides,
            d.dilations, d.padBefore, d.padAfter, hint,      attributes};
}

#endif

bool appendNeuron(dnnl::post_ops& operations, const ops::Neuron& neuron) {
    using ops::NeuronType;
    const auto append = [&](algorithm kind, float alpha = 0, float beta = 0) {
        appendEltwise(operations, kind, alpha, beta);
    };
    switch (neuron.type) {
        case NeuronType::None:
            return true;
        // With a = 0 oneDNN makes a NaN sum 0, which the neuron on its own keeps.
        case NeuronType::ReLU:
            append(algorithm::eltwise_relu, neuron.a);
            return true;
        case NeuronType::Linear:
            append(algorithm::eltwise_linear, neuron.a, neuron.b);
            return true;
        case NeuronType::Sigmoid:
            append(algorithm::eltwise_logistic);
            return true;
        case NeuronType::HardSigmoid:
            append(algorithm::eltwise_linear, neuron.a, neuron.b);
            append(algorithm::eltwise_clip, 0, 1);
            return true;
        case NeuronType::TanH:
            // Two linear operations of one chain share their factors in oneDNN 2.6: the second one's are
            // lost.
            if (neuron.a != 1 && neuron.b != 1) return false;
            if (neuron.b != 1) append(algorithm::eltwise_linear, neuron.b);
            append(algorithm::eltwise_tanh);
            if (neuron.a != 1) append(algorithm::eltwise_linear, neuron.a);
            return true;
        case NeuronType::Absolute:
            append(algorithm::eltwise_abs);
            return true;
        case NeuronType::ELU:
            append(algorithm::eltwise_elu, neuron.a);
            return true;
        case NeuronType::ReLUN:
            append(algorithm::eltwise_relu, neuron.a);
            append(algorithm::eltwise_clip, std::numeric_limits<float>::lowest(), neuron.b);
            return true;
        default:
            return false;
    }
}

std::size_t PrimitiveCache::Hash::operator()(const ProblemKey& key) const noexcept {
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    for (const std::int64_t value : key) {
        hash ^= static_cast<std::uint64_t>(value);
        hash *= 0xBF58476D1CE4E5B9u;
        hash ^= hash >> 29;
    }
    return static_cast<std::size_t>(hash);
}

std::shared_ptr<const Prepared> PrimitiveCache::get(const ProblemKey& key,
                                                    const std::function<Prepared()>& make) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) {
        order_.splice(order_.begin(), order_, found->second.place);
        return found->second.prepared;
    }
    auto prepared = std::make_shared<const Prepared>(make());
    if (entries_.size() >= kCapacity) {
        entries_.erase(order_.back());
        order_.pop_back();
    }
    order_.push_front(key);
    entries_.emplace(key, Entry{prepared, order_.begin()});
    return prepared;
}

}  // namespace pewter::cpu
