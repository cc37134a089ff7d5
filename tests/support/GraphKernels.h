#pragma once

#include <Pewter/HostKernel.hpp>
#include <Pewter/KernelNode.hpp>
#include <cmath>

#include "GraphNets.h"

/// Kernels as an application would write them, and nodes around them.
namespace pewter::test {

/// y = x^2 / 2, whose gradient reads the source image.
class HalfSquare final : public HostKernel {
public:
    using HostKernel::HostKernel;
    const char* className() const override { return "HalfSquare"; }

protected:
    Computation computation() const override {
        return [](const HostTensor& x, const HostGeometry&, HostTensor& y) {
            for (std::size_t i = 0; i < x.values.size(); ++i) y.values[i] = x.values[i] * x.values[i] / 2;
        };
    }
};

class HalfSquareGradient final : public HostGradientKernel {
public:
    using HostGradientKernel::HostGradientKernel;
    const char* className() const override { return "HalfSquareGradient"; }

protected:
    Computation computation() const override {
        return [](const HostTensor& g, const HostTensor& x, const HostGeometry&, HostTensor& dx) {
            for (std::size_t i = 0; i < x.values.size(); ++i) dx.values[i] = g.values[i] * x.values[i];
        };
    }
};

/// y = x s with s the sum of the image's channel over its pixels: s is kept for the gradient
/// dx = g s + (sum of g x). With a state to read, s starts at what that one holds: a running sum.
class Gate final : public HostStateKernel {
public:
    using HostStateKernel::HostStateKernel;
    const char* className() const override { return "Gate"; }

protected:
    std::size_t stateSize(const MPS::Image& source, const MPS::Image&) const override {
        return source.featureChannels();
    }
    Computation computation() const override {
        return [](const HostTensor& x, const HostTensor& before, const HostGeometry&, HostTensor& y,
                  HostTensor& s) {
            for (std::size_t n = 0; n < x.n; ++n)
                for (std::size_t c = 0; c < x.c; ++c) {
                    double sum = before.n ? before.at(n, 0, 0, c) : 0;
                    for (std::size_t p = 0; p < x.h * x.w; ++p) sum += x.at(n, p / x.w, p % x.w, c);
                    for (std::size_t p = 0; p < x.h * x.w; ++p)
                        y.at(n, p / x.w, p % x.w, c) = x.at(n, p / x.w, p % x.w, c) * sum;
                    s.at(n, 0, 0, c) = sum;
                }
        };
    }
};

class GateGradient final : public HostStateGradientKernel {
public:
    using HostStateGradientKernel::HostStateGradientKernel;
    const char* className() const override { return "GateGradient"; }

protected:
    Computation computation() const override {
        return [](const HostTensor& g, const HostTensor& x, const HostTensor& s, const HostGeometry&,
                  HostTensor& dx) {
            for (std::size_t n = 0; n < x.n; ++n)
                for (std::size_t c = 0; c < x.c; ++c) {
                    double dot = 0;
                    for (std::size_t p = 0; p < x.h * x.w; ++p)
                        dot += g.at(n, p / x.w, p % x.w, c) * x.at(n, p / x.w, p % x.w, c);
                    for (std::size_t p = 0; p < x.h * x.w; ++p)
                        dx.at(n, p / x.w, p % x.w, c) = g.at(n, p / x.w, p % x.w, c) * s.at(n, 0, 0, c) + dot;
                }
        };
    }
};

template <class Kernel>
auto factory() {
    return [](const DevicePtr& device) { return std::make_shared<Kernel>(device); };
}

inline std::shared_ptr<KernelNode> halfSquare(const Node& source) {
    return KernelNode::node(source, factory<HalfSquare>(), factory<HalfSquareGradient>());
}
inline std::shared_ptr<KernelNode> gate(const Node& source) {
    return KernelNode::node(source, factory<Gate>(), factory<GateGradient>());
}
/// A state that encodes get from outside.
inline std::shared_ptr<MPS::NNStateNode> stateInput(const std::string& label) {
    auto node = std::make_shared<MPS::NNGradientStateNode>(nullptr);
    node->setHandle(tag(label));
    return node;
}

}  // namespace pewter::test
