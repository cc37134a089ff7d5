#pragma once

#include <map>
#include <tuple>

#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/Weights.h"

namespace pewter::cuda {

/// Of the parameters that a training step updates: the forms that libraries want their weights in, made once a step instead
/// of once a use. What is kept is good inside one sequence of commands (Graphs), from the use that makes it to the update
/// that makes it stale; between sequences the host may have written the weights. The memory is as old as the sequence, whose
/// graphs hold its addresses.
class KeptWeights {
public:
    KeptWeights() = default;
    KeptWeights(KeptWeights&& other) noexcept { forms_.swap(other.forms_); }
    KeptWeights& operator=(KeptWeights&& other) noexcept {
        forms_.swap(other.forms_);
        return *this;
    }
    ~KeptWeights();

    /// A run of the sequence begins. While a graph is made of it, the forms that its other runs needed at first come first,
    /// in as few launches as that takes.
    void begin(CudaStream& stream, bool capturing);
    /// The weights in that form; null if there is no memory for them.
    const void* find(CudaStream& stream, const ops::Tensor& weights, const WeightsForm& form, bool capturing);
    /// An operation writes there.
    void noteWritten(const void* values);

private:
    /// Address, extents, form.
    using Key = std::tuple<const void*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, WeightsForm>;
    struct Kept {
        void* memory = nullptr;
        std::int64_t count = 0;  ///< of elements that are only converted, one after the other; 0: moved as well
        bool valid = false;
        bool early = false;  ///< needed before the sequence's update
        bool stale = false;  ///< updated in this run
        bool used = false;   ///< in the last run whose commands came one by one: the weights are still there
    };
    std::map<Key, Kept> forms_;
};

}  // namespace pewter::cuda
