#pragma once

#include <MPS/State.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/StateAccess.h"

namespace pewter::mps {

/// A mask of one byte an element that the states of a batch keep, seen as one tensor. States made together
/// share memory; loose ones are gathered (read) or written one by one afterwards (write).
class StateMasks {
public:
    /// Where a forward pass writes its masks; finish() hands loose states theirs.
    static StateMasks forWriting(Encoder& encoder, const MPS::StateBatch& states, std::int64_t images,
                                 std::int64_t h, std::int64_t w, std::int64_t c) {
        StateMasks masks(encoder, states);
        if (states.empty()) {
            masks.all_ = encoder.scratch(ops::Type::UInt8, images, h, w, c);
            return masks;
        }
        StateAccess::allocateTogether(states, 0);
        masks.bind(images, h, w, c);
        return masks;
    }

    static StateMasks forReading(Encoder& encoder, const MPS::StateBatch& states, std::int64_t images,
                                 std::int64_t h, std::int64_t w, std::int64_t c) {
        StateMasks masks(encoder, states);
        masks.bind(images, h, w, c);
        for (std::size_t i = 0; i < masks.parts_.size(); ++i) masks.copy(masks.parts_[i], masks.part(i));
        return masks;
    }

    const TensorRef& all() const { return all_; }

    /// After the operation that wrote all().
    void finish() const {
        for (std::size_t i = 0; i < parts_.size(); ++i) copy(part(i), parts_[i]);
    }

private:
    StateMasks(Encoder& encoder, const MPS::StateBatch& states) : encoder_(encoder), states_(states) {}

    void bind(std::int64_t images, std::int64_t h, std::int64_t w, std::int64_t c) {
        all_ = StateAccess::together(states_, 0, ops::Type::UInt8, h, w, c);
        if (all_) {
            all_.shape.n = images;  // one state may hold the masks of an image of several pictures
            return;
        }
        all_ = encoder_.scratch(ops::Type::UInt8, images, h, w, c);
        for (const auto& state : states_) {
            TensorRef one;
            one.buffer = StateAccess::buffer(*state, 0);
            one.shape = ops::Tensor::dense(nullptr, ops::Type::UInt8, 1, h, w, c);
            parts_.push_back(one);
        }
    }

    TensorRef part(std::size_t i) const { return all_.images(static_cast<std::int64_t>(i), 1); }

    void copy(const TensorRef& from, const TensorRef& to) const {
        encoder_.run([from, to] {
            ops::Copy op;
            op.src = from.tensor();
            op.dst = to.tensor();
            return op;
        });
    }

    Encoder& encoder_;
    const MPS::StateBatch& states_;
    TensorRef all_;
    std::vector<TensorRef> parts_;
};

}  // namespace pewter::mps
